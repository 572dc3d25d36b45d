# SPDX-License-Identifier: Apache-2.0
"""The chest's organs as a radiograph projects them: lungs, heart, mediastinum, hila, diaphragm and body outline.

Everything is a field over the pixels (:class:`~monai_causal.data.phantoms.chest_frame.Frame`). The lungs reach behind
the heart to the edge of the spine, as annotators outline them, so the concepts overlap: the heart lies in front.
Proportions were set by anatomy and then compared, as ranges only, with the outlines of public radiographs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from monai_causal.data.phantoms.chest_causes import ChestCauses
from monai_causal.data.phantoms.chest_frame import EDGE, Frame, Plane, cover, dome_of, profile, read, star
from monai_causal.data.phantoms.fields import Field, smoothstep

__all__ = ["Anatomy", "Lung", "Mask", "Organ", "anatomy_of", "angle_tip", "heart_of", "upper_mediastinum_of"]

Mask = NDArray[np.bool_]

SIGN = {"left": 1.0, "right": -1.0}  # of x: the patient's left is on the image's right

# the heart's outline in the body's coordinates, for a heart of .465 of the chest's width
HEART = np.array(
    [
        (0.05, 0.375),
        (0.21, 0.405),
        (0.31, 0.475),
        (0.42, 0.555),
        (0.54, 0.645),
        (0.63, 0.735),
        (0.66, 0.81),
        (0.60, 0.88),
        (0.40, 0.915),
        (0.14, 0.91),
        (-0.10, 0.885),
        (-0.23, 0.82),
        (-0.27, 0.725),
        (-0.255, 0.625),
        (-0.19, 0.525),
        (-0.09, 0.43),
    ]
)
HEART_MIDDLE = (0.17, 0.68)
LARGEST_HEART = 0.66  # of the chest's width, at cardiomegaly 1; at the least strength drawn it is above one half
VESSEL_TOP, VESSEL_BASE = 0.10, 0.44  # of the upper mediastinum: the clavicles' heads, and where the heart begins
ARCH = 0.285  # the level of the aortic arch
ARCH_TOP = 0.22  # from here down annotators of radiographs commonly outline heart and mediastinum as one
HILUM = {"left": (0.275, 0.445), "right": (0.265, 0.475)}  # the left one is higher
HILUM_RADII = (0.125, 0.105)
ANGLE_RADIUS = 0.075  # shorter sides about the tip, at the usual width


@dataclass(frozen=True)
class Lung:
    """One lung. ``out`` is x towards its own side; ``across`` and ``along`` are 0 to 1 from medial to lateral edge and
    from the apex to the diaphragm; ``thickness`` is that of its air, 0 to 1; ``lateral`` the depth below the ribs in
    shorter sides."""

    side: str
    mask: Mask
    out: Plane
    across: Plane
    along: Plane
    thickness: Plane
    lateral: Plane
    base: Plane
    """How far above the diaphragm, in shorter sides."""


@dataclass(frozen=True)
class Organ:
    """A solid organ: where it is, and how much of the lung's air it takes, 0 to 1."""

    mask: Mask
    filling: Plane


@dataclass(frozen=True)
class Anatomy:
    """All organs of one body, findings of their own shape included (cardiomegaly, hilar enlargement, a wide
    mediastinum)."""

    frame: Frame
    left: Lung
    right: Lung
    heart: Organ
    upper_mediastinum: Organ
    hila: dict[str, Organ]
    angles: dict[str, Mask]
    body: Plane
    """Thickness of the body, 0 outside."""

    def lung(self, side: str) -> Lung:
        """The lung of one side."""
        return self.left if side == "left" else self.right


def anatomy_of(frame: Frame) -> Anatomy:
    """The organs that a body's causes give."""
    lungs = {side: lung_of(frame, side) for side in SIGN}
    return Anatomy(
        frame,
        lungs["left"],
        lungs["right"],
        heart_of(frame, frame.causes.cardiomegaly),
        upper_mediastinum_of(frame, frame.causes.wide_mediastinum),
        {side: hilum_of(frame, side, enlarged(frame.causes, side)) for side in SIGN},
        {side: angle_of(frame, lungs[side]) for side in SIGN},
        body_of(frame),
    )


def enlarged(causes: ChestCauses, side: str) -> float:
    """The strength of hilar enlargement on a side."""
    return causes.hilar_enlargement if causes.hilar_enlargement_side == side else 0.0


def lateral_edge(causes: ChestCauses, y: Plane) -> Plane:
    """x of the lungs' lateral edge, 0 at the apex and 1 at the base: convex all the way, steepest at the top."""
    return (1.0 - (1.0 - np.clip(y, 0.0, 1.0)) ** causes.apex) ** (1.0 / 2.6)


