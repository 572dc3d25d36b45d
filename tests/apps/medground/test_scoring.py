# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from monai_causal.apps.medground.frame import Frame
from monai_causal.apps.medground.scoring import concept_hit, pointed_at, scored

MASK = np.zeros((8, 8), bool)
MASK[2:4, 4:8] = True


def result(heat: Any = None, boxes: Any = ((0, 0, 8, 8),), whole_image: bool = False) -> Any:
    return SimpleNamespace(heat=heat, boxes=boxes, box=boxes[0], whole_image=whole_image)


@pytest.mark.parametrize(
    ("named", "true", "hit"),
    [
        ("cardiac silhouette", ["cardiac silhouette"], 1.0),
        ("mediastinum", ["cardiac silhouette"], 0.5),
        ("mediastinum", ["upper mediastinum", "mediastinum"], 1.0),
        ("costophrenic angles", ["left costophrenic angle", "left lung"], 0.5),
        ("left lung", ["left costophrenic angle", "left lung"], 1.0),
        ("right lung", ["right hilar structures"], 0.5),
        ("both lungs", ["right hilar structures"], 0.5),
        ("hila", ["right hilar structures"], 0.5),
        ("left lung", ["right hilar structures"], 0.0),
        ("cardiac silhouette", ["mediastinum"], 0.0),
        (None, ["left lung"], 0.0),
    ],
)
def test_a_larger_concept_counts_half_and_a_smaller_one_nothing(named: str | None, true: list[str], hit: float) -> None:
    assert concept_hit(named, true) == hit


def test_a_map_points_where_it_is_hottest_and_ties_share() -> None:
    heat = torch.zeros(8, 8)
    heat[3, 5] = 1
    assert pointed_at(result(heat), MASK) == 1.0
    heat[0, 0] = 2
    assert pointed_at(result(heat), MASK) == 0.0
    heat[2:6, 4:8] = 3  # a hot cell of 16 pixels, 8 of them on the finding
    assert pointed_at(result(heat), MASK) == 0.5
    assert pointed_at(result(heat, whole_image=True), MASK) == 0.0


def test_boxes_point_with_their_middle() -> None:
    assert pointed_at(result(boxes=((4, 2, 8, 4), (0, 0, 1, 1))), MASK) == 1.0
    assert pointed_at(result(boxes=((0, 0, 2, 2),)), MASK) == 0.0


def test_boxes_of_a_smaller_image_are_compared_in_native_pixels() -> None:
    frame = Frame((80, 40), (8, 8))
    values = scored(result(boxes=((4, 2, 8, 4),)), [(20, 20, 40, 40)], [], MASK, frame)
    assert values == {"iou": 1.0, "f1": 1.0, "precision": 1.0, "recall": 1.0, "concept_hit": 1.0}
