# SPDX-License-Identifier: Apache-2.0
"""What a network trains on: images under mirrorings drawn from (seed, epoch, index), and what a frozen encoder saw."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

__all__ = ["Views", "prepare_batch"]

MIRRORINGS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))


class Views(Dataset[dict[str, Any]]):
    """Images and labels in memory; in every epoch each of them is seen under one of its mirrorings.

    The mirroring is drawn from (seed, epoch, index), so that a training that goes on after an interruption sees what it
    would have seen.

    Args:
        images: ``(N, 3, h, w)`` in [0, 1].
        labels: ``(N, 1, h, w)``, 0 the background.
        flips: False: all as they are, as for a validation.
        seed: of the mirrorings.
    """

    def __init__(self, images: Tensor, labels: Tensor, *, flips: bool = True, seed: int = 0) -> None:
        if len(images) != len(labels) or images.shape[2:] != labels.shape[2:]:
            raise ValueError(
                f"images {tuple(images.shape)} and labels {tuple(labels.shape)}: give as many of the same size."
            )
        if not len(images):
            raise ValueError("there is no image to train on.")
        self.images, self.labels, self.seed = images, labels, seed
        self.mirrorings = MIRRORINGS if flips else MIRRORINGS[:1]
        self.epoch = 0
        self.observed: list[tuple[Tensor, ...]] | None = None
        self._kind: Any = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        view = self._view(index)
        axes = self.mirrorings[view]
        item: dict[str, Any] = {"image": self.images[index].flip(axes), "label": self.labels[index].flip(axes)}
        if self.observed is not None:
            item["observed"] = tuple(part[index] for part in self.observed[view])
        return item

    def remember(self, network: nn.Module, device: torch.device, batch_size: int = 64) -> None:
        """Keep what a frozen encoder sees of every view; only the views hold it, the network stays as it is."""
        observe: Any = network.observe
        self.observed = []
        network.eval()
        for axes in tqdm(self.mirrorings, desc="what the encoder sees", disable=None, leave=False):
            batches = []
            with torch.no_grad():
                for images in self.images.split(batch_size):
                    seen = observe(images.flip(axes).to(device))
                    batches.append(tuple(part.cpu() for part in seen))
                    self._kind = type(seen)
            self.observed.append(tuple(torch.cat(parts) for parts in zip(*batches, strict=True)))

    def as_observed(self, parts: tuple[Tensor, ...]) -> Any:
        """What :meth:`remember` kept, as the network takes it."""
        return self._kind(*parts)

    def _view(self, index: int) -> int:
        if len(self.mirrorings) == 1:
            return 0
        return int(np.random.default_rng((self.seed, self.epoch, index)).integers(len(self.mirrorings)))


def prepare_batch(views: Views) -> Any:
    """For MONAI's trainer: image and label to the device, and what the encoder saw as an argument of the network."""

    def prepare(
        batch: dict[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **options: Any
    ) -> tuple[Tensor, Tensor, tuple[()], dict[str, Any]]:
        def moved(part: Tensor) -> Tensor:
            return part.to(device, non_blocking=non_blocking, **options)

        extra = {}
        if "observed" in batch:
            extra["observed"] = views.as_observed(tuple(moved(part) for part in batch["observed"]))
        return moved(batch["image"]), moved(batch["label"]), (), extra

    return prepare
