# SPDX-License-Identifier: Apache-2.0
"""What causes a chest radiograph phantom: the body, its pose, findings, artefacts, the exposure; and their names."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from monai_causal.data.phantoms.phantom import Causes, require

__all__ = [
    "COMPOSITES",
    "CONCEPTS",
    "FINDINGS",
    "FINDING_CONCEPTS",
    "FINDING_PHRASES",
    "MARKERS",
    "SIDES",
    "TUBES",
    "ZONES",
    "ChestCauses",
]

CONCEPTS = (
    "cardiac silhouette",
    "left lung",
    "right lung",
    "mediastinum",
    "upper mediastinum",
    "left clavicle",
    "right clavicle",
    "left hilar structures",
    "right hilar structures",
    "left costophrenic angle",
    "right costophrenic angle",
)
"""The eleven anatomical regions of MedFocus, in the order of a phantom's concept masks. Left is the patient's."""

COMPOSITES = {
    "both lungs": ("left lung", "right lung"),
    "clavicles": ("left clavicle", "right clavicle"),
    "hila": ("left hilar structures", "right hilar structures"),
    "costophrenic angles": ("left costophrenic angle", "right costophrenic angle"),
}
"""The four composites of MedFocus: each is the union of its members' masks."""

FINDING_PHRASES = {
    "cardiomegaly": "cardiomegaly",
    "effusion_left": "left pleural effusion",
    "effusion_right": "right pleural effusion",
    "pneumothorax": "pneumothorax",
    "consolidation": "consolidation",
    "nodule": "a lung nodule",
    "hilar_enlargement": "hilar enlargement",
    "wide_mediastinum": "a widened mediastinum",
}
"""The findings, each with what a question calls it."""

FINDINGS = tuple(FINDING_PHRASES)
"""The findings; each is a cause of that name, whose value is its strength: 0 absent, up to 1."""

SIDES = ("left", "right")
ZONES = ("left upper", "left middle", "left lower", "right upper", "right middle", "right lower")

FINDING_CONCEPTS = {
    "cardiomegaly": ("cardiac silhouette",),
    "effusion_left": ("left costophrenic angle", "left lung"),
    "effusion_right": ("right costophrenic angle", "right lung"),
    "pneumothorax_left": ("left lung",),
    "pneumothorax_right": ("right lung",),
    "consolidation_left": ("left lung",),
    "consolidation_right": ("right lung",),
    "nodule_left": ("left lung",),
    "nodule_right": ("right lung",),
    "hilar_enlargement_left": ("left hilar structures",),
    "hilar_enlargement_right": ("right hilar structures",),
    "wide_mediastinum": ("upper mediastinum", "mediastinum"),
}
"""The concepts that show each finding, the narrowest first. A finding that may lie on either side is named with it."""

MARKERS = ("none", "L", "R")
TUBES = ("none", "endotracheal", "nasogastric", "central line")

SMALLEST_SIDE = 32  # below this a clavicle falls between the pixels


