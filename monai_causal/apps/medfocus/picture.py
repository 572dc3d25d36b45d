# SPDX-License-Identifier: Apache-2.0
"""A result drawn on its image: the box that the answer rests on, the others faint, and below them what was said.

The image itself stays free of text but for a small tag per box (rank and effect); names stand in the legend below it. A
small image is enlarged by a whole factor, a large one keeps its pixels, and letters grow with the picture. Red supports
the answer, blue suppresses it.
"""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from monai_causal.apps.medfocus.result import Attribution, ConceptEffect, Corners, MedFocusResult
from monai_causal.apps.medfocus.segmenter import as_image
from monai_causal.files import draft_of

__all__ = ["SUPPORTS", "SUPPRESSES", "overlay", "save_overlay"]

SUPPORTS = (255, 84, 64)
SUPPRESSES = (84, 150, 255)
NEITHER = (190, 190, 190)
_PAPER, _INK, _QUIET = (12, 12, 14), (240, 240, 240), (165, 165, 165)
_LEAST = 640
"""pixels of the shorter side, to which a smaller image is enlarged"""
_FAINT = 0.55
_QUESTION_LINES, _ANSWER_LINES, _SHOWN = 3, 4, 12
_WARNING = "Explains a model's answer, right or wrong. No diagnosis."


def overlay(image: Any, result: Attribution) -> NDArray[np.uint8]:
    """A result as a picture.

    Args:
        image: a :class:`~monai_causal.dicom.projection.Projection`, or a grey image as array or (Meta)Tensor, that
            the result is of.
        result: of MedFocus, or of any method that gives boxes.

    Returns:
        (rows, columns, 3): the image, enlarged if it is small, and below it the caption.

    Raises:
        ValueError: the result is of an image of another size.
    """
    grey, _, _ = as_image(image)
    if tuple(grey.shape) != tuple(result.size):
        raise ValueError(f"the result is of an image of {tuple(result.size)}, this one is {grey.shape}.")
    factor = max(1, -(-_LEAST // min(grey.shape)))
    shown = np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8).repeat(factor, 0).repeat(factor, 1)
    canvas = Image.fromarray(np.repeat(shown[..., None], 3, axis=2))
    font = _font(max(12, round(min(canvas.size) / 48)))
    _draw_boxes(canvas, result, factor, font)
    return np.asarray(_with_caption(canvas, result, font))


def save_overlay(path: str | os.PathLike[str], image: Any, result: Attribution) -> Path:
    """Write :func:`overlay` as PNG."""
    with draft_of(path) as draft:
        Image.fromarray(overlay(image, result)).save(draft, format="PNG")
    return Path(path)


def _font(size: int) -> Any:
    # The font that matplotlib brings along: the same letters on every machine.
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)


def _colour(effect: float | None) -> tuple[int, int, int]:
    if effect is None or effect == 0:
        return NEITHER
    return SUPPORTS if effect > 0 else SUPPRESSES


def _ranked(result: MedFocusResult) -> list[tuple[int, ConceptEffect, float]]:
    """Rank, concept and effect, the largest effect first."""
    effects = result.effects
    rows = {one.name: one for one in result.concepts}
    names = sorted(effects, key=lambda name: -effects[name])
    return [(place + 1, rows[name], effects[name]) for place, name in enumerate(names)]


