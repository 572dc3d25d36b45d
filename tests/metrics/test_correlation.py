# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import stats

from monai_causal.metrics import map_correlation

GENERATOR = torch.Generator().manual_seed(0)
FIRST = torch.randint(0, 6, (3, 1, 5, 4), generator=GENERATOR).double()
SECOND = FIRST + torch.randn(3, 1, 5, 4, generator=GENERATOR, dtype=torch.float64).round(decimals=1)


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200, -2.0])
def test_agrees_with_scipy_at_any_scale(scale: float) -> None:
    for kind, peer in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        expected = [peer(a.flatten(), np.sign(scale) * b.flatten())[0] for a, b in zip(FIRST, SECOND, strict=True)]
        found = map_correlation(FIRST, scale * SECOND, kind)
        assert found.tolist() == pytest.approx(expected, rel=1e-12)
        assert found.dtype == torch.float64
    assert not torch.allclose(map_correlation(FIRST, SECOND), map_correlation(FIRST, SECOND, "spearman"))


def test_by_hand() -> None:
    a = torch.tensor([[1.0, 2, 3], [1, 2, 3], [1, 2, 3]])
    b = torch.tensor([[2.0, 4, 6], [3, 2, 1], [1, 3, 2]])
    assert map_correlation(MetaTensor(a), b).tolist() == pytest.approx([1, -1, 0.5])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_what_has_no_correlation_is_no_number_and_spoils_no_other_item(kind) -> None:
    flat, holed = FIRST.clone(), SECOND.clone()
    flat[0] = 0.1
    holed[2, 0, 0, 0] = torch.nan
    found = map_correlation(flat, holed, kind)
    assert found.isnan().tolist() == [True, False, True]
    assert float(found[1]) == float(map_correlation(FIRST, SECOND, kind)[1])


def test_what_does_not_compare_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shapes \(3, 1, 5, 4\) and \(3, 1, 5, 3\) do not compare"):
        map_correlation(FIRST, FIRST[..., :3])
    with pytest.raises(ValueError, match="correlation='kendall': choose"):
        map_correlation(FIRST, FIRST, "kendall")
