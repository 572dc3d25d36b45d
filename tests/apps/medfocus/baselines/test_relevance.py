# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch

from monai_causal.apps.medfocus.baselines.relevance import relevance


def test_layer_by_layer_as_published() -> None:
    generator = torch.Generator().manual_seed(0)
    layers = [
        (torch.rand((2, 3, 3), generator=generator), torch.randn((2, 3, 3), generator=generator)) for _ in range(2)
    ]
    expected = [[float(row == column) for column in range(3)] for row in range(3)]
    for weights, slopes in layers:
        agreed = [
            [sum(max(0.0, float(weights[head, i, j] * slopes[head, i, j])) for head in range(2)) / 2 for j in range(3)]
            for i in range(3)
        ]
        expected = [
            [expected[i][j] + sum(agreed[i][k] * expected[k][j] for k in range(3)) for j in range(3)] for i in range(3)
        ]
    torch.testing.assert_close(relevance(layers), torch.tensor(expected))
