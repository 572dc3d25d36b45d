# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from monai_causal.networks.blocks.clip import load_clip
from monai_causal.networks.blocks.dense_clip import DenseCLIP
from monai_causal.networks.blocks.stylip import Styled, StyLIP, layer_statistics, read_layers, tower_layers
from tests.networks.blocks.tiny_prompt_clip import tiny_prompt_clip

Array = NDArray[np.float64]


class TestLayerStatistics:
    @pytest.mark.parametrize("kind", ["vit", "resnet", "timm"])
    def test_of_every_kind_of_tower(self, tmp_path_factory: pytest.TempPathFactory, kind: str) -> None:
        visual = load_clip(tiny_prompt_clip(tmp_path_factory.mktemp(kind), kind)).model.visual.double()
        size = 160 if kind == "timm" else 64 if kind == "resnet" else 32
        images = torch.randn(2, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        layers, widths = tower_layers(visual)

        with torch.no_grad(), layer_statistics(layers) as statistics:
            DenseCLIP(visual)(images)

        with torch.no_grad():
            if kind == "timm":
                maps = visual.trunk.forward_intermediates(images, intermediates_only=True, norm=False)
            else:
                maps = visual.forward_intermediates(images, intermediates_only=True)["image_intermediates"]
        maps = maps[-len(layers) :]
        assert len(statistics) == len(layers) == len(widths) == len(maps) > 1
        for (mean, std), width, one in zip(statistics, widths, maps, strict=True):
            cells = one.numpy().reshape(2, width, -1)
            np.testing.assert_allclose(mean, cells.mean(axis=2), rtol=0, atol=1e-10)
            np.testing.assert_allclose(std, cells.std(axis=2), rtol=0, atol=1e-10)

    def test_both_ways_of_reading_hear_each_layer_once(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        visual = load_clip(tiny_prompt_clip(tmp_path_factory.mktemp("vit"))).model.visual
        layers, _ = tower_layers(visual)
        with torch.no_grad(), layer_statistics(layers) as statistics:
            DenseCLIP(visual, "value")(torch.zeros(1, 3, 32, 32))
        assert len(statistics) == 2

    def test_no_hook_stays_behind(self) -> None:
        layer = nn.Identity()
        with layer_statistics([layer]) as statistics:
            layer(torch.ones(1, 2, 3, 3))
            assert len(layer._forward_hooks) == 1
        layer(torch.ones(1, 2, 3, 3))
        assert len(statistics) == 1
        assert not layer._forward_hooks

    def test_nor_after_an_error(self) -> None:
        layer = nn.Identity()
        with pytest.raises(RuntimeError, match="inside"), layer_statistics([layer]):
            raise RuntimeError("inside")
        assert not layer._forward_hooks

    def test_an_unknown_tower_is_refused(self) -> None:
        with pytest.raises(ValueError, match="type 'Linear'"):
            tower_layers(nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("count", "tokens", "expected"),
    [(12, 4, [2, 5, 8, 11]), (24, 4, [5, 11, 17, 23]), (4, 4, [0, 1, 2, 3]), (2, 4, [0, 0, 1, 1]), (12, 1, [11])],
)
def test_read_layers(count: int, tokens: int, expected: list[int]) -> None:
    assert read_layers(count, tokens) == expected


class TestStyLIP:
    widths, layers, width, d = (6, 10), (0, 0, 1), 5, 4

    def build(self) -> tuple[StyLIP, torch.Tensor, Styled]:
        generator = torch.Generator().manual_seed(2)
        start = torch.randn(3, self.width, generator=generator)
        network = StyLIP(self.widths, self.layers, start, self.d, generator).double()
        sizes = ((2, self.d, 3, 3), (2, self.d), (2, 16), (2, 16))
        seen = Styled(*(torch.randn(size, dtype=torch.float64, generator=generator) for size in sizes))
        return network, start.double(), seen._replace(std=seen.std.abs())

    def test_against_a_replica(self) -> None:
        network, _, seen = self.build()
        nn.init.normal_(network.content.weight)
        nn.init.normal_(network.content.bias)

        context, content = network(seen)

        mean, std, image = (one.numpy() for one in (seen.mean, seen.std, seen.image))
        parts = [slice(0, 6), slice(6, 16)]
        for b in range(2):
            for token, layer in enumerate(self.layers):
                style = np.concatenate([unit(mean[b, parts[layer]]), unit(std[b, parts[layer]])]) / np.sqrt(2)
                assert np.linalg.norm(style) == pytest.approx(1)
                np.testing.assert_allclose(context.detach()[b, token], linear(network.style[token], style), atol=1e-6)
            read = np.concatenate([unit(mean[b, :6]), unit(mean[b, 6:]), unit(image[b])])
            np.testing.assert_allclose(content.detach()[b], linear(network.content, read), atol=1e-6)

    def test_it_starts_near_the_words_and_without_content(self) -> None:
        network, start, seen = self.build()
        context, content = network(seen)
        assert torch.equal(content, torch.zeros(2, self.d, dtype=torch.float64))
        distance = (context - start).abs().max()
        assert 0 < distance < 0.5 * start.std()

    def test_neither_brightness_nor_scale_of_the_channels_matters_but_their_pattern_does(self) -> None:
        network, _, seen = self.build()
        context = network(seen)[0]
        same = network(seen._replace(mean=3 * seen.mean + 2, std=5 * seen.std))[0]
        other = network(seen._replace(std=seen.std.flip(1)))[0]
        torch.testing.assert_close(same, context, rtol=0, atol=1e-6)
        assert (other - context).abs().max() > 1e-3


def unit(vector: Array) -> Array:
    centred = vector - vector.mean()
    return np.asarray(centred / np.linalg.norm(centred))


def linear(layer: nn.Module, vector: Array) -> Array:
    assert isinstance(layer, nn.Linear)
    return np.asarray(layer.weight.detach().numpy() @ vector + layer.bias.detach().numpy())
