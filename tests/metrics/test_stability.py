# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor

from monai_causal.metrics import attribution_stability
from monai_causal.metrics.stability import perturbed
from tests.metrics.replicas import small_network

NAMES = ["noise", "brightness", "contrast", "blur", "flip"]


def drawn(seed: int, channels: int, *size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image = 3 * torch.rand(1, channels, *size, generator=generator, dtype=torch.float64) - 1
    return image, torch.rand(1, 1, *size, generator=generator, dtype=torch.float64)


def changed(image: np.ndarray, name: str, strength: float, seed: int) -> np.ndarray:
    """What the docstring says, on one item (C, *spatial)."""
    reach = strength * (image.max() - image.min())
    if name == "noise":
        return image + reach * np.random.default_rng(seed).standard_normal(image.shape)
    if name == "brightness":
        return image + reach
    if name == "contrast":
        means = [channel.mean() for channel in image]
        return np.stack([m + (1 + strength) * (channel - m) for m, channel in zip(means, image, strict=True)])
    sigma = strength / 0.03
    radius = int(4 * sigma + 0.5)
    weights = [np.exp(-0.5 * (step / sigma) ** 2) for step in range(-radius, radius + 1)]
    for axis in range(1, image.ndim):
        taps = [
            np.clip(np.arange(image.shape[axis]) + step, 0, image.shape[axis] - 1)
            for step in range(-radius, radius + 1)
        ]
        image = sum(w * image.take(tap, axis) for w, tap in zip(weights, taps, strict=True)) / sum(weights)
    return image


def explain(network):
    def heat(image: Tensor, mask: Tensor) -> Tensor:
        """Depends on the image, on the mask, and on where things lie."""
        with torch.no_grad():
            ramp = torch.linspace(0, 1, image.shape[-1], dtype=image.dtype)
            return (network(image.as_subclass(Tensor)).sum(1, keepdim=True) * mask + 0.1 * ramp).abs()

    return heat


@pytest.mark.parametrize("size", [(8, 7), (4, 5, 6)])
@pytest.mark.parametrize("strength", [0.03, 0.09])
def test_agrees_with_the_slow_one(size: tuple[int, ...], strength: float) -> None:
    network = small_network(0, len(size), 2, 1)
    image, mask = drawn(1, 2, *size)
    method = explain(network)
    found = attribution_stability(method, image, strength=strength, seed=4, mask=mask)
    original = method(image, mask).numpy().ravel()
    expected = {}
    for name in NAMES[:4]:
        other = torch.as_tensor(changed(image[0].numpy(), name, strength, 4))[None]
        expected[name] = np.corrcoef(original, method(other, mask).numpy().ravel())[0, 1]
    mirrored = method(image.flip(-1), mask.flip(-1)).numpy()[..., ::-1]
    expected["flip"] = np.corrcoef(original, mirrored.ravel())[0, 1]
    expected["mean"] = sum(expected.values()) / 5
    assert list(found) == [*NAMES, "mean"]
    assert found == pytest.approx(expected, rel=1e-9)
    assert max(found.values()) < 1
    assert all(isinstance(value, float) for value in found.values())


@pytest.mark.parametrize("name", NAMES[:4])
def test_perturbations_are_as_said_and_keep_the_affine(name: str) -> None:
    items = [drawn(seed, 2, 9, 8)[0] for seed in range(2)]
    items[1] *= 4
    image = MetaTensor(torch.cat(items), affine=2 * torch.eye(4))
    found = perturbed(image, name, 0.05, seed=3)
    for item, one in zip(items, found, strict=True):
        np.testing.assert_allclose(np.asarray(one), changed(item[0].numpy(), name, 0.05, 3), rtol=0, atol=1e-12)
    assert isinstance(found, MetaTensor)
    assert torch.equal(found.affine, image.affine)
    assert torch.equal(image.as_tensor(), torch.cat(items))


def test_ceiling_a_map_that_only_looks_is_as_stable_as_its_image_is() -> None:
    """The image itself: shifting, stretching and mirroring it leave the correlation at 1; noise and blur do not."""
    image, _ = drawn(0, 1, 32, 32)
    found = attribution_stability(lambda x: x, image)
    for name in ("brightness", "contrast", "flip"):
        assert found[name] == pytest.approx(1, abs=1e-12)
    for name in ("noise", "blur"):
        other = changed(image[0].numpy(), name, 0.03, 0)
        assert found[name] == pytest.approx(np.corrcoef(image.flatten(), other.ravel())[0, 1], rel=1e-9)
    constant = torch.rand(1, 1, 32, 32)
    assert attribution_stability(lambda x: constant, image, perturbations=["noise", "blur"])["mean"] == pytest.approx(1)


def test_floor_a_map_drawn_anew_each_time() -> None:
    """The correlation of two random maps of 4,096 voxels has the standard deviation 1 / 64."""
    generator = torch.Generator().manual_seed(0)
    found = attribution_stability(lambda x: torch.rand(1, 1, 64, 64, generator=generator), torch.rand(1, 1, 64, 64))
    assert max(abs(found[name]) for name in NAMES) < 4 / 64


def test_a_map_that_does_not_follow_the_flip_is_seen() -> None:
    """A ramp from left to right stays a ramp when the image is mirrored; mirrored back it is the opposite."""
    image, _ = drawn(0, 1, 6, 6)
    found = attribution_stability(lambda x: torch.arange(6.0).expand(1, 1, 6, 6), image)
    assert found["flip"] == pytest.approx(-1)
    assert found["mean"] == pytest.approx((4 - 1) / 5)


def test_spatial_arguments_are_mirrored_for_the_flip_alone() -> None:
    image, mask = drawn(0, 1, 4, 6)
    calls = []

    def method(image: Tensor, **spatial) -> Tensor:
        calls.append((image, spatial))
        return image

    boxed = ((1, 3), (0, 2))
    attribution_stability(method, image, mask=mask, roi=boxed, label=mask[0, 0].numpy())
    assert len(calls) == 6
    for _, spatial in calls[:5]:
        assert spatial["mask"] is mask
        assert spatial["roi"] == boxed
    seen, spatial = calls[5]
    assert torch.equal(seen, image[..., [5, 4, 3, 2, 1, 0]])
    assert torch.equal(spatial["mask"], mask[..., [5, 4, 3, 2, 1, 0]])
    assert np.array_equal(spatial["label"], mask[0, 0].numpy()[:, ::-1])
    assert spatial["roi"] == ((1, 3), (4, 6))


def test_a_given_map_is_not_asked_for_again_and_order_is_the_caller_s() -> None:
    image, _ = drawn(0, 1, 6, 6)
    calls = []
    found = attribution_stability(
        lambda x: calls.append(1) or x, image, heat=-image, perturbations=("contrast", "brightness")
    )
    assert list(found) == ["contrast", "brightness", "mean"]
    assert found["mean"] == pytest.approx(-1)
    assert len(calls) == 2


def test_a_constant_map_has_no_stability_and_is_not_averaged_away() -> None:
    image, _ = drawn(0, 1, 6, 6)
    bright = perturbed(image, "brightness")
    found = attribution_stability(lambda x: torch.zeros(1, 1, 6, 6) if torch.equal(x, bright) else x, image)
    assert np.isnan(found["brightness"])
    assert np.isnan(found["mean"])
    assert found["contrast"] == pytest.approx(1)


def test_a_batch_is_its_items() -> None:
    network = small_network(0, 2, 2, 1)
    pairs = [drawn(seed, 2, 6, 7) for seed in range(3)]
    image, mask = (torch.cat(part) for part in zip(*pairs, strict=True))
    together = attribution_stability(explain(network), image, mask=mask)
    for number, (one, its_mask) in enumerate(pairs):
        alone = attribution_stability(explain(network), one, mask=its_mask)
        assert {name: float(values[number]) for name, values in together.items()} == pytest.approx(alone, rel=1e-12)


def test_the_seed_decides_the_noise() -> None:
    image, _ = drawn(0, 1, 6, 6)
    first, again, other = (attribution_stability(lambda x: x, image, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first["noise"] != other["noise"]


def test_bad_arguments_are_refused() -> None:
    image, mask = drawn(0, 1, 6, 7)
    with pytest.raises(ValueError, match=r"perturbations: \['fog'\] named; choose from noise, brightness"):
        attribution_stability(lambda x: x, image, perturbations=["noise", "fog"])
    with pytest.raises(ValueError, match="perturbations: none named"):
        attribution_stability(lambda x: x, image, perturbations=())
    with pytest.raises(ValueError, match="strength=0: a perturbation has a strength above 0"):
        attribution_stability(lambda x: x, image, strength=0)
    for value in (1, "boundary", mask[..., :6]):
        with pytest.raises(ValueError, match="class_idx cannot be mirrored with an image whose last axis is 7"):
            attribution_stability(lambda x, class_idx: x, image, class_idx=value)
    with pytest.raises(ValueError, match="perturbation 'flip': choose"):
        perturbed(image, "flip")
