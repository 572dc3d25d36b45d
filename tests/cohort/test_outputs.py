# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from monai_causal.cohort.outputs import Store, read_record, write_record


def staged(store: Store, name: str, value: int) -> tuple[str, str]:
    folder = store.staging / name
    folder.mkdir()
    digest, size = write_record(folder, {"item": value})
    assert size == (folder / "record.json").stat().st_size
    return str(folder), digest


def test_an_output_appears_whole_at_the_place_of_its_number(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.begin()
    folder, digest = staged(store, "a", 1)
    assert not store.place(12_345).exists()
    store.publish(12_345, folder)
    assert store.place(12_345) == tmp_path / "items" / "000012" / "item-00012345"
    found = read_record(store.place(12_345), digest)
    assert found is not None
    assert found["item"] == 1
    assert not Path(folder).exists()


def test_what_was_published_and_never_journalled_makes_room(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.begin()
    for value in (1, 2):
        folder, digest = staged(store, f"attempt-{value}", value)
        store.publish(0, folder)
    assert read_record(store.place(0), digest) is not None
    assert [path.name for path in store.place(0).parent.iterdir()] == ["item-00000000"]


def test_what_a_killed_run_left_is_swept_and_a_zombie_writes_elsewhere(tmp_path: Path) -> None:
    killed = Store(tmp_path)
    killed.begin()
    staged(killed, "half", 1)
    store = Store(tmp_path)
    store.begin()
    assert not killed.staging.exists()
    assert store.staging != killed.staging
    store.end()
    assert not store.staging.exists()


def test_a_record_that_is_not_the_one_that_was_written_is_none(tmp_path: Path) -> None:
    digest, _ = write_record(tmp_path, {"item": 1})
    assert read_record(tmp_path, "0" * 64) is None
    (tmp_path / "record.json").unlink()
    assert read_record(tmp_path, digest) is None
    with pytest.raises(ValueError, match="Out of range float values"):
        write_record(tmp_path, {"value": float("nan")})
