# SPDX-License-Identifier: Apache-2.0
"""PdCR results as panels: the map with what is unsure about it, and how wide its intervals are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from monai_causal.intervene import Regions
from monai_causal.intervene.regions import coverage, plain
from monai_causal.visualize.pdcr_result import PdCRResult
from monai_causal.visualize.render import style
from monai_causal.visualize.render.panels import Outline, Panel

__all__ = ["centre_of", "doubtful", "picture", "result_panel", "roi_outline", "spread_panel"]

Array: TypeAlias = "Tensor | np.ndarray"


def picture(image: Array, spatial_shape: Sequence[int], channel: int | None = None) -> np.ndarray:
    """An image ``(1, C, *spatial)``, ``(C, *spatial)`` or ``(*spatial)`` as drawn: grey ``(*spatial)``, or for three
    channels of a flat one ``(rows, columns, 3)`` in [0, 1], all channels on one scale.

    Args:
        image: the image.
        spatial_shape: of the image.
        channel: which one to draw, where there is a choice.
    """
    values = plain(image).detach().cpu()
    shape = tuple(spatial_shape)
    if values.shape == shape:
        values = values[None]
    if values.shape[-len(shape) :] != shape or values.ndim > len(shape) + 2:
        raise ValueError(f"an image of shape {tuple(values.shape)} under a result of shape {shape}: it does not fit.")
    if values.ndim == len(shape) + 2:
        if len(values) != 1:
            raise ValueError(f"a batch of {len(values)} images: one is drawn at a time.")
        values = values[0]
    array = values.float().numpy()
    if channel is not None or len(array) == 1:
        return array[channel or 0]
    if len(array) != 3 or len(shape) != 2:
        raise ValueError(f"the image has {len(array)} channels: say which one to draw with channel=0, for example.")
    if array.min() < 0 or array.max() > 1:
        array = (array - array.min()) / (float(np.ptp(array)) or 1.0)
    return np.moveaxis(array, 0, -1)


def doubtful(result: PdCRResult, level: float = 0.95) -> Tensor:
    """Regions called relevant on which one should not rely, bool ``(R,)``: the rule did not come to an end with them,
    or their interval reaches into +-tau (0 for rules without a tau)."""
    low, high = result.interval(level).unbind(-1)
    tau = float(result.rule.get("tau", 0.0))
    # Written so that an interval that is not a number, from a single draw, counts as doubtful.
    clear = (low > tau) | (high < -tau) | ((low == high) & (result.ate.abs() >= tau))
    return result.relevant & ~(result.settled & clear)


def result_panel(
    result: PdCRResult,
    image: Array,
    title: str = "",
    *,
    uncertainty: Literal["hatch", "fade"] | None = "hatch",
    level: float = 0.95,
    limit: float | None = None,
    channel: int | None = None,
) -> Panel:
    """A result's map on its image, the RoI outlined; of a volume, a panel of the volume.

    Args:
        result: the result.
        image: what was explained.
        title: of the panel.
        uncertainty: ``"hatch"`` the :func:`doubtful` regions among the relevant ones; ``"fade"``: all regions' effects
            are drawn, pale where the region is not relevant or doubtful; or neither.
        level: of the intervals.
        limit: the end of the colour scale, in the result's unit.
        channel: which of the image's to draw, where there is a choice.
    """
    unsure = doubtful(result, level)
    heat = result.to_map(result.ate) if uncertainty == "fade" else result.map
    return Panel(
        picture(image, result.roi.shape, channel),
        title,
        plain(heat)[0, 0].numpy(),
        result.unit,
        (roi_outline(result),),
        limit=limit,
        doubtful=_painted(result, unsure) if uncertainty == "hatch" else None,
        faded=_painted(result, unsure | ~result.relevant) if uncertainty == "fade" else None,
    )


def spread_panel(
    result: PdCRResult, image: Array, title: str = "", *, level: float = 0.95, channel: int | None = None
) -> Panel:
    """How wide the effects' intervals are, half of them, on the image."""
    low, high = result.interval(level).unbind(-1)
    unit = f" ({result.unit})" if result.unit else ""
    return Panel(
        picture(image, result.roi.shape, channel),
        title,
        plain(result.to_map((high - low) / 2))[0, 0].numpy(),
        result.unit,
        (roi_outline(result),),
        signed=False,
        bar_label=f"{100 * level:g} % interval ±{unit}",
    )


def roi_outline(result: PdCRResult) -> Outline:
    """The result's RoI, in the colour that it has in every picture."""
    return Outline(result.roi.numpy(), style.ROI_COLOUR, "RoI")


def centre_of(result: PdCRResult, through: Literal["roi", "effect"] = "roi") -> tuple[int, ...]:
    """The voxel that planes go through: the middle of the RoI, or of the relevant region with the strongest effect."""
    where = result.roi
    if through == "effect":
        assert isinstance(result.regions, Regions), "components of a network have no place in the image"
        strongest = int(torch.where(result.relevant, result.ate.abs(), -1.0).argmax())
        where = coverage(result.regions[strongest], result.roi.shape)
    return tuple(int(middle) for middle in where.nonzero().median(0).values)


def _painted(result: PdCRResult, rows: Tensor) -> np.ndarray:
    return plain(result.to_map(rows.double()))[0, 0].numpy() > 0
