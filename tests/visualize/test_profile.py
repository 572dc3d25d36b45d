# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_causal.visualize.profile import BINS, map_profile, profile


def slow_bin(value: float, bins: tuple[float, ...]) -> int:
    """The bin of a value, counted from the most negative one; a value on a cut belongs farther from 0."""
    beyond = sum(abs(value) >= cut for cut in bins)
    return len(bins) + (beyond if value > 0 else -beyond)


def test_a_profile_counts() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 1.5, 300), [0.0] * 40, [0.02, -0.02, 3.0, -3.0, 0.3, -0.3, 1.0, -1.0]])
    for bins in (BINS, (0.5,), (0.1, 0.2)):
        found = profile(torch.from_numpy(values), bins)
        expected = [0] * (2 * len(bins) + 1)
        for value in values:
            expected[slow_bin(value, bins)] += 1
        assert list(found.histogram) == expected
        assert len(found.edges) == len(expected)
    assert found.supporting == (values < 0).sum()
    assert found.suppressing == (values > 0).sum()
    assert found.irrelevant == 40
    assert (found.minimum, found.maximum) == (values.min(), values.max())
    assert found.shares["irrelevant"] == 40 / len(values)
    assert sum(found.shares.values()) == pytest.approx(1)


def test_edges_mirror_each_other() -> None:
    edges = profile(torch.zeros(1)).edges
    assert [low for low, _ in edges] == [-float("inf"), -3, -1, -0.3, -0.02, 0.02, 0.3, 1, 3]
    assert [high for _, high in edges] == [-3, -1, -0.3, -0.02, 0.02, 0.3, 1, 3, float("inf")]


def test_extremes_are_those_of_effects_and_none_is_0() -> None:
    found = profile(torch.tensor([0.5, 0.1]))
    assert (found.minimum, found.maximum) == (0.0, 0.5)
    assert json.loads(json.dumps(found.as_dict()))["edges"][0] == [None, -3.0]


def test_a_map_is_read_patch_by_patch_without_the_roi() -> None:
    heat = torch.zeros(6, 8)
    heat[:2, :2], heat[4:, 6:], heat[2:4, 2:4] = -2.0, 0.5, 7.0
    found = map_profile(heat, 2, ((2, 4), (2, 4)))
    assert (found.supporting, found.suppressing, found.irrelevant) == (1, 1, 9)
    assert map_profile(heat, 2, ((2, 4), (2, 4)), with_roi=True).maximum == 7.0
    with pytest.raises(ValueError, match=r"varies inside the patch \(\(3, 6\), \(6, 8\)\)"):
        map_profile(heat, 3, ((2, 4), (2, 4)))


@pytest.mark.parametrize("values", [torch.zeros(0), torch.tensor([0.0, float("nan")])])
def test_what_has_no_profile(values: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="all must be, and one at least"):
        profile(values)


def test_bins_have_to_grow() -> None:
    with pytest.raises(ValueError, match=r"bins=\(0.3, 0.1\)"):
        profile(torch.zeros(3), (0.3, 0.1))


@pytest.mark.real
def test_the_published_demo(real_data: Path) -> None:
    """The map that the authors publish, against the statistics that they print from it."""
    heat = torch.from_numpy(np.load(real_data / "pdcr_demo" / "published_heatmap.npy"))
    roi = ((72, 104), (88, 120))
    found = map_profile(heat, 8, roi)
    assert (found.suppressing, found.supporting, found.irrelevant) == (242, 262, 504)
    lines = (real_data / "pdcr_demo" / "published_statistics.txt").read_text(encoding="utf-8").splitlines()
    printed = [int(line.rpartition(":")[2]) for line in lines if "_num" in line]
    assert list(map_profile(heat, 8, roi, with_roi=True).histogram) == printed
    # They count the RoI's own 16 cells, whose 0 is a convention, as irrelevant.
    assert list(found.histogram) == [*printed[:4], printed[4] - 16, *printed[5:]]
    assert found.minimum == pytest.approx(-1.9598, abs=5e-5)
    assert found.maximum == pytest.approx(0.1517, abs=5e-5)
    percent = {name: round(100 * share, 2) for name, share in found.shares.items()}
    assert percent == {"supporting": 25.99, "suppressing": 24.01, "irrelevant": 50.0}
