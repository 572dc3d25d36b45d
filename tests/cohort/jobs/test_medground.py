# SPDX-License-Identifier: Apache-2.0
"""The causal filter and its judgement over a cohort, with a model that reads one box."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

pytest.importorskip("transformers", reason="extra 'cxr' is not installed")

from monai_causal.cohort.jobs import medground
from tests.apps.medground.golden import Says
from tests.cohort.jobs.workers import done, made, measure

BOX = "32 32 64 64"


def sees_it(image: Tensor, question: str) -> str:
    """Yes where the box is bright."""
    return "Yes" if float(image[36:60, 36:60].mean()) > 0.6 else "No"


@pytest.fixture(autouse=True)
def _model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(medground, "model_of", lambda name, **options: (Says(sees_it), name))


@pytest.fixture
def picture(tmp_path: Path) -> str:
    """A bright square on a dark, grainy ground."""
    grey = np.random.default_rng(0).integers(40, 60, (96, 96)).astype(np.uint8)
    grey[32:64, 32:64] = 220
    Image.fromarray(grey).save(tmp_path / "picture.png")
    return str(tmp_path / "picture.png")


def test_what_passes_the_filter_is_judged_by_its_boxes(tmp_path: Path, picture: str) -> None:
    settings = {"vlm": "golden", "methods": ("occlusion",)}
    item = {"image": picture, "finding": "mass", "boxes": BOX}
    (record,) = done(tmp_path / "out", "medground", settings, [item])
    assert measure(record, "fate") == "kept"
    assert measure(record, "right") == 1.0
    # The model reads exactly the box, so that occlusion points into it.
    assert measure(record, "concept_hit", method="occlusion") == 1.0
    assert measure(record, "precision", method="occlusion") > 0.9
    assert {row["question"] for row in record["measures"]} == {"mass, direct"}


def test_what_the_model_says_wrongly_is_dropped_and_counted(tmp_path: Path, picture: str) -> None:
    settings = {"vlm": "golden", "methods": ("occlusion",)}
    (record,) = done(tmp_path / "out", "medground", settings, [{"image": picture, "finding": "mass"}])
    assert measure(record, "fate") == "correctness"
    assert (measure(record, "right"), measure(record, "kept")) == (0.0, 0.0)
    assert record["facts"] == {"finding": "mass", "present": False}


def test_an_item_without_a_finding_fails_alone(tmp_path: Path, picture: str) -> None:
    items: list[dict[str, Any]] = [{"image": picture}, {"image": picture, "finding": "mass", "boxes": "1 2 3"}]
    reports, _ = made(tmp_path / "out", "medground", {"methods": ("occlusion",)}, items)
    assert [one.reason for one in reports] == [
        "ValueError: the item names no finding to ask about.",
        "ValueError: boxes: four numbers each are needed, x0 y0 x1 y1; several with ';' between.",
    ]


def test_methods_are_checked_before_any_item() -> None:
    with pytest.raises(ValueError, match="methods: 'magic': choose among medfocus"):
        medground.JudgeAttributions({"methods": ("magic",)})
