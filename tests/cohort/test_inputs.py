# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

import pytest

from monai_causal.cohort.digests import digest_of
from monai_causal.cohort.inputs import input_of, mark_of
from monai_causal.cohort.items import Item


def item(folder: Path, **more: object) -> Item:
    return Item(0, {"image": str(folder / "a.png"), **more})


def test_an_input_is_known_by_its_bytes_and_what_is_said_of_it_and_not_by_its_place(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(b"pixels")
    one, two = (input_of(item(tmp_path / name)).digest for name in ("one", "two"))
    assert one == two
    assert input_of(item(tmp_path / "one", finding="nodule")).digest != one
    (tmp_path / "two" / "a.png").write_bytes(b"pixel5")
    assert input_of(item(tmp_path / "two")).digest != one


def test_a_folder_is_known_by_its_files_and_their_names(tmp_path: Path) -> None:
    study = tmp_path / "study"
    (study / "series").mkdir(parents=True)
    (study / "series" / "1.dcm").write_bytes(b"1")
    before = digest_of(study)
    mark = mark_of(Item(0, {"study": str(study)}))
    (study / "series" / "1.dcm").rename(study / "series" / "2.dcm")
    assert digest_of(study) != before
    for number in range(20):
        (study / "series" / f"{number}.dcm").write_bytes(b"1")
    assert mark_of(Item(0, {"study": str(study)})) != mark
    assert len(mark_of(Item(0, {"study": str(study)}))) == 64  # it stays short


def test_a_mark_tells_of_a_change_without_reading(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"pixels")
    before = mark_of(item(tmp_path))
    assert mark_of(item(tmp_path)) == before
    os.utime(tmp_path / "a.png", ns=(1, 1))
    assert mark_of(item(tmp_path)) != before
    assert mark_of(Item(0, {"value": 3})) == ""


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        input_of(item(tmp_path))
