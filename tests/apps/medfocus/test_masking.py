# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from monai_causal.apps.medfocus.masking import CoarseBlur, EditorFill, InTurn, masking_fill
from monai_causal.intervene import BlurFill, ConstantFill, MeanFill, box_regions, mask_regions

IMAGE = torch.linspace(0, 1, 48).reshape(1, 6, 8)


def test_an_editor_is_asked_once_per_region_and_only_the_region_is_taken() -> None:
    masks: list[torch.Tensor] = []

    def editor(image: torch.Tensor, mask: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
        masks.append(mask)
        image += 1  # its own copy
        return torch.full_like(image, float(generator.random()))

    regions = box_regions((6, 8), [((0, 2), (0, 3)), ((2, 6), (4, 8))])
    replacement = EditorFill(editor).prepare(IMAGE, regions, seed=3)
    first, again, second = replacement(regions[0], 0), replacement(regions[0], 0), replacement(regions[1], 0)
    assert isinstance(first, torch.Tensor)
    assert isinstance(second, torch.Tensor)
    assert (first.shape, second.shape) == ((1, 2, 3), (1, 4, 4))
    assert first is again
    assert [int(mask.sum()) for mask in masks] == [6, 16]
    assert float(first[0, 0, 0]) != float(second[0, 0, 0])  # a generator of its own
    assert float(IMAGE.max()) == 1


@pytest.mark.parametrize(
    ("edited", "message"),
    [
        (torch.zeros(1, 3, 3), r"gave \(1, 3, 3\) for an image of \(1, 6, 8\)"),
        (None, "gave NoneType"),
        (IMAGE + 0.5, "ranges from 0.5 to 1.5"),
        (IMAGE * torch.nan, "ranges from nan"),
    ],
)
def test_what_an_editor_gives_is_checked(edited: Any, message: str) -> None:
    regions = mask_regions([IMAGE[0] > 0.5])
    replacement = EditorFill(lambda image, mask, generator: edited).prepare(IMAGE, regions, seed=0)
    with pytest.raises(ValueError, match=message):
        replacement(regions[0], 0)


@pytest.mark.parametrize("sigma", [4.0, 32.0, 60.0])
def test_a_coarse_blur_is_the_blur(sigma: float) -> None:
    # Smooth towards the border, beyond which a blur repeats the outermost pixel, and a coarse one the outermost cell.
    image = torch.linspace(0.2, 0.6, 251).expand(1, 203, 251).clone()
    image[:, 40:90, 60:200] = 1
    regions = box_regions((203, 251), [((0, 203), (0, 251)), ((17, 55), (100, 130))])
    found, exact = (kind(sigma).prepare(image, regions, seed=0) for kind in (CoarseBlur, BlurFill))
    for region in regions:
        torch.testing.assert_close(found(region, 0), exact(region, 0), atol=0.01, rtol=0)


def test_fills_in_turn_are_draws() -> None:
    fill = InTurn([ConstantFill(0.25), MeanFill(), ConstantFill(0.75)])
    assert fill.distinct_draws == 3
    regions = box_regions((6, 8), [((0, 2), (0, 3))])
    replacement = fill.prepare(IMAGE, regions, seed=0)
    values = [float(torch.as_tensor(replacement(regions[0], draw)).mean()) for draw in range(3)]
    assert values == pytest.approx([0.25, 0.5, 0.75])


def test_names() -> None:
    assert isinstance(masking_fill("zero", (64, 80)), ConstantFill)
    blur = masking_fill("blur", (64, 80))
    assert isinstance(blur, CoarseBlur)
    assert blur.sigma == 8.0  # an eighth of the shorter side
    with pytest.raises(ValueError, match="masking='noise'"):
        masking_fill("noise", (64, 80))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs an editor"):
        masking_fill("editor", (64, 80))
