# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor

from monai_causal.visualize.target import Target, TargetVisualizer
from tests.visualize.networks import SIZES, TwoHalves, image_of, mask_of


class Recorder(TargetVisualizer):
    """Gives what it is asked back: the class's number inside the mask."""

    def compute_map(self, image: Tensor, targets: Sequence[Target]) -> Tensor:
        assert type(image) is Tensor
        rows = [torch.stack([one.mask * (index + 1.0) for index in one.classes or (-10,)]) for one in targets]
        return torch.stack(rows)


RECORDER = Recorder(TwoHalves(2))


@pytest.mark.parametrize("class_idx", [[1, 0], (1, 0), torch.tensor([1, 0]), np.array([1, 0])])
def test_a_class_and_a_mask_for_each_item(class_idx: Sequence[int] | Tensor | np.ndarray) -> None:
    masks = mask_of(2, batch=2)
    maps = RECORDER(image_of(2, 2), class_idx, masks)
    torch.testing.assert_close(maps, masks * torch.tensor([2.0, 1.0], dtype=torch.float64).reshape(2, 1, 1, 1))


def test_one_class_and_one_mask_serve_all_items() -> None:
    mask = mask_of(2)
    expected = (2.0 * mask).double().expand(3, 1, *SIZES[2])
    for given in (mask, mask[None], mask[None, None], mask.numpy(), mask * 0.9):
        torch.testing.assert_close(RECORDER(image_of(2, 3), 1, given), expected)
    box = torch.zeros(SIZES[2], dtype=torch.bool)
    box[1:3, 4:9] = True
    torch.testing.assert_close(RECORDER(image_of(2), 0, ((1, 3), (4, 9)))[0, 0], box.double())
    torch.testing.assert_close(RECORDER(image_of(2), None, box)[0, 0], -9 * box.double())


def test_several_classes_in_one_pass() -> None:
    mask = mask_of(2)
    torch.testing.assert_close(
        RECORDER.for_classes(image_of(2, 2), (1, 0), mask),
        torch.stack([2.0 * mask, 1.0 * mask]).double().expand(2, 2, *SIZES[2]),
    )


def test_without_a_mask_the_networks_own_answer_is_meant() -> None:
    """With three classes the winner may well be below one half."""
    image = image_of(2, 2)
    with torch.no_grad():
        probability = TwoHalves(2, classes=3)(image).softmax(1)
        alone = TwoHalves(2, classes=1)(image)
    winner = probability.argmax(1, keepdim=True)
    assert ((winner[0] == 0) & (probability[0, :1] < 0.5)).any()
    three = Recorder(TwoHalves(2, classes=3))(image, [0, 2])
    torch.testing.assert_close(three[0], (winner == 0)[0].double())
    torch.testing.assert_close(three[1], 3 * (winner == 2)[1].double())
    one = Recorder(TwoHalves(2, classes=1))
    torch.testing.assert_close(one(image), 2 * (alone > 0).double())
    already = Recorder(TwoHalves(2, classes=1), activation=None)
    torch.testing.assert_close(already(image), 2 * (alone > 0.5).double())


def test_the_affine_goes_through() -> None:
    affine = torch.tensor([[0.0, 2, 0, 5], [3, 0, 0, -4], [0, 0, 1, 7], [0, 0, 0, 1]], dtype=torch.float64)
    image = MetaTensor(image_of(2), affine=affine)
    heat = RECORDER(image, 1, MetaTensor(mask_of(2)))
    assert isinstance(heat, MetaTensor)
    assert torch.equal(heat.affine, affine)
    assert type(RECORDER(image_of(2), 1, mask_of(2))) is Tensor


@pytest.mark.parametrize(
    ("image", "class_idx", "mask", "message"),
    [
        (image_of(2, 2), [0, 1, 0], mask_of(2), r"class_idx=\[0, 1, 0\] for 2 items.*for_classes"),
        (image_of(2, 2), 1, mask_of(2, batch=3), "mask is given for 3 items, the batch has 2"),
        (image_of(2, 2), 1, mask_of(2, batch=2) & torch.tensor([1, 0]).bool().reshape(2, 1, 1, 1), "mask of item 1 is"),
        (image_of(2), 1, torch.ones(8, 8), r"a mask of shape \(8, 8\) does not fit an image of shape \(8, 12\)"),
        (image_of(2) * np.nan, 1, mask_of(2), "without NaN"),
        (image_of(2).long(), 1, mask_of(2), "the image is torch.int64"),
    ],
)
def test_errors_say_the_value(image: Tensor, class_idx: int, mask: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RECORDER(image, class_idx, mask)
