# SPDX-License-Identifier: Apache-2.0
"""What a client may ask of an explanation: offered to it as options, and read from its request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monai_causal.apps.explain.methods import METHODS
from monai_causal.apps.explain.request import parse_roi
from monai_causal.intervene.regions import Box
from monai_causal.label.served import ServedBundle

__all__ = ["BY_METHOD", "OTHER_IMAGES", "Settings", "offered"]

BY_METHOD = "by method"
OTHER_IMAGES, SURROUNDINGS = "other images", "surroundings"
RULES = ("sequential", "paper", "exhaustive")
ROIS = (BY_METHOD, "boundary", "component", "label")
COMPARED = ("answer", "label")
DONORS = (OTHER_IMAGES, SURROUNDINGS)


def offered(served: ServedBundle) -> dict[str, Any]:
    """The options of a bundle's explanations with their defaults; of a list the first is the default."""
    options: dict[str, Any] = {
        "method": _first(served.method, METHODS),
        "patch_size": 8 if served.axes == 2 else 16,
        "rule": list(RULES),
        "roi": list(ROIS),
        "roi_size": 32,
        "compare_with": list(COMPARED),
        "donors": list(DONORS),
        "cells": 0,
        "target_layer": "",
        "samples": 50,
        "tau": 0.02,
        "seed": 0,
        "band_limit": 0.0,
    }
    for name, value in served.shown.items():
        if name in options:
            known = options[name]
            options[name] = _first(value, known) if isinstance(known, list) and isinstance(value, str) else value
    return options


@dataclass(frozen=True)
class Settings:
    """A request, checked.

    Attributes:
        method: of :data:`monai_causal.apps.explain.methods.METHODS`.
        patch_size: edges of PdCR's regions in voxels of the network's image, one number for all axes.
        rule, samples, tau: of PdCR.
        roi: spans in the image's array order (rows before columns), ``"boundary"``, ``"component"``, ``"label"`` (the
            box around what the last label holds), or ``"by method"``.
        roi_size: edge of the box of ``"boundary"``.
        compare_with: the network's own ``"answer"``, or the last ``"label"``.
        donors: what PdCR puts in a region's place: patches of ``"other images"`` of the datastore, or what continues
            its ``"surroundings"``.
        cells: per axis, of the methods with a grid; 0: the method's own.
        seed: of every draw.
        band_limit: the effect by which bands are measured; 0: the strongest of the map.
        target_layer: of the methods that look at a layer; empty: the deepest.
        asked_class: a class by its name or its value; empty: the one that most voxels hold.
    """

    method: str
    patch_size: int
    rule: str
    samples: int
    tau: float
    roi: Box | str
    roi_size: int
    compare_with: str
    donors: str
    cells: int
    seed: int
    band_limit: float
    target_layer: str
    asked_class: str

    @classmethod
    def of(cls, request: Mapping[str, Any], served: ServedBundle) -> Settings:
        """Read a request; what it does not say is as :func:`offered`."""
        asked = {name: _single(value) for name, value in offered(served).items()}
        asked |= {name: _single(request[name]) for name in asked if request.get(name) is not None}
        roi = request.get("roi") if isinstance(request.get("roi"), list) and _is_spans(request["roi"]) else asked["roi"]
        settings = cls(
            method=_choice(asked["method"], "method", METHODS),
            patch_size=_whole(asked["patch_size"], "patch_size", 1),
            rule=_choice(asked["rule"], "rule", RULES),
            samples=_whole(asked["samples"], "samples", 2),
            tau=_number(asked["tau"], "tau"),
            roi=_roi(roi, served.axes),
            roi_size=_whole(asked["roi_size"], "roi_size", 1),
            compare_with=_choice(asked["compare_with"], "compare_with", COMPARED),
            donors=_choice(asked["donors"], "donors", DONORS),
            cells=_whole(asked["cells"], "cells", 0),
            seed=_whole(asked["seed"], "seed", 0),
            band_limit=_number(asked["band_limit"], "band_limit"),
            target_layer=str(asked["target_layer"]),
            asked_class="" if request.get("class") is None else str(request["class"]),
        )
        if settings.rule == "exhaustive" and settings.method == "pdcr" and settings.donors == SURROUNDINGS:
            raise ValueError("rule='exhaustive' asks about every donor once: choose donors='other images'.")
        return settings

    @property
    def needs_label(self) -> bool:
        return self.roi == "label" or self.compare_with == "label"

    def class_value(self, served: ServedBundle) -> int | None:
        """The value of the class that was asked about, ``None`` where none was."""
        if not self.asked_class:
            return None
        if self.asked_class in served.classes:
            return served.classes[self.asked_class]
        if self.asked_class.isdigit() and int(self.asked_class) in served.classes.values():
            return int(self.asked_class)
        known = ", ".join(f"{name} ({value})" for name, value in served.classes.items())
        raise ValueError(f"class={self.asked_class!r}: {served.name} answers {known}.")


def _first(one: str, all_of_them: Any) -> list[str]:
    return [one, *(name for name in all_of_them if name != one)]


def _single(value: Any) -> Any:
    """A client sends a choice back, or all of them where nobody chose."""
    return value[0] if isinstance(value, list | tuple) and value and not _is_spans(value) else value


def _is_spans(value: Any) -> bool:
    return bool(value) and all(isinstance(span, list | tuple) and len(span) == 2 for span in value)


def _roi(value: Any, axes: int) -> Box | str:
    if isinstance(value, str) and ":" in value:
        value = parse_roi(value)
    if isinstance(value, str):
        return _choice(value, "roi", ROIS)
    if not _is_spans(value) or len(value) != axes:
        raise ValueError(f"roi={value!r}: {', '.join(ROIS)}, or one [start, stop] for each of {axes} axes.")
    return tuple((_whole(start, "roi", 0), _whole(stop, "roi", 1)) for start, stop in value)


def _choice(value: Any, name: str, known: Any) -> str:
    if value not in known:
        raise ValueError(f"{name}={value!r}: choose one of {', '.join(known)}.")
    return str(value)


def _whole(value: Any, name: str, least: int) -> int:
    number = _number(value, name)
    if number != int(number) or number < least:
        raise ValueError(f"{name}={value!r}: a whole number from {least} on.")
    return int(number)


def _number(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}={value!r}: a number is needed.") from None
    if not 0 <= number < float("inf"):
        raise ValueError(f"{name}={value!r}: a number from 0 on.")
    return number
