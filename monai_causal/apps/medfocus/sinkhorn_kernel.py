# SPDX-License-Identifier: Apache-2.0
"""A Gaussian kernel on a grid, applied to values or to their logarithms, one axis at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["LEAST", "gaussian", "log_kernel"]

LEAST = 1e-290
"""A sum below this may have lost terms to underflow; above it, what was lost is beyond the last digit."""

_TILE_RANGE = 60.0  # a tile is so narrow that the kernel does not fall below exp(-this) inside it
_CHUNK = 2**19  # entries of the largest temporary array of a sum taken term by term (4 MiB)


def gaussian(n: int, width: Tensor) -> Tensor:
    """``exp(-(i - j)^2 / width)``: (B, n, n) for width (B,)."""
    return torch.exp(-_squared_distances(n, width) / width[:, None, None])


def log_kernel(log_values: Tensor, width: Tensor) -> Tensor:
    """Logarithm of the kernel applied to ``exp(log_values)``.

    Args:
        log_values: (B, rows, columns), or (B, C, rows, columns) for several fields under the same kernel.
        width: (B,), what divides squared distances in cells; however small, the result is exact to rounding.
    """
    if log_values.ndim == 4:
        flat = log_values.flatten(0, 1)
        return log_kernel(flat, width.repeat_interleave(log_values.shape[1])).unflatten(0, log_values.shape[:2])
    along_columns = _along_last_axis(log_values, width)
    return _along_last_axis(along_columns.transpose(-1, -2), width).transpose(-1, -2)


def _squared_distances(n: int, like: Tensor) -> Tensor:
    index = torch.arange(n, dtype=like.dtype, device=like.device)
    return (index[:, None] - index[None, :]) ** 2


def _along_last_axis(log_values: Tensor, width: Tensor) -> Tensor:
    """(B, m, n) -> (B, m, n): log of sum_x exp(log_values[x] - (x - x')^2 / width), for every x'.

    Outputs are computed tile by tile. Within a tile every input is first discounted by its distance to the tile and
    the largest is taken out, so that a matrix product of numbers up to 1 does the rest. Where such a product is so
    small that terms may have underflowed, that tile is summed again term by term.
    """
    n = log_values.shape[-1]
    reach = math.sqrt(_TILE_RANGE * float(width.min()))
    tile = n if reach >= n else max(int(reach), 1)
    squares = _squared_distances(n, width)
    index = torch.arange(n, dtype=width.dtype, device=width.device)
    out = torch.empty_like(log_values)
    for start in range(0, n, tile):
        stop = min(start + tile, n)
        nearest = ((start - index).clamp(min=0) + (index - (stop - 1)).clamp(min=0)) ** 2
        discounted = log_values - (nearest / width[:, None])[:, None, :]
        top = discounted.amax(-1, keepdim=True)
        empty = torch.isneginf(top)
        inside = torch.exp((nearest[:, None] - squares[:, start:stop]) / width[:, None, None])
        sums = torch.exp(discounted - torch.where(empty, 0.0, top)) @ inside
        out[..., start:stop] = torch.where(empty, -torch.inf, sums.log() + top)
        if bool(((sums < LEAST) & ~empty).any()):
            out[..., start:stop] = _term_by_term(log_values, squares[:, start:stop], width)
    return out


def _term_by_term(log_values: Tensor, squares: Tensor, width: Tensor) -> Tensor:
    n, outputs = squares.shape
    step = max(_CHUNK // (n * outputs), 1)
    out = log_values.new_empty(*log_values.shape[:2], outputs)
    for item, exponent in enumerate(squares[None] / width[:, None, None]):
        for start in range(0, log_values.shape[1], step):
            terms = log_values[item, start : start + step, :, None] - exponent
            out[item, start : start + step] = torch.logsumexp(terms, dim=1)
    return out
