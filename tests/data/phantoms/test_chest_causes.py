# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest

from monai_causal.data.phantoms.chest import draw_causes
from monai_causal.data.phantoms.chest_causes import FINDING_CONCEPTS, FINDINGS, SIDES, ZONES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (31, 40)}, r"size=\(31, 40\): give sides of at least 32 pixels"),
        ({"size": (40, 40, 40)}, r"size=\(40, 40, 40\): give two sides"),
        ({"nodule": 1.1}, r"nodule=1.1: give a strength from 0 \(absent\) to 1"),
        ({"effusion_left": math.nan}, r"effusion_left=nan: give a strength"),
        ({"nodule_side": "middle"}, r"nodule_side='middle': give one of: left, right"),
        ({"consolidation_zone": "left"}, r"consolidation_zone='left': give one of: left upper, left middle"),
        ({"marker": "X"}, r"marker='X': give one of: none, L, R"),
        ({"tube": None}, r"tube=None: give one of: none, endotracheal, nasogastric, central line"),
        ({"heart": 0.9}, r"heart=0.9: give a number from 0.3 to 0.6"),
        ({"noise": math.nan}, r"noise=nan: give a number from 0.0 to 0.2"),
        ({"clutter": -1}, r"clutter=-1: give a number from 0 to 20"),
        ({"shift": (0.1,)}, r"shift=\(0.1,\): give 2 numbers from -1.0 to 1.0"),
        ({"collimation": (0.1, 0.1, 0.1, 0.6)}, r"collimation=\(.*\): give 4 numbers from 0.0 to 0.45"),
        ({"electrodes": ((0.1, math.inf),)}, r"electrodes=\(\(0.1, inf\),\): give \(row, column\) of each"),
        ({"tilt": math.inf}, r"tilt=inf: give an angle in degrees"),
        ({"collimation_tilt": math.nan}, r"collimation_tilt=nan: give an angle in degrees"),
        ({"inverted": 1}, r"inverted=1: give True or False"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_errors_name_the_value_and_the_remedy(changes, message):
    with pytest.raises(ValueError, match=message):
        draw_causes(0, size=(48, 48)).do(**changes)


def test_sides_and_concepts_of_findings():
    causes = draw_causes(0, size=(48, 48))
    for side in SIDES:
        for finding in ("pneumothorax", "nodule", "hilar_enlargement"):
            turned = causes.do(**{f"{finding}_side": side})
            assert turned.side_of(finding) == side
            assert turned.concepts_of(finding) == FINDING_CONCEPTS[f"{finding}_{side}"]
            assert all(concept.startswith(side) for concept in turned.concepts_of(finding))
        assert causes.side_of(f"effusion_{side}") == side
        assert causes.concepts_of(f"effusion_{side}") == (f"{side} costophrenic angle", f"{side} lung")
    for zone in ZONES:
        turned = causes.do(consolidation_zone=zone)
        assert turned.side_of("consolidation") == zone.split()[0]
        assert turned.concepts_of("consolidation") == (f"{zone.split()[0]} lung",)
    assert causes.side_of("cardiomegaly") is None
    assert causes.concepts_of("cardiomegaly") == ("cardiac silhouette",)
    assert causes.concepts_of("wide_mediastinum") == ("upper mediastinum", "mediastinum")
    assert all(causes.concepts_of(finding) for finding in FINDINGS)


def test_the_margin_is_the_reach_of_blur_and_sharpening():
    causes = draw_causes(0, size=(100, 120)).do(blur=0.01, sharpening=0.0)
    assert causes.margin == 4
    assert causes.do(sharpening=1.0, sharpening_width=0.02).margin == 4 + 8
    assert causes.do(blur=0.0).margin == 0
