# SPDX-License-Identifier: Apache-2.0
"""A segmenter that is one convolution, scored by its mean logit over a mask: its effects are sums.

With kernel w (K, C, *kernel), half-width h, bias b and zero padding, logit_k(p) = b_k + sum over c, t of
w[k, c, t] x[c, p + t - h], where x is 0 outside the image. The score s(x) is the mean of logit_k over a mask M, so::

    ds / dx[c, q]                = 1 / |M| * sum over t of w[k, c, t] M[q - t + h]
    effect of do(R := fill)      = sum over c and q in R of (fill - x)[c, q] * ds / dx[c, q]

The effects over a partition of the image sum to s(fill) - s(x).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

__all__ = ["LinearSegmenter"]


class LinearSegmenter(nn.Module):
    """One convolution with fixed random weights, (B, C, *spatial) -> (B, K, *spatial), float64.

    Args:
        seed: of the weights and the bias.
        spatial_dims: 2 or 3.
        in_channels: C.
        out_channels: K, the number of classes.
        kernel_size: odd, one for all axes or one per axis.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        spatial_dims: int = 2,
        in_channels: int = 1,
        out_channels: int = 1,
        kernel_size: int | Sequence[int] = 3,
    ) -> None:
        super().__init__()
        kernel = (kernel_size,) * spatial_dims if isinstance(kernel_size, int) else tuple(kernel_size)
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[spatial_dims]
        padding = tuple(size // 2 for size in kernel)
        self.convolution = convolution(in_channels, out_channels, kernel, padding=padding, dtype=torch.float64)
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            parameter.requires_grad_(False).copy_(
                torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.convolution(image)

    def score(self, image: torch.Tensor, mask: ArrayLike, class_idx: int = 0) -> torch.Tensor:
        """s(x), by running the network: the mean logit over the mask, (B, C, *spatial) -> (B,)."""
        return self(image)[:, class_idx, torch.as_tensor(mask)].mean(dim=1)

    def gradient(self, mask: ArrayLike, class_idx: int = 0) -> NDArray[np.float64]:
        """ds / dx, (C, *spatial), in closed form; it is the same for every image."""
        mask = np.asarray(mask, dtype=np.float64)
        weight = self.convolution.weight.numpy()[class_idx]
        half = self.convolution.padding
        padded = np.pad(mask, [(h, h) for h in half])
        gradient = np.zeros((weight.shape[0], *mask.shape))
        for tap in np.ndindex(*weight.shape[1:]):
            # padded[q + h] is M[q], so M[q - t + h] is padded[q + 2h - t]
            reached = tuple(slice(2 * h - t, 2 * h - t + n) for h, t, n in zip(half, tap, mask.shape, strict=True))
            gradient += np.multiply.outer(weight[(slice(None), *tap)], padded[reached])
        return gradient / mask.sum()

    def effect(
        self,
        image: ArrayLike,
        replacement_image: ArrayLike,
        region_mask: ArrayLike,
        mask: ArrayLike,
        class_idx: int = 0,
    ) -> float:
        """s(x after do(region := replacement)) - s(x), in closed form.

        Args:
            image: (C, *spatial).
            replacement_image: (C, *spatial), read inside the region only.
            region_mask: (*spatial), the region; dense or sparse.
            mask: (*spatial), what the score is taken over.
            class_idx: whose logit.
        """
        change = np.asarray(replacement_image) - np.asarray(image)
        return float((change * self.gradient(mask, class_idx))[:, np.asarray(region_mask, dtype=bool)].sum())
