# SPDX-License-Identifier: Apache-2.0
"""The networks and the images that are measured, all from a seed; one of them is trained, briefly, and kept."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from monai.networks.nets import BasicUNet, SwinUNETR, UNet
from torch import Tensor, nn
from tqdm.auto import tqdm

from monai_causal.data.phantoms import shapes
from monai_causal.files import draft_of
from monai_causal.networks.nets import build_network

__all__ = [
    "NETWORKS",
    "Training",
    "cache_folder",
    "colour_phantom",
    "half_filled_box",
    "seeded",
    "trained_unet",
    "unet_for_volumes",
]

_NARROW = (16, 16, 32, 64, 128, 16)

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "MONAI UNet 16-256, batch norm": lambda: UNet(
        2, 1, 2, (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2, norm="batch"
    ),
    "MONAI BasicUNet, batch norm": lambda: BasicUNet(2, 1, 2, features=_NARROW, norm="batch"),
    "MONAI BasicUNet, instance norm": lambda: BasicUNet(2, 1, 2, features=_NARROW),
    "MONAI SwinUNETR 12": lambda: SwinUNETR(1, 2, feature_size=12, spatial_dims=2),
}
"""2-D, one channel in and two classes out, weights as they are born."""


def unet_for_volumes(quick: bool) -> nn.Module:
    """MONAI's 3-D UNet with instance norm, two classes."""
    if quick:
        return UNet(3, 1, 2, (4, 8), (2,))
    return UNet(3, 1, 2, (24, 48, 96, 192, 384), (2, 2, 2, 2))


def seeded(make: Callable[[], nn.Module], seed: int, device: torch.device) -> nn.Module:
    """A network whose weights belong to the seed, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make()
    return network.eval().to(device)


@dataclass(frozen=True)
class Training:
    """How the U-Net of the PdCR study is trained for the benchmark: crops of phantoms, Adam, BCE + Dice.

    An untrained network has all its logits near the threshold, so that nearly every item would have to be recomputed
    and the benchmark would measure that.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    size: int = 256
    contrast: float = 0.5
    noise: float = 0.05
    crop: int = 96
    steps: int = 60
    batch: int = 2
    rate: float = 1e-3
    first_phantom: int = 1_000_000
    seed: int = 0


def trained_unet(training: Training, device: torch.device) -> nn.Module:
    """The trained network; trained on the CPU, once, and kept in the user's cache."""
    network = seeded(lambda: build_network("unet", widths=training.widths), training.seed, torch.device("cpu"))
    kept = cache_folder() / f"unet-{_digest(training)}.pt"
    if not kept.exists():
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the weights must not depend on the number of cores
        try:
            _train(network, training)
        finally:
            torch.set_num_threads(threads)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with draft_of(kept) as draft:
            torch.save(network.state_dict(), draft)
    network.load_state_dict(torch.load(kept, weights_only=True))
    return network.eval().to(device)


def colour_phantom(seed: int, training: Training) -> tuple[Tensor, Tensor]:
    """A shapes phantom in slightly different light per channel ``(3, *spatial)``, and its object's mask.

    The object is faint and the image noisy, so that its boundary can be moved: of a network that is sure of every
    pixel nothing would be learnt by comparing hard Dice.
    """
    phantom = shapes(seed, size=(training.size, training.size))
    contrast = training.contrast * phantom.causes.object_contrast
    phantom = phantom.do(object_contrast=contrast, noise=training.noise)
    gains = np.random.default_rng(seed).uniform(0.85, 1.0, (3, 1, 1))
    image = torch.from_numpy(np.clip(phantom.image * gains, 0, 1).astype(np.float32))
    return image, torch.from_numpy(phantom.labels > 0)


def half_filled_box(mask: Tensor, edge: int, step: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The square on the object's boundary: of those at multiples of ``step`` the one whose share of the mask is nearest
    to a half, the first in raster order where several are."""
    share = F.avg_pool2d(mask[None, None].double(), edge, step)[0, 0]
    place = int((share - 0.5).abs().flatten().argmin())
    row, column = (step * int(index) for index in divmod(place, share.shape[1]))
    return (row, row + edge), (column, column + edge)


def _train(network: nn.Module, training: Training) -> None:
    draw = np.random.default_rng(training.seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=training.rate)
    network.train()
    for step in tqdm(range(training.steps), desc="training the U-Net", disable=None, leave=False):
        pairs = [
            _crop(*colour_phantom(training.first_phantom + step * training.batch + k, training), training, draw)
            for k in range(training.batch)
        ]
        images, masks = (torch.stack(list(part)) for part in zip(*pairs, strict=True))
        logits = network(images)
        probability = logits.sigmoid()
        overlap = 2 * (probability * masks).sum() / (probability.sum() + masks.sum())
        loss = F.binary_cross_entropy_with_logits(logits, masks) + 1 - overlap
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def _crop(image: Tensor, mask: Tensor, training: Training, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A crop that holds the image's middle, around which the objects lie."""
    corner = draw.integers(training.size // 2 - training.crop, training.size // 2, size=2, endpoint=True)
    place = tuple(slice(int(start), int(start) + training.crop) for start in corner)
    return image[(slice(None), *place)], mask[place][None].float()


def cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "monai_causal" / "benchmarks"


def _digest(training: Training) -> str:
    text = json.dumps({**asdict(training), "torch": torch.__version__}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
