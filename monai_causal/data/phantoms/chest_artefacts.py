# SPDX-License-Identifier: Apache-2.0
"""What lies on a chest radiograph besides the chest: side marker, tube, electrodes, shutters, and clutter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.interpolate import CubicSpline

from monai_causal.data.phantoms.chest_anatomy import Mask
from monai_causal.data.phantoms.chest_causes import ChestCauses
from monai_causal.data.phantoms.chest_frame import Frame, Plane, axes, cover
from monai_causal.data.phantoms.fields import Field, smoothstep, stream

__all__ = ["Artefacts", "artefacts_of"]

# strokes of the letters in a box of width and height 1: (x, y) from its upper left corner
LETTERS = {
    "L": (((0.15, 0.0), (0.15, 1.0), (0.85, 1.0)),),
    "R": (((0.1, 1.0), (0.1, 0.0), (0.7, 0.0), (0.85, 0.25), (0.7, 0.5), (0.1, 0.5)), ((0.45, 0.5), (0.9, 1.0))),
    "A": (((0.0, 1.0), (0.5, 0.0), (1.0, 1.0)), ((0.2, 0.65), (0.8, 0.65))),
    "P": (((0.1, 1.0), (0.1, 0.0), (0.7, 0.0), (0.85, 0.25), (0.7, 0.5), (0.1, 0.5)),),
    "E": (((0.85, 0.0), (0.1, 0.0), (0.1, 1.0), (0.85, 1.0)), ((0.1, 0.5), (0.7, 0.5))),
    "T": (((0.0, 0.0), (1.0, 0.0)), ((0.5, 0.0), (0.5, 1.0))),
    "I": (((0.5, 0.0), (0.5, 1.0)),),
    "N": (((0.1, 1.0), (0.1, 0.0), (0.9, 1.0), (0.9, 0.0)),),
    "7": (((0.1, 0.0), (0.9, 0.0), (0.4, 1.0)),),
    "1": (((0.3, 0.2), (0.5, 0.0), (0.5, 1.0)),),
    "2": (((0.1, 0.2), (0.5, 0.0), (0.9, 0.25), (0.1, 1.0), (0.9, 1.0)),),
}
LEAD = 8.0  # absorbs so much that the film stays unexposed


@dataclass(frozen=True)
class Artefacts:
    """What the artefacts do, and where each is."""

    masks: dict[str, Mask]
    """By artefact, of those that are there."""
    absorption: Plane
    """What they add to the absorption."""
    lettering: Plane
    """How much of each pixel is covered by writing, 0 to 1."""
    shutters: Mask


def artefacts_of(frame: Frame) -> Artefacts:
    """All artefacts that the causes name."""
    causes = frame.causes
    masks: dict[str, Mask] = {}
    total, lettering = frame.blank(), frame.blank()
    if causes.marker != "none":
        letter = write(causes, causes.marker, causes.marker_position, causes.marker_height)
        masks["marker"] = letter > 0
        total = total + LEAD * letter
    if causes.tube != "none":
        drawn = tube_of(frame)
        masks["tube"] = drawn > 0
        total = total + drawn
    if causes.electrodes:
        drawn = electrodes_of(causes)
        masks["electrodes"] = drawn > 0
        total = total + drawn
    if causes.clutter:
        drawn, lettering = clutter_of(frame)
        masks["clutter"] = (drawn > 0) | (lettering > 0)
        total = total + drawn
    shutters = shutters_of(causes)
    if any(causes.collimation):
        masks["collimation"] = shutters
    return Artefacts(masks, total, lettering, shutters)


def stroke(causes: ChestCauses, points: Sequence[tuple[float, float]] | Field, width: float, out: Plane) -> None:
    """Draw a polyline of (row, column) points into ``out``, in place: 0 to 1, round ends, a pixel's soft edge."""
    rows, columns = axes(causes.size)
    edge = max(1.0 / min(causes.size), 0.25 * width)
    reach = width / 2 + edge
    for (r0, c0), (r1, c1) in pairwise(points):
        top, bottom = np.searchsorted(rows, [min(r0, r1) - reach, max(r0, r1) + reach])
        left, right = np.searchsorted(columns, [min(c0, c1) - reach, max(c0, c1) + reach])
        if top == bottom or left == right:
            continue
        down, across = rows[top:bottom, None] - r0, columns[None, left:right] - c0
        length = (r1 - r0) ** 2 + (c1 - c0) ** 2
        along = np.clip((down * (r1 - r0) + across * (c1 - c0)) / length, 0.0, 1.0) if length else 0.0
        distance = np.hypot(down - along * (r1 - r0), across - along * (c1 - c0))
        drawn = np.clip((width / 2 - distance) / edge + 0.5, 0.0, 1.0)
        out[top:bottom, left:right] = np.maximum(out[top:bottom, left:right], drawn)


