# SPDX-License-Identifier: Apache-2.0
"""Beginning, going on, and refusing to mix."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from monai_causal.apps.study.configuration import ConfigError
from monai_causal.cohort.config import CohortConfig, as_config
from monai_causal.cohort.journal import Journal
from monai_causal.cohort.run import JOURNAL, LOCK, retry_items, run_cohort
from monai_causal.locks import alone_in
from tests.cohort.cohorts import cohort, outputs, rows_of


def folder_cohort(folder: Path, **items: Any) -> CohortConfig:
    return as_config({"items": {"kind": "folder", "path": str(folder), **items}, "job": {"name": "trivial"}})


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.png").write_bytes(name.encode() * 10)
    return folder


def test_a_finished_cohort_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for _ in range(2):
        assert run_cohort(cohort(4, log=str(log)), tmp_path / "out")["done"] == 4
    assert log.read_text() == "xxxx"


def test_another_configuration_refuses_to_mix_and_names_what_differs(tmp_path: Path) -> None:
    run_cohort(cohort(4), tmp_path)
    with pytest.raises(ValueError, match=r"begun with another config\.job\.settings\.wrong: null then, \[9\] now"):
        run_cohort(cohort(4, wrong=[9]), tmp_path)
    with pytest.raises(ValueError, match=r"another config\.batch: 1 then, 2 now"):
        run_cohort(cohort(4, batch=2), tmp_path)
    # How it is carried out may change.
    assert run_cohort(cohort(4, run={"workers": 1, "timeout": 5, "attempts": 1}), tmp_path)["done"] == 4


def test_another_listing_refuses_to_mix(tmp_path: Path, images: Path) -> None:
    run_cohort(folder_cohort(images), tmp_path / "out")
    (images / "d.png").write_bytes(b"d")
    with pytest.raises(ValueError, match="not those that this cohort was begun with: there are more than the 3 of"):
        run_cohort(folder_cohort(images), tmp_path / "out")
    (images / "d.png").rename(images / "aa.png")
    with pytest.raises(ValueError, match="item 1 is not the one of then"):
        run_cohort(folder_cohort(images), tmp_path / "out")
    (images / "aa.png").unlink()
    (images / "c.png").rename(tmp_path / "elsewhere.png")
    with pytest.raises(ValueError, match="there are 2, and were 3 then"):
        run_cohort(folder_cohort(images), tmp_path / "out")


def test_a_changed_file_is_seen_and_may_be_done_again(tmp_path: Path, images: Path) -> None:
    out = tmp_path / "out"
    run_cohort(folder_cohort(images), out)
    before = rows_of(out)
    (images / "b.png").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"item-00000001 was changed since it was done.*retry --item 1") as caught:
        run_cohort(folder_cohort(images), out)
    assert "b.png" not in str(caught.value)
    assert retry_items(out, items=[1]) == 1
    assert run_cohort(folder_cohort(images), out)["done"] == 3
    after = rows_of(out)
    assert [a.input == b.input for a, b in zip(after, before, strict=True)] == [True, False, True]


def test_a_file_that_was_only_touched_is_the_same(tmp_path: Path, images: Path) -> None:
    out = tmp_path / "out"
    run_cohort(folder_cohort(images), out)
    os.utime(images / "a.png", (1, 1))
    assert run_cohort(folder_cohort(images), out)["done"] == 3


def test_a_file_that_failed_may_be_mended(tmp_path: Path, images: Path) -> None:
    out = tmp_path / "out"
    (images / "b.png").unlink()
    (images / "b.png").symlink_to(tmp_path / "nowhere.png")
    assert run_cohort(folder_cohort(images), out)["failed"] == 1
    (failed,) = [row for row in rows_of(out) if row.state == "failed"]
    assert (failed.number, failed.reason) == (1, "FileNotFoundError: No such file or directory")
    (images / "b.png").unlink()
    (images / "b.png").write_bytes(b"mended")
    assert retry_items(out, failed=True) == 1
    assert run_cohort(folder_cohort(images), out)["done"] == 3


def test_a_listing_that_was_cut_off_is_made_again(tmp_path: Path) -> None:
    config = cohort(5)
    (tmp_path / "cohort").mkdir()
    with Journal(tmp_path / JOURNAL) as journal:
        journal.begin({"config": config.record(), "versions": {}})
    with pytest.raises(ValueError, match="another versions"):
        run_cohort(config, tmp_path)

    def cut() -> Any:
        yield {"value": 99}
        raise KeyboardInterrupt

    other = tmp_path / "other"
    run_cohort(config, other)
    with Journal(other / JOURNAL) as journal:
        with pytest.raises(KeyboardInterrupt):
            journal.enlist(cut())
        journal._tell("listed", "5")
        journal._base.execute("DELETE FROM about WHERE key = 'listed'")
    assert run_cohort(config, other)["done"] == 5
    assert len(outputs(other)) == 10


def test_one_run_at_a_time(tmp_path: Path) -> None:
    run_cohort(cohort(1), tmp_path)
    with alone_in(tmp_path / LOCK), pytest.raises(ValueError, match="another run is at work in this folder"):
        run_cohort(cohort(1), tmp_path)


def test_outputs_that_were_changed_are_found_and_made_again(tmp_path: Path) -> None:
    run_cohort(cohort(3), tmp_path)
    before = outputs(tmp_path)
    place = next((tmp_path / "items").rglob("item-00000001/record.json"))
    place.write_text("{}")
    assert retry_items(tmp_path, damaged=True) == 1
    run_cohort(cohort(3), tmp_path)
    assert outputs(tmp_path) == before


def test_what_cannot_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="engine='slurm': choose local or ray"):
        run_cohort(cohort(1), tmp_path / "none", engine="slurm")
    with pytest.raises(ValueError, match="an address is Ray's"):
        run_cohort(cohort(1), tmp_path / "none", address="10.0.0.1:6379")
    assert not (tmp_path / "none").exists()
    with pytest.raises(ValueError, match="this folder holds no cohort"):
        retry_items(tmp_path, failed=True)
    run_cohort(cohort(2), tmp_path)
    with pytest.raises(ValueError, match="which items"):
        retry_items(tmp_path)
    with pytest.raises(ValueError, match="item 2: this cohort has items 0 to 1"):
        retry_items(tmp_path, items=[2])


def test_an_empty_folder_is_no_cohort(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(ConfigError, match=r"items\.pattern: '\*' finds no image in the folder"):
        run_cohort(folder_cohort(tmp_path / "images"), tmp_path / "out")


def test_nobody_else_may_look_at_the_listing(tmp_path: Path) -> None:
    run_cohort(cohort(1), tmp_path)
    assert (tmp_path / "cohort").stat().st_mode & 0o777 == 0o700
