# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn

from monai_causal.intervene import BlurFill, ConstantFill
from monai_causal.visualize import MiSuRe
from monai_causal.visualize.misure import total_variation
from tests.golden import PlantedContext
from tests.visualize.networks import Dictionary, TwoHalves, image_of, left_alone, mask_of

OFFSETS = {2: (3, -4), 3: (2, -1, 3)}
SIZES = {2: (16, 18), 3: (8, 9, 10)}
ROIS = {2: ((8, 12), (4, 9)), 3: ((4, 7), (3, 6), (5, 8))}


def planted(dims: int) -> tuple[PlantedContext, Tensor]:
    """The whole image is bright, and so is the answer wherever it is read from inside."""
    return PlantedContext(OFFSETS[dims]), torch.ones(1, 1, *SIZES[dims], dtype=torch.float64)


@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize("dims", [2, 3])
def test_what_the_roi_reads_is_kept_and_nothing_else(dims: int, windows: bool) -> None:
    network, image = planted(dims)
    inferer = SlidingWindowInferer(SIZES[dims], overlap=0.0) if windows else None
    with left_alone(nn.Sequential(network), image), torch.no_grad():
        mask = MiSuRe(network, ConstantFill(0.0), dilation=2, inferer=inferer)(image, ROIS[dims])[0, 0]
    read = torch.from_numpy(network.reads(ROIS[dims], SIZES[dims]))
    assert float(mask[read].min()) > 0.5  # a logit of 0 and a probability of one half
    assert float(mask[~read].max()) < 0.1
    roi = torch.zeros_like(read)
    roi[tuple(slice(*axis) for axis in ROIS[dims])] = True
    assert not (roi & read).all()


def test_the_first_stage_dilates_the_answer_until_it_suffices() -> None:
    """With two voxels per step the box around RoI and answer grows until it holds RoI - d."""
    network, image = planted(2)
    start = MiSuRe(network, ConstantFill(0.0), dilation=2, steps=0)(image, ROIS[2])[0, 0]
    expected = torch.zeros(SIZES[2])
    expected[8 - 4 : 12 + 4, 4 - 4 : 9 + 4] = 1  # 3 up and 4 right of it: two steps
    assert torch.equal(start.float(), expected)
    enough = MiSuRe(network, ConstantFill(0.0), dilation=2, steps=0, sufficient=0.05)(image, ROIS[2])[0, 0]
    assert 0 < int(enough.sum()) < int(expected.sum())


def test_each_step_lowers_the_stated_loss() -> None:
    """One Adam step is the learning rate times the sign of the slope, here by central differences."""
    network, image, label = TwoHalves(2, classes=1), image_of(2), mask_of(2)
    roi, lr, l1, tv = ((1, 7), (2, 11)), 0.01, 0.3, 0.2
    options = {"dilation": 1, "l1": l1, "tv": tv, "lr": lr, "sufficient": 1e-3}
    start = MiSuRe(network, BlurFill(2.0), steps=0, **options)(image, roi, label)[0, 0]
    found = MiSuRe(network, BlurFill(2.0), steps=1, **options)(image, roi, label)[0, 0]
    hidden = torch.from_numpy(blurred(image[0, 0].numpy(), 2.0))

    def loss(mask: Tensor) -> float:
        with torch.no_grad():
            probability = network(mask * image + (1 - mask) * hidden).sigmoid()[0, 0, 1:7, 2:11]
        true = label[1:7, 2:11].double()
        dice = 2 * float((probability * true).sum()) / float(probability.sum() + true.sum())
        variation = sum(float(mask.diff(dim=axis).abs().sum()) for axis in (0, 1))
        return 1 - dice + (l1 * float(mask.sum()) + tv * variation) / float(start.sum())

    for voxel in [(0, 0), (3, 4), (5, 8), (2, 10), (7, 11)]:
        near = start.clone()
        # Beside a kink of the variation the slope is autograd's: that of |0| is 0.
        low, high = near.clone(), near.clone()
        low[voxel] -= 1e-6
        high[voxel] += 1e-6
        slope = (loss(high) - loss(low)) / 2e-6
        expected = min(max(float(start[voxel]) - lr * np.sign(slope), 0.0), 1.0)
        assert float(found[voxel]) == pytest.approx(expected, abs=1e-4)


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    radius = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    for axis, length in enumerate(image.shape):
        taps = [np.clip(np.arange(length) + step, 0, length - 1) for step in range(-radius, radius + 1)]
        image = sum(weight * image.take(tap, axis) for weight, tap in zip(weights, taps, strict=True))
    return image


def test_total_variation() -> None:
    mask = torch.tensor([[0.0, 1.0, 0.5], [0.25, 1.0, 0.0]])
    assert float(total_variation(mask)) == pytest.approx(1 + 0.5 + 0.75 + 1 + 0.25 + 0 + 0.5)


def test_dict_outputs_windows_the_affine_and_the_same_result_again() -> None:
    network = TwoHalves(2)
    image = MetaTensor(image_of(2), affine=torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0], dtype=torch.float64)))
    options = {"class_idx": 1, "steps": 5, "dilation": 1, "inferer": SlidingWindowInferer((4, 6), overlap=0.5)}
    with left_alone(network, image):
        heat = MiSuRe(network, **options)(image, ((1, 7), (2, 11)))
    assert isinstance(heat, MetaTensor)
    assert torch.equal(heat.affine, image.affine)
    again = MiSuRe(Dictionary(network), **options)(image, ((1, 7), (2, 11)))
    assert torch.equal(again, heat)
    whole = MiSuRe(network, **{**options, "inferer": None})(image, ((1, 7), (2, 11)))
    assert not torch.allclose(whole, heat, atol=1e-3)


def test_errors() -> None:
    network, image = planted(2)
    with pytest.raises(ValueError, match=r"\(2, 1, 16, 18\): MiSuRe explains one at a time"):
        MiSuRe(network)(image.expand(2, -1, -1, -1), ROIS[2])
    with pytest.raises(ValueError, match="the network answers nothing inside the RoI"):
        MiSuRe(network)(0 * image, ROIS[2], torch.ones(SIZES[2]))
    with pytest.raises(ValueError, match="steps=-1"):
        MiSuRe(network, steps=-1)
    with pytest.raises(ValueError, match="2 channels: say which with class_idx"):
        MiSuRe(TwoHalves(2))(image_of(2), ((1, 7), (2, 11)))
