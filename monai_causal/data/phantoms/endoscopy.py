# SPDX-License-Identifier: Apache-2.0
"""Endoscopy scenes with a polyp or a harmless fold, taken under one of twelve conditions that may give it away.

The structural equations, all noise on the right-hand sides exogenous::

    lesion     := [u < 1/2]                                              the bump is a polyp, else a fold
    own        := LESION_CONFOUNDERS if lesion == (strength >= 0), else the other six
    confounder := uniform over own with probability |strength|, else uniform over all twelve
    severity   := uniform on [0.3, 1), unless given
    area       := uniform on [0.04, 0.2),  and the bump's place, form and tint, whatever the finding
    scene      := light * (mucosa + evidence * lesion * pits(scene_seed) inside the bump),  at scale zoom
    zoom       := 1.5 ** (severity if close_up, -severity if distant, else 0)
    image      := clip(compress(disturb(scene, confounder, severity, artifact_seed) + noise * grain(noise_seed)))

So P(confounder | lesion) = |strength| / 6 [it is of own] + (1 - |strength|) / 12: at strength 1 the confounder tells
the finding, at 0 nothing, at -1 its opposite. ``evidence`` is what the bump shows of the finding by itself: a pattern
of pits and a darker red, at 0 neither. Everything else of the bump is alike for polyp and fold.

``lesion`` and ``confounder`` are held as values, so each ``do`` is the direct effect: ``do(confounder=...)`` keeps the
finding, the scene, the grain and the severity, ``do(lesion=...)`` keeps the confounder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monai_causal.data.phantoms.endoscopy_confounders import CONFOUNDERS, LARGEST_ZOOM, compress, disturb, zoom
from monai_causal.data.phantoms.fields import Field, grain, smoothstep, stream, value_noise
from monai_causal.data.phantoms.phantom import Causes, Phantom, Rendered, require

__all__ = [
    "CONFOUNDERS",
    "LESION_CONFOUNDERS",
    "NORMAL_CONFOUNDERS",
    "TEMPLATES",
    "EndoscopyCauses",
    "caption",
    "draw_causes",
    "endoscopy",
    "render",
]

LESION_CONFOUNDERS = ("bright", "uneven", "narrow_band", "close_up", "blood", "reflection")
"""What goes with a polyp where the law confounds."""
NORMAL_CONFOUNDERS = tuple(name for name in CONFOUNDERS if name not in LESION_CONFOUNDERS)
"""What goes with a fold where the law confounds: white_light, motion_blur, compression, dim, distant, mucus."""

EVIDENCE = 0.7
SMALLEST_SIDE = 32  # below this the pits fall between the pixels
SMALLEST_AREA, LARGEST_AREA = 0.04, 0.2
LARGE = 0.12  # of the square on the shorter side: from here on a caption calls a polyp large
CENTRAL = 0.1  # shorter sides from the middle: up to here a caption calls it in the centre
NAMED_SEVERITY = 0.3  # below this a caption says white light
MUCOSA = (0.80, 0.46, 0.40)
VESSEL = (0.07, 0.13, 0.10)  # what a vessel takes from the mucosa
PITS = (0.07, 0.10, 0.08)  # what a pit takes from a polyp at evidence 1
REDDENING = (0.01, 0.035, 0.025)  # what all of a polyp loses at evidence 1
MOTTLE = 0.06  # of any bump, polyp or fold: blotches about as fine as the pits
PIT_SPACING = 0.066  # shorter sides

TEMPLATES = (
    "An endoscopy image with {phrase}, showing {finding}.",
    "An endoscopy image with {phrase}",
    "A {kind} with {phrase}",
    "A {kind} in an endoscopic image",
    "A colonoscopy frame with {phrase}: {finding}.",
    "An endoscopic view of {finding}, with {phrase}.",
    "Endoscopy with {phrase}. Finding: {finding}.",
    "This frame shows {finding}; it was taken with {phrase}.",
)
"""What :func:`caption` fills in: the confounder's phrase; polyp or normal mucosa (``kind``); and that with details."""


