# SPDX-License-Identifier: Apache-2.0
"""Where each pixel of a chest radiograph lies in the body, and the few drawing tools that the chest's parts share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator

from monai_causal.data.phantoms.chest_causes import ChestCauses
from monai_causal.data.phantoms.fields import Field, smoothstep, stream, value_noise

__all__ = [
    "EDGE",
    "Frame",
    "Plane",
    "axes",
    "cover",
    "dome_of",
    "image_noise",
    "length",
    "profile",
    "read",
    "star",
    "tube",
]

Plane = NDArray[Any]
"""A number per pixel, (H, W) in float32: half the memory of float64 and twice the speed."""

EDGE = 0.006  # shorter sides from nothing to all of a structure: a motionless organ's edge, and no stairs at 112 pixels
TABLE = 1024  # steps of a tabulated curve
REACH = 1.5  # shorter sides from the middle that the noise lattices span


@dataclass(frozen=True)
class Frame:
    """The body's own coordinates at every pixel, (H, W).

    ``x`` is 0 on the midline and 1 at the left lung's lateral edge (the image's right), ``y`` 0 at the apices and 1 at
    the costophrenic angles; ``half_width`` and ``height`` are their units in shorter sides of the image.
    """

    causes: ChestCauses
    x: Plane
    y: Plane
    half_width: float
    height: float

    @classmethod
    def of(cls, causes: ChestCauses) -> Frame:
        """The frame that pose, measures and bending give."""
        rows, columns = axes(causes.size)
        down, right = rows[:, None] - causes.shift[0], columns[None, :] - causes.shift[1]
        if causes.warp:
            bend = image_noise(causes, "bend", 4), image_noise(causes, "bend across", 4)
            down, right = down + causes.warp * bend[0], right + causes.warp * bend[1]
        cosine, sine = math.cos(math.radians(causes.tilt)), math.sin(math.radians(causes.tilt))
        half = causes.width / 2
        x = (cosine * right + sine * down) / half
        y = (cosine * down - sine * right) / causes.height + 0.5
        return cls(causes, x.astype(np.float32), y.astype(np.float32), half, causes.height)

    def pixel(self, x: float | Plane, y: float | Plane) -> tuple[Plane, Plane]:
        """Row and column of a place in the body, but for the bending."""
        causes, shortest = self.causes, min(self.causes.size)
        cosine, sine = math.cos(math.radians(causes.tilt)), math.sin(math.radians(causes.tilt))
        right, down = np.asarray(x) * self.half_width, (np.asarray(y) - 0.5) * self.height
        row, column = sine * right + cosine * down + causes.shift[0], cosine * right - sine * down + causes.shift[1]
        return row * shortest + (causes.size[0] - 1) / 2, column * shortest + (causes.size[1] - 1) / 2

    def blank(self) -> Plane:
        """Zeros to draw on."""
        return np.zeros(self.causes.size, dtype=np.float32)


def axes(size: Sequence[int]) -> list[Field]:
    """Per axis the pixels' distance from the middle of the image, in shorter sides."""
    return [(np.arange(length) - (length - 1) / 2) / min(size) for length in size]


def image_noise(causes: ChestCauses, purpose: str, across: int, seed: int | None = None) -> Plane:
    """Smooth noise in [-1, 1] with ``across`` cells per shorter side, (H, W): the same at every size of one shape."""
    count = int(2 * REACH * across)
    coordinates = [np.clip((axis + REACH) * across, 0.0, count - 1e-6) for axis in axes(causes.size)]
    rng = stream(causes.anatomy_seed if seed is None else seed, f"chest {purpose}")
    return value_noise(rng, (count, count), coordinates).astype(np.float32)


def cover(depth: Plane, edge: float = EDGE) -> Plane:
    """0 outside, 1 inside, from the depth below a surface in shorter sides; the soft edge lies about the surface."""
    return smoothstep(depth / edge + 0.5)


def dome_of(depth: Plane, radius: float) -> Plane:
    """Thickness, 0 to 1, of a body with round edges: an ellipse's up to ``radius`` below its edge, then even."""
    below = 1.0 - np.clip(depth / radius, 0.0, 1.0)
    return np.sqrt(1.0 - below * below)


def tube(distance: Plane, radius: float | Plane) -> Plane:
    """Thickness, 0 to 1, of a cylinder by the distance from its axis."""
    relative = distance / radius
    return np.sqrt(np.maximum(1.0 - relative * relative, 0.0))


def length(across: Plane, down: Plane) -> Plane:
    """Of a vector."""
    return np.sqrt(across * across + down * down)


def read(curve: Callable[[Field], Field], low: float, high: float, at: Plane) -> Plane:
    """A function of one number at many places, from a table of it between two bounds; constant beyond them.

    Much faster than the function itself at every pixel, and exact to a thousandth of a pixel.
    """
    table = curve(np.linspace(low, high, TABLE + 1))
    values, steps = table[:-1].astype(np.float32), np.diff(table).astype(np.float32)
    position = (np.clip(at, low, high) - low) * (TABLE / (high - low))
    index = np.minimum(position.astype(np.intp), TABLE - 1)
    return values.take(index) + (position - index.astype(np.float32)) * steps.take(index)


def profile(points: Sequence[tuple[float, float]], at: Plane) -> Plane:
    """A curve without overshoot through (position, value) points, read at other positions; constant beyond its ends."""
    positions, values = np.array(points).T
    return read(PchipInterpolator(positions, values), float(positions[0]), float(positions[-1]), at)


def star(across: Plane, down: Plane, outline: Field) -> tuple[Plane, Plane]:
    """A smooth closed shape about the origin: at each point the radius there, and the outline's in that direction.

    Args:
        across: coordinates of the points, and
        down: likewise, about the shape's middle.
        outline: (n, 2) points (across, down) of the outline.
    """
    angles = np.arctan2(outline[:, 1], outline[:, 0])
    order = np.argsort(angles)
    radii = np.hypot(outline[:, 0], outline[:, 1])[order]
    angles = angles[order]
    curve = CubicSpline(np.append(angles, angles[0] + 2 * np.pi), np.append(radii, radii[0]), bc_type="periodic")
    return length(across, down), read(curve, -np.pi, np.pi, np.arctan2(down, across))
