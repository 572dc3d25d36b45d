# SPDX-License-Identifier: Apache-2.0
"""What an :class:`ExplanationInferer` found, beside the maps that ``SaveImaged`` writes: a picture and the figures."""

from __future__ import annotations

import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.data import MetaTensor
from torch import Tensor

from monai_causal.data.readers import suffixless
from monai_causal.extras import require
from monai_causal.files import write_json
from monai_causal.inferers.explanation import Explanation, ExplanationInferer
from monai_causal.intervene import Regions, grid_regions
from monai_causal.intervene.regions import plain
from monai_causal.versions import versions
from monai_causal.visualize.render import Outline, Panel, picture, save_explanation, save_panels, save_planes, style

if TYPE_CHECKING:
    from ignite.engine import Engine

__all__ = ["ExplanationSaver", "draw_explanation", "figures"]

SCHEMA = "monai_causal/explanation/1"
CAVEAT = "This explains a model. It is no statement about a patient."


class ExplanationSaver:
    """A handler that writes, for each item that an engine explains, ``NAME/NAME_POSTFIX.png`` and ``.json`` under a
    folder: where ``SaveImaged`` puts ``NAME/NAME_POSTFIX.nii.gz``. Both are on the network's own grid.

    Args:
        inferer: the engine's; its :attr:`~ExplanationInferer.explanations` are what is written.
        output_dir: the folder.
        postfix: of the files' names, as ``output_postfix`` of ``SaveImaged``.
        picture: draw the pictures too.
        channel: of the image, which one to draw, where there is a choice.

    Example:
        >>> saver = ExplanationSaver(ExplanationInferer("RIA"), "explained", postfix="ria")
        >>> saver.postfix
        'ria'
    """

    def __init__(
        self,
        inferer: ExplanationInferer,
        output_dir: str | os.PathLike[str],
        postfix: str = "explanation",
        picture: bool = True,
        channel: int | None = None,
    ) -> None:
        self.inferer, self.output_dir, self.postfix = inferer, Path(output_dir), postfix
        self.picture, self.channel = picture, channel
        self._written = 0

    def attach(self, engine: Engine) -> None:
        """To an evaluator."""
        events = require("ignite.engine").Events
        engine.add_event_handler(events.STARTED, self._begin)
        engine.add_event_handler(events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        for one in self.inferer.explanations:
            name = self._name(one.image)
            folder = self.output_dir / name
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / f"{name}_{self.postfix}.json", figures(one))
            if self.picture:
                draw_explanation(folder / f"{name}_{self.postfix}.png", one, self.channel)
            self._written += 1

    def _begin(self, engine: Engine) -> None:
        self._written = 0

    def _name(self, image: Tensor) -> str:
        """The image's own, or its number where it has none."""
        meta = image.meta if isinstance(image, MetaTensor) else {}
        given = meta.get("filename_or_obj")
        return suffixless(Path(given)) if isinstance(given, str) and given else str(self._written)


def figures(explanation: Explanation) -> dict[str, Any]:
    """An explanation as JSON: the question, and of every region its effect, the strongest first. Of a map without
    regions, the mean over the cells of a grid of 14 takes the place of an effect."""
    shape = tuple(explanation.roi.shape)
    inside = explanation.roi.nonzero()
    regions, values = _regions(explanation)
    order = values.abs().argsort(descending=True, stable=True).tolist()
    result = explanation.result
    spread = None if result is None else result.interval()
    rows = [_row(explanation, regions, spread, row) | {"value": float(values[row])} for row in order]
    found: dict[str, Any] = {"regions": len(rows)}
    if result is not None:
        found |= {
            "baseline": result.baseline,
            "relevant": int(result.relevant.sum()),
            "evaluations": result.evaluations,
            "rule": result.rule,
            "run": asdict(result.record),
        }
    return {
        "schema": SCHEMA,
        "method": explanation.method,
        "unit": explanation.unit,
        "sign": "after - before: negative supports the answer, positive suppresses it"
        if explanation.signed
        else "high values support the answer",
        "spatial_shape": list(shape),
        "class": explanation.class_idx,
        "roi": {
            "voxels": len(inside),
            "box": [[int(low), int(high) + 1] for low, high in zip(inside.amin(0), inside.amax(0), strict=True)]
            if len(inside)
            else None,
        },
        "answer_voxels": int(explanation.answer.sum()),
        "findings": found,
        "effects": rows,
        "note": explanation.note,
        "versions": versions("monai", "torch", "numpy"),
        "caveat": CAVEAT,
    }


def draw_explanation(path: str | os.PathLike[str], explanation: Explanation, channel: int | None = None) -> Path:
    """The image with the RoI and the answer, and the map; of a PdCR result also its uncertainty."""
    image = plain(explanation.image)
    shape = tuple(explanation.roi.shape)
    if channel is None and not (len(image) == 1 or (len(image) == 3 and len(shape) == 2)):
        channel = 0
    if explanation.result is not None:
        return save_explanation(
            path, explanation.result, image, answer=explanation.answer, channel=channel, through="effect"
        )
    lines = [
        Outline(mask.numpy(), colour, name)
        for mask, colour, name in (
            (explanation.roi, style.ROI_COLOUR, "RoI"),
            (explanation.answer, style.ANSWER_COLOUR, "the network's answer"),
        )
    ]
    heat = plain(explanation.map)[0].cpu().float().numpy()
    shown = picture(image, shape, channel)
    bar = "" if explanation.signed else "evidence (high: supports the answer)"
    mapped = Panel(
        shown, explanation.method, heat, explanation.unit, lines[:1], signed=explanation.signed, bar_label=bar
    )
    if len(shape) == 2:
        return save_panels(path, [Panel(shown, "the image", outlines=lines), mapped], explanation.note, columns=2)
    strongest = np.unravel_index(int(np.abs(heat).argmax()), heat.shape)
    affine = explanation.image.affine.numpy() if isinstance(explanation.image, MetaTensor) else None
    return save_planes(path, mapped, [int(index) for index in strongest], affine)


def _regions(explanation: Explanation) -> tuple[Regions | None, Tensor]:
    """The regions and their values ``(R,)``; no regions where they are components of the network."""
    result = explanation.result
    if result is not None:
        return (result.regions if isinstance(result.regions, Regions) else None), result.ate
    shape = tuple(explanation.roi.shape)
    cells = grid_regions(shape, cells=[min(14, length) for length in shape])
    heat = plain(explanation.map)[0].cpu().double()
    return cells, torch.stack([heat[region.index[1:]].mean() for region in cells])


def _row(explanation: Explanation, regions: Regions | None, spread: Tensor | None, row: int) -> dict[str, Any]:
    """What is known of one region beside its value."""
    found: dict[str, Any] = {} if regions is None else {"box": [list(span) for span in regions[row].box]}
    result = explanation.result
    if result is None or spread is None:
        return found
    # Of a single draw there is no interval, and JSON has no word for what is not a number.
    low, high = (value if math.isfinite(value) else None for value in spread[row].tolist())
    return found | {
        "name": result.regions.names[row],
        "low": low,
        "high": high,
        "draws": int(result.draws[row]),
        "relevant": bool(result.relevant[row]),
    }