def medial_edge(side: str, y: Plane) -> Plane:
    """x of the lungs' medial edge, towards their own side: along the spine, and round the apex above."""
    apex = np.maximum(1.0 - y / 0.09, 0.0)
    near, flare = (0.08, 0.10) if side == "left" else (0.06, 0.13)
    return near + flare * np.clip(y, 0.0, 1.2) + 0.17 * apex * apex


def diaphragm(causes: ChestCauses, side: str, out: Plane) -> Plane:
    """y of the dome, by x towards its own side: a flat summit, a steep fall to the costophrenic angle."""
    gap = causes.dome_gap if side == "right" else 0.0
    angle = 1.0 - 0.5 * gap
    rise = causes.dome * (1.0 - 0.35 * causes.inspiration)
    top = angle - rise - 0.5 * gap - 0.02 * (1.0 - causes.inspiration)
    summit = 0.45
    towards_wall = np.maximum(out - summit, 0.0) / (1.0 - summit)
    towards_spine = np.maximum(summit - out, 0.0) / summit
    return top + (angle - top) * towards_wall**2.4 + 0.35 * rise * towards_spine**2


def lung_of(frame: Frame, side: str) -> Lung:
    """The lung between ribs, spine and diaphragm."""
    causes, y = frame.causes, frame.y
    out = SIGN[side] * frame.x
    outer = read(partial(lateral_edge, causes), 0.0, 1.0, y)
    inner = read(partial(medial_edge, side), 0.0, 1.2, y)
    floor = read(partial(diaphragm, causes, side), 0.0, 1.2, out)
    lateral, medial = (outer - out) * frame.half_width, (out - inner) * frame.half_width
    base = (floor - y) * frame.height
    mask = (lateral > 0) & (medial > 0) & (base > 0)
    # by the spine the lung is a thin tongue behind the mediastinum, but for its upper part
    tongue = 1.0 - 0.45 * smoothstep(1.0 - medial / (0.22 * frame.half_width)) * smoothstep((y - 0.15) / 0.3)
    thickness = dome_of(lateral, 0.34 * frame.half_width) * cover(medial, 2.5 * EDGE) * tongue * cover(base - EDGE / 2)
    across = np.clip((out - inner) / np.maximum(outer - inner, 0.05), 0.0, 1.0)
    along = np.clip(y / np.maximum(floor, 0.1), 0.0, 1.0)
    return Lung(side, mask, out, across, along, thickness, lateral, base)


def heart_outline(causes: ChestCauses, strength: float) -> Field:
    """The heart's outline about its middle, (n, 2) as (x, y) of the body; an enlarged heart grows to the left most."""
    points = HEART - HEART_MIDDLE
    lean = math.radians(causes.heart_axis)
    aspect = causes.width / 2 / causes.height
    x, y = points[:, 0] * aspect, points[:, 1]
    turned = np.stack([(math.cos(lean) * x + math.sin(lean) * y) / aspect, math.cos(lean) * y - math.sin(lean) * x], 1)
    turned *= (2 * causes.heart / (turned[:, 0].max() - turned[:, 0].min()), 1.0)
    if not strength:
        return turned
    wider = (LARGEST_HEART / causes.heart - 1.0) * strength**0.7
    left, low = turned[:, 0] > 0, turned[:, 1] > 0
    growth = np.where(left, 1.2, 0.8) * wider, np.where(low, 0.06, 0.16) * strength
    return turned * (1.0 + np.stack(growth, 1))


def heart_of(frame: Frame, strength: float) -> Organ:
    """The heart, by the strength of its enlargement."""
    causes = frame.causes
    unit = (frame.half_width, frame.height)
    middle = HEART_MIDDLE[0] + 0.07 * causes.turn, HEART_MIDDLE[1] + 0.03 * causes.inspiration
    outline = heart_outline(causes, strength)
    across, down = (frame.x - middle[0]) * unit[0], (frame.y - middle[1]) * unit[1]
    radius, edge = star(across, down, outline * unit)
    depth = edge - radius
    inner = np.clip(radius / edge, 0.0, 1.0)
    return Organ(depth > 0, 0.86 * cover(depth - 1.3 * EDGE, 2.6 * EDGE) * (1.0 - 0.22 * inner * inner * inner))


