# SPDX-License-Identifier: Apache-2.0
"""Train the demo's network: ``python -m monai_causal.apps.explain.demo_training``.

A small U-Net learns on shapes phantoms to mark an object and to tell its class, which only a marker elsewhere shows.
What it has to look at is therefore known before anybody explains it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from monai_causal.apps.explain.demo_network import HELD_OUT, WEIGHTS, build_demo_network
from monai_causal.apps.study.training import fit
from monai_causal.data.phantoms import shapes
from monai_causal.files import draft_of
from monai_causal.networks.nets import UNet

__all__ = ["batches", "class_accuracy", "train"]


def batches(first_seed: int, size: int, count: int, without_cue: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Images ``(size, 1, 128, 128)`` and labels alike, every phantom once; the first of each batch have no cue."""
    for start in range(first_seed, first_seed + size * count, size):
        phantoms = [shapes(seed) for seed in range(start, start + size)]
        phantoms[:without_cue] = [phantom.do(cue=0) for phantom in phantoms[:without_cue]]
        images = torch.from_numpy(np.stack([phantom.image for phantom in phantoms]))
        labels = torch.from_numpy(np.stack([phantom.labels for phantom in phantoms]))[:, None].long()
        yield images, labels


@torch.no_grad()
def class_accuracy(network: torch.nn.Module, count: int = 200) -> float:
    """Share of held-out phantoms whose object gets the right class by the vote of its pixels."""
    right = 0
    for images, labels in batches(HELD_OUT, 20, count // 20):
        answer = network(images)[:, 1:].softmax(1)
        for item, label in zip(answer, labels[:, 0], strict=True):
            vote = 1 + int(item[:, label > 0].mean(1).argmax())
            right += vote == int(label.max())
    return right / (count // 20 * 20)


def train(steps: int, batch_size: int, seed: int) -> UNet:
    """Adam with a one-cycle schedule on cross-entropy and Dice; the same seed gives the same data and start.

    A third of the images have no cue and a class by coin: without them a network learns one marker only and takes the
    other class for granted.
    """
    torch.manual_seed(seed)
    network = build_demo_network().train()
    drawn = batches(seed * 100_000, batch_size, steps, without_cue=batch_size // 3)
    fit(network, drawn, steps, 3e-3, several=True, weight_decay=1e-4)
    return network.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--batch-size", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    network = train(options.steps, options.batch_size, options.seed)
    with draft_of(options.out) as draft:
        torch.save(network.state_dict(), draft)
    tqdm.write(f"class accuracy on held-out phantoms: {class_accuracy(network):.3f}; wrote {options.out.name}")


if __name__ == "__main__":
    main()
