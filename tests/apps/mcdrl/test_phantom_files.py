# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_causal.apps.mcdrl.phantom_files import BLOCK, FIRST, PARTS, SITES, in_words, write_phantoms
from monai_causal.data.phantoms.endoscopy import CONFOUNDERS, LESION_CONFOUNDERS, endoscopy


def written(out: Path, count: int = 12, **options: Any) -> dict[str, Any]:
    return json.loads(write_phantoms(out, count, **{"size": 32, **options}).read_text())


def entries(dataset: dict[str, Any]) -> list[dict[str, str]]:
    return [entry for part in PARTS for entry in dataset[part]]


def test_every_confounder_is_at_one_site_and_every_site_has_both_kinds() -> None:
    assert sorted(name for site in SITES.values() for name in site) == sorted(CONFOUNDERS)
    for site in SITES.values():
        assert 0 < len(set(site) & set(LESION_CONFOUNDERS)) < len(site)


def test_the_files_are_the_phantoms_of_the_seed(tmp_path: Path) -> None:
    dataset = written(tmp_path, seed=2, strength=0.5)
    assert [len(dataset[part]) for part in PARTS] == [8, 2, 2]
    assert len({entry["sequence"] for entry in entries(dataset)}) == 12
    for number, entry in enumerate(entries(dataset)):
        phantom = endoscopy(FIRST + 2 * BLOCK + number, size=(32, 32), strength=0.5)
        image = np.asarray(Image.open(tmp_path / entry["image"]))
        assert np.abs(image / 255 - np.moveaxis(phantom.image, 0, -1)).max() <= 0.5 / 255 + 1e-6
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / entry["label"])), 255 * phantom.labels)
        assert phantom.causes.confounder in SITES[entry["site"]]


def test_the_same_call_writes_the_same_and_another_seed_shares_nothing(tmp_path: Path) -> None:
    first, again, other = (written(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert first == again
    files = [[(tmp_path / name / e["image"]).read_bytes() for e in entries(first)] for name in ("a", "b")]
    assert files[0] == files[1]
    assert not {e["image"] for e in entries(first)} & {e["image"] for e in entries(other)}


def test_sites_of_ones_own(tmp_path: Path) -> None:
    dataset = written(tmp_path, 6, sites={"here": ["blood"], "there": ["dim", "mucus"]})
    for entry in entries(dataset):
        number = int(entry["sequence"].rpartition("-")[2])
        expected = "here" if endoscopy(FIRST + number, size=(32, 32)).causes.confounder == "blood" else "there"
        assert entry["site"] == expected
    words = in_words(dataset, tmp_path)
    assert words.startswith("6 phantoms: 4 for training, 1 for validation, 1 for test; by site: here ")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"count": 2}, "count=2"),
        ({"size": 16}, "size=16"),
        ({"seed": -1}, "seed=-1"),
        ({"strength": 2.0}, r"strength=2\.0"),
        ({"sites": {}}, "at least one site"),
        ({"sites": {"a": ["fog"]}}, "'fog' is none of"),
        ({"sites": {"a": ["dim"], "b": ["dim"]}}, "'dim' is at 'a' already"),
    ],
)
def test_what_cannot_be_written_is_said_before(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        written(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
