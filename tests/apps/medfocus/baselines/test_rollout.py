# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch

from monai_causal.apps.medfocus.baselines.rollout import rollout


def test_every_path_through_the_layers_is_counted() -> None:
    generator = torch.Generator().manual_seed(0)
    layers = [torch.rand((4, 4), generator=generator).tril().softmax(-1) for _ in range(3)]
    found = rollout(layers)
    # Each layer either stays (1/2) or follows its attention (1/2): all 2^3 paths, one by one.
    expected = torch.zeros(4, 4)
    for path in range(8):
        step = torch.eye(4)
        for number, layer in enumerate(layers):
            step = (layer if path >> number & 1 else torch.eye(4)) @ step
        expected += step / 8
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum(1), torch.ones(4))
