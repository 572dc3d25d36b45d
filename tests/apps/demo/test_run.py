# SPDX-License-Identifier: Apache-2.0
"""The demo shows what it claims: each part against what its phantom knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("open_clip", reason="the extra 'clip' is not installed")
pytest.importorskip("transformers", reason="the extra 'cxr' is not installed")
pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")

from monai_causal.apps.demo import in_words, run_demo
from monai_causal.apps.demo.chest import CHEATS, TWIN_SEED, TWIN_SIZE
from monai_causal.data.phantoms.chest import chest

Demo = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    out = tmp_path_factory.mktemp("demo") / "with a space" / "deeper"
    return out, run_demo(out, progress=False)


def test_the_summary_is_what_is_written(demo: Demo) -> None:
    out, summary = demo
    assert json.loads((out / "demo.json").read_text()) == json.loads(json.dumps(summary))
    assert len(in_words(summary).splitlines()) == 3


def test_the_polyp_is_marked_and_its_support_lies_beside_the_roi(demo: Demo) -> None:
    out, summary = demo
    found = summary["endoscopy"]
    assert found["dice"] > 0.85
    heat = np.asarray(nib.load(out / "endoscopy" / "pdcr" / "map.nii.gz").dataobj)[..., 0]
    told = json.loads((out / "endoscopy" / "pdcr" / "summary.json").read_text())
    (top, bottom), (left, right) = told["roi"]["box"]
    assert not heat[top:bottom, left:right].any()
    # the strongest patches lie next to it
    row, column = np.unravel_index(heat.argmin(), heat.shape)
    assert top - 24 <= row < bottom + 24
    assert left - 24 <= column < right + 24
    polyp = np.asarray(Image.open(out / "endoscopy" / "polyp.png")) > 0
    dea = np.asarray(nib.load(out / "endoscopy" / "dea" / "map.nii.gz").dataobj)[..., 0]
    assert dea[polyp].mean() > 5 * dea[~polyp].mean()


def test_both_maps_beat_chance(demo: Demo) -> None:
    pdcr, dea, chance = demo[1]["endoscopy"]["judged"]
    assert (pdcr["method"], dea["method"]) == ("pdcr", "dea")
    assert pdcr["first_patches"] > 2 * chance["first_patches"]
    assert dea["tdd"] > chance["tdd"] + 0.05


def test_the_answer_rests_on_the_anatomy_that_shows_the_finding(demo: Demo) -> None:
    out, summary = demo
    found = summary["chest"]
    assert (found["answer"], found["exit_code"], found["problems"]) == ("yes", 0, 0)
    assert found["concept"] in found["truth"]
    assert found["objects"] == {"gsps": 1, "sc": 1, "seg": 1, "sr": 1}
    assert (out / "chest" / "1.png").is_file()


def test_the_cheat_is_exposed(demo: Demo) -> None:
    found = demo[1]["twin"]
    film = chest(TWIN_SEED, size=TWIN_SIZE, findings=[])
    assert not film.answers[CHEATS]
    assert found["models"]["demo"] == {"answer": "no", "without_the_marker": "no", "top_cell_on_the_marker": False}
    twin = {"answer": "yes", "without_the_marker": "no", "top_cell_on_the_marker": True}
    assert found["models"]["demo-shortcut"] == twin


def test_what_did_not_work_is_said(demo: Demo) -> None:
    _, summary = demo
    twin = {**summary["twin"]["models"]["demo-shortcut"], "top_cell_on_the_marker": False}
    models = {**summary["twin"]["models"], "demo-shortcut": twin}
    changed = {
        **summary,
        "chest": {**summary["chest"], "concept": None, "effect": None, "problems": 2},
        "twin": {**summary["twin"], "models": models},
    }
    told = in_words(changed)
    assert "NOT on the side marker" in told
    assert "rests on no single anatomy" in told
    assert "2 problems found" in told
