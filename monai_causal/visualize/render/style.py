# SPDX-License-Identifier: Apache-2.0
"""One look for every picture: colours with a meaning, a size that stays readable, and a way to a file.

Red and blue are told apart by people with any of the common colour blindnesses, and so are the lines' colours (Okabe
and Ito), which differ in their dashes too. No picture touches pyplot's global state.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.textpath import text_to_path

from monai_causal.files import draft_of

__all__ = [
    "ANSWER_COLOUR",
    "INK",
    "MAGNITUDES",
    "NOTHING",
    "REFERENCE_COLOUR",
    "ROI_COLOUR",
    "SMALL",
    "SUPPORT",
    "SUPPORT_TO_SUPPRESS",
    "SUPPRESS",
    "TEXT",
    "WIDTH",
    "halo",
    "line_styles",
    "new_figure",
    "signed",
    "wrapped",
    "write",
]

WIDTH = 8.0
"""Inches across a whole picture. Where it is shown 800 pixels wide, a letter of 8 points is 11 pixels high."""
DPI = 150
TEXT, SMALL = 9.0, 8.0
INK = "0.15"
SUPPORT, SUPPRESS, NOTHING = "#b2182b", "#2166ac", "0.92"
ROI_COLOUR, ANSWER_COLOUR, REFERENCE_COLOUR = "#f0e442", "#ffffff", "#56b4e9"
_LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9")
_DASHES = ("-", "--", "-.", ":")


def _see_through(colours: Colormap, positions: np.ndarray, strength: np.ndarray) -> ListedColormap:
    """Colours whose opacity grows with the effect: where nothing happens, the image itself is seen. The colour bar is
    drawn with the same opacity, over white."""
    rgba = colours(positions)
    rgba[:, 3] = 0.92 * strength**0.4
    return ListedColormap(rgba)


_STEPS = np.linspace(-1.0, 1.0, 511)
# The palest middle of the map is left out: the opacity already says that an effect is weak.
SUPPORT_TO_SUPPRESS = _see_through(
    matplotlib.colormaps["RdBu"], 0.5 + 0.5 * np.sign(_STEPS) * (0.4 + 0.55 * np.abs(_STEPS)), np.abs(_STEPS)
)
"""Red at the negative end, where regions support the answer."""
MAGNITUDES = _see_through(matplotlib.colormaps["viridis"], np.linspace(0.0, 1.0, 256), np.linspace(0.0, 1.0, 256))
"""For what has no sign: uncertainty, or another method's saliency in [0, 1]."""


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure, in inches, that belongs to nobody's global state."""
    figure = Figure(figsize=(width, height), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def write(
    figure: Figure,
    path: str | os.PathLike[str],
    caption: str = "",
    *,
    title: str = "",
    legend: Sequence[Artist] = (),
    legend_title: str = "",
) -> Path:
    """Save as PNG, under a temporary name first. The picture grows by what stands above (title) and beneath (legend,
    caption), so that nothing lies on anything."""
    above = wrapped(title, 0.95 * figure.get_figwidth(), TEXT + 1)
    beneath = wrapped(caption, 0.95 * figure.get_figwidth())
    per_row = min(len(legend), 4)
    legend_rows = -(-len(legend) // per_row) + bool(legend_title) if legend else 0
    lines = (1.1 * (above.count("\n") + 1) * bool(above), (beneath.count("\n") + 1) * bool(beneath), 1.2 * legend_rows)
    margin = 0.08
    top, bottom, middle = (0.165 * count + margin if count else 0.0 for count in lines)
    height = figure.get_figheight() + top + bottom + middle
    figure.set_figheight(height)
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(rect=(0.0, (bottom + middle) / height, 1.0, 1.0 - (top + bottom + middle) / height))
    if above:
        figure.text(0.5, 1 - 0.5 * margin / height, above, ha="center", va="top", fontsize=TEXT + 1, color=INK)
    if legend:
        shown = figure.legend(
            handles=list(legend), loc="lower center", bbox_to_anchor=(0.5, bottom / height), ncols=per_row,
            fontsize=SMALL, frameon=False, borderpad=0.1, borderaxespad=0.0, labelspacing=0.5,
            title=legend_title or None, title_fontsize=SMALL,
        )  # fmt: skip
        shown.set_in_layout(False)
    if beneath:
        figure.text(0.5, 0.5 * margin / height, beneath, ha="center", va="bottom", fontsize=TEXT, color=INK)
    with draft_of(path) as draft:
        figure.savefig(draft, format="png")
    return Path(path)


def halo(width: float, colour: str = "black") -> list[AbstractPathEffect]:
    """A border around lines and letters, so that they are seen on dark and on bright."""
    return [withStroke(linewidth=width, foreground=colour)]


def line_styles() -> Iterator[tuple[str, str]]:
    """``(colour, dashes)`` for one line after another; 28 pairs before one comes again."""
    return zip(cycle(_LINES), cycle(_DASHES), strict=False)


def wrapped(text: str, inches: float, points: float = TEXT) -> str:
    """The text broken into lines that fit ``inches``; a word that is longer stays whole."""
    font = FontProperties(size=points)

    def fits(line: str) -> bool:
        return text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] <= 72 * inches

    lines: list[str] = []
    for paragraph in text.split("\n"):
        first, *others = paragraph.split(" ")
        lines.append(first)
        for word in others:
            if fits(f"{lines[-1]} {word}"):
                lines[-1] += f" {word}"
            else:
                lines.append(word)
    return "\n".join(lines)


def signed(value: float) -> str:
    """A number with its sign and three digits that matter.

    Example:
        >>> signed(-3.14159), signed(0.0), signed(12.0)
        ('-3.14', '0', '+12')
    """
    return f"{value:+.3g}" if value else "0"