def upper_mediastinum_of(frame: Frame, strength: float) -> Organ:
    """The great vessels from the clavicles' heads to the heart; the aortic arch stands out on the left."""
    causes, y = frame.causes, frame.y
    widening = 0.21 * strength**0.7 * bump(y, 0.26, 0.155)
    shift = 0.03 * causes.turn
    arch = 0.09 * causes.aorta * (smoothstep((y - ARCH + 0.115) / 0.10) - 0.35 * bump(y, ARCH + 0.085, 0.07))
    outflow = 0.06 * smoothstep((y - 0.36) / 0.10)
    left = causes.pedicle * (0.13 + arch + outflow) + widening
    right = causes.pedicle * (0.115 + 0.10 * smoothstep((y - 0.25) / 0.25)) + widening
    depth = np.minimum(left - (frame.x - shift), right + (frame.x - shift)) * frame.half_width
    mask = (depth > 0) & (y > VESSEL_TOP) & (y < VESSEL_BASE)
    fade = smoothstep((y + 0.03) / 0.12) * smoothstep((0.60 - y) / 0.16)
    return Organ(mask, 0.84 * cover(depth - 1.2 * EDGE, 2.4 * EDGE) * fade)


def bump(x: Plane, middle: float, radius: float) -> Plane:
    """A smooth hill of height 1 that is 0 beyond ``radius``."""
    squared = np.maximum(1.0 - ((x - middle) / radius) ** 2, 0.0)
    return squared * squared


def hilum_of(frame: Frame, side: str, strength: float) -> Organ:
    """The lung's root; enlarged, it is larger and denser."""
    x, y = HILUM[side]
    grown = 1.0 + 0.35 * strength
    across = (SIGN[side] * frame.x - x - 0.03 * strength) / (HILUM_RADII[0] * grown)
    down = (frame.y - y) / (HILUM_RADII[1] * grown)
    squared = across * across + down * down
    inside = np.maximum(1.0 - squared, 0.0)
    return Organ(squared < 1, 0.26 * inside + 0.46 * strength**0.7 * np.sqrt(inside))


def angle_tip(frame: Frame, side: str) -> tuple[float, float]:
    """Where the diaphragm meets the ribs: (x towards its own side, y)."""
    y = np.linspace(0.5, 1.1, 601)
    out = lateral_edge(frame.causes, y)
    below = diaphragm(frame.causes, side, out) <= y
    first = int(np.argmax(below))
    return float(out[first]), float(y[first])


def angle_of(frame: Frame, lung: Lung) -> Mask:
    """The costophrenic angle: the recess about its tip, with the strip of diaphragm and chest wall that bound it."""
    x, y = angle_tip(frame, lung.side)
    radius = ANGLE_RADIUS * frame.causes.width / 0.84
    across, down = (lung.out - x + 0.06) * frame.half_width, (frame.y - y + 0.045) * frame.height
    near = across * across + down * down < radius * radius
    bounded: Mask = near & (lung.lateral > -0.012) & (lung.base > -0.03)
    return bounded


BODY = (
    (-0.60, 0.42),
    (-0.30, 0.38),
    (-0.18, 0.46),
    (-0.09, 0.80),
    (-0.03, 1.08),
    (0.06, 1.30),
    (0.16, 1.36),
    (0.26, 1.24),
    (0.36, 1.02),
    (0.60, 1.00),
    (0.90, 1.01),
    (1.20, 1.00),
    (1.60, 1.02),
)
DEPTH = ((-0.50, 0.58), (-0.15, 0.68), (0.05, 0.86), (0.25, 0.97), (0.5, 1.0), (0.8, 1.04), (1.1, 1.10), (1.6, 1.12))


def body_of(frame: Frame) -> Plane:
    """Thickness of the body, about 1 in the middle of the chest: neck, shoulders, arms at its sides, breasts."""
    causes = frame.causes
    out = np.abs(frame.x)
    edge = profile(BODY, frame.y) + causes.flesh * smoothstep((frame.y + 0.2) / 0.3)
    relative = np.clip(out / edge, 0.0, 1.0)
    trunk = read(lambda share: np.sqrt(1.0 - share**2.6), 0.0, 1.0, relative) * profile(DEPTH, frame.y)
    arm_edge = 1.50 + causes.flesh + 0.20 * np.clip(frame.y - 0.1, 0.0, 2.0)
    arm = np.sqrt(np.maximum(1.0 - ((out - arm_edge) / 0.26) ** 2, 0.0)) * smoothstep((frame.y - 0.05) / 0.2)
    if causes.breast:
        size = 0.40 + 0.12 * causes.breast
        squared = ((out - 0.62) / size) ** 2 + ((frame.y - 0.70 - 0.12 * causes.breast) / (0.8 * size)) ** 2
        trunk = trunk + 0.20 * causes.breast * np.sqrt(np.maximum(1.0 - squared, 0.0)) * (out < edge)
    return np.maximum(trunk, 0.5 * arm)
