# SPDX-License-Identifier: Apache-2.0
"""From a chest to its radiograph: absorption summed along the ray, transmission, noise, film, display.

The structural equations, with the body's thickness in units of a chest::

    air         := (lung_left + lung_right) * findings' air * (1 - heart) * (1 - mediastinum) * (1 - hila) * (1 - haze)
    absorption  := FLESH * (body - AIR * air) + vessels + bones + dense findings + artefacts - trachea - gas
    beam        := blur(exp(-absorption))
    counted     := beam + noise * sqrt(beam) * grain(noise_seed)           quanta: the denser, the noisier, relatively
    density     := -log(counted + scatter)
    display     := curve((density - LOW) / (HIGH - LOW)), sharpened, shaded, lettered, under the shutters

Nothing is normalised by the image's own content, so what happens in one place changes no other place, but for the
blur's and the unsharp mask's reach.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_causal.data.phantoms.chest_anatomy import ARCH_TOP, SIGN, Anatomy, Mask, anatomy_of
from monai_causal.data.phantoms.chest_artefacts import Artefacts, artefacts_of
from monai_causal.data.phantoms.chest_bones import clavicle_of, limbs_of, ribs_of, spine_of
from monai_causal.data.phantoms.chest_causes import CONCEPTS, FINDINGS, ChestCauses
from monai_causal.data.phantoms.chest_findings import Pathology, pathology_of
from monai_causal.data.phantoms.chest_frame import Frame, Plane, axes, cover, image_noise
from monai_causal.data.phantoms.chest_vessels import vessels_of
from monai_causal.data.phantoms.fields import grain, smoothstep
from monai_causal.data.phantoms.phantom import Rendered

__all__ = ["render"]

FLESH = 3.0  # what a chest of flesh alone would absorb
AIR = 0.74  # of it the lungs' air saves, where they are thickest
RIB, CLAVICLE, SPINE, LIMB = 0.40, 0.72, 0.30, 0.45
VESSEL = 24.0  # per shorter side of thickness
LOW, HIGH = -0.05, 2.35  # the densities that the display shows as black and white


def render(causes: ChestCauses) -> Rendered:
    """Image (1, H, W), label map of the findings and named masks (H, W): a pure function of the causes."""
    frame = Frame.of(causes)
    anatomy = anatomy_of(frame)
    pathology = pathology_of(anatomy)
    artefacts = artefacts_of(frame)
    clavicles = {side: clavicle_of(frame, side) for side in SIGN}

    absorption = flesh_of(anatomy, pathology)
    bones = RIB * ribs_of(frame) + SPINE * spine_of(frame) + LIMB * limbs_of(frame)
    bones = bones + CLAVICLE * (clavicles["left"][1] + clavicles["right"][1])
    absorption = absorption + causes.bone * bones * (anatomy.body > 0)
    absorption = np.maximum(absorption, 0.0) + artefacts.absorption
    image = display(causes, expose(causes, absorption), artefacts)

    maps: dict[str, Mask] = concept_masks(anatomy, {side: mask for side, (mask, _) in clavicles.items()})
    maps["cardiomediastinum"] = maps["mediastinum"] & (frame.y > ARCH_TOP)
    maps.update(pathology.masks)
    maps.update(artefacts.masks)
    labels = np.zeros(causes.size, dtype=np.uint8)
    for number, name in enumerate(FINDINGS, 1):
        if name in pathology.masks:
            labels[pathology.masks[name]] = number
    return image, labels, maps


def concept_masks(anatomy: Anatomy, clavicles: dict[str, Mask]) -> dict[str, Mask]:
    """The concepts' masks by name, in the order of ``CONCEPTS``."""
    heart, upper = anatomy.heart.mask, anatomy.upper_mediastinum.mask
    masks = {"cardiac silhouette": heart, "mediastinum": heart | upper, "upper mediastinum": upper}
    for side in SIGN:
        masks[f"{side} lung"] = anatomy.lung(side).mask
        masks[f"{side} clavicle"] = clavicles[side]
        masks[f"{side} hilar structures"] = anatomy.hila[side].mask
        masks[f"{side} costophrenic angle"] = anatomy.angles[side]
    return {name: masks[name] for name in CONCEPTS}


def flesh_of(anatomy: Anatomy, pathology: Pathology) -> Plane:
    """What all but bones and artefacts absorbs."""
    frame, causes = anatomy.frame, anatomy.frame.causes
    solid = (1.0 - anatomy.heart.filling) * (1.0 - anatomy.upper_mediastinum.filling)
    for side in SIGN:
        solid = solid * (1.0 - anatomy.hila[side].filling * hilar_texture(causes))
    air = frame.blank()
    for side, haze in zip(SIGN, causes.haze, strict=True):
        lung = anatomy.lung(side)
        share = lung.thickness
        if haze:
            share = share * (1.0 - haze * haze_of(causes))
        air = air + share
    lungs = air * solid * pathology.air
    # what is too small to be drawn: the finest vessels in the lungs, fat and muscle all over
    murmur = 0.06 * image_noise(causes, "parenchyma", 48) + 0.08 * image_noise(causes, "coarse parenchyma", 15)
    body = anatomy.body * (1.0 + 0.05 * image_noise(causes, "flesh", 5) + 0.02 * image_noise(causes, "muscle", 16))
    absorption = FLESH * (body - causes.air * AIR * lungs * (1.0 + causes.vessels * murmur * pathology.vessels))
    vessels = VESSEL * causes.vessels * vessels_of(frame) * lungs * pathology.vessels
    return absorption + vessels + FLESH * pathology.dense * np.minimum(lungs * 3.0, 1.0) - gas_of(anatomy)


