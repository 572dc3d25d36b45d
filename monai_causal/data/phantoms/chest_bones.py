# SPDX-License-Identifier: Apache-2.0
"""The chest's bones as a radiograph projects them: ribs, clavicles, spine, scapulae and upper arms.

A rib is an ellipse about the chest that slopes forwards and down, seen from the front: its back arc descends gently to
the side, its front arc steeply back to the middle. All ribs are drawn at once, since they differ by a shift alone.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from monai_causal.data.phantoms.chest_anatomy import SIGN, Mask, lateral_edge
from monai_causal.data.phantoms.chest_causes import ChestCauses
from monai_causal.data.phantoms.chest_frame import Frame, Plane, cover, length, read, tube
from monai_causal.data.phantoms.fields import smoothstep, stream

__all__ = ["clavicle_of", "limbs_of", "ribs_of", "spine_of"]

RIBS = 11  # back arcs; of the front arcs those of the first seven
FRONT_RIBS = 7
FIRST_RIB = -0.035  # y of the first rib's neck
CLAVICLE_RADIUS = 0.0155  # shorter sides, at the usual width
USUAL_WIDTH = 0.84


def ribs_of(frame: Frame) -> Plane:
    """How much the ribs absorb, by a rib seen through its middle."""
    causes = frame.causes
    rng = stream(causes.anatomy_seed, "chest ribs")
    cage = read(lambda y: lateral_edge(causes, y + 0.055) + 0.035, -0.06, 1.0, frame.y)
    jitter = 0.10 * (
        2.0 * rng.random((2, 2, RIBS + 2), dtype=np.float32) - 1.0
    )  # of the gap: no two ribs lie quite evenly
    total = frame.blank()
    for number, sign in enumerate(SIGN.values()):
        out = sign * frame.x
        along = np.clip(out / cage, 0.0, 1.04)
        depth = np.sqrt(np.maximum(1.0 - along * along, 0.03))
        rim = 1.0 + 0.5 * along * along * along
        slope = causes.rib_slope * along / depth * (frame.height / frame.half_width)
        near = cover((cage - out) * frame.half_width + 0.004, 0.02)
        back = frame.y - 0.5 * causes.rib_slope * (1.0 - depth) + 0.14 * along * (1.0 - along) * (1.0 - along)
        front = frame.y - 0.5 * causes.rib_slope * (1.0 + 1.25 * depth) - 0.02
        for arc, level, strength, count in ((0, back, 1.0, RIBS), (1, front, 0.75, FRONT_RIBS)):
            position = (level - FIRST_RIB) / causes.rib_gap
            nearest = np.clip(np.rint(position), 0, count - 1).astype(np.intp)
            # the front ends are cartilage, which hardly absorbs; the back ends lie on the spine
            shown = smoothstep((out - 0.05) / 0.06) if arc == 0 else smoothstep((along - 0.30) / 0.25)
            beyond = np.abs(position - nearest - jitter[number, arc].take(nearest)) * causes.rib_gap * frame.height
            beyond = beyond / np.sqrt(1.0 + 0.25 * slope * slope)
            wide = causes.rib_width * (1.0 if arc == 0 else 1.15) * (0.8 + 0.3 * smoothstep(position / 3.0))
            # a shell of dense bone about a soft core: the edges show most
            shell = tube(beyond, wide) - 0.58 * tube(beyond, 0.78 * wide)
            total += strength * shell * shown * near * rim
    return total


def clavicle_of(frame: Frame, side: str) -> tuple[Mask, Plane]:
    """Where a clavicle is, and how much it absorbs, by its middle: an S from the breastbone up to the shoulder."""
    causes = frame.causes
    out = SIGN[side] * frame.x
    start, end = 0.10 + 0.06 * causes.turn * SIGN[side], 1.02
    along = (out - start) / (end - start)
    within = np.clip(along, 0.0, 1.0)
    scale = causes.width / USUAL_WIDTH
    lean = (causes.clavicle_rise + 0.05) * frame.height / (frame.half_width * (end - start))
    beside = np.maximum(-along, along - 1.0) * ((end - start) * frame.half_width)
    below = (frame.y - read(partial(clavicle_level, causes), 0.0, 1.0, within)) * (frame.height / math.hypot(1.0, lean))
    distance = length(below, np.maximum(beside, 0.0))
    radius = scale * read(clavicle_radius, 0.0, 1.0, within)
    shell = tube(distance, radius) - 0.60 * tube(distance, 0.75 * radius)
    return distance < radius, shell * (1.0 - 0.6 * smoothstep((within - 0.75) / 0.25))


def clavicle_level(causes: ChestCauses, within: Plane) -> Plane:
    """y along the clavicle, from its medial end (0) to its lateral one (1): steep at first, level at the shoulder."""
    rise = causes.clavicle_rise * (1.0 - (1.0 - within) ** 1.8)
    return causes.clavicle_level - rise - 0.012 * np.sin(2.0 * np.pi * within)


def clavicle_radius(within: Plane) -> Plane:
    """Half the clavicle's width along it, in shorter sides at the usual width: it is thickest at the breastbone."""
    return CLAVICLE_RADIUS * (1.0 + 0.35 * (1.0 - within) ** 6 + 0.15 * within**3)