@dataclass(frozen=True, kw_only=True)
class ChestCauses(Causes):
    """What causes a chest radiograph.

    Lengths are in shorter sides of the image, places (row, column) from its middle, angles in degrees. Within the body
    a place is (down, out): down from the apex of the lung (0) to its base (1), out from its medial edge (0) to the
    lateral one (1).
    """

    size: tuple[int, int]

    # pose
    shift: tuple[float, float] = (0.0, 0.0)
    tilt: float = 0.0
    """The body's lean in the plane of the image, clockwise."""
    turn: float = 0.0
    """The body's turn about its long axis, -1 to 1: what is in front moves against the spine and the ribs."""

    # body
    width: float = 0.84
    """Of the chest, from one lung's lateral edge to the other's."""
    height: float = 0.76
    """From the apex of the lungs to the costophrenic angles."""
    apex: float = 2.5
    """How broad-shouldered the lungs are: 2 a cone, 3 a box."""
    inspiration: float = 0.0
    """-1 to 1: the domes of the diaphragm go down with it."""
    dome: float = 0.15
    """How far the dome rises above the costophrenic angle, of the height."""
    dome_gap: float = 0.05
    """How much higher the right dome is, of the height."""
    heart: float = 0.46
    """The heart's width by the chest's, without cardiomegaly."""
    heart_axis: float = 0.0
    """The lean of the heart: negative upright, positive lying on the diaphragm."""
    pedicle: float = 1.0
    """Width of the upper mediastinum, by the usual one."""
    aorta: float = 1.0
    """How far the aortic arch stands out, by the usual."""
    rib_slope: float = 0.27
    """How far a rib descends from back to front, of the height."""
    rib_gap: float = 0.085
    """From a rib to the next, of the height."""
    rib_width: float = 0.016
    clavicle_rise: float = 0.12
    """From the clavicle's medial end to its lateral one, of the height."""
    clavicle_level: float = 0.13
    """Of the clavicle's medial end, of the height."""
    flesh: float = 0.10
    """What lies lateral to the ribs, of half the chest's width."""
    breast: float = 0.0
    """0 none, 1 large."""
    gas: float = 0.0
    """The stomach's gas under the left dome, 0 to 1."""
    vessels: float = 1.0
    """How strongly the lung's vessels show."""
    warp: float = 0.008
    """How far a smooth field bends the whole body."""
    anatomy_seed: int
    """Of the vessels, the bending, and all that makes one body unlike another beyond its measures."""

    # findings: each strength from 0 (absent) to 1
    cardiomegaly: float = 0.0
    effusion_left: float = 0.0
    effusion_right: float = 0.0
    pneumothorax: float = 0.0
    pneumothorax_side: str = "right"
    consolidation: float = 0.0
    consolidation_zone: str = "right lower"
    consolidation_seed: int = 0
    """Of its outline and its place within the zone."""
    nodule: float = 0.0
    nodule_side: str = "right"
    nodule_position: tuple[float, float] = (0.4, 0.5)
    nodule_radius: float = 0.028
    hilar_enlargement: float = 0.0
    hilar_enlargement_side: str = "right"
    wide_mediastinum: float = 0.0
    haze: tuple[float, float] = (0.0, 0.0)
    """Diffuse opacity of the left and of the right lung, 0 to 1; no question is about it."""

    # artefacts
    marker: str = "none"
    """The letter that a side marker of lead shows."""
    marker_position: tuple[float, float] = (-0.40, 0.40)
    marker_height: float = 0.06
    tube: str = "none"
    tube_depth: float = 0.0
    """How much deeper than usual the tube lies, of the height."""
    electrodes: tuple[tuple[float, float], ...] = ()
    """Where electrodes stick on the skin, each with its wire."""
    collimation: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """How far the shutters reach in from top, right, bottom and left."""
    collimation_tilt: float = 0.0
    shutter: float = 0.0
    """The grey under the shutters."""
    clutter: int = 0
    """How many further things lie on the film: wires, lettering, clips, a pacemaker."""
    artefact_seed: int = 0
    """Of the paths of wires and tubes, and of the clutter."""

    # exposure and display
    exposure: float = 0.0
    """Positive is brighter: more is absorbed than the display expects."""
    contrast: float = 1.0
    bone: float = 1.0
    """How strongly bone absorbs, by the usual: less at a high tube voltage."""
    air: float = 1.0
    """How much less than flesh the lungs absorb, by the usual."""
    scatter: float = 0.08
    """What reaches the film past the shadows, of what falls on the chest: it veils what lies in dense parts."""
    gamma: float = 1.0
    shading: tuple[float, float] = (0.0, 0.0)
    """Uneven brightness, top to bottom and left to right."""
    sharpening: float = 0.0
    """The strength of the display's unsharp mask."""
    sharpening_width: float = 0.02
    blur: float = 0.0015
    noise: float = 0.012
    noise_seed: int
    inverted: bool = False
    """Bones dark, as some archives keep them."""

    def __post_init__(self) -> None:
        require(len(self.size) == 2, "size", self.size, "give two sides")
        require(min(self.size) >= SMALLEST_SIDE, "size", self.size, f"give sides of at least {SMALLEST_SIDE} pixels")
        for name in FINDINGS:
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "give a strength from 0 (absent) to 1")
        for name, known in (
            ("pneumothorax_side", SIDES),
            ("nodule_side", SIDES),
            ("hilar_enlargement_side", SIDES),
            ("consolidation_zone", ZONES),
            ("marker", MARKERS),
            ("tube", TUBES),
        ):
            require(getattr(self, name) in known, name, getattr(self, name), f"give one of: {', '.join(known)}")
        for name, low, high in RANGES:
            value = getattr(self, name)
            require(low <= value <= high, name, value, f"give a number from {low} to {high}")
        for name, count, low, high in TUPLE_RANGES:
            value = getattr(self, name)
            fits = len(value) == count and all(low <= x <= high for x in value)
            require(fits, name, value, f"give {count} numbers from {low} to {high}")
        for point in self.electrodes:
            require(len(point) == 2 and all_finite(point), "electrodes", self.electrodes, "give (row, column) of each")
        for name in ("tilt", "collimation_tilt"):
            require(math.isfinite(getattr(self, name)), name, getattr(self, name), "give an angle in degrees")
        require(isinstance(self.inverted, bool), "inverted", self.inverted, "give True or False")

    @property
    def margin(self) -> int:
        """How many pixels beyond its own mask a finding may change: the reach of the blur and of the unsharp mask."""
        return blur_radius(self.blur, self.size) + (
            blur_radius(self.sharpening_width, self.size) if self.sharpening else 0
        )

    def side_of(self, finding: str) -> str | None:
        """The patient's side that a finding lies on (or would, were it there), None for one in the middle."""
        if finding in ("effusion_left", "effusion_right"):
            return finding.removeprefix("effusion_")
        if finding == "consolidation":
            return self.consolidation_zone.split()[0]
        side: str | None = getattr(self, f"{finding}_side", None)
        return side

    def concepts_of(self, finding: str) -> tuple[str, ...]:
        """The concepts that show a finding where these causes put it, the narrowest first."""
        side = self.side_of(finding)
        return FINDING_CONCEPTS[finding if finding in FINDING_CONCEPTS else f"{finding}_{side}"]


