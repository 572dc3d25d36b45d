# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_causal.metrics.items import as_answer, item_heats, items_of

IMAGE = torch.arange(48.0).reshape(2, 2, 3, 4)
HEAT = torch.arange(24.0).reshape(2, 1, 3, 4)
MASK = torch.zeros(2, 1, 3, 4)
MASK[0, 0, 1, 2], MASK[1, 0, 2] = 1, 0.7


def test_each_item_gets_its_own_share() -> None:
    first, second = items_of(IMAGE, HEAT, [1, 2], MASK)
    assert torch.equal(torch.cat([first.image, second.image]), IMAGE)
    assert torch.equal(torch.stack([first.heat, second.heat]), HEAT[:, 0])
    assert (first.class_idx, second.class_idx) == (1, 2)
    assert first.mask.nonzero().tolist() == [[1, 2]]
    assert second.mask.nonzero().tolist() == [[2, 0], [2, 1], [2, 2], [2, 3]]


@pytest.mark.parametrize("mask", [MASK[1, 0], MASK[1], MASK[1:], MASK[1, 0].numpy(), MASK[1, 0] > 0.5])
def test_one_mask_and_one_class_serve_all(mask: torch.Tensor | np.ndarray) -> None:
    for item in items_of(IMAGE, HEAT, 3, mask):
        assert torch.equal(item.mask, MASK[1, 0] > 0.5)
        assert item.class_idx == 3


def test_classes_may_be_a_tensor_or_none() -> None:
    assert [item.class_idx for item in items_of(IMAGE, HEAT, torch.tensor([4, 0]), MASK)] == [4, 0]
    assert [item.class_idx for item in items_of(IMAGE, HEAT, None, MASK)] == [None, None]


def test_a_map_of_one_item_may_be_bare_and_a_meta_tensor() -> None:
    assert torch.equal(item_heats(MetaTensor(HEAT[0, 0]), IMAGE[:1]), HEAT[0])
    assert type(items_of(MetaTensor(IMAGE), HEAT, 0, MASK)[1].image) is torch.Tensor


@pytest.mark.parametrize(
    ("heat", "class_idx", "mask", "message"),
    [
        (
            HEAT[:1],
            1,
            MASK,
            r"the map has shape \(1, 1, 3, 4\); the image of shape \(2, 2, 3, 4\) needs \(2, 1, 3, 4\)",
        ),
        (HEAT[:, 0], 1, MASK, r"needs \(2, 1, 3, 4\)"),
        (HEAT.where(HEAT != 7, torch.nan), 1, MASK, "the map holds 1 values that are NaN or infinite"),
        (HEAT, 1, torch.stack([MASK[0], 0 * MASK[0]]), "the mask of item 1 is empty"),
        (HEAT, 1, MASK.repeat(2, 1, 1, 1)[:3], "the mask is given for 3 items, the batch has 2"),
        (HEAT, 1, torch.ones(4, 3), r"a mask of shape \(4, 3\) does not fit"),
        (HEAT, [1], MASK, "class_idx names 1 classes, the batch has 2 items"),
    ],
)
def test_what_does_not_fit_is_refused(heat, class_idx, mask, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        items_of(IMAGE, heat, class_idx, mask)


def test_one_item_answers_with_a_float() -> None:
    assert isinstance(as_answer(torch.tensor([2.5])), float)
    assert as_answer(torch.tensor([2.5])) == 2.5
    assert torch.equal(as_answer(torch.tensor([1.0, 2.0])), torch.tensor([1.0, 2.0]))