def spine_of(frame: Frame) -> Plane:
    """How much the spine absorbs, by a vertebra seen through its middle: bodies, discs, pedicles, spinous processes."""
    x, y = frame.x + 0.05 * frame.causes.turn, frame.y
    period = 0.058 + 0.016 * np.clip(y, 0.0, 1.3)
    phase = y / period - np.floor(y / period)
    disc = smoothstep((np.abs(phase - 0.5) - 0.36) / 0.10)
    half = 0.066 + 0.022 * np.clip(y, -0.3, 1.3) + 0.008 * disc
    column = cover((half - np.abs(x)) * frame.half_width, 0.016) * (1.0 - 0.35 * disc)
    pedicles = spot((np.abs(x) - 0.62 * half) / 0.022, (phase - 0.42) / 0.2)
    process = spot(x / 0.018, (phase - 0.75) / 0.25)
    return column + 0.35 * pedicles + 0.4 * process


def spot(across: Plane, down: Plane) -> Plane:
    """A round bright spot in units of its radii."""
    return np.maximum(1.0 - across * across - down * down, 0.0)


def limbs_of(frame: Frame) -> Plane:
    """How much scapulae and upper arms absorb, by the shaft of an arm seen through its middle."""
    out, y = np.abs(frame.x), frame.y
    border = 0.80 + 0.10 * y  # the scapula's medial border lies over the lung's edge
    inside = np.minimum((out - border) * frame.half_width, (0.52 - y) * frame.height)
    inside = np.minimum(inside, np.minimum((y + 0.03) * frame.height, (1.30 - 0.9 * y - out) * frame.half_width))
    blade = cover(inside, 0.010) * (0.16 + 0.18 * smoothstep(1.0 - inside / 0.02))
    ridge = 0.35 * tube((y - 0.02 + 0.16 * (out - 1.15)) * frame.height, 0.020) * smoothstep((out - 0.82) / 0.2)
    head_x, head_y = 1.36 + 0.6 * frame.causes.flesh, 0.085
    head = length((out - head_x) * frame.half_width, (y - head_y) * frame.height)
    arm_axis = head_x + 0.06 + 0.15 * np.clip(y, 0.0, 2.0)
    shaft = tube((out - arm_axis) * frame.half_width, 0.032) - 0.5 * tube((out - arm_axis) * frame.half_width, 0.019)
    ridge = ridge * cover((head_x - out) * frame.half_width, 0.05)
    return blade + ridge + 0.75 * tube(head, 0.052) + shaft * smoothstep((y - head_y - 0.02) / 0.06)
