# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from monai_causal.networks.blocks.target_regions import (
    gather_cells,
    kept_cells,
    put_back,
    similarity,
    soft_gate,
    top_share,
)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


def cosine(one: list[float], other: list[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / math.sqrt(sum(a * a for a in one)) / math.sqrt(sum(b * b for b in other))


def test_the_similarity_of_every_cell_with_every_class_by_loops() -> None:
    """Eq. 6, with texts for all images and with texts of each image."""
    cells, classes, own = drawn(2, 4, 3, 5), drawn(3, 4), drawn(2, 3, 4)
    shared, by_image = similarity(cells, classes), similarity(cells, own)
    assert shared.shape == (2, 3, 3, 5)
    for image in range(2):
        for k in range(3):
            for row in range(3):
                for column in range(5):
                    cell = cells[image, :, row, column].tolist()
                    place = (image, k, row, column)
                    assert shared[place].item() == pytest.approx(cosine(cell, classes[k].tolist()), abs=1e-12)
                    assert by_image[place].item() == pytest.approx(cosine(cell, own[image, k].tolist()), abs=1e-12)


@pytest.mark.parametrize(
    ("share", "cells", "kept"), [(0.5, 16, 8), (0.25, 196, 49), (1.0, 9, 9), (0.001, 9, 1), (0.34, 9, 3)]
)
def test_how_many_cells_are_kept(share: float, cells: int, kept: int) -> None:
    assert kept_cells(share, cells) == kept


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_the_kept_cells_are_the_most_similar_ones_by_their_best_class(share: float) -> None:
    similar = drawn(2, 3, 4, 5)
    found = top_share(similar, share)
    for image in range(2):
        best = [max(similar[image, k].flatten()[cell].item() for k in range(3)) for cell in range(20)]
        order = sorted(range(20), key=lambda cell: (-best[cell], cell))
        assert found[image].tolist() == sorted(order[: round(share * 20)])


def test_of_equal_cells_the_first_ones_are_kept() -> None:
    assert top_share(torch.zeros(1, 1, 10, 10), 0.3).tolist() == [list(range(30))]
    similar = torch.tensor([[[[0.1, 0.9, 0.5], [0.5, 0.5, 0.2]]]])
    assert top_share(similar, 0.5).tolist() == [[1, 2, 3]]


def test_cells_are_gathered_and_put_back_at_their_places() -> None:
    cells, kept = drawn(2, 4, 2, 3), torch.tensor([[0, 2, 5], [1, 3, 4]])
    gathered = gather_cells(cells, kept)
    assert gathered.shape == (2, 3, 4)
    changed = gathered + 100
    residual, zero = put_back(changed, kept, cells, "residual"), put_back(changed, kept, cells, "zero")
    for image in range(2):
        for cell in range(6):
            row, column = divmod(cell, 3)
            before = cells[image, :, row, column]
            if cell in kept[image]:
                place = kept[image].tolist().index(cell)
                assert torch.equal(gathered[image, place], before)
                assert torch.equal(residual[image, :, row, column], before + 100)
                assert torch.equal(zero[image, :, row, column], before + 100)
            else:
                assert torch.equal(residual[image, :, row, column], before)
                assert not zero[image, :, row, column].any()


def test_the_soft_gate_by_hand() -> None:
    """Best classes 4, 2, 1, 3: half of them reach 3, and their standard deviation is the root of 1.25."""
    similar = torch.tensor([[[[4.0, 0.0], [1.0, 3.0]], [[0.0, 2.0], [0.0, 0.0]]]], dtype=torch.float64)
    expected = [1 / (1 + math.exp(-(best - 3) / math.sqrt(1.25))) for best in (4, 2, 1, 3)]
    found = soft_gate(similar, 0.5)
    assert found.shape == (1, 1, 2, 2)
    assert found.flatten().tolist() == pytest.approx(expected, abs=1e-12)


def test_the_soft_gate_of_equal_cells_is_one_half_and_has_a_gradient() -> None:
    similar = torch.full((1, 1, 3, 3), 0.2, requires_grad=True)
    gate = soft_gate(similar, 0.5)
    assert gate.tolist() == torch.full((1, 1, 3, 3), 0.5).tolist()
    gate.sum().backward()
    assert similar.grad is not None
    assert similar.grad.isfinite().all()
