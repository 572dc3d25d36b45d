# SPDX-License-Identifier: Apache-2.0
"""The engine on a real CT with its organs as regions: what comes out lies on what went in."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import UNet
from monai.transforms import LoadImage, ScaleIntensityRange

from monai_causal.intervene import Evaluator, InpaintFill, MaskedMeanProbability, grid_regions, label_regions

pytestmark = pytest.mark.real


@pytest.fixture
def ct(real_data: Path) -> tuple[torch.Tensor, torch.Tensor, Path]:
    source = real_data / "volumes" / "example_ct_sm.nii.gz"
    load = LoadImage(image_only=True, ensure_channel_first=True)
    image = ScaleIntensityRange(-1000, 1000, 0, 1, clip=True)(load(source))[None]
    labels = load(real_data / "volumes" / "example_seg.nii.gz")[0].as_tensor()
    return image, labels, source


def test_windows_on_a_ct_are_whole_forwards_to_the_bit_and_the_map_lies_on_it(
    ct: tuple[torch.Tensor, torch.Tensor, Path], tmp_path: Path
) -> None:
    image, labels, source = ct
    torch.manual_seed(0)
    network = UNet(3, 1, 2, channels=(4, 8), strides=(2,), norm="instance")
    inferer = SlidingWindowInferer((48, 48, 24), sw_batch_size=1, overlap=0.25)
    organ = int(labels[labels > 0].mode().values)
    score = MaskedMeanProbability(labels == organ, class_idx=1)
    regions = grid_regions(image.shape[2:], patch_mm=(60, 60, 45), affine=image.affine)
    assert regions[0].shape == (20, 20, 15)  # the voxels of this CT are 3 mm
    regions = regions.subset(range(0, len(regions), 7))
    windows = Evaluator(network, inferer=inferer)(image, regions, InpaintFill(), score)
    dense = Evaluator(network, inferer=inferer, execution="dense", batch_size=1)(image, regions, InpaintFill(), score)
    assert windows.record.execution == "windows"
    assert windows.record.forwards < dense.record.forwards
    assert torch.equal(windows.values, dense.values)
    assert windows.ate.abs().max() > 0

    written = nib.load(windows.save(tmp_path / "effects.nii.gz"))
    original = nib.load(source)
    np.testing.assert_allclose(written.affine, original.affine)
    assert written.shape == original.shape
    for region, effect in zip(regions, windows.ate, strict=True):
        np.testing.assert_allclose(np.asarray(written.dataobj)[region.index[1:]], float(effect), rtol=1e-6)


def test_organs_are_regions(ct: tuple[torch.Tensor, torch.Tensor, Path]) -> None:
    _, labels, _ = ct
    regions = label_regions(labels.long())
    values, counts = np.unique(labels.numpy(), return_counts=True)
    assert regions.ids == tuple(int(value) for value in values[1:])
    assert regions.sizes == tuple(int(count) for count in counts[1:])
    torch.testing.assert_close(regions.to_map(torch.tensor(regions.ids)).long(), labels.long())
