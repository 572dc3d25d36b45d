# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from monai.inferers import PatchInferer, SimpleInferer, SliceInferer
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from monai_causal.visualize.gradients import LayerGradient
from monai_causal.visualize.target import Target
from tests.visualize.networks import (
    SIZES,
    Dictionary,
    TwoHalves,
    enlarged,
    image_of,
    left_alone,
    mask_of,
    slow_gradient,
)


def weighted(activation: Tensor, gradient: Tensor) -> Tensor:
    """Tells channels, activation and gradient apart."""
    weights = torch.arange(1.0, activation.shape[1] + 1).reshape(-1, *(1,) * (activation.ndim - 2))
    return ((activation + 10 * gradient) * weights).sum(1, keepdim=True)


def expected(network: TwoHalves, image: Tensor, mask: Tensor, class_idx: int) -> np.ndarray:
    with torch.no_grad():
        activation = network.front(network.stem(image))
    gradient = slow_gradient(network.after, activation, mask, class_idx)
    total = sum((k + 1) * (activation[0, k].numpy() + 10 * gradient[0, k]) for k in range(4))
    return enlarged(np.asarray(total), tuple(image.shape[2:]))


@pytest.mark.parametrize("dims", [2, 3])
def test_activation_and_gradient_against_central_differences(dims: int) -> None:
    network = TwoHalves(dims)
    image, masks = image_of(dims, 2), mask_of(dims, batch=2)[:, 0]
    layer = LayerGradient(network, "front")
    maps = layer.maps(image, [Target((1,), masks[0]), Target((0,), masks[1])], weighted)
    assert maps.shape == (2, 1, *SIZES[dims])
    for item, class_idx in enumerate((1, 0)):
        slow = expected(network, image[item : item + 1], masks[item], class_idx)
        np.testing.assert_allclose(maps[item, 0].numpy(), slow, rtol=0, atol=1e-7)
        assert np.ptp(slow) > 0.1


def test_several_classes_of_one_forward() -> None:
    network, image, mask = TwoHalves(2), image_of(2), mask_of(2)
    both = LayerGradient(network, "front").maps(image, [Target((1, 0), mask)], weighted)
    for place, class_idx in enumerate((1, 0)):
        np.testing.assert_allclose(both[0, place].numpy(), expected(network, image, mask, class_idx), rtol=0, atol=1e-7)


@pytest.mark.parametrize("around", [nullcontext, torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("frozen", [False, True])
def test_it_works_anywhere_and_leaves_nothing_behind(around: Any, frozen: bool) -> None:
    network, image, mask = TwoHalves(2), image_of(2), mask_of(2)
    network.requires_grad_(not frozen)
    with left_alone(network, image), around():
        maps = LayerGradient(network, "front").maps(image + 0, [Target((1,), mask)], weighted)
    assert not maps.requires_grad
    np.testing.assert_allclose(maps[0, 0].numpy(), expected(network, image, mask, 1), rtol=0, atol=1e-7)


def test_a_layer_before_an_in_place_one_is_seen_before_it() -> None:
    network, image, mask = TwoHalves(2), image_of(2), mask_of(2)
    with torch.no_grad():
        activation = network.stem[0](image)
    gradient = slow_gradient(lambda a: network.after(network.front(a.relu())), activation, mask, 1)
    maps = LayerGradient(network, "stem.0").maps(image, [Target((1,), mask)], weighted)
    slow = sum((k + 1) * (activation[0, k].numpy() + 10 * gradient[0, k]) for k in range(3))
    np.testing.assert_allclose(maps[0, 0].numpy(), slow, rtol=0, atol=1e-7)
    assert (activation < 0).any()


def test_of_a_layer_that_runs_twice_the_last_run_is_meant() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = TwoHalves(2, classes=1)

        def forward(self, image: Tensor) -> Tensor:
            return self.inner(self.inner(image))

    network, image, mask = Twice(), image_of(2), mask_of(2)
    with torch.no_grad():
        halfway = network.inner(image)
    maps = LayerGradient(network, "inner.front").maps(image, [Target((0,), mask)], weighted)
    np.testing.assert_allclose(maps[0, 0].numpy(), expected(network.inner, halfway, mask, 0), rtol=0, atol=1e-7)


def test_the_deepest_layer_is_found_and_said() -> None:
    layer = LayerGradient(TwoHalves(2))
    assert layer.layer is None
    target = [Target((1,), mask_of(2))]
    maps = layer.maps(image_of(2), target, weighted)
    assert layer.layer == "front"
    torch.testing.assert_close(maps, LayerGradient(TwoHalves(2), ["front"]).maps(image_of(2), target, weighted))


def test_dict_outputs_and_the_simple_inferer() -> None:
    target = [Target((1,), mask_of(2))]
    plain = LayerGradient(TwoHalves(2), "front").maps(image_of(2), target, weighted)
    wrapped = LayerGradient(Dictionary(TwoHalves(2)), "network.front", SimpleInferer())
    assert torch.equal(wrapped.maps(image_of(2), target, weighted), plain)


class Largest(TorchDispatchMode):
    """Notes the most elements that any operation gives."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.elements = max([self.elements, *sizes])
        return result


def test_memory_grows_with_the_image_and_not_with_its_square() -> None:
    """MONAI's own GradCAM builds 256 ** 4 elements here when it picks the class."""
    network = TwoHalves(2).float()
    for edge in (64, 256):
        with Largest() as largest:
            target = [Target((1,), torch.ones(edge, edge, dtype=torch.bool))]
            LayerGradient(network, "front").maps(torch.rand(1, 1, edge, edge), target, weighted)
        assert largest.elements == 3 * edge**2  # the stem's three channels


class Odd(nn.Module):
    """Layers that cannot be explained."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.unused = nn.Conv2d(1, 2, 3)
        self.aside = nn.Conv2d(1, 2, 3)
        self.flat = nn.Flatten()
        self.cut = nn.Conv2d(2, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        self.aside(image)
        self.flat(image)
        self.cut(torch.rand(1, 2, 4, 4))
        return self.conv(image)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unused", "'unused' is not run"),
        ("flat", r"'flat' gives \(1, 64\): a map"),
        ("aside", "no gradient at layer 'aside'"),
        ("cut", "no gradient at layer 'cut'"),
    ],
)
def test_layers_that_cannot_be_explained(name: str, message: str) -> None:
    network = Odd()
    target = [Target((1,), torch.ones(8, 8, dtype=torch.bool))]
    with pytest.raises(ValueError, match=message):
        LayerGradient(network, name).maps(torch.rand(1, 1, 8, 8), target, weighted)
    assert not any(module._forward_hooks for module in network.modules())


def test_other_errors() -> None:
    with pytest.raises(TypeError, match="function has no layers"):
        LayerGradient(lambda image: image)  # type: ignore[arg-type]
    for inferer in (SliceInferer(spatial_dim=0, roi_size=(8, 8)), PatchInferer()):
        with pytest.raises(ValueError, match=f"{type(inferer).__name__}: gradients are taken of whole images"):
            LayerGradient(TwoHalves(2), inferer=inferer)
    small = nn.Sequential(nn.Conv2d(1, 2, 3))
    with pytest.raises(ValueError, match=r"turned \(1, 1, 8, 8\) into \(1, 2, 6, 6\)"):
        LayerGradient(small, "0").maps(torch.rand(1, 1, 8, 8), [Target((1,), torch.ones(8, 8) > 0)], weighted)
    with pytest.raises(ValueError, match="class_idx=5: the network gives 2 channels"):
        LayerGradient(TwoHalves(2), "front").maps(image_of(2), [Target((5,), mask_of(2))], weighted)