def _draw_boxes(canvas: Image.Image, result: Attribution, factor: int, font: Any) -> None:
    """Faint boxes first, the strong ones over them, tags where they hide no other tag."""
    thin = max(1, min(canvas.size) // 600)
    thick = max(3, min(canvas.size) // 180)
    if not isinstance(result, MedFocusResult):
        if not result.whole_image:
            for corners in reversed(result.boxes):
                _strong(canvas, corners, factor, SUPPORTS, thick)
        return
    chosen = next((one for one in result.concepts if one.name == result.concept), None)
    # Of a group that was chosen its members are drawn, as it is they that were replaced; other groups are left out.
    strong = [] if chosen is None else [chosen.name, *chosen.members]
    rows = _ranked(result)
    faint = Image.new("RGBA", canvas.size, (0, 0, 0, 0))
    brush = ImageDraw.Draw(faint)
    for _, one, effect in rows:
        if one.box is not None and not one.members and one.name not in strong:
            opaque = (*_colour(effect), round(255 * _FAINT))
            brush.rectangle(_edges(one.box, factor), outline=opaque, width=thin)
    canvas.paste(faint, mask=faint.getchannel("A"))
    for _, one, effect in rows:
        if one.box is not None and one.name in strong and not one.members:
            _strong(canvas, one.box, factor, _colour(effect), thick)
    taken: list[tuple[int, int, int, int]] = []
    drawn = [row for row in rows if row[1].box is not None and not row[1].members]
    for rank, one, effect in sorted(drawn, key=lambda row: row[1].name not in strong):
        _tag(canvas, one.box, factor, f"{rank}: {effect:.2f}", _colour(effect), font, taken, one.name in strong)


def _edges(corners: Corners, factor: int) -> list[int]:
    x0, y0, x1, y1 = corners
    return [x0 * factor, y0 * factor, x1 * factor - 1, y1 * factor - 1]


def _strong(canvas: Image.Image, corners: Corners, factor: int, colour: tuple[int, int, int], width: int) -> None:
    """A thick box with a dark rim, which stands out on bone as on air."""
    brush = ImageDraw.Draw(canvas)
    edges = _edges(corners, factor)
    brush.rectangle(edges, outline=(0, 0, 0), width=width + 2 * max(1, width // 3))
    rim = max(1, width // 3)
    brush.rectangle(
        [edges[0] + rim, edges[1] + rim, max(edges[2] - rim, edges[0] + rim), max(edges[3] - rim, edges[1] + rim)],
        outline=colour,
        width=width,
    )


def _tag(
    canvas: Image.Image,
    corners: Corners | None,
    factor: int,
    text: str,
    colour: tuple[int, int, int],
    font: Any,
    taken: list[tuple[int, int, int, int]],
    strong: bool,
) -> None:
    assert corners is not None
    brush = ImageDraw.Draw(canvas)
    left, top, right, bottom = brush.textbbox((0, 0), text, font=font)
    pad = max(2, round(font.size / 5))
    width, height = int(right - left) + 2 * pad, int(bottom - top) + 2 * pad
    x0, y0, x1, y1 = _edges(corners, factor)
    places = [(x0, y0), (x1 - width, y0), (x0, y1 - height), (x1 - width, y1 - height), (x0, y0 - height), (x0, y1)]
    places += [(x0, y) for y in range(y0, max(y1, y0 + 1), height)]
    for x, y in places:
        x = int(min(max(x, 0), canvas.width - width))
        y = int(min(max(y, 0), canvas.height - height))
        spot = (x, y, x + width, y + height)
        if not any(_meet(spot, other) for other in taken):
            break
    taken.append(spot)
    brush.rectangle(spot, fill=tuple(round(part * (0.45 if strong else 0.2)) for part in colour))
    brush.text((spot[0] + pad - left, spot[1] + pad - top), text, font=font, fill=_INK if strong else colour)


def _meet(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _with_caption(canvas: Image.Image, result: Attribution, font: Any) -> Image.Image:
    """The picture with a band below it: question, answer, conclusion, legend, warning."""
    lines = _lines(result, max(20, int(canvas.width / (0.56 * font.size)) - 2))
    step = round(font.size * 1.4)
    margin = round(font.size * 0.7)
    page = Image.new("RGB", (canvas.width, canvas.height + 2 * margin + step * len(lines)), _PAPER)
    page.paste(canvas, (0, 0))
    brush = ImageDraw.Draw(page)
    for place, (text, colour) in enumerate(lines):
        brush.text((margin, canvas.height + margin + place * step), text, font=font, fill=colour)
    return page


def _lines(result: Attribution, width: int) -> list[tuple[str, tuple[int, int, int]]]:
    def wrapped(text: str, most: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, max_lines=most, placeholder=" ...") or [""]

    lines = [(line, _INK) for line in wrapped(f"Question: {result.question}", _QUESTION_LINES)]
    answer = f"Answer: {result.answer.text}" + (f" (read as: {result.reading})" if len(result.answer.text) > 4 else "")
    lines += [(line, _INK) for line in wrapped(answer, _ANSWER_LINES)]
    if isinstance(result, MedFocusResult):
        lines += _conclusion(result, wrapped, width)
    elif result.whole_image:
        lines.append(("The method names no place.", _INK))
    lines += [(line, _QUIET) for line in wrapped(f"{_WARNING} Method: {result.method}.", 3)]
    return lines


def _conclusion(result: MedFocusResult, wrapped: Any, width: int) -> list[tuple[str, tuple[int, int, int]]]:
    lines: list[tuple[str, tuple[int, int, int]]] = []
    rows = _ranked(result)
    if result.concept is None:
        why = "nothing was found on the image" if result.strongest is None else "it hardly depends on any one concept"
        lines += [(line, _INK) for line in wrapped(f"The answer rests on no single concept: {why}.", 2)]
    else:
        sure = " (close to a coin toss)" if result.coin_toss else ""
        said = f"The answer rests on: {result.concept}{sure}. Effects in nats; red supports, blue suppresses."
        lines += [(line, _colour(result.effects[result.concept])) for line in wrapped(said, 3)]
    legend = _legend([f"{rank}: {one.name} {effect:.2f}" for rank, one, effect in rows], width)
    lines += [(line, _QUIET) for line in legend]
    return lines


def _legend(entries: list[str], width: int) -> list[str]:
    """As many of the entries on a line as fit, none of them broken."""
    lines = [""]
    for entry in entries[:_SHOWN]:
        joined = f"{lines[-1]}   {entry}" if lines[-1] else entry
        if len(joined) > width and lines[-1]:
            lines.append(entry)
        else:
            lines[-1] = joined
    return [line for line in lines if line]
