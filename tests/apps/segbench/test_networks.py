# SPDX-License-Identifier: Apache-2.0
"""Networks: built by name, with random weights, from a file, from a bundle, trained on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from monai_causal.apps.segbench import networks
from monai_causal.apps.segbench.config import TORCHVISION, DataConfig, MethodConfig, NetworkConfig, TrainConfig
from monai_causal.apps.segbench.evidence import Evidence
from monai_causal.apps.segbench.networks import load_model
from monai_causal.apps.segbench.samples import choose
from monai_causal.apps.study.training import weights_digest
from monai_causal.intervene.scores import output_tensor
from tests.apps.explain.bundles import picture_bundle

VOC = DataConfig("voc", classes=20)
SHAPES = DataConfig("shapes", "phantom", count=2, train=6, size=24, classes=2)


def load(config: NetworkConfig, data: DataConfig, kept: Path, channels: int = 1, seed: int = 0) -> networks.Model:
    training = choose(data, [seed])[seed].training if config.train else ()
    return load_model(config, data, seed, channels, training, kept)


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_networks_are_built_and_explained_at_their_backbones_end(name: str, tmp_path: Path) -> None:
    model = load(NetworkConfig("net", torchvision=name, untrained=True), VOC, tmp_path, 3)
    # On some images an untrained network's evidence is negative everywhere, and its map 0.
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert output_tensor(model.network(image)).shape == (1, 21, 64, 64)
    heat = Evidence(model).heat(MethodConfig("ega"), image, 7, torch.ones(64, 64)).map
    assert (heat.min(), heat.max()) == (0, 1)
    assert model.target_layer == TORCHVISION[name]


def test_weights_of_a_file_are_loaded_auxiliary_head_included(tmp_path: Path) -> None:
    from torchvision.models.segmentation import fcn_resnet50

    published = fcn_resnet50(weights=None, weights_backbone=None, aux_loss=True)
    torch.save(published.state_dict(), tmp_path / "fcn.pth")
    config = NetworkConfig("net", torchvision="fcn_resnet50", checkpoint=str(tmp_path / "fcn.pth"))
    assert weights_digest(load(config, VOC, tmp_path, 3).network) == weights_digest(published)


def test_torchvisions_own_weights_are_asked_for_by_name_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torchvision.models

    asked: list[tuple[str, dict[str, Any]]] = []

    def get_model(name: str, **options: Any) -> torch.nn.Module:
        asked.append((name, options))
        return torch.nn.Identity()

    monkeypatch.setattr(torchvision.models, "get_model", get_model)
    load(NetworkConfig("net", torchvision="fcn_resnet50", download=True), VOC, tmp_path, 3)
    load(NetworkConfig("net", torchvision="fcn_resnet50", untrained=True), VOC, tmp_path, 3)
    assert asked[0][1]["weights"] == "COCO_WITH_VOC_LABELS_V1"
    assert (asked[1][1]["weights"], asked[1][1]["weights_backbone"]) == (None, None)


def test_a_training_is_kept_repeated_and_does_what_it_should(tmp_path: Path) -> None:
    config = NetworkConfig("net", build="unet", options={"widths": [4, 8]}, train=TrainConfig(steps=6, batch=4))
    first = weights_digest(load(config, SHAPES, tmp_path / "a").network)
    assert weights_digest(load(config, SHAPES, tmp_path / "b").network) == first
    assert weights_digest(load(config, SHAPES, tmp_path / "a", seed=1).network) != first
    untrained = NetworkConfig("net", build="unet", options={"widths": [4, 8]}, untrained=True)
    assert weights_digest(load(untrained, SHAPES, tmp_path).network) != first
    # What is kept is used: a file of other weights shows
    torch.save(load(untrained, SHAPES, tmp_path).network.state_dict(), tmp_path / "a" / "shapes-net-seed0.pt")
    assert weights_digest(load(config, SHAPES, tmp_path / "a").network) != first


def test_a_training_lowers_the_loss(tmp_path: Path) -> None:
    from monai.losses import DiceCELoss

    from monai_causal.apps.segbench.samples import training_pair

    training = choose(SHAPES, [0])[0].training
    images, labels = (torch.stack(part) for part in zip(*(training_pair(SHAPES, one) for one in training), strict=True))
    losses = []
    for steps in (1, 80):
        config = NetworkConfig("net", build="unet", options={"widths": [4, 8]}, train=TrainConfig(steps, 6, 0.01))
        model = load(config, SHAPES, tmp_path / str(steps))
        with torch.no_grad():
            losses.append(float(DiceCELoss(to_onehot_y=True, softmax=True)(model.network(images), labels)))
    assert losses[1] < 0.7 * losses[0]


def test_monais_networks_by_class(tmp_path: Path) -> None:
    config = NetworkConfig(
        "net", monai="SegResNet", options={"spatial_dims": 2, "init_filters": 8}, untrained=True, window=(32, 32)
    )
    model = load(config, SHAPES, tmp_path)
    assert type(model.network).__name__ == "SegResNet"
    assert model.inferer is not None
    assert model.inferer.roi_size == (32, 32)
    with pytest.raises(ValueError, match=r"monai\.networks\.nets has no network 'NoNet'"):
        load(NetworkConfig("net", monai="NoNet", untrained=True), SHAPES, tmp_path)


def test_a_bundle_gives_its_network_and_how_it_is_asked(tmp_path: Path) -> None:
    folder = picture_bundle(tmp_path / "bundle", (0, 4), (64, 64))
    model = load(NetworkConfig("net", bundle=str(folder)), SHAPES, tmp_path, 3)
    assert not model.network.training
    assert model.activation == "auto"
