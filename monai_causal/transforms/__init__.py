# SPDX-License-Identifier: Apache-2.0
"""MONAI transforms: explanations that are computed where a pipeline already has the image."""

from __future__ import annotations

from monai_causal.transforms.explanations import DEAd, PdCRd

__all__ = ["DEAd", "PdCRd"]
