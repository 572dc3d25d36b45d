# SPDX-License-Identifier: Apache-2.0
"""Evidence on networks whose cause is known, beside slow replicas of both numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_causal.apps.explain.models import Model
from monai_causal.intervene import grid_regions
from monai_causal.label.evidence import CONFOUNDERS, disagreement, evidence_of, share_outside, under
from monai_causal.label.served import ServedBundle
from tests.apps.explain.bundles import planted
from tests.label.bundles import served_picture_bundle

SIZE = (32, 32)


def served(folder: Path) -> ServedBundle:
    return ServedBundle(served_picture_bundle(folder / "bundle"))


def image(low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    """A bright square of rows 8 to 16 and columns 4 to 12."""
    values = torch.full((1, 3, *SIZE), low)
    values[..., 8:16, 4:12] = high
    return values


def test_an_answer_on_its_own_pixels_and_one_on_pixels_elsewhere(tmp_path: Path) -> None:
    bundle = served(tmp_path)
    cpu = torch.device("cpu")
    right = evidence_of(bundle, Model(planted((0, 0), 3), {}, threshold=None), image(), cpu)
    wrong = evidence_of(bundle, Model(planted((0, 16), 3), {}, threshold=None), image(), cpu)
    # cells of 4 x 4: the square is made of four of them, and the answer is the square, here or 16 columns away
    assert right.outside == pytest.approx(0.0, abs=1e-6)
    assert wrong.outside == pytest.approx(1.0, abs=1e-6)
    assert wrong.score > right.score
    assert right.disagreement == pytest.approx(wrong.disagreement)


def test_where_nothing_is_answered_the_share_is_not_known(tmp_path: Path) -> None:
    found = evidence_of(
        served(tmp_path), Model(planted((0, 0), 3), {}, threshold=None), torch.zeros(1, 3, *SIZE), torch.device("cpu")
    )
    assert found.outside is None
    assert found.score == found.disagreement


def test_disagreement_is_what_confounders_do_to_the_answer(tmp_path: Path) -> None:
    bundle, network = served(tmp_path), planted((0, 0), 3)
    seen = image(0.2, 0.55)
    found = evidence_of(bundle, Model(network, {}, threshold=None), seen, torch.device("cpu"))
    expected = {}
    before = network(seen).argmax(1)[0]
    for name, do in CONFOUNDERS.items():
        after = network(under(seen, do)).argmax(1)[0]
        agree = sum(int(a == b != 0) for a, b in zip(before.flatten().tolist(), after.flatten().tolist(), strict=True))
        held = int((before > 0).sum() + (after > 0).sum())
        expected[name] = 1 - 2 * agree / held
    assert found.by_confounder == pytest.approx(expected)
    assert found.disagreement == pytest.approx(sum(expected.values()) / len(expected))
    # The threshold lies at one half: in dim light, and with low contrast, the square is not seen any more.
    assert found.by_confounder["dim light"] == 1.0
    assert found.by_confounder["bright light"] == 0.0


def test_the_share_is_shared_out_by_voxels() -> None:
    regions = grid_regions((4, 4), 2)
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[:2, :3] = True  # the first region whole, half of the second
    effects = torch.tensor([-3.0, 2.0, 0.0, 1.0])
    assert share_outside(effects, regions, mask) == pytest.approx((0 + 1 + 0 + 1) / 6)
    assert share_outside(effects[:, None], regions, mask) == pytest.approx(2 / 6)
    assert share_outside(torch.zeros(4), regions, mask) is None


def test_disagreement_counts_every_class() -> None:
    one = torch.tensor([0, 1, 1, 2])
    assert disagreement(one, one) == 0
    assert disagreement(one, torch.tensor([1, 0, 2, 1])) == 1
    assert disagreement(torch.zeros(3), torch.zeros(3)) == 0
    assert disagreement(one, torch.zeros(4)) == 1


@pytest.mark.parametrize("name", sorted(CONFOUNDERS))
def test_a_confounder_does_what_it_says_in_the_image_s_own_range(name: str) -> None:
    seen = 200 + 300 * torch.rand(1, 2, 12, 12, generator=torch.Generator().manual_seed(1))
    changed = under(seen, CONFOUNDERS[name])
    low, high = float(seen.min()), float(seen.max())
    assert changed.min() >= low - 1e-3
    assert changed.max() <= high + 1e-3
    assert torch.equal(changed, under(seen, CONFOUNDERS[name]))
    unit, after = (seen - low) / (high - low), (changed - low) / (high - low)
    if name == "dim light":
        torch.testing.assert_close(after, 0.6 * unit, atol=1e-5, rtol=0)
    elif name == "bright light":
        torch.testing.assert_close(after, 0.4 + 0.6 * unit, atol=1e-5, rtol=0)
    elif name == "low contrast":
        torch.testing.assert_close(after, 0.5 * (unit + unit.mean()), atol=1e-5, rtol=0)
    elif name == "blur":
        assert after.std() < 0.5 * unit.std()
        torch.testing.assert_close(after.mean(), unit.mean(), atol=0.02, rtol=0)
    else:
        assert 0.03 < float((after - unit).abs().mean()) < 0.07


def test_a_constant_image_stays_one() -> None:
    assert torch.equal(under(torch.full((1, 1, 4, 4), 5.0), CONFOUNDERS["low contrast"]), torch.full((1, 1, 4, 4), 5.0))
