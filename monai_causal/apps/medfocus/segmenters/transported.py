# SPDX-License-Identifier: Apache-2.0
"""Unbalanced optimal transport from references, the method of the paper, behind the common interface."""

from __future__ import annotations

from typing import Any

import numpy as np

from monai_causal.apps.medfocus.pool import ReferencePool
from monai_causal.apps.medfocus.reference import PoolTransport
from monai_causal.apps.medfocus.segmenters.base import Image, Mask, Segmented
from monai_causal.apps.medfocus.transport import UnbalancedTransport

__all__ = ["TransportSegmenter"]


class TransportSegmenter:
    """Carries the masks of references to the image.

    Args:
        pool: the references.
        transport: how they are carried; by default ours, ``UnbalancedTransport.released()`` for the published one.
        options: of :class:`~monai_causal.apps.medfocus.reference.PoolTransport`: how references are chosen and fused.

    The confidence of a concept is the mean share of votes over its mask: with a single reference, how far its
    carried mask is from the border between yes and no.
    """

    def __init__(self, pool: ReferencePool, transport: UnbalancedTransport | None = None, **options: Any) -> None:
        self.carrier = PoolTransport(pool, transport or UnbalancedTransport(), **options)
        self.name = f"transport from {pool.digest[:12]}"

    def __call__(self, image: Image) -> Segmented:
        """The pool's concepts, at the image's size."""
        located = self.carrier.locate(image)
        masks: dict[str, Mask] = {}
        confidence: dict[str, float] = {}
        for name, soft, mask in zip(located.concepts, located.soft.numpy(), located.mask.numpy(), strict=True):
            masks[name] = mask
            confidence[name] = float(soft[mask].mean()) if mask.any() else 0.0
        details: dict[str, Any] = {
            "references": list(located.references),
            "weights": [round(float(weight), 6) for weight in located.weights],
        }
        if located.mass is not None and located.displacement is not None:
            cells = located.displacement.shape[-1]
            lengths = located.displacement.square().sum(1).sqrt().mean((1, 2)) / cells
            details["mass"] = float(np.average(located.mass.numpy(), weights=located.weights))
            details["displacement"] = float(np.average(lengths.numpy(), weights=located.weights))
        return Segmented(masks, confidence, (self.name,), {"transport": details}, located.flags)
