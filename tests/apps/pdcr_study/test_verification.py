# SPDX-License-Identifier: Apache-2.0
"""Joint effects and traced errors on a network of which it is known what it reads."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from monai_causal.apps.pdcr_study.config import TracingConfig, VerificationConfig
from monai_causal.apps.pdcr_study.verification import joint_effect, missegmented_box, random_sets, trace, verify
from monai_causal.intervene import ConstantFill
from monai_causal.visualize import PdCR
from tests.apps.pdcr_study.questions import OFFSET, PATCH, ROI, noise, planted_question

READ = ((8, 16), (24, 32))


def test_the_named_region_is_the_one_that_is_read_and_its_joint_effect_the_closed_form() -> None:
    image = noise(0)
    question = planted_question(image)
    found = PdCR(question.network, question.fill, PATCH, "paper", n_samples=20).explain(
        image, ROI, question.subject.inside
    )
    named = found.relevant.nonzero().flatten().tolist()
    assert [found.regions[row].box for row in named] == [READ]
    record = verify(question, found, VerificationConfig("pdcr", sets=4, draws=6))
    assert record["suppressing"] is None
    assert record["named"]["regions"] == 1
    # One region at once is that region alone, with its own draws.
    rows = question.evaluator(image, found.regions.subset(named), question.fill, question.score, 6)
    assert record["named"]["effect"] == record["supporting"]["effect"] == float(rows.ate[0]) < 0
    assert record["named"]["random"] == [0.0] * 4
    assert record["named"]["p"] == pytest.approx(1 / 5)


def test_two_halves_of_what_is_read_are_worth_the_whole_only_together() -> None:
    """Black in the upper half and black in the lower half: neither alone takes the whole Dice away."""
    image = torch.full((1, 1, 40, 40), 0.9, dtype=torch.float64)
    question = planted_question(image, patch_size=4)
    regions = question.regions
    read = torch.zeros(40, 40, dtype=torch.bool)
    read[8:16, 24:32] = True
    named = regions.touches(read).nonzero().flatten().tolist()
    others = [row for row in range(len(regions)) if row not in named]
    black = ConstantFill(0.0)
    alone = question.evaluator(image, regions.subset(named), black, question.score).ate
    found = joint_effect(question, regions, named, others, question.score, 3, 1, "lower", black)
    assert len(named) == 4
    assert found["effect"] == -100.0
    # Dice 2 x 48 / (48 + 64) of what three of four patches still answer
    assert alone.tolist() == pytest.approx([200 * 48 / 112 - 100] * 4)
    assert (found["random"], found["p"]) == ([0.0] * 3, 0.25)


def test_the_side_decides_which_random_sets_count() -> None:
    """The named region is read by nobody: its effect is 0, and each random set that holds the read one is lower."""
    question = planted_question(torch.full((1, 1, 40, 40), 0.9, dtype=torch.float64))
    regions = question.regions
    boxes = [region.box for region in regions]
    read, idle = boxes.index(READ), boxes.index(((0, 8), (0, 8)))
    p = {
        side: joint_effect(question, regions, [idle], [read], question.score, 3, 1, side, ConstantFill(0.0))["p"]
        for side in ("either", "lower", "higher")
    }
    assert p == {"either": 1.0, "lower": 1.0, "higher": 0.25}


def test_a_random_set_that_does_as_much_counts_against_the_named_one() -> None:
    question = planted_question(torch.full((1, 1, 40, 40), 0.9, dtype=torch.float64))
    boxes = [region.box for region in question.regions]
    first, second = boxes.index(((0, 8), (0, 8))), boxes.index(((0, 8), (8, 16)))
    found = joint_effect(question, question.regions, [first], [second], question.score, 3, 1)
    assert (found["effect"], found["random"], found["p"]) == (0.0, [0.0] * 3, 1.0)


def test_random_sets_belong_to_the_seed_and_hold_each_candidate_once() -> None:
    candidates = list(range(100, 130))
    sets = random_sets(candidates, 7, 200, seed=5)
    assert sets == random_sets(candidates, 7, 200, seed=5) != random_sets(candidates, 7, 200, seed=6)
    assert all(len(set(one)) == 7 and set(one) <= set(candidates) for one in sets)
    assert any(a != b for a, b in pairwise(sets))
    counts = [sum(candidate in one for one in sets) for candidate in candidates]
    assert min(counts) > 25
    assert max(counts) < 70
    with pytest.raises(ValueError, match="31 regions out of 30"):
        random_sets(candidates, 31, 1, seed=0)


def test_the_missegmented_box_holds_most_errors_on_the_grid() -> None:
    wrong = torch.zeros(20, 24, dtype=torch.bool)
    wrong[5:13, 9:17] = True  # 64 voxels; the 8x8 boxes at multiples of 4 meet 56 of them at (4, 8), first of equals
    assert missegmented_box(wrong, 8, 4) == (((4, 12), (8, 16)), 49 / 64)
    assert missegmented_box(wrong, (100, 8), 8) == (((0, 20), (8, 16)), 56 / 160)
    volume = torch.zeros(8, 8, 8, dtype=torch.bool)
    volume[4:, 4:, :4] = True
    assert missegmented_box(volume, 4, 4) == (((4, 8), (4, 8), (0, 4)), 1.0)


@pytest.mark.parametrize("error", ["false-positive", "false-negative"])
def test_an_error_is_traced_to_what_is_read(error: str) -> None:
    """Bright (or dark) only where the wrong box is read: replacing that by donors changes the box, and nothing else."""
    positive = error == "false-positive"
    image = torch.full((1, 1, 40, 40), 0.1 if positive else 0.9, dtype=torch.float64)
    image[:, :, 8:16, 24:32] = 0.9 if positive else 0.1
    inside = torch.zeros(40, 40, dtype=torch.bool) if positive else torch.ones(40, 40, dtype=torch.bool)
    if not positive:  # where nothing is read from, the answer is background: no error of interest
        inside[:8], inside[:, 32:] = False, False
    question = planted_question(image, inside)
    settings = TracingConfig(size=8, options={"rule": "paper", "n_samples": 20, "tau": 0.0002}, sets=3, draws=5)
    found = trace(question, error, settings)
    assert found["box"] == [list(span) for span in ROI]
    assert found["wrong"] == 1.0
    assert found["share"] == (1.0 if positive else 0.0)
    (named,) = found["named"]
    assert named["box"] == [[8, 16], [24, 32]]
    assert (named["effect"] < 0) == positive
    assert (found["joint"]["effect"] < 0) == positive
    assert found["joint"]["random"] == [0.0] * 3
    assert found["joint"]["p"] == 0.25
    other = "false-negative" if positive else "false-positive"
    assert trace(question, other, settings) == {"error": other, "wrong": 0.0, "traced": False}


def test_a_small_error_is_left_alone() -> None:
    image = torch.full((1, 1, 40, 40), 0.1, dtype=torch.float64)
    image[:, :, 8:10, 24:26] = 0.9
    question = planted_question(image, torch.zeros(40, 40, dtype=torch.bool))
    found = trace(question, "false-positive", TracingConfig(size=8, least=0.1))
    assert found == {"error": "false-positive", "wrong": 4 / 64, "traced": False}
    assert OFFSET == (8, -8)
