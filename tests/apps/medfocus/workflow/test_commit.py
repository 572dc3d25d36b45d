# SPDX-License-Identifier: Apache-2.0
"""A result is there when its manifest is, whole and as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_causal.apps.medfocus.workflow.commit import MANIFEST, Kept, Store, digest_of, key_of

KEY = key_of("a" * 64, {"tau": 0.75})
NAME = Store.name_of(KEY)


def store(folder: Path) -> Store:
    return Store(folder / "results", folder / "staging")


def committed(folder: Path, text: str = "one") -> Store:
    kept = store(folder)
    with kept.draft() as draft:
        (draft / "deep").mkdir()
        (draft / "deep" / "a.dcm").write_text(text)
        objects = [Kept("sr", "deep/a.dcm", digest_of(draft / "deep" / "a.dcm"))]
        assert kept.commit(draft, KEY, objects, {"source_sha256": "a" * 64}) == NAME
    return kept


def test_a_result_says_what_it_holds(tmp_path: Path) -> None:
    kept = committed(tmp_path)
    assert kept.objects(NAME) == [Kept("sr", "deep/a.dcm", digest_of(tmp_path / "results" / NAME / "deep" / "a.dcm"))]
    manifest = json.loads((tmp_path / "results" / NAME / MANIFEST).read_text())
    assert (manifest["key"], manifest["source_sha256"]) == (KEY, "a" * 64)
    assert list(kept.staging.iterdir()) == []


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert store(tmp_path).objects(NAME) is None


def test_a_folder_without_manifest_is_no_result_and_gives_way(tmp_path: Path) -> None:
    kept = store(tmp_path)
    (kept.results / NAME).mkdir()
    (kept.results / NAME / "left.dcm").write_text("of a killed run")
    assert kept.objects(NAME) is None
    committed(tmp_path)
    assert sorted(path.name for path in (kept.results / NAME).iterdir()) == ["deep", MANIFEST]


@pytest.mark.parametrize("damage", ["changed", "gone", "torn", "another", "no-object"])
def test_damage_is_noticed(tmp_path: Path, damage: str) -> None:
    kept = committed(tmp_path)
    file, manifest = kept.results / NAME / "deep" / "a.dcm", kept.results / NAME / MANIFEST
    content = json.loads(manifest.read_text())
    if damage == "changed":
        file.write_text("two")
    elif damage == "gone":
        file.unlink()
    elif damage == "torn":
        manifest.write_text(manifest.read_text()[:-9])
    else:
        content["key" if damage == "another" else "objects"] = "b" * 64 if damage == "another" else [{"file": "x"}]
        manifest.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"damaged|not what was committed"):
        kept.objects(NAME)
    aside = kept.set_aside(NAME)
    assert kept.objects(NAME) is None
    assert kept.sweep() == 0  # what was set aside stays for who wants to look
    assert (kept.staging / aside).is_dir()


def test_unfinished_work_is_swept_and_nothing_else(tmp_path: Path) -> None:
    kept = committed(tmp_path)
    (kept.staging / "0123").mkdir()
    (kept.results / ("f" * 32)).mkdir()
    (kept.results / "somebodys own").mkdir()
    assert kept.sweep() == 2
    assert sorted(path.name for path in kept.results.iterdir()) == sorted([NAME, "somebodys own"])
    assert kept.objects(NAME) is not None


def test_a_draft_goes_when_its_work_fails(tmp_path: Path) -> None:
    kept = store(tmp_path)

    def fail() -> None:
        with kept.draft() as draft:
            (draft / "a.dcm").write_text("one")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(kept.staging.iterdir()) == []


def test_the_key_depends_on_source_and_identity_alone() -> None:
    assert key_of("a" * 64, {"x": 1, "y": 2}) == key_of("a" * 64, {"y": 2, "x": 1})
    assert len({key_of("a", {"x": 1}), key_of("b", {"x": 1}), key_of("a", {"x": 2}), key_of("a", {})}) == 4
