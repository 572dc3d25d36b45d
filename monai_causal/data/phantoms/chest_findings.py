# SPDX-License-Identifier: Apache-2.0
"""The findings of a chest radiograph: where each is, and what it does to the lung's air.

Each has a mask outside which it does nothing, so that removing it leaves the rest of the film as it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_causal.data.phantoms.chest_anatomy import Anatomy, Lung, Mask, diaphragm, lateral_edge, medial_edge
from monai_causal.data.phantoms.chest_causes import FINDINGS
from monai_causal.data.phantoms.chest_frame import EDGE, Frame, Plane, cover, image_noise, length
from monai_causal.data.phantoms.fields import smoothstep, stream

__all__ = ["Pathology", "pathology_of"]

ZONE_LEVELS = {"upper": 0.24, "middle": 0.53, "lower": 0.80}
PLEURA = 0.0035  # shorter sides: half the width of the line that bounds a collapsed lung


@dataclass(frozen=True)
class Pathology:
    """What the findings of one body do, and where."""

    masks: dict[str, Mask]
    """By finding, of those that are there."""
    air: Plane
    """What the lung's air is multiplied by."""
    vessels: Plane
    """What the lung's vessels are multiplied by."""
    dense: Plane
    """What is added to the absorption, by a hand's breadth of water."""


def pathology_of(anatomy: Anatomy) -> Pathology:
    """The findings that the causes name. Those with an organ's shape (the heart's, the hila's, the mediastinum's) are
    in the anatomy already; here they only get their masks."""
    frame, causes = anatomy.frame, anatomy.frame.causes
    masks: dict[str, Mask] = {}
    air, vessels, dense = 1.0 + frame.blank(), 1.0 + frame.blank(), frame.blank()
    for name in FINDINGS:
        strength = getattr(causes, name)
        if not strength:
            continue
        if name == "cardiomegaly":
            masks[name] = anatomy.heart.mask
        elif name == "hilar_enlargement":
            masks[name] = anatomy.hila[causes.hilar_enlargement_side].mask
        elif name == "wide_mediastinum":
            masks[name] = anatomy.upper_mediastinum.mask
        elif name == "pneumothorax":
            rim, line = pneumothorax(frame, anatomy.lung(causes.pneumothorax_side), strength)
            masks[name] = (rim > 0) | (line > 0)
            air, vessels, dense = air * (1.0 + 0.16 * rim), vessels * (1.0 - rim), dense + 0.07 * line
        elif name == "nodule":
            density = nodule(frame, anatomy.lung(causes.nodule_side))
            masks[name] = density > 0
            dense = dense + (0.13 + 0.25 * strength) * density
        else:
            if name == "consolidation":
                opacity = (0.45 + 0.45 * strength) * consolidation(frame, anatomy)
            else:
                opacity = effusion(anatomy.lung(str(causes.side_of(name))), strength)
            masks[name] = opacity > 0
            air, vessels = air * (1.0 - opacity), vessels * (1.0 - opacity)
    return Pathology(masks, air, vessels, dense)


def effusion(lung: Lung, strength: float) -> Plane:
    """Fluid at the base, 0 to 1: from a blunt costophrenic angle to half the chest, its surface climbing the wall."""
    level = 0.98 - 0.33 * strength  # on the way from the apex to the diaphragm, at the spine
    climb = (0.10 + 0.06 * strength) * lung.across * lung.across * lung.across
    depth = lung.along - (level - climb) + 0.02
    return smoothstep(depth / 0.07) * lung.mask


def pneumothorax(frame: Frame, lung: Lung, strength: float) -> tuple[Plane, Plane]:
    """Air between lung and ribs, widest at the apex: where it is, 0 to 1, and the collapsed lung's thin edge."""
    wide = (0.03 + 0.12 * strength) * frame.causes.width / 0.84
    high = 1.0 - smoothstep((lung.along - 0.35) / 0.55)
    apex = (0.05 + 0.16 * strength) * (1.0 - lung.across)
    # how far into the air of the pleura a place lies: from the ribs inwards, at the apex from above
    from_wall = wide * (0.25 + 0.75 * high) * high - lung.lateral
    from_top = (apex - lung.along) * frame.height
    depth = np.maximum(from_wall, from_top)
    inside = lung.mask
    return cover(depth, EDGE) * inside, smoothstep(1.0 - np.abs(depth + PLEURA) / PLEURA) * inside * high


def consolidation(frame: Frame, anatomy: Anatomy) -> Plane:
    """A fluffy opacity in its zone of the lung, 0 to 1."""
    causes = frame.causes
    side, zone = causes.consolidation_zone.split()
    lung = anatomy.lung(side)
    rng = stream(causes.consolidation_seed, "chest consolidation")
    out, down, wide, high = rng.random(4).tolist()
    across = (lung.across - (0.55 + 0.12 * out + (0.10 if side == "left" and zone != "upper" else 0.0))) / 0.42
    along = (lung.along - ZONE_LEVELS[zone] - 0.06 * (down - 0.5)) / (0.17 + 0.05 * high)
    size = 0.75 + 0.35 * wide
    noise = 0.30 * image_noise(causes, "cloud", 7, causes.consolidation_seed)
    noise = noise + 0.14 * image_noise(causes, "fine cloud", 19, causes.consolidation_seed)
    depth = size + noise - length(across, along)
    return smoothstep(depth / 0.45) * lung.mask * (0.85 + noise)


def nodule(frame: Frame, lung: Lung) -> Plane:
    """A ball, its thickness 0 to 1."""
    causes = frame.causes
    down, out = causes.nodule_position
    radius = causes.nodule_radius
    # the place is given along the lung: its nearest pixel on a grid of the body's coordinates
    x, y = place(frame, lung, out, down)
    across, along = (lung.out - x) * frame.half_width, (frame.y - y) * frame.height
    depth = 1.0 - (across * across + along * along) / (radius * radius)
    return np.sqrt(np.maximum(depth, 0.0)) * smoothstep(depth / 0.25)


def place(frame: Frame, lung: Lung, out: float, down: float) -> tuple[float, float]:
    """x towards the lung's side and y of a place in it, given from medial to lateral edge and from apex to base."""
    x, y = 0.5, down
    for _ in range(8):  # each depends on the other a little
        y = down * float(diaphragm(frame.causes, lung.side, np.array(x)))
        inner = float(medial_edge(lung.side, np.array(y)))
        x = inner + out * (float(lateral_edge(frame.causes, np.array(y))) - inner)
    return x, y