RANGES = (
    ("turn", -1.0, 1.0),
    ("width", 0.3, 1.6),
    ("height", 0.3, 1.6),
    ("apex", 1.5, 4.0),
    ("inspiration", -1.0, 1.0),
    ("dome", 0.02, 0.3),
    ("dome_gap", -0.1, 0.15),
    ("heart", 0.3, 0.6),
    ("heart_axis", -25.0, 25.0),
    ("pedicle", 0.5, 1.6),
    ("aorta", 0.0, 2.5),
    ("rib_slope", 0.05, 0.45),
    ("rib_gap", 0.06, 0.12),
    ("rib_width", 0.006, 0.03),
    ("clavicle_rise", -0.1, 0.3),
    ("clavicle_level", 0.02, 0.3),
    ("flesh", 0.02, 0.5),
    ("breast", 0.0, 1.0),
    ("gas", 0.0, 1.0),
    ("vessels", 0.0, 3.0),
    ("warp", 0.0, 0.04),
    ("nodule_radius", 0.008, 0.08),
    ("marker_height", 0.02, 0.2),
    ("tube_depth", -0.15, 0.15),
    ("shutter", 0.0, 1.0),
    ("clutter", 0, 20),
    ("exposure", -5.0, 5.0),
    ("contrast", 0.1, 4.0),
    ("bone", 0.0, 4.0),
    ("air", 0.3, 1.3),
    ("scatter", 0.001, 1.0),
    ("gamma", 0.2, 5.0),
    ("sharpening", 0.0, 4.0),
    ("sharpening_width", 0.002, 0.1),
    ("blur", 0.0, 0.02),
    ("noise", 0.0, 0.2),
)
TUPLE_RANGES = (
    ("shift", 2, -1.0, 1.0),
    ("nodule_position", 2, 0.0, 1.0),
    ("haze", 2, 0.0, 1.0),
    ("marker_position", 2, -2.0, 2.0),
    ("collimation", 4, 0.0, 0.45),
    ("shading", 2, -0.5, 0.5),
)


def blur_radius(width: float, size: tuple[int, int]) -> int:
    """How many pixels a Gaussian blur of this standard deviation, in shorter sides, reaches: four deviations."""
    return int(4.0 * width * min(size) + 0.5)


def all_finite(values: Iterable[float]) -> bool:
    """Whether all are ordinary numbers."""
    return all(math.isfinite(value) for value in values)
