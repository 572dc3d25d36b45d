# SPDX-License-Identifier: Apache-2.0
"""Which image sizes a network takes."""

from __future__ import annotations

from torch import Tensor

__all__ = ["check_image_size"]


def check_image_size(image: Tensor, stride: int) -> None:
    """Refuse an image ``(B, C, *spatial)`` that cannot be halved as often as a network with this stride halves it."""
    if any(length % stride for length in image.shape[2:]):
        raise ValueError(
            f"an image of {tuple(image.shape[2:])} does not fit: each axis must be a multiple of {stride}."
        )
