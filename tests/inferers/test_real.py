# SPDX-License-Identifier: Apache-2.0
"""A small network for the liver of a real CT, explained by PdCR over patches, window by window."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from monai.losses import DiceCELoss
from monai.transforms import LoadImage, SaveImage, ScaleIntensityRange
from torch import Tensor, nn

from monai_causal.inferers import Explanation, ExplanationInferer
from monai_causal.inferers.saver import draw_explanation
from monai_causal.networks.nets import UNet

pytestmark = pytest.mark.real

LIVER = 5
WINDOW = (48, 48, 24)
STEPS = 60


@pytest.fixture(scope="module")
def ct(real_data: Path) -> tuple[MetaTensor, Tensor, Path]:
    """The CT ``(1, 1, *spatial)``, its organs ``(*spatial)``, and the file."""
    source = real_data / "volumes" / "example_ct_sm.nii.gz"
    load = LoadImage(image_only=True, ensure_channel_first=True)
    image = ScaleIntensityRange(-150, 250, 0, 1, clip=True)(load(source))
    labels = load(real_data / "volumes" / "example_seg.nii.gz")[0].as_tensor().long()
    return image[None], labels, source


@pytest.fixture(scope="module")
def network(ct: tuple[MetaTensor, Tensor, Path]) -> nn.Module:
    """Taught on windows of this CT: it is to be explained, not to be believed of another."""
    image, labels, _ = ct
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    network = UNet(3, 1, 1, widths=(4, 8, 16))
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
    loss_function = DiceCELoss(sigmoid=True, batch=True)
    edges = torch.tensor(WINDOW)
    room = torch.tensor(labels.shape) - edges
    inside = (labels == LIVER).nonzero()
    pixels, liver = image.as_tensor()[0, 0], (labels == LIVER).float()
    for _ in range(STEPS):
        drawn = torch.randint(len(inside), (2,), generator=generator)  # windows around voxels of the liver
        places = (inside[drawn] - edges // 2).clamp(min=torch.zeros(3, dtype=torch.long), max=room).tolist()
        cuts = [tuple(slice(a, a + e) for a, e in zip(place, WINDOW, strict=True)) for place in places]
        batch, truth = (torch.stack([values[cut] for cut in cuts])[:, None] for values in (pixels, liver))
        loss = loss_function(network(batch), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def window() -> SlidingWindowInferer:
    return SlidingWindowInferer(WINDOW, sw_batch_size=1, overlap=0.0)


def test_patches_of_a_ct_are_explained_where_they_lie(
    ct: tuple[MetaTensor, Tensor, Path], network: nn.Module, tmp_path: Path
) -> None:
    image, _, source = ct
    inferer = ExplanationInferer("PdCR", "boundary", fill=0.0, patch_size=16, roi_size=(16, 16, 14), inferer=window())
    with torch.no_grad():
        maps = inferer(image, network)
    (one,) = inferer.explanations
    assert one.result is not None
    assert one.result.record.execution == "windows"
    assert one.result.ate.abs().max() > 1
    SaveImage(tmp_path, output_postfix="pdcr", separate_folder=False, resample=False, print_log=False)(maps[0])
    written, original = nib.load(tmp_path / "example_ct_sm_pdcr.nii.gz"), nib.load(source)
    np.testing.assert_allclose(written.affine, original.affine)
    assert written.shape == original.shape
    heat = np.asarray(written.dataobj)
    for region, effect, relevant in zip(one.result.regions, one.result.ate, one.result.relevant, strict=True):
        np.testing.assert_allclose(heat[region.index[1:]], float(effect) if relevant else 0.0, rtol=1e-5)
    near = _distance(one)
    strong = one.result.ate.abs() > 1
    assert near[strong].max() < near.max()  # what reaches the RoI lies within the network's reach of it
    draw_explanation(tmp_path / "patches.png", one)
    assert (tmp_path / "patches.png").stat().st_size > 20_000


def _distance(one: Explanation) -> Tensor:
    """Of each region's middle to the RoI's, in voxels."""
    assert one.result is not None
    middle = one.roi.nonzero().double().mean(0)
    middles = [[(start + stop) / 2 for start, stop in region.box] for region in one.result.regions]
    return (torch.tensor(middles, dtype=torch.float64) - middle).norm(dim=1)
