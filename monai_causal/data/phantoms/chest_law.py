# SPDX-License-Identifier: Apache-2.0
"""The law that chest phantoms are drawn from, in two styles: as clinics see them, and as no clinic would."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from monai_causal.data.phantoms.chest_causes import FINDINGS, SIDES, TUBES, ZONES, ChestCauses
from monai_causal.data.phantoms.fields import stream
from monai_causal.data.phantoms.phantom import require

__all__ = ["STYLES", "WEAKEST", "draw_causes"]

STYLES = ("plain", "random")
WEAKEST = 0.35
"""The least strength that a finding is drawn with: below it, it would be hard to see."""
LUNG_DENSITY, HEART_DENSITY = 0.29, 0.86  # on the display's scale, at the usual exposure

Uniform = Callable[[float, float], float]


def draw_causes(
    seed: int,
    *,
    size: Sequence[int] = (224, 224),
    style: str = "plain",
    findings: Collection[str] | None = None,
    prevalence: float = 0.25,
    shortcut: str | None = None,
    strength: float = 0.0,
) -> ChestCauses:
    """Causes drawn from the model, without rendering: each group from a stream of its own, so that an argument changes
    what it names and nothing else. The arguments are those of :func:`~monai_causal.data.phantoms.chest.chest`."""
    require(style in STYLES, "style", style, f"the styles are: {', '.join(STYLES)}")
    require(0 <= prevalence <= 1, "prevalence", prevalence, "give a probability from 0 to 1")
    require(-1 <= strength <= 1, "strength", strength, "give a number from -1 to 1; 0 is unconfounded")
    for name in findings or ():
        require(name in FINDINGS, "findings", name, f"the findings are: {', '.join(FINDINGS)}")
    if shortcut is not None:
        require(shortcut in FINDINGS, "shortcut", shortcut, f"the findings are: {', '.join(FINDINGS)}")
    drawn = {
        **body_law(uniform_of(seed, "body"), style),
        **findings_law(uniform_of(seed, "findings"), seed, findings, prevalence),
        **exposure_law(uniform_of(seed, "exposure"), style),
    }
    shown = drawn[shortcut] > 0 if shortcut is not None else None
    drawn.update(artefacts_law(uniform_of(seed, "artefacts"), style, size, shown, strength))
    if style == "random":
        drawn.update(haze=haze_law(uniform_of(seed, "haze")))
    return ChestCauses(size=tuple(size), anatomy_seed=seed, artefact_seed=seed, noise_seed=seed, **drawn)  # type: ignore[arg-type]


def uniform_of(seed: int, purpose: str) -> Uniform:
    """Uniform numbers between two bounds, from a stream of their own."""
    random = stream(seed, f"chest {purpose}").random

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(random())

    return uniform


def body_law(uniform: Uniform, style: str) -> dict[str, Any]:
    """Pose and measures."""
    if style == "plain":
        width = uniform(0.78, 0.92)
        return {
            "shift": (uniform(-0.055, -0.01), uniform(-0.02, 0.02)),
            "tilt": uniform(-2.5, 2.5),
            "turn": uniform(-0.5, 0.5),
            "width": width,
            "height": width * uniform(0.82, 1.0),
            "apex": uniform(2.2, 2.8),
            "inspiration": uniform(-0.6, 0.8),
            "dome": uniform(0.11, 0.19),
            "dome_gap": uniform(0.025, 0.075),
            "heart": uniform(0.40, 0.475),
            "heart_axis": uniform(-8.0, 8.0),
            "pedicle": uniform(0.88, 1.12),
            "aorta": uniform(0.5, 1.4),
            "rib_slope": uniform(0.21, 0.33),
            "rib_gap": uniform(0.080, 0.092),
            "rib_width": uniform(0.011, 0.0145),
            "clavicle_rise": uniform(0.07, 0.16),
            "clavicle_level": uniform(0.10, 0.16),
            "flesh": uniform(0.07, 0.18),
            "breast": max(uniform(-0.8, 0.8), 0.0),
            "gas": max(uniform(-0.5, 0.9), 0.0),
            "vessels": uniform(0.8, 1.2),
            "warp": uniform(0.005, 0.012),
        }
    width = uniform(0.66, 1.02)
    return {
        "shift": (uniform(-0.11, 0.03), uniform(-0.06, 0.06)),
        "tilt": uniform(-9.0, 9.0),
        "turn": uniform(-1.0, 1.0),
        "width": width,
        "height": width * uniform(0.70, 1.20),
        "apex": uniform(1.9, 3.2),
        "inspiration": uniform(-1.0, 1.0),
        "dome": uniform(0.06, 0.24),
        "dome_gap": uniform(-0.02, 0.11),
        "heart": uniform(0.36, 0.54),
        "heart_axis": uniform(-16.0, 16.0),
        "pedicle": uniform(0.75, 1.45),
        "aorta": uniform(0.0, 2.0),
        "rib_slope": uniform(0.10, 0.38),
        "rib_gap": uniform(0.074, 0.102),
        "rib_width": uniform(0.010, 0.022),
        "clavicle_rise": uniform(-0.02, 0.24),
        "clavicle_level": uniform(0.06, 0.22),
        "flesh": uniform(0.03, 0.40),
        "breast": max(uniform(-1.0, 1.0), 0.0),
        "gas": max(uniform(-0.7, 1.0), 0.0),
        "vessels": uniform(0.3, 1.8),
        "warp": uniform(0.005, 0.03),
    }


def findings_law(uniform: Uniform, seed: int, findings: Collection[str] | None, prevalence: float) -> dict[str, Any]:
    """Which findings there are, how strong, and where; as many numbers in the same order whatever the arguments."""
    drawn: dict[str, Any] = {}
    for name in FINDINGS:
        coin, strength = uniform(0.0, 1.0), uniform(WEAKEST, 1.0)
        present = coin < prevalence if findings is None else name in findings
        drawn[name] = strength if present else 0.0
    sides = [SIDES[int(2 * uniform(0.0, 1.0))] for _ in range(3)]
    down, out, zone = uniform(0.18, 0.82), uniform(0.35, 0.80), ZONES[int(6 * uniform(0.0, 1.0))]
    pneumothorax_side, nodule_side, hilum_side = sides
    # no finding hides another: the answer would be true and nobody could see it
    side, level = zone.split()
    if drawn[f"effusion_{side}"] and level == "lower":
        zone = f"{side} upper"
    if drawn["consolidation"] and nodule_side == side:
        nodule_side = other(side)
    if drawn["nodule"] and pneumothorax_side == nodule_side:
        pneumothorax_side = other(nodule_side)
    if drawn[f"effusion_{nodule_side}"]:
        down = 0.18 + 0.35 * (down - 0.18)
    if nodule_side == "left" and down > 0.45:  # beside the heart, not behind it
        out = 0.62 + 0.5 * (out - 0.35)
    drawn.update(
        pneumothorax_side=pneumothorax_side,
        nodule_side=nodule_side,
        hilar_enlargement_side=hilum_side,
        nodule_position=(down, out),
        nodule_radius=uniform(0.020, 0.042),
        consolidation_zone=zone,
        consolidation_seed=seed,
    )
    return drawn


def other(side: str) -> str:
    """The side across."""
    return SIDES[1 - SIDES.index(side)]


def haze_law(uniform: Uniform) -> tuple[float, float]:
    """Diffuse opacity of the two lungs: none, both, or each for itself, so dense at times that it hides the lung."""
    kind = uniform(0.0, 1.0)
    both, left, right = (uniform(0.0, 0.9) for _ in range(3))
    if kind < 0.35:
        return 0.0, 0.0
    return (both, both * (0.6 + 0.4 * right)) if kind < 0.75 else (left, right)


def exposure_law(uniform: Uniform, style: str) -> dict[str, Any]:
    """Exposure, film and display."""
    if style == "plain":
        return {
            "exposure": uniform(-0.06, 0.06),
            "contrast": uniform(0.9, 1.1),
            "bone": uniform(0.85, 1.15),
            "gamma": uniform(0.85, 1.15),
            "scatter": uniform(0.06, 0.10),
            "sharpening": uniform(0.1, 0.5),
            "sharpening_width": uniform(0.004, 0.008),
            "blur": uniform(0.0010, 0.0025),
            "noise": uniform(0.006, 0.016),
        }
    # the greys of lung and heart, so that the lung is always the darker and never lost
    lung = uniform(0.0, 0.6)
    contrast = uniform(0.14, 1.0 - lung) / (HEART_DENSITY - LUNG_DENSITY)
    return {
        "exposure": (lung - 0.5) / contrast + 0.5 - LUNG_DENSITY,
        "contrast": contrast,
        "bone": uniform(0.2, 2.2),
        "air": uniform(0.65, 1.12),
        "gamma": 0.65 * 2.4 ** uniform(0.0, 1.0),
        "scatter": 0.02 * 12.0 ** uniform(0.0, 1.0),
        "sharpening": max(uniform(-0.8, 2.2), 0.0),
        "sharpening_width": 0.004 * 15.0 ** uniform(0.0, 1.0),
        "blur": 0.0004 * 20.0 ** uniform(0.0, 1.0),
        "noise": 0.002 * 20.0 ** uniform(0.0, 1.0) / max(contrast, 0.4),
        "shading": (uniform(-0.2, 0.2), uniform(-0.2, 0.2)),
        "inverted": uniform(0.0, 1.0) < 0.12,
    }


def artefacts_law(
    uniform: Uniform, style: str, size: Sequence[int], shown: bool | None, strength: float
) -> dict[str, Any]:
    """Marker, tubes, electrodes, shutters; ``shown`` is whether the finding that the marker follows is there."""
    high, wide = (length / min(size) / 2 for length in size)
    coin, letter = uniform(0.0, 1.0), "L" if uniform(0.0, 1.0) < 0.5 else "R"
    chance = 0.5 if shown is None else (1.0 + (strength if shown else -strength)) / 2.0
    height = uniform(0.05, 0.07)
    column = (wide - uniform(0.07, 0.10)) * (1.0 if letter == "L" else -1.0)
    drawn: dict[str, Any] = {
        "marker": letter if coin < chance else "none",
        "marker_position": (-high + uniform(0.07, 0.13), column),
        "marker_height": height,
    }
    often = 0.2 if style == "plain" else 0.45
    tube, electrodes, shutters = (uniform(0.0, 1.0) < often for _ in range(3))
    drawn["tube"] = TUBES[1 + int(3 * uniform(0.0, 1.0))] if tube else "none"
    drawn["tube_depth"] = uniform(-0.04, 0.04)
    places = tuple(
        (uniform(-0.38, 0.3), side * uniform(0.12, 0.40)) for side in (1.0, -1.0, 1.0, -1.0)[: int(uniform(2.0, 4.99))]
    )
    drawn["electrodes"] = places if electrodes else ()
    reach = 0.035 if style == "plain" else 0.13
    edges = tuple(max(uniform(-reach, reach), 0.0) for _ in range(4))
    drawn["collimation"] = edges if shutters else (0.0, 0.0, 0.0, 0.0)
    drawn["collimation_tilt"] = uniform(-1.0, 1.0) if style == "plain" else uniform(-5.0, 5.0)
    if style == "random":
        # digital displays fill the shutters with black, films stay white where nothing was exposed
        grey, filled = uniform(0.0, 1.0), uniform(0.0, 1.0)
        drawn["shutter"] = grey if filled < 0.15 else float(filled < 0.25)
        drawn["clutter"] = int(7 * uniform(0.0, 1.0) ** 2)
        drawn["marker_height"] = uniform(0.03, 0.12)
        drawn["marker_position"] = (high * uniform(-0.95, 0.9), column)
    return drawn
