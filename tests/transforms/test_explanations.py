# SPDX-License-Identifier: Apache-2.0
"""Explanations in a pipeline are those of the visualizers, beside their image and with its way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Flipd, Invertd, Orientationd, Spacingd
from torch import nn

from monai_causal.intervene import DonorPatchFill, MeanFill
from monai_causal.transforms import DEAd, PdCRd
from monai_causal.visualize.dea import DEA
from monai_causal.visualize.pdcr import PdCR
from tests.golden import PlantedContext

ROI = ((16, 24), (16, 24))


def picture(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 40, 48, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def segmenter() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1)).double()


def test_pdcrd_is_pdcr_on_one_item_and_leaves_the_image() -> None:
    network, image, bank = PlantedContext((8, -8)), picture(), torch.rand(7, 1, 8, 8, dtype=torch.float64)
    item = PdCRd("image", network, DonorPatchFill(bank), roi=ROI, result_key="why", patch_size=8, rule="exhaustive")(
        {"image": image, "other": 3}
    )
    expected = PdCR(network, DonorPatchFill(bank), 8, "exhaustive").explain(image[None], ROI)
    assert sorted(item) == ["image", "other", "pdcr", "why"]
    assert item["image"] is image
    assert isinstance(item["pdcr"], MetaTensor)
    assert torch.equal(item["pdcr"].as_tensor(), expected.map[0])
    assert torch.equal(item["why"].ate, expected.ate)
    # The whole effect is at RoI - d.
    assert torch.equal(item["pdcr"][0] != 0, torch.from_numpy(network.reads(ROI, (40, 48))))


def test_roi_and_label_come_from_the_dictionary() -> None:
    network, image = PlantedContext((8, 0)), picture(1)
    mask = torch.zeros(1, 40, 48)
    mask[:, 24:32, 8:16] = 1
    label = (picture(2) > 0.5).to(torch.uint8)
    explain = PdCRd("image", network, MeanFill(), roi_key="place", label_key="truth", result_key="why")
    result = explain({"image": image, "place": mask, "truth": label})["why"]
    assert torch.equal(result.roi, mask[0] > 0)
    assert result.baseline == pytest.approx(network.dice(image, ((24, 32), (8, 16)), label[0]))
    own = PdCRd("image", network, MeanFill(), roi_key="place", result_key="why")({"image": image, "place": mask})["why"]
    assert own.baseline == 100  # its own answer is the reference


@pytest.mark.parametrize("kind", ["pdcr", "dea"])
def test_the_map_lies_on_the_image_and_invertd_brings_it_back(kind: str) -> None:
    affine = np.array([[0, 2.0, 0, 5], [-1.5, 0, 0, 7], [0, 0, 3.0, -4], [0, 0, 0, 1]])
    stored = MetaTensor(torch.rand(1, 20, 18, 12, generator=torch.Generator().manual_seed(3)), affine=affine)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 2, 1))
    before = Compose([Orientationd("image", "RAS"), Spacingd("image", (2.0, 2.0, 3.0)), Flipd("image", 0)])
    with torch.no_grad():  # half of the image is answered with class 1
        logits = network(before({"image": stored})["image"].as_tensor()[None])
        network[2].bias[1] -= (logits[:, 1] - logits[:, 0]).median()
    explain = (
        PdCRd("image", network, MeanFill(), roi=((8, 12), (8, 12), (4, 8)), patch_size=4, class_idx=1)
        if kind == "pdcr"
        else DEAd("image", network, target_layers="0", grid=4)
    )
    with torch.no_grad():
        item = Compose([before, explain])({"image": stored})
    assert item[kind].shape == item["image"].shape
    assert torch.equal(item[kind].affine, item["image"].affine)
    assert item[kind].as_tensor().abs().max() > 0
    back = Invertd(kind, before, orig_keys="image", nearest_interp=True)(item)[kind]
    assert back.shape == stored.shape
    np.testing.assert_allclose(back.affine, affine, atol=1e-5)
    if kind == "pdcr":  # the strongest effect, whose region is larger than a voxel, is where it was in the world
        heat = item[kind][0].as_tensor().numpy()
        strongest = np.unravel_index(np.abs(heat).argmax(), heat.shape)
        world = item[kind].affine.numpy() @ [*strongest, 1]
        voxel = np.linalg.solve(affine, world)[:3].round().astype(int)
        assert float(back[(0, *voxel)]) == pytest.approx(float(heat[strongest]))


def test_dead_is_dea_on_one_item() -> None:
    network, image = segmenter(), picture()
    mask = torch.zeros(1, 40, 48)
    mask[:, 10:20, 30:40] = 1
    network.train()
    with torch.no_grad():
        item = DEAd("image", network, mask_key="organ", target_layers="0", grid=5)({"image": image, "organ": mask})
    expected = DEA(network, "0", grid=5)(image[None], 1, mask[None])
    assert torch.equal(item["dea"].as_tensor(), expected[0])
    assert item["dea"].shape == (1, 40, 48)
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())


def test_without_a_mask_dead_explains_the_networks_own_answer() -> None:
    network, image = segmenter(), picture()
    with torch.no_grad():
        answer = network(image[None]).argmax(1) == 1
    assert 0 < answer.double().mean() < 1
    own = DEAd("image", network, target_layers="0", grid=5)({"image": image})["dea"]
    given = DEAd("image", network, mask_key="m", target_layers="0", grid=5)({"image": image, "m": answer})["dea"]
    assert torch.equal(own, given)


def test_each_key_has_a_map_of_its_own() -> None:
    network = PlantedContext((8, 0))
    first, second = picture(0), picture(1)
    explain = PdCRd(["a", "b", "c"], network, MeanFill(), roi=ROI, map_key=["A", "B", "C"], allow_missing_keys=True)
    item = explain({"a": first, "b": second})
    alone = PdCRd("b", network, MeanFill(), roi=ROI)({"b": second})["pdcr"]
    assert "C" not in item
    assert torch.equal(item["B"], alone)
    assert not torch.equal(item["A"], item["B"])


def test_what_is_wrong_is_said() -> None:
    network = PlantedContext((8, 0))
    with pytest.raises(ValueError, match="2 keys need 2 names"):
        PdCRd(["a", "b"], network, MeanFill())
    with pytest.raises(KeyError, match="roi_key='place'"):
        PdCRd("image", network, MeanFill(), roi_key="place")({"image": picture()})
    with pytest.raises(KeyError, match="mask_key='organ'"):
        DEAd("image", segmenter(), mask_key="organ")({"image": picture()})
    with pytest.raises(KeyError, match="nothing"):
        PdCRd("nothing", network, MeanFill())({"image": picture()})
