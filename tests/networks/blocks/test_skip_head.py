# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from monai_causal.networks.blocks.skip_head import SkipHead


@pytest.mark.parametrize("size", [(32, 32), (37, 45)])
@pytest.mark.parametrize("hidden", [8, 48, 80])
def test_logits_have_the_size_of_the_image(hidden: int, size: tuple[int, int]) -> None:
    head = SkipHead(6, 3, hidden)
    assert head(torch.rand(2, 6, 4, 5), torch.rand(2, 3, *size)).shape == (2, 3, *size)


def test_the_default_halves_at_every_step_up() -> None:
    head = SkipHead(6, 1)
    assert [step[0].in_channels for step in head.up] == [128 + 32, 64 + 24, 32 + 16]
    assert [step[0].out_channels for step in head.up] == [64, 32, 16]


def test_the_logits_depend_on_the_cells_and_on_the_image() -> None:
    torch.manual_seed(0)
    head, cells, images = SkipHead(6, 1, 16), torch.rand(1, 6, 4, 4), torch.rand(1, 3, 32, 32)
    found = head(cells, images)
    assert (head(torch.rand(1, 6, 4, 4), images) - found).abs().max() > 1e-3
    assert (head(cells, torch.rand(1, 3, 32, 32)) - found).abs().max() > 1e-3


def test_an_image_is_answered_alike_alone_and_among_others() -> None:
    torch.manual_seed(0)
    head = SkipHead(6, 1, 16).double()
    cells, images = torch.rand(3, 6, 4, 4).double(), torch.rand(3, 3, 32, 32).double()
    torch.testing.assert_close(head(cells[1:2], images[1:2]), head(cells, images)[1:2], atol=1e-12, rtol=0)


@pytest.mark.parametrize("hidden", [0, 4, 20])
def test_a_width_that_its_norms_cannot_group(hidden: int) -> None:
    with pytest.raises(ValueError, match=f"hidden={hidden}: give a multiple of 8"):
        SkipHead(6, 1, hidden)
