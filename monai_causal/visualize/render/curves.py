# SPDX-License-Identifier: Apache-2.0
"""Curves: how an effect settles while draws come in (Fig. 3), how fast a method finds what matters (Fig. 5), and the
strongest effects with their intervals."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy import stats

from monai_causal.intervene import Regions
from monai_causal.visualize.pdcr_result import PdCRResult
from monai_causal.visualize.render import style

__all__ = ["convergence", "save_attribution_curves", "save_convergence", "save_ranking", "strongest"]

_SETTLING = 5  # with fewer draws Student's interval is wider than anything worth a picture


def strongest(result: PdCRResult, count: int = 5) -> list[int]:
    """Rows of the regions with the largest effects, relevant ones before all others."""
    order = np.lexsort((-result.ate.abs().numpy(), ~result.relevant.numpy()))
    return order[:count].tolist()


def convergence(result: PdCRResult, rows: Sequence[int] | None = None) -> dict[str, np.ndarray]:
    """The draws behind the effects of some regions, by the regions' names, for :func:`save_convergence`.

    Args:
        result: of a rule; of the paper's, the screening draws are left out, as they are from its effects.
        rows: which regions; by default the five strongest.
    """
    first = result.rule.get("n_screen", 0)
    chosen = strongest(result) if rows is None else rows
    names = result.regions.names
    return {f"region {names[row]}": result.ites[row, first:].numpy() for row in chosen}


def save_convergence(
    path: str | os.PathLike[str],
    draws: Mapping[str, ArrayLike],
    unit: str = "",
    *,
    tau: float | None = None,
    level: float = 0.95,
    title: str = "",
    caption: str = "",
) -> Path:
    """Running average effects against the number of draws, with Student's interval around each (Fig. 3).

    Args:
        path: of the PNG file.
        draws: individual effects ``(D,)`` by region or by network, in the order of the draws; what is not a number was
            not drawn.
        unit: of the effects.
        tau: the largest effect that counts as none, shown as a band.
        level: of the intervals.
        title, caption: above and beneath.

    Example:
        >>> import tempfile
        >>> ites = np.random.default_rng(0).normal(-1, 0.5, 50)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_convergence(f"{folder}/curve.png", {"region 7": ites}, "Dice points", tau=0.02).name
        'curve.png'
    """
    figure = style.new_figure(4.2)
    axes = figure.subplots()
    seen: list[np.ndarray] = []
    for (name, ites), (colour, dashes) in zip(draws.items(), style.line_styles(), strict=False):
        values = np.asarray(ites, dtype=float)
        n, mean, half = _running(values[~np.isnan(values)], level)
        axes.plot(n, mean, color=colour, linestyle=dashes, linewidth=1.6, label=name)
        axes.fill_between(n, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)
        late = n >= min(_SETTLING, n[-1])
        seen += [mean, (mean - half)[late], (mean + half)[late]]
    if tau:
        axes.axhspan(-tau, tau, color="0.75", linewidth=0, zorder=0, label=f"within ±{tau:g}: no effect")
    axes.axhline(0, color=style.INK, linewidth=0.6, zorder=0)
    finite = np.concatenate(seen)
    finite = finite[np.isfinite(finite)]
    margin = 0.06 * (np.ptp(finite) or 1.0)
    axes.set_ylim(min(finite.min(), 0) - margin, max(finite.max(), 0) + margin)
    axes.set_xlim(left=1)
    axes.set_xlabel("number of draws", fontsize=style.TEXT)
    _finish(figure, axes, f"average effect ({unit})" if unit else "average effect")
    note = f"bands: {100 * level:g} % intervals of the mean of the draws so far"
    return style.write(figure, path, caption or note, title=title)


def save_attribution_curves(
    path: str | os.PathLike[str],
    curves: Mapping[str, ArrayLike],
    fractions: ArrayLike,
    unit: str = "",
    *,
    level: float = 0.95,
    xlabel: str = "share of the image perturbed, most important regions first (%)",
    title: str = "",
    caption: str = "",
) -> Path:
    """Attribution under progressive perturbation, one line per method (Fig. 5).

    Args:
        path: of the PNG file.
        curves: by method: ``(images, steps)``, drawn as the mean over images with Student's interval, or ``(steps,)``.
        fractions: ``(steps,)``, the share perturbed at each step, in [0, 1].
        unit: of the attribution.
        level: of the intervals.
        xlabel, title, caption: what is said around it.
    """
    shares = 100 * np.asarray(fractions, dtype=float)
    figure = style.new_figure(4.2)
    axes = figure.subplots()
    for (name, curve), (colour, dashes) in zip(curves.items(), style.line_styles(), strict=False):
        values = np.atleast_2d(np.asarray(curve, dtype=float))
        if values.shape[1:] != shares.shape:
            raise ValueError(f"the curve of {name!r} has {values.shape[1]} steps, fractions has {len(shares)}.")
        mean = values.mean(0)
        axes.plot(shares, mean, color=colour, linestyle=dashes, linewidth=1.8, label=name)
        if len(values) > 1:
            half = stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(0, ddof=1) / len(values) ** 0.5
            axes.fill_between(shares, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)
    axes.axhline(0, color=style.INK, linewidth=0.6, zorder=0)
    axes.margins(x=0.01)
    axes.set_xlabel(xlabel, fontsize=style.TEXT)
    _finish(figure, axes, f"attribution ({unit})" if unit else "attribution")
    banded = any(np.ndim(curve) > 1 and len(np.atleast_1d(curve)) > 1 for curve in curves.values())
    return style.write(
        figure, path, caption or (f"bands: {100 * level:g} % intervals over images" if banded else ""), title=title
    )


def save_ranking(
    path: str | os.PathLike[str],
    result: PdCRResult,
    count: int = 12,
    *,
    level: float = 0.95,
    title: str = "",
    caption: str = "",
) -> Path:
    """The strongest effects with their intervals, as bars; also for components of a network, which have no place in the
    image. What the rule did not call relevant is hollow."""
    rows = strongest(result, count)
    ate, interval = result.ate.numpy()[rows], result.interval(level).numpy()[rows]
    colours = [style.SUPPORT if value < 0 else style.SUPPRESS for value in ate]
    filled = [colour if called else "none" for colour, called in zip(colours, result.relevant[rows], strict=True)]
    figure = style.new_figure(1.2 + 0.27 * len(rows))
    axes = figure.subplots()
    heights = np.arange(len(rows))
    axes.barh(heights, ate, color=filled, edgecolor=colours, height=0.7)
    reach = np.nan_to_num(np.abs(interval - ate[:, None])).T
    axes.errorbar(ate, heights, xerr=reach, fmt="none", ecolor=style.INK, elinewidth=1.0, capsize=2.5)
    axes.axvline(0, color=style.INK, linewidth=0.8)
    axes.set_yticks(heights, [result.regions.names[row] for row in rows])
    axes.invert_yaxis()
    unit = f" ({result.unit})" if result.unit else ""
    axes.set_xlabel(f"← supporting     average effect{unit}     suppressing →", fontsize=style.TEXT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=style.SMALL)
    axes.set_ylabel("region" if isinstance(result.regions, Regions) else "component", fontsize=style.TEXT)
    note = f"whiskers: {100 * level:g} % intervals; hollow: not called relevant"
    return style.write(figure, path, caption or note, title=title)


def _running(values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number of draws, mean and half the width of Student's interval after each; the last is infinite after one."""
    if not len(values):
        raise ValueError("a region without draws has no curve.")
    n = np.arange(1, len(values) + 1)
    mean = values.cumsum() / n
    # Against the whole mean: sums of squares of numbers far from 0 would lose their digits.
    centred = values - values.mean()
    squares = (centred**2).cumsum() - n * (centred.cumsum() / n) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(np.maximum(squares, 0) / (n - 1) / n)
        half = stats.t.ppf((1 + level) / 2, n - 1) * error
    return n, mean, half


def _finish(figure: Figure, axes: Axes, ylabel: str) -> None:
    axes.set_ylabel(ylabel, fontsize=style.TEXT)
    axes.tick_params(labelsize=style.SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    # Beside the curves: inside, it would cover one of them sooner or later.
    figure.legend(loc="outside right upper", fontsize=style.SMALL, frameon=False, handlelength=3.2)
