# SPDX-License-Identifier: Apache-2.0
"""The confounder dictionary as vectors, and the controls that a causal claim must beat.

A dictionary of random vectors, or of texts about something else, has as many keys to attend to as one of confounders.
If it segments as well, what helped was the attention and not what the texts say.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import normalize

from monai_causal.networks.blocks.clip import CLIP, encode_prompts
from monai_causal.networks.blocks.confounder_prompts import ConfounderPrompts

__all__ = ["IRRELEVANT", "Dictionary", "dictionary_vectors", "erase", "prototypes", "span"]

Dictionary: TypeAlias = Literal["text", "shuffled", "irrelevant", "random", "learned"]
DICTIONARIES = ("text", "shuffled", "irrelevant", "random", "learned")

IRRELEVANT = (
    "a railway timetable",
    "folded newspapers",
    "a chess opening",
    "wooden furniture",
    "a tin of paint",
    "mountain weather",
    "a violin lesson",
    "tax regulations",
    "a garden gate",
    "grammar exercises",
    "a bowl of soup",
    "harbour cranes",
    "a theatre ticket",
    "bicycle repair",
    "a lighthouse",
)


def dictionary_vectors(clip: CLIP, prompts: ConfounderPrompts, kind: Dictionary = "text", seed: int = 0) -> Tensor:
    """M unit vectors ``(M, d)``.

    Args:
        clip: whose text tower speaks.
        prompts: the confounders.
        kind: ``"text"``, the confounders; ``"shuffled"``, the same vectors with the d components in another order (one
            for all: their angles among themselves stay, their angles with the image are lost); ``"irrelevant"``, texts
            about something else; ``"random"``; ``"learned"``, where training starts from the random ones.
        seed: of the order and of the random vectors.
    """
    if kind not in DICTIONARIES:
        raise ValueError(f"dictionary={kind!r}: choose {', '.join(map(repr, DICTIONARIES))}.")
    if kind == "irrelevant":
        count = len(prompts.confounders)
        if count > len(IRRELEVANT):
            raise ValueError(
                f"an irrelevant dictionary has at most {len(IRRELEVANT)} texts; there are {count} confounders."
            )
        return encode_prompts(clip, replace(prompts, confounders=IRRELEVANT[:count]).dictionary())
    vectors = encode_prompts(clip, prompts.dictionary())
    generator = torch.Generator().manual_seed(seed)
    if kind == "shuffled":
        return vectors[:, torch.randperm(vectors.shape[1], generator=generator)]
    if kind in ("random", "learned"):
        return normalize(torch.randn(vectors.shape, generator=generator), dim=-1)
    return vectors


def prototypes(features: Tensor, conditions: Tensor) -> Tensor:
    """A dictionary from images in place of texts: the mean feature under every condition, ``(M, d)``.

    Where texts and images lie apart in the joint space, texts differ in other directions than the images that they
    describe. These need images whose condition is known, and on which it does not go with the finding.

    Args:
        features: ``(N, d)``.
        conditions: ``(N,)``, from 0 to M - 1; each of them must occur.
    """
    count = int(conditions.max()) + 1
    missing = sorted(set(range(count)) - set(conditions.tolist()))
    if missing:
        raise ValueError(f"no image has condition {missing[0]} of {count}: each needs at least one.")
    return torch.stack([features[conditions == one].mean(dim=0) for one in range(count)])


def span(vectors: Tensor) -> Tensor:
    """Orthonormal directions ``(M - 1, d)`` in which the vectors of a dictionary ``(M, d)`` differ from their mean."""
    if len(vectors) < 2:
        raise ValueError(f"a dictionary of {len(vectors)} has no directions to erase: give at least two confounders.")
    return torch.linalg.svd(vectors - vectors.mean(dim=0), full_matrices=False).Vh[: len(vectors) - 1].contiguous()


def erase(cells: Tensor, directions: Tensor) -> Tensor:
    """A map ``(B, d, h, w)`` without its components along orthonormal directions ``(n, d)``."""
    along = torch.einsum("nd,bdhw->bnhw", directions, cells)
    return cells - torch.einsum("nd,bnhw->bdhw", directions, along)