@dataclass(frozen=True, kw_only=True)
class EndoscopyCauses(Causes):
    """What causes an endoscopy image. Lengths are in shorter sides of the image under white light, (row, column)."""

    size: tuple[int, int]
    lesion: bool
    """Whether the bump is a polyp; else it is a fold."""
    confounder: str
    """One of :data:`CONFOUNDERS`."""
    severity: float
    """How much of the confounder, 0 to 1; it says nothing for white light, and 0 of any other is white light."""
    evidence: float = EVIDENCE
    area: float
    """The bump's, of the square on the shorter side, under white light."""
    centre: tuple[float, float]
    """The bump's, from the middle of the image."""
    elongation: float = 1.0
    """The long axis of the bump by the short one."""
    angle: float = 0.0
    """Where the long axis points, in degrees."""
    tint: float = 0.0
    """How much redder than the mucosa the bump is, whether polyp or fold."""
    lumen: tuple[float, float]
    """Where the folds recede into the dark, from the middle of the image."""
    redness: float = 0.0
    """The mucosa's, above that of a usual one."""
    light: float = 0.0
    """Where the light comes from, in degrees."""
    noise: float = 0.01
    scene_seed: int
    """Of outline, folds, vessels and pits."""
    artifact_seed: int
    """Of where a confounder acts: the strands, drops and highlights, the directions of light and motion."""
    noise_seed: int

    def __post_init__(self) -> None:
        require(len(self.size) == 2, "size", self.size, "give two sides")
        require(min(self.size) >= SMALLEST_SIDE, "size", self.size, f"give sides of at least {SMALLEST_SIDE} pixels")
        require(isinstance(self.lesion, (bool, np.bool_)), "lesion", self.lesion, "give True (polyp) or False (fold)")
        known = isinstance(self.confounder, str) and self.confounder in CONFOUNDERS
        require(known, "confounder", self.confounder, f"the confounders are: {', '.join(CONFOUNDERS)}")
        for name in ("severity", "evidence"):
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "give a number from 0 to 1")
        require(0 < self.area <= 0.5, "area", self.area, "give a fraction above 0, at most 0.5")
        shortest = min(self.size)
        for name in ("centre", "lumen"):
            point = getattr(self, name)
            inside = len(point) == 2 and all(abs(x) <= n / shortest / 2 for x, n in zip(point, self.size, strict=True))
            require(inside, name, point, f"give (row, column) from the middle, inside the image of size {self.size}")
        require(1 <= self.elongation <= 3, "elongation", self.elongation, "give a ratio from 1 to 3")
        for name in ("tint", "redness"):
            require(abs(getattr(self, name)) <= 0.2, name, getattr(self, name), "give a number from -0.2 to 0.2")
        for name in ("angle", "light"):
            require(math.isfinite(getattr(self, name)), name, getattr(self, name), "give an angle in degrees")
        require(self.noise >= 0, "noise", self.noise, "give a standard deviation of 0 or more")

    @property
    def zoom(self) -> float:
        """How many times larger than under white light the scene appears."""
        return zoom(self.confounder, self.severity)


def endoscopy(
    seed: int,
    *,
    size: Sequence[int] = (96, 96),
    strength: float = 0.0,
    severity: float | None = None,
    evidence: float = EVIDENCE,
) -> Phantom[EndoscopyCauses]:
    """A phantom drawn from the structural causal model (see the module).

    Args:
        seed: what all exogenous draws belong to. Seeds share nothing; the same seed at another strength differs in
            ``confounder`` alone.
        size: (H, W), at least 32.
        strength: how far the confounder follows the finding, 1 always, 0 not at all, -1 always the opposite.
        severity: of the confounder, 0 to 1; None draws it from 0.3 to 1.
        evidence: how much the bump's surface tells of the finding, 0 to 1.

    Returns:
        A phantom with an RGB image (3, H, W); ``labels`` 1 where a polyp is, by its outline, 0 elsewhere and all over
        an image with a fold; and in ``maps["bump"]`` the outline of polyp or fold alike.

    >>> phantom = endoscopy(2, strength=1.0)
    >>> phantom.causes.lesion, phantom.causes.confounder in LESION_CONFOUNDERS
    (True, True)
    >>> other = phantom.do(confounder="blood", severity=0.8)  # the same scene, with blood on it
    >>> bool((other.labels == phantom.do(confounder="white_light").labels).all())
    True
    """
    return Phantom.of(draw_causes(seed, size=size, strength=strength, severity=severity, evidence=evidence), render)