def hilar_texture(causes: ChestCauses) -> Plane:
    """The hila are not even: vessels and bronchi lie in them."""
    return 0.8 + 0.2 * image_noise(causes, "hilum", 22)


def haze_of(causes: ChestCauses) -> Plane:
    """Patchy diffuse opacity, 0 to 1."""
    coarse, fine = image_noise(causes, "haze", 4), image_noise(causes, "fine haze", 14)
    return np.clip(0.72 + 0.55 * coarse + 0.25 * fine, 0.0, 1.0)


def gas_of(anatomy: Anatomy) -> Plane:
    """What trachea, main bronchi and the stomach's gas save."""
    frame, causes = anatomy.frame, anatomy.frame.causes
    x, y = frame.x - 0.02 * causes.turn, frame.y
    drift = -0.035 * smoothstep((y + 0.1) / 0.45)  # the arch pushes it to the right
    half = 0.046 * frame.half_width
    windpipe = half - np.abs(x - drift) * frame.half_width
    carina = 0.375
    saved = 0.50 * cover(windpipe, 0.012) * cover((carina - y) * frame.height, 0.03)
    for side, slope, length in (("right", 1.25, 0.24), ("left", 0.80, 0.30)):
        out = SIGN[side] * (x - drift)
        axis = carina - 0.01 + slope * out * frame.half_width / frame.height
        beside = 0.75 * half - np.abs(y - axis) * frame.height / math.hypot(1.0, slope)
        within = smoothstep((out + 0.01) / 0.04) * smoothstep((length - out) / 0.12)
        saved = np.maximum(saved, 0.40 * cover(beside, 0.012) * within)
    if causes.gas:
        lung = anatomy.left
        below = -lung.base / frame.height
        bubble = 1.0 - ((lung.out - 0.48) / 0.26) ** 2 - ((below - 0.075) / (0.03 + 0.03 * causes.gas)) ** 2
        inside = np.sqrt(np.maximum(bubble + 0.3 * image_noise(causes, "gas", 9), 0.0)) * (below > 0)
        saved = saved + 1.1 * causes.gas * inside * smoothstep(below / 0.02)
    return saved


def expose(causes: ChestCauses, absorption: Plane) -> Plane:
    """The density that the display gets, about 0 to 1: what is absorbed, blurred, with the noise of few quanta."""
    beam = blurred(np.exp(-absorption), causes.blur, causes.size)
    counted = beam + causes.noise * np.sqrt(beam) * grain(causes.noise_seed, causes.size).astype(np.float32)
    density = -np.log(np.maximum(counted, 0.0) + causes.scatter)
    return (density - LOW) / (HIGH - LOW)


def blurred(field: Plane, width: float, size: tuple[int, int]) -> Plane:
    """A Gaussian blur, cut off at four deviations, so that its reach is known."""
    sigma = width * min(size)
    if not int(4.0 * sigma + 0.5):
        return field
    smooth: Plane = ndimage.gaussian_filter(field, sigma, mode="nearest", truncate=4.0)
    return smooth


def display(causes: ChestCauses, density: Plane, artefacts: Artefacts) -> NDArray[np.float32]:
    """What the screen shows, (1, H, W) in [0, 1]."""
    shown = 0.5 + causes.contrast * (density + causes.exposure - 0.5)
    shown = s_curve(shown) ** causes.gamma
    if causes.sharpening:
        shown = shown + causes.sharpening * (shown - blurred(shown, causes.sharpening_width, causes.size))
    if any(causes.shading):
        rows, columns = axes(causes.size)
        shown = shown + (causes.shading[0] * rows[:, None] + causes.shading[1] * columns[None, :]).astype(np.float32)
    shown = np.maximum(shown, artefacts.lettering)
    shown = np.where(artefacts.shutters, causes.shutter, np.clip(shown, 0.0, 1.0))
    return (1.0 - shown if causes.inverted else shown).astype(np.float32)[None]


def s_curve(x: Plane) -> Plane:
    """A film's curve: a toe at black, a shoulder at white, straight between."""
    toe = 0.08
    low = np.where(x < toe, toe * np.exp(np.minimum(x, toe) / toe - 1.0), x)
    return np.where(low > 1.0 - toe, 1.0 - toe * np.exp(-(np.maximum(low, 1.0 - toe) - 1.0 + toe) / toe), low)