def write(causes: ChestCauses, text: str, position: tuple[float, float], height: float) -> Plane:
    """Letters about a place, 0 to 1."""
    drawn = np.zeros(causes.size, dtype=np.float32)
    wide = 0.65 * height
    left = position[1] - (len(text) - 0.25) * wide * 0.65
    for number, letter in enumerate(text):
        for line in LETTERS[letter]:
            points = [(position[0] + (y - 0.5) * height, left + number * 1.3 * wide + x * wide) for x, y in line]
            stroke(causes, points, 0.17 * height, drawn)
    return drawn


def wander(rng: np.random.Generator, points: Sequence[tuple[float, float]], bend: float, steps: int = 24) -> Field:
    """A smooth path near the given (row, column) points, (n, 2): a wire's or a tube's."""
    knots = np.array(points, dtype=np.float64)
    knots[1:-1] += bend * (2.0 * rng.random(knots[1:-1].shape) - 1.0)
    path: Field = CubicSpline(np.arange(len(knots)), knots)(np.linspace(0, len(knots) - 1, steps))
    return path


def in_image(frame: Frame, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Body places (x, y) as (row, column) from the middle of the image in shorter sides."""
    size = frame.causes.size
    found = []
    for x, y in points:
        row, column = frame.pixel(x, y)
        found.append(((float(row) - (size[0] - 1) / 2) / min(size), (float(column) - (size[1] - 1) / 2) / min(size)))
    return found


def tube_of(frame: Frame) -> Plane:
    """How much the tube absorbs."""
    causes, drawn = frame.causes, frame.blank()
    rng = stream(causes.artefact_seed, "chest tube")
    deeper = causes.tube_depth
    if causes.tube == "endotracheal":
        places = [(0.0, -0.5), (-0.01, -0.2), (0.0, 0.05), (0.0, 0.24 + deeper)]
        path = wander(rng, in_image(frame, places), 0.006)
        wall, line = frame.blank(), frame.blank()
        stroke(causes, path, 0.030, wall)
        stroke(causes, path, 0.007, line)
        return 0.10 * wall + 0.45 * line
    if causes.tube == "nasogastric":
        places = [(0.02, -0.5), (0.03, -0.1), (0.04, 0.3), (0.06, 0.7), (0.16, 0.92 + deeper), (0.40, 1.0 + deeper)]
        stroke(causes, wander(rng, in_image(frame, places), 0.008), 0.009, drawn)
        return 0.40 * drawn
    places = [(-0.75, -0.45), (-0.55, -0.06), (-0.34, 0.07), (-0.14, 0.16), (-0.12, 0.40 + deeper)]
    stroke(causes, wander(rng, in_image(frame, places), 0.012), 0.007, drawn)
    return 0.45 * drawn


def electrodes_of(causes: ChestCauses) -> Plane:
    """How much electrodes and their wires absorb."""
    rows, columns = axes(causes.size)
    wires, total = np.zeros((2, *causes.size), dtype=np.float32)
    for number, (row, column) in enumerate(causes.electrodes):
        rng = stream(causes.artefact_seed, f"chest electrode {number}")
        edge_of_image = math.copysign(0.75 * causes.size[1] / min(causes.size), column or 1.0)
        middle = ((row + 0.15 * (rng.random() - 0.3)), (column + edge_of_image) / 2)
        away = (row + 0.5 * (rng.random() - 0.4), edge_of_image)
        stroke(causes, wander(rng, [(row, column), middle, away], 0.03), 0.006, wires)
        distance = np.hypot(rows[:, None] - row, columns[None, :] - column).astype(np.float32)
        total = np.maximum(total, 0.25 * cover(0.020 - distance, 0.006) + 0.9 * cover(0.008 - distance, 0.006))
    return total + 0.5 * wires


def shutters_of(causes: ChestCauses) -> Mask:
    """Where shutters cover the film."""
    rows, columns = axes(causes.size)
    turn = math.radians(causes.collimation_tilt)
    down = math.cos(turn) * rows[:, None] - math.sin(turn) * columns[None, :]
    across = math.cos(turn) * columns[None, :] + math.sin(turn) * rows[:, None]
    high, wide = (length / min(causes.size) / 2 for length in causes.size)
    top, right, bottom, left = causes.collimation
    covered: Mask = np.zeros(causes.size, dtype=np.bool_)
    for reach, inside in (
        (top, down + high - top),
        (right, wide - right - across),
        (bottom, high - bottom - down),
        (left, across + wide - left),
    ):
        if reach:  # a shutter that is open covers nothing, however the others are turned
            covered = covered | (inside < 0)
    return covered


def clutter_of(frame: Frame) -> tuple[Plane, Plane]:
    """Things at random places: what they absorb, and where writing covers the film."""
    causes = frame.causes
    rng = stream(causes.artefact_seed, "chest clutter")
    half = [length / min(causes.size) / 2 for length in causes.size]
    total, lettering = frame.blank(), frame.blank()

    def anywhere(beyond: float = 1.0) -> tuple[float, float]:
        return (beyond * half[0] * (2 * rng.random() - 1), beyond * half[1] * (2 * rng.random() - 1))

    for _ in range(causes.clutter):
        kind, strength = rng.random(), 0.2 + 0.9 * rng.random()
        drawn = frame.blank()
        if kind < 0.5:  # a wire or a line
            path = wander(rng, [anywhere(1.2), anywhere(), anywhere(), anywhere(1.2)], 0.05, 40)
            stroke(causes, path, 0.004 + 0.006 * rng.random(), drawn)
            total = np.maximum(total, strength * drawn)
        elif kind < 0.7:  # writing near the border
            text = "".join(str(x) for x in rng.choice(list(LETTERS), int(1 + 6 * rng.random())))
            row, column = anywhere()
            row = math.copysign(half[0] * (0.80 + 0.15 * rng.random()), row)
            lettering = np.maximum(lettering, write(causes, text, (row, column), 0.02 + 0.05 * rng.random()))
        elif kind < 0.85:  # a clip, a button, a needle
            row, column = anywhere()
            end = (row + 0.06 * (rng.random() - 0.5), column + 0.06 * (rng.random() - 0.5))
            stroke(causes, [(row, column), end], 0.006 + 0.03 * rng.random() ** 3, drawn)
            total = np.maximum(total, 2.0 * strength * drawn)
        elif kind < 0.95:  # a pacemaker below a clavicle, with its lead
            side = 1.0 if rng.random() < 0.7 else -1.0
            can = in_image(frame, [(side * 0.68, 0.16)])[0]
            stroke(causes, [(can[0], can[1] - 0.02), (can[0], can[1] + 0.02)], 0.10, drawn)
            inner = frame.blank()
            stroke(causes, [(can[0] + 0.01, can[1] - 0.01), (can[0] + 0.01, can[1] + 0.02)], 0.06, inner)
            lead = frame.blank()
            route = in_image(
                frame, [(side * 0.66, 0.10), (side * 0.30, 0.07), (-0.10, 0.28), (-0.08, 0.66), (0.36, 0.84)]
            )
            stroke(causes, wander(rng, route, 0.012, 40), 0.008, lead)
            total = np.maximum(total, np.maximum(1.4 * drawn + 0.8 * inner, 0.8 * lead))
        else:  # a plate
            row, column = anywhere()
            rows, columns = axes(causes.size)
            beside = np.abs(rows[:, None] - row) / (0.02 + 0.10 * rng.random())
            distance = np.maximum(beside, np.abs(columns[None, :] - column) / (0.02 + 0.10 * rng.random()))
            total = np.maximum(total, strength * smoothstep((1.0 - distance) / 0.1).astype(np.float32))
    return total, lettering
