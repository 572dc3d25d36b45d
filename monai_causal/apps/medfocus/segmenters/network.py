# SPDX-License-Identifier: Apache-2.0
"""The small network that comes along: all concepts of a chest radiograph, taught by phantoms alone.

It sees a small square version of the image, stretched, in two channels: the grey values between robust extremes, and
the same with local mean and contrast taken out. What differs most between phantoms and real films, the tone curve, is
in the second one no more.
"""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.networks.nets import UNet
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pad

from monai_causal.apps.explain.weights import load_weights
from monai_causal.apps.medfocus.segmenters.base import Image, Mask, Segmented
from monai_causal.apps.medfocus.segmenters.shape import tidy

__all__ = ["SCHEMA", "NetworkSegmenter", "build", "seen", "small"]

SCHEMA = "monai_causal/concept-network/1"
SIZE = 96
CHANNELS = (16, 32, 64, 128, 160, 192)
QUANTILES = (0.01, 0.99)
WINDOW = 25
"""Pixels of the small image over which local mean and contrast are taken."""
LEAST_CONTRAST = 0.02
"""Local standard deviations below it count as it: film without anything on it stays without anything on it."""


def build(out_channels: int) -> nn.Module:
    """The network, with random weights: MONAI's U-Net, two channels in, one logit per concept out."""
    return UNet(
        spatial_dims=2,
        in_channels=2,
        out_channels=out_channels,
        channels=CHANNELS,
        strides=(2,) * (len(CHANNELS) - 1),
        num_res_units=2,
        norm="instance",
    )


def small(image: Tensor, size: int = SIZE) -> Tensor:
    """Any images (B, 1, H, W), stretched to a square."""
    return interpolate(image.float(), (size, size), mode="bilinear", antialias=True)


def seen(square: Tensor) -> Tensor:
    """What the network sees of small images (B, 1, S, S): (B, 2, S, S), both channels around zero."""
    flat = square.flatten(1)
    low, high = torch.quantile(flat, torch.tensor(QUANTILES, dtype=flat.dtype, device=flat.device), dim=1)
    span = (high - low).clamp_min(1e-4)
    grey = ((square - low.view(-1, 1, 1, 1)) / span.view(-1, 1, 1, 1)).clamp(0, 1)
    mean = _around(grey)
    spread = (_around(grey.square()) - mean.square()).clamp_min(0).sqrt().clamp_min(LEAST_CONTRAST)
    return torch.cat([4 * (grey - 0.5), ((grey - mean) / spread).clamp(-4, 4)], dim=1)


def _around(values: Tensor) -> Tensor:
    half = WINDOW // 2
    values = pad(values, (half, half, half, half), mode="replicate")
    # One axis after the other: a square window at once costs sixteen times as much.
    return avg_pool2d(avg_pool2d(values, (WINDOW, 1), stride=1), (1, WINDOW), stride=1)


class NetworkSegmenter:
    """Finds all concepts of its vocabulary with one small network.

    Args:
        weights: a ``.safetensors`` file with a ``.json`` of the same name beside it, as ``monai-causal medfocus
            train-segmenter`` writes them; by default those that come along.
        device: where it runs.

    The confidence of a concept is the mean probability over its mask, 0 where there is none. Asking about shifted,
    shrunk and relit images too, and taking the mean, changed no IoU on real radiographs by .01: it is asked once.
    """

    def __init__(self, weights: Path | None = None, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        if weights is None:
            with as_file(files("monai_causal.apps.medfocus") / "segmenter.safetensors") as path:
                self._load(path)
        else:
            self._load(Path(weights))
        self.name = f"network {self.digest[:12]}"

    def _load(self, path: Path) -> None:
        record = path.with_suffix(".json")
        if not record.is_file():
            raise ValueError(f"{path.name}: {record.name}, which names its concepts, is not beside it.")
        content = json.loads(record.read_text(encoding="utf-8"))
        if content.get("schema") != SCHEMA:
            raise ValueError(f"{record.name}: schema {content.get('schema')!r} is not {SCHEMA!r}.")
        self.concepts: tuple[str, ...] = tuple(content["concepts"])
        network = build(len(self.concepts))
        self.digest = load_weights(network, path, path.name)
        self.network = network.to(self.device).eval()

    def probabilities(self, image: Image) -> Tensor:
        """(concepts, S, S) on the small square, from 0 to 1."""
        return self._asked(small(torch.from_numpy(np.ascontiguousarray(image))[None, None].to(self.device)))

    def uncertainty(self, image: Image) -> dict[str, float]:
        """The mean of p (1 - p) of the image as given, and of the image turned upside down.

        The network always answers as if the image were upright, but is less sure of one that is not: of 44 real
        radiographs it was surer of 43 when they were upright.
        """
        square = small(torch.from_numpy(np.ascontiguousarray(image))[None, None].to(self.device))
        answers = {"as given": self._asked(square), "upside down": self._asked(square.flip(-2))}
        return {way: float((answer * (1 - answer)).mean()) for way, answer in answers.items()}

    def _asked(self, square: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.sigmoid(self.network(seen(square)))[0]

    def __call__(self, image: Image) -> Segmented:
        """All concepts, at the image's size."""
        masks: dict[str, Mask] = {}
        confidence: dict[str, float] = {}
        for name, probability in zip(self.concepts, self.probabilities(image).cpu().numpy(), strict=True):
            tidied = torch.from_numpy(tidy(probability))
            # One concept after the other: as many maps at 3000 x 2500 pixels would be 330 MB.
            native = interpolate(tidied[None, None], image.shape, mode="bilinear", align_corners=False)[0, 0]
            masks[name] = (native > 0.5).numpy()
            confidence[name] = float(tidied[tidied > 0.5].mean()) if bool(masks[name].any()) else 0.0
        details: dict[str, Any] = {
            "network": {"digest": self.digest, "size": SIZE, "uncertainty": self.uncertainty(image)}
        }
        return Segmented(masks, confidence, (self.name,), details)
