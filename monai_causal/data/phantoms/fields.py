# SPDX-License-Identifier: Apache-2.0
"""Exogenous fields: what belongs to a seed and to nothing else, and the exposure that turns a scene into an image.

Only uniform numbers of PCG64 and the exactly rounded operations of float64 are used (no BLAS, no libm), so the fields
are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

__all__ = ["expose", "grain", "grid", "smoothstep", "stream", "texture", "value_noise"]

Field = NDArray[np.float64]


def stream(seed: int, purpose: str) -> np.random.Generator:
    """A random stream for one purpose, independent of the streams that the same seed gives for other purposes.

    >>> stream(7, "grain").random() == stream(7, "grain").random() != stream(7, "texture").random()
    True
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed={seed!r}: give a whole number, zero or more")
    sequence = np.random.SeedSequence(int(seed), spawn_key=(crc32(purpose.encode()),))
    return np.random.Generator(np.random.PCG64(sequence))


def grid(size: Sequence[int]) -> list[Field]:
    """Voxel coordinates, one array per axis, shaped to broadcast to ``size``."""
    return [axis.astype(np.float64) for axis in np.ogrid[tuple(slice(length) for length in size)]]


def smoothstep(x: Field) -> Field:
    """0 below 0, 1 above 1, 3x^2 - 2x^3 between."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def value_noise(rng: np.random.Generator, cells: Sequence[int], coordinates: Sequence[Field]) -> Field:
    """Smooth noise in [-1, 1]: uniform values on a lattice, interpolated at a grid of points.

    Args:
        rng: where the lattice values come from; which ones depends on ``cells`` only, not on the points.
        cells: the lattice's cells per axis.
        coordinates: per axis the points' coordinates (n,), in lattice cells, from 0 to below ``cells``.

    Returns:
        (len(coordinates[0]), len(coordinates[1]), ...)
    """
    values = 2.0 * rng.random([count + 1 for count in cells]) - 1.0
    for number, axis in enumerate(coordinates):
        below = axis.astype(np.intp)
        shape = [-1 if other == number else 1 for other in range(len(coordinates))]
        weight = smoothstep(axis - below).reshape(shape)
        values = values.take(below, number) * (1.0 - weight) + values.take(below + 1, number) * weight
    return values


def texture(seed: int, size: Sequence[int]) -> Field:
    """A cloudy background in [-1, 1]: coarse clouds with finer ones on them, alike at every resolution."""
    field: Field = np.zeros(tuple(size))
    for across, weight in ((3, 0.6), (7, 0.25), (17, 0.15)):  # cells across the shortest side
        coordinates = [np.arange(length, dtype=np.float64) * (across / min(size)) for length in size]
        cells = [int(axis[-1]) + 1 for axis in coordinates]
        field = field + weight * value_noise(stream(seed, f"texture {across}"), cells, coordinates)
    return field


def grain(seed: int, size: Sequence[int]) -> Field:
    """Independent noise per voxel with mean 0 and variance 1: the sum of three uniform numbers, hence within +-3."""
    first, second, third = stream(seed, "grain").random((3, *size))
    return 2.0 * (first + second + third - 1.5)


def expose(scene: Field, *, illumination: float, noise: float, noise_seed: int) -> NDArray[np.float32]:
    """Light a scene unevenly, add grain and clip: (\\*spatial) -> (1, \\*spatial) in [0, 1].

    ``illumination`` is the relative light at the far end of the last axis minus that at its middle; ``noise`` is the
    standard deviation of the grain.
    """
    light = 1.0 + illumination * np.linspace(-1.0, 1.0, scene.shape[-1])
    return np.clip(scene * light + noise * grain(noise_seed, scene.shape), 0.0, 1.0).astype(np.float32)[None]
