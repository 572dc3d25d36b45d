# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from monai_causal.apps.medfocus.vlm.cells import PixelMap, Sheet
from monai_causal.apps.medfocus.vlm.interface import Answer, Prompt, checked_pictures

CELLS = PixelMap((4, 4), (Sheet((1, 1), ((0, 4), (0, 4))),))


def test_an_answer_is_predicted_one_position_before_it_stands() -> None:
    prompt = Prompt("?", (4, 4), CELLS, token_ids=torch.arange(7))
    assert prompt.rows(Answer("ab", (1, 2), ("a", "b"))) == slice(6, 8)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_pictures_become_float32(dtype: torch.dtype) -> None:
    images = torch.rand((2, 3, 4, 5)).to(dtype)
    found = checked_pictures(images, (4, 5))
    assert found.dtype == torch.float32
    assert torch.equal(found, images.float())


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros((1, 1, 4, 5), dtype=torch.uint8), "not torch.uint8"),
        (None, "not NoneType"),
        (torch.zeros((1, 4, 5)), r"not \(1, 4, 5\)"),
        (torch.zeros((1, 2, 4, 5)), r"not \(1, 2, 4, 5\)"),
        (torch.zeros((0, 1, 4, 5)), r"not \(0, 1, 4, 5\)"),
        (torch.zeros((1, 1, 5, 4)), r"are \(5, 4\), but the prompt was made for \(4, 5\)"),
        (torch.full((1, 1, 4, 5), 2.0), "range from 2 to 2"),
        (torch.full((1, 1, 4, 5), -0.1), "range from -0.1 to -0.1"),
        (torch.tensor([0.5, float("nan")]).repeat(10).reshape(1, 1, 4, 5), "range from nan"),
    ],
)
def test_bad_pictures(images: torch.Tensor, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        checked_pictures(images, (4, 5))