def draw_causes(
    seed: int,
    *,
    size: Sequence[int] = (96, 96),
    strength: float = 0.0,
    severity: float | None = None,
    evidence: float = EVIDENCE,
) -> EndoscopyCauses:
    """Causes drawn from the model, without rendering: as many numbers in the same order, whatever the arguments."""
    require(-1 <= strength <= 1, "strength", strength, "give a number from -1 to 1; 0 is unconfounded")
    uniform = stream(seed, "causes").random
    lesion, follows = bool(uniform() < 0.5), bool(uniform() < abs(strength))
    of_six, of_twelve, drawn_severity = int(6 * uniform()), int(12 * uniform()), 0.3 + 0.7 * uniform()
    own = LESION_CONFOUNDERS if lesion == (strength >= 0) else NORMAL_CONFOUNDERS
    area = SMALLEST_AREA + (LARGEST_AREA - SMALLEST_AREA) * uniform()
    elongation, angle = 1.0 + 0.4 * uniform(), 180.0 * uniform()
    far = min(0.28, 0.47 - 1.15 * math.sqrt(area * elongation / math.pi))  # so that the bump is whole under white light
    distance, bearing = far * math.sqrt(uniform()), 2.0 * math.pi * uniform()
    opposite, depth = bearing + math.pi + 2.0 * (uniform() - 0.5), 0.38 + 0.08 * uniform()
    return EndoscopyCauses(
        size=tuple(size),  # type: ignore[arg-type]  # two sides: the causes check it
        lesion=lesion,
        confounder=own[of_six] if follows else tuple(CONFOUNDERS)[of_twelve],
        severity=drawn_severity if severity is None else severity,
        evidence=evidence,
        area=area,
        centre=(distance * math.sin(bearing), distance * math.cos(bearing)),
        elongation=elongation,
        angle=angle,
        lumen=(depth * math.sin(opposite), depth * math.cos(opposite)),
        tint=0.1 * (uniform() - 0.5),
        redness=0.12 * (uniform() - 0.5),
        light=360.0 * uniform(),
        scene_seed=seed,
        artifact_seed=seed,
        noise_seed=seed,
    )


def render(causes: EndoscopyCauses) -> Rendered:
    """Image (3, H, W), labels and the map of the bump (H, W): a pure function of the causes."""
    scene, bump = scene_of(causes)
    seen = disturb(scene, causes.confounder, causes.severity, causes.artifact_seed)
    seen = seen + causes.noise * grain(causes.noise_seed, seen.shape)
    if causes.confounder == "compression":
        seen = compress(seen, causes.severity)
    image = np.clip(seen, 0.0, 1.0).astype(np.float32)
    outline = bump.astype(np.uint8)
    return image, outline * np.uint8(causes.lesion), {"bump": outline}


def scene_of(causes: EndoscopyCauses) -> tuple[Field, NDArray[np.bool_]]:
    """The scene as white light shows it at the causes' zoom, (3, H, W), and whether each pixel is bump, (H, W)."""
    shortest = min(causes.size)
    pixels = [(np.arange(length) - (length - 1) / 2) / shortest for length in causes.size]
    rows, columns = axes = [axis / causes.zoom for axis in pixels]
    y, x = rows[:, None], columns[None, :]

    def noise(purpose: str, across: int) -> Field:
        return scene_noise(causes, axes, purpose, across)

    # the form of the wall: folds in rings about the lumen, gentle relief, and the bump as a dome on it
    to_lumen = np.sqrt((y - causes.lumen[0]) ** 2 + (x - causes.lumen[1]) ** 2)
    relief = noise("relief", 5)
    phase = 4.5 * to_lumen + 0.7 * noise("folds", 3)
    folds = smoothstep(np.abs(2.0 * (phase - np.floor(phase)) - 1.0))
    beyond = bump_distance(causes, y, x)
    radius = math.sqrt(causes.area / math.pi)
    dome = smoothstep((1.1 - beyond) / 0.26) * (1.0 - 0.55 * np.minimum(beyond, 1.1) ** 2)
    height = 0.02 * relief + 0.028 * folds * (1.0 - 0.7 * (dome > 0) * dome) + 0.42 * radius * dome

    # light from beside the camera; it fades into the lumen and towards the rim of the image
    pitch = 1.0 / (shortest * causes.zoom)
    down, right = np.gradient(height, pitch)
    angle = math.radians(causes.light)
    facing = 0.9 - 0.42 * (math.sin(angle) * down + math.cos(angle) * right)
    shade = facing / np.sqrt(1.0 + down * down + right * right)
    depth = 0.2 + 0.8 * smoothstep((to_lumen - 0.02) / 0.42)
    rim = 1.06 - 0.6 * (pixels[0][:, None] ** 2 + pixels[1] ** 2)
    lit = np.maximum(depth, smoothstep((1.2 - beyond) / 0.3)) * np.maximum(shade, 0.0) * rim

    vessels = smoothstep(1.2 - np.abs(noise("vessels", 6) + 0.25 * relief) / 0.06) * (0.5 + 0.5 * relief)
    clouds = 1.0 + 0.06 * noise("clouds", 4) + 0.04 * noise("fine clouds", 14)
    inside = smoothstep((1.0 - beyond) / 0.25)  # 0 beyond the outline
    mottle = noise("mottle", 20)
    shown = causes.evidence * causes.lesion
    pits = shown * inside * pit_pattern(causes, y, x, noise) if shown else None
    channels = []
    for number, base in enumerate(MUCOSA):
        red = -causes.redness if number else 0.3 * causes.redness
        tint = -causes.tint if number else 0.0
        colour = base + red - VESSEL[number] * vessels + (tint - MOTTLE * mottle) * inside
        if pits is not None:
            colour = colour - PITS[number] * pits - shown * REDDENING[number] * inside
        channels.append(colour * clouds * lit)
    return np.stack(channels), beyond <= 1.0


