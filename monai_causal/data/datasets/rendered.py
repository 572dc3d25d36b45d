# SPDX-License-Identifier: Apache-2.0
"""Phantoms, which are their seeds."""

from __future__ import annotations

from collections.abc import Sequence

from monai_causal.data.datasets.layout import Item, Layout
from monai_causal.data.phantoms import shapes

SEEDS_PER_SPLIT = 1_000_000


def _phantom(
    layout: Layout,
    root: None,
    split: str | None,
    count: int = 100,
    seed: int = 0,
    size: Sequence[int] = (128, 128),
    strength: float = 1.0,
    evidence: float = 0.0,
) -> list[Item]:
    # a phantom is its seed: parts whose seeds never meet
    first = seed + SEEDS_PER_SPLIT * (layout.splits.index(split) if split else 0)
    items = []
    for number in range(first, first + count):
        phantom = shapes(number, size=size, strength=strength, evidence=evidence)
        name = f"shapes-{number}"
        items.append(
            {"image": phantom.image, "label": phantom.labels, "label_type": "indices", "id": name, "patient": name}
        )
    return items


PHANTOM = Layout(
    title="shapes phantoms",
    page="monai_causal.data.phantoms: rendered, not downloaded",
    tree="    no files",
    load=_phantom,
    splits=("train", "val", "test"),
)
