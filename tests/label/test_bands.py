# SPDX-License-Identifier: Apache-2.0
"""Bands keep the order of effects, and say where they end."""

from __future__ import annotations

import pytest
import torch

from monai_causal.label.bands import LABELS, as_dicts, bands


def replica(value: float, strongest: float, signed: bool) -> int:
    """One voxel's band, spelt out."""
    if signed:
        if value == 0:
            return 0
        third = 1 if abs(value) <= strongest / 3 else 2 if abs(value) <= 2 * strongest / 3 else 3
        side = "support" if value < 0 else "suppression"
        return LABELS[{1: f"weak {side}", 2: side, 3: f"strong {side}"}[third]]
    for name, share in (("strong support", 0.75), ("support", 0.5), ("weak support", 0.25)):
        if value > share * strongest:
            return LABELS[name]
    return 0


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("limit", [None, 1.2])
def test_each_voxel_is_in_its_band(signed: bool, limit: float | None) -> None:
    heat = torch.randn(9, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    heat[2:4] = 0.0
    heat = heat if signed else heat.abs()
    values, found = bands(heat, signed, limit)
    strongest = float(heat.abs().max()) if limit is None else limit
    assert values.dtype == torch.uint8
    assert values.tolist() == [[replica(value, strongest, signed) for value in row] for row in heat.tolist()]
    assert {band.value: band.voxels for band in found} == {
        band.value: int((values == band.value).sum()) for band in found
    }
    assert [band.value for band in found] == ([1, 2, 3, 4, 5, 6] if signed else [1, 2, 3])


def test_a_limit_makes_two_maps_alike() -> None:
    weak, strong = torch.tensor([-1.0, 3.0]), torch.tensor([-1.0, 9.0])
    assert bands(weak, True, 9.0)[0].tolist() == [3, 4]
    assert bands(strong, True, 9.0)[0].tolist() == [3, 6]
    assert bands(weak, True)[0].tolist() == [3, 6]


def test_nothing_has_no_band() -> None:
    for signed in (True, False):
        values, found = bands(torch.zeros(4, 4), signed)
        assert not values.any()
        assert all(band.voxels == 0 for band in found)


def test_limits_are_told_on_their_side_of_zero() -> None:
    told = as_dicts(bands(torch.tensor([-6.0, 3.0]), True)[1])
    assert told[0] == {"name": "strong support", "value": 1, "start": -4.0, "stop": None, "voxels": 1}
    assert told[3] == {"name": "weak suppression", "value": 4, "start": 0.0, "stop": 2.0, "voxels": 0}


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        bands(torch.tensor([0.0, float("nan")]), True)
    with pytest.raises(ValueError, match=r"limit=0\.0: .* above 0"):
        bands(torch.ones(2), True, 0.0)
