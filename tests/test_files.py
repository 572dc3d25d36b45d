# SPDX-License-Identifier: Apache-2.0
"""Files are there whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_causal.files import draft_of, write_json


def test_a_draft_becomes_the_file(tmp_path: Path) -> None:
    with draft_of(tmp_path / "map.nii.gz") as draft:
        assert draft.name == "map.nii.gz"
        draft.write_text("new")
        assert not (tmp_path / "map.nii.gz").exists()
    assert (tmp_path / "map.nii.gz").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["map.nii.gz"]


def test_an_interrupted_draft_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    target.write_text("old")

    def write_half() -> None:
        with draft_of(target) as draft:
            draft.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_json_is_written_and_must_name_its_schema(tmp_path: Path) -> None:
    content = {"schema": "monai_causal/test/1", "rows": [1, 2.5]}
    assert json.loads(write_json(tmp_path / "a.json", content).read_text()) == content
    with pytest.raises(ValueError, match=r"b\.json.*'schema'"):
        write_json(tmp_path / "b.json", {"rows": []})
    assert not (tmp_path / "b.json").exists()
