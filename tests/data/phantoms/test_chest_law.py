# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest

from monai_causal.data.phantoms.chest import chest, draw_causes
from monai_causal.data.phantoms.chest_causes import FINDINGS
from monai_causal.data.phantoms.chest_law import WEAKEST

DRAWS = 1000


def within_five_sigma(successes, trials, probability):
    """Whether a count is within z = 5 of a binomial's mean."""
    return abs(successes - trials * probability) <= 5 * math.sqrt(trials * probability * (1 - probability))


def differing(first, second):
    """The causes that differ."""
    return {f.name for f in fields(first) if getattr(first, f.name) != getattr(second, f.name)}


@pytest.mark.parametrize("style", ["plain", "random"])
def test_each_finding_has_its_prevalence_and_its_strength(style):
    drawn = [draw_causes(seed, style=style, prevalence=0.3) for seed in range(DRAWS)]
    for name in FINDINGS:
        strengths = np.array([getattr(causes, name) for causes in drawn])
        present = strengths[strengths > 0]
        assert within_five_sigma(len(present), DRAWS, 0.3)
        assert WEAKEST <= present.min() < WEAKEST + 0.02
        assert present.max() > 0.98
        assert within_five_sigma((present < (1 + WEAKEST) / 2).sum(), len(present), 0.5)


@pytest.mark.parametrize("strength", [1.0, 0.6, 0.0, -1.0])
def test_the_marker_follows_the_finding_as_far_as_the_law_says(strength):
    drawn = [draw_causes(s, shortcut="nodule", strength=strength, prevalence=0.5) for s in range(DRAWS)]
    for there, chance in ((True, (1 + strength) / 2), (False, (1 - strength) / 2)):
        marked = [causes.marker != "none" for causes in drawn if (causes.nodule > 0) == there]
        assert within_five_sigma(sum(marked), len(marked), chance)
    letters = [causes.marker for causes in drawn if causes.marker != "none"]
    assert within_five_sigma(letters.count("L"), len(letters), 0.5)
    # the letter lies on the side that it names: the patient's left is on the image's right
    assert all((c.marker_position[1] > 0) == (c.marker == "L") for c in drawn if c.marker != "none")


def test_an_argument_changes_what_it_names_and_nothing_else():
    for seed in range(30):
        plain = draw_causes(seed)
        assert differing(plain, draw_causes(seed, shortcut="nodule", strength=1.0)) <= {"marker"}
        chosen = draw_causes(seed, findings=["nodule", "cardiomegaly"])
        assert {name for name in FINDINGS if getattr(chosen, name)} == {"nodule", "cardiomegaly"}
        places = {"pneumothorax_side", "nodule_side", "nodule_position", "consolidation_zone"}
        assert differing(plain, chosen) <= {*FINDINGS, *places}
        assert differing(plain, draw_causes(seed, size=(64, 96))) <= {"size", "marker_position"}


def test_no_drawn_finding_hides_another():
    for seed in range(400):
        causes = draw_causes(seed, prevalence=0.6)
        side, level = causes.consolidation_zone.split()
        if causes.consolidation and getattr(causes, f"effusion_{side}"):
            assert level != "lower"
        if causes.nodule and causes.consolidation:
            assert causes.nodule_side != side
        if causes.nodule and causes.pneumothorax:
            assert causes.nodule_side != causes.pneumothorax_side
        if causes.nodule and getattr(causes, f"effusion_{causes.nodule_side}"):
            assert causes.nodule_position[0] < 0.45
        if causes.nodule_side == "left" and causes.nodule_position[0] > 0.45:
            assert causes.nodule_position[1] >= 0.62


def test_plain_films_show_the_whole_chest_and_its_greys():
    for seed in range(12):
        phantom = chest(seed, (96, 96), findings=[]).do(collimation=(0.0,) * 4)
        lungs = phantom.concept("both lungs")
        assert not lungs[[0, -1]].any()
        assert not lungs[:, [0, -1]].any()
        heart = phantom.maps["cardiac silhouette"]
        image = phantom.image[0]
        assert image[heart].mean() > image[lungs & ~phantom.maps["mediastinum"]].mean() + 0.25
        assert phantom.causes.heart < 0.5


def test_the_lung_is_darker_than_the_heart_in_the_random_style_too():
    """However odd the exposure, a clear lung is not lost (but for archives that keep films inverted)."""
    for seed in range(40):
        phantom = chest(seed, (64, 64), style="random", findings=[])
        phantom = phantom.do(inverted=False, haze=(0.0, 0.0), clutter=0, collimation=(0.0,) * 4, shading=(0.0, 0.0))
        lungs, mediastinum = phantom.concept("both lungs"), phantom.maps["mediastinum"]
        image = phantom.image[0]
        assert image[lungs & ~mediastinum].mean() + 0.03 < image[mediastinum].mean(), seed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -3}, r"seed=-3: give a whole number"),
        ({"style": "baroque"}, r"style='baroque': the styles are: plain, random"),
        ({"findings": ["gout"]}, r"findings='gout': the findings are: cardiomegaly, effusion_left"),
        ({"shortcut": "gout"}, r"shortcut='gout': the findings are: cardiomegaly"),
        ({"prevalence": 1.5}, r"prevalence=1.5: give a probability from 0 to 1"),
        ({"strength": math.nan}, r"strength=nan: give a number from -1 to 1"),
        ({"size": (16, 16)}, r"size=\(16, 16\): give sides of at least 32"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_errors_of_drawing(arguments, message):
    with pytest.raises(ValueError, match=message):
        draw_causes(**{"seed": 0, **arguments})