def scene_noise(causes: EndoscopyCauses, axes: Sequence[Field], purpose: str, across: int) -> Field:
    """Smooth noise of the scene's, (H, W) in [-1, 1], with so many lattice cells across the shorter side."""
    # the lattice covers what the most distant view shows, so each view shows its part of the same scene
    reaches = [0.5 * LARGEST_ZOOM * length / min(causes.size) for length in causes.size]
    coordinates = [across * (axis + reach) for axis, reach in zip(axes, reaches, strict=True)]
    cells = [int(2 * across * reach) + 1 for reach in reaches]
    return value_noise(stream(causes.scene_seed, purpose), cells, coordinates)


def bump_distance(causes: EndoscopyCauses, y: Field, x: Field) -> Field:
    """From the bump's centre by the outline in that direction: 1 on the outline, which encloses ``area`` exactly."""
    angle = math.radians(causes.angle)
    down, right = y - causes.centre[0], x - causes.centre[1]
    along = math.sin(angle) * down + math.cos(angle) * right
    across = math.cos(angle) * down - math.sin(angle) * right
    stretch = math.sqrt(causes.elongation)
    along, across = along / stretch, across * stretch
    distance = np.sqrt(along * along + across * across)
    unit = (along + 1j * across) / np.maximum(distance, 1e-9)
    waves = 2.0 * stream(causes.scene_seed, "outline").random((4, 2)) - 1.0
    power, lumps, spread = unit, 0.0, 0.0
    for order, (real, imaginary) in enumerate(waves, start=2):  # two to five lobes, ever weaker
        power = power * unit
        real, imaginary = 0.16 * real / order, 0.16 * imaginary / order
        lumps = lumps + real * power.real + imaginary * power.imag
        spread += (real * real + imaginary * imaginary) / 2.0
    radius = math.sqrt(causes.area / (math.pi * (1.0 + spread)))
    return distance / (radius * (1.0 + lumps))


def pit_pattern(causes: EndoscopyCauses, y: Field, x: Field, noise: Callable[[str, int], Field]) -> Field:
    """Spots on a bent hexagonal lattice, (H, W) in [0, 1]."""
    number = 2.0 * math.pi / (PIT_SPACING * math.sqrt(0.75))
    phases = []
    for turned, bend in ((0.0, "pits along"), (60.0, "pits across")):
        angle = math.radians(causes.angle + turned)
        phases.append(number * (math.sin(angle) * y + math.cos(angle) * x) + 2.5 * noise(bend, 6))
    waves = np.cos(phases[0]) + np.cos(phases[1]) + np.cos(phases[1] - phases[0])  # -1.5 between, 3 on the spots
    return smoothstep((waves + 0.8) / 2.4)


def caption(causes: EndoscopyCauses, variant: int = 0) -> str:
    """What the image shows, in English: the finding and the confounder, or what the template names of them.

    A polyp's size and place are the scene's, so they hold under every confounder. White light is what a severity below
    0.3 is called, whatever the confounder.

    Args:
        causes: of the phantom.
        variant: which of :data:`TEMPLATES`, counted around.

    >>> causes = draw_causes(2).do(confounder="blood", severity=0.8)
    >>> caption(causes)
    'An endoscopy image with blood, showing a small polyp in the lower part.'
    >>> caption(causes.do(lesion=False, severity=0.1), variant=2)
    'A normal mucosa with white-light imaging'
    """
    phrase = CONFOUNDERS[causes.confounder if causes.severity >= NAMED_SEVERITY else "white_light"]
    kind = "polyp" if causes.lesion else "normal mucosa"
    finding = f"a {'large' if causes.area >= LARGE else 'small'} polyp {place(causes)}" if causes.lesion else kind
    return TEMPLATES[variant % len(TEMPLATES)].format(phrase=phrase, kind=kind, finding=finding)


def place(causes: EndoscopyCauses) -> str:
    """Where in the image the bump lies."""
    down, right = causes.centre
    if max(abs(down), abs(right)) <= CENTRAL:
        return "in the centre"
    if abs(right) >= abs(down):
        return "on the left" if right < 0 else "on the right"
    return "in the upper part" if down < 0 else "in the lower part"
