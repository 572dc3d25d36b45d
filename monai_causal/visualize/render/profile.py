# SPDX-License-Identifier: Apache-2.0
"""How a map is made up: the pie and the bars below the maps of Fig. 6, and the histogram of Fig. 8."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from monai_causal.visualize.profile import Profile
from monai_causal.visualize.render import style

__all__ = [
    "SHARES",
    "bin_colours",
    "bin_names",
    "draw_extremes",
    "draw_histogram",
    "draw_pie",
    "extremes",
    "save_profile",
    "save_profiles",
    "share_legend",
]

SHARES = {"supporting": style.SUPPORT, "suppressing": style.SUPPRESS, "irrelevant": style.NOTHING}


def draw_pie(axes: Axes, profile: Profile, *, legend: bool = True) -> None:
    """Shares of supporting (red), suppressing (blue) and irrelevant regions, clockwise from the top."""
    shares = profile.shares
    axes.set_axis_off()
    # Inside of what belongs to it: the layout cannot know how wide a round thing in a long cell will be.
    pie = axes.inset_axes((0.0, 0.0, 0.42 if legend else 1.0, 1.0))
    pie.pie(
        [shares[name] for name in SHARES], colors=list(SHARES.values()), startangle=90, counterclock=False,
        wedgeprops={"edgecolor": style.INK, "linewidth": 0.6}, radius=1.2,
    )  # fmt: skip
    if legend:
        names = {name: f"{name} {100 * shares[name]:.1f} %" for name in SHARES}
        axes.legend(
            handles=share_legend(names), loc="center left", bbox_to_anchor=(0.44, 0.5), fontsize=style.SMALL,
            frameon=False, borderpad=0, borderaxespad=0, handlelength=1.5,
        )  # fmt: skip


def share_legend(names: Mapping[str, str]) -> list[Patch]:
    """Entries for the shares, by what each is called in the picture."""
    return [
        Patch(facecolor=colour, edgecolor=style.INK, linewidth=0.6, label=names[share])
        for share, colour in SHARES.items()
    ]


def draw_histogram(axes: Axes, profile: Profile, unit: str = "") -> None:
    """Shares of regions by the size of their effect, strongest support on top."""
    total = sum(profile.histogram)
    heights = np.arange(len(profile.histogram))
    widths = [100 * count / total for count in profile.histogram]
    bars = axes.barh(
        heights, widths, color=bin_colours(len(heights)), edgecolor=style.INK, linewidth=0.5, height=0.8
    )  # fmt: skip
    axes.bar_label(bars, [f" {width:.1f}" for width in widths], fontsize=style.SMALL, color=style.INK)
    axes.set_yticks(heights, bin_names(profile), fontsize=style.SMALL)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.18 * max(widths))
    axes.set_xlabel("share of regions (%)", fontsize=style.SMALL, color=style.INK)
    axes.set_ylabel(f"effect ({unit})" if unit else "effect", fontsize=style.SMALL, color=style.INK)
    _plain(axes)


def draw_extremes(axes: Axes, profile: Profile, limit: float) -> None:
    """The strongest support and the strongest suppression as two bars on a scale from ``-limit`` to ``limit``."""
    for value, colour, side in ((profile.minimum, style.SUPPORT, "right"), (profile.maximum, style.SUPPRESS, "left")):
        axes.barh([0], [value], color=colour, height=0.7)
        # Beneath its own half: a number beside a long bar would leave the cell.
        axes.text(
            -0.04 * limit if side == "right" else 0.04 * limit, 0.5, style.signed(value), ha=side, va="top",
            fontsize=7.0, color=colour,
        )  # fmt: skip
    axes.axvline(0, color=style.INK, linewidth=0.6)
    axes.set_xlim(-limit, limit)
    axes.set_ylim(1.4, -0.5)
    axes.set_axis_off()


def save_profile(path: str | os.PathLike[str], profile: Profile, unit: str = "", title: str = "") -> Path:
    """One map's pie and histogram.

    Example:
        >>> import tempfile, torch
        >>> from monai_causal.visualize.profile import profile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_profile(f"{folder}/profile.png", profile(torch.tensor([-0.5, 0.0, 0.1])), "Dice points").name
        'profile.png'
    """
    figure = style.new_figure(3.4)
    pie, bars = figure.subplots(1, 2, width_ratios=(1, 1.5))
    draw_pie(pie, profile)
    draw_histogram(bars, profile, unit)
    return style.write(figure, path, extremes(profile, unit), title=title)


def save_profiles(
    path: str | os.PathLike[str],
    profiles: Mapping[str, Profile | Sequence[Profile]],
    unit: str = "",
    caption: str = "",
) -> Path:
    """Several maps' histograms as stacked bars (Fig. 8): what supports to the left of 0, what suppresses to the right.

    Args:
        path: of the PNG file.
        profiles: by network or method; of several profiles, one per image, the shares are averaged.
        unit: of the effects.
        caption: beneath.
    """
    groups = {name: [item] if isinstance(item, Profile) else list(item) for name, item in profiles.items()}
    edges = {one.edges for group in groups.values() for one in group}
    if len(edges) != 1 or not all(groups.values()):
        raise ValueError(
            f"{len(edges)} different sets of bins: profiles are compared over the same ones, one at least."
        )
    example = next(iter(groups.values()))[0]
    names, colours = bin_names(example), bin_colours(len(example.histogram))
    shares = np.array([np.mean([_percent(one) for one in group], axis=0) for group in groups.values()])
    middle = shares.shape[1] // 2
    figure = style.new_figure(0.8 + 0.32 * len(groups))
    axes = figure.subplots()
    heights = np.arange(len(groups))
    for outward in (range(middle - 1, -1, -1), range(middle + 1, 2 * middle + 1)):
        sign = -1 if outward[0] < middle else 1
        reached = np.zeros(len(groups))
        for k in outward:
            axes.barh(
                heights, sign * shares[:, k], left=sign * reached, color=colours[k], height=0.75,
                edgecolor="white", linewidth=0.4, label=names[k],
            )  # fmt: skip
            reached += shares[:, k]
    limit = 1.05 * max(shares[:, :middle].sum(1).max(), shares[:, middle + 1 :].sum(1).max(), 1e-9)
    axes.axvline(0, color=style.INK, linewidth=0.8)
    axes.set_xlim(-limit, limit)
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    axes.set_yticks(heights, list(groups), fontsize=style.SMALL)
    axes.invert_yaxis()
    axes.set_xlabel("← supporting     share of regions (%)     suppressing →", fontsize=style.SMALL, color=style.INK)
    _plain(axes)
    right = axes.secondary_yaxis("right")
    right.set_yticks(heights, [f"{share:.0f} %" for share in shares[:, middle]], fontsize=style.SMALL)
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)
    right.set_ylabel(f"{names[middle]}", fontsize=style.SMALL, color=style.INK)
    handles = [Patch(facecolor=colours[k], label=names[k]) for k in range(len(names)) if k != middle]
    title = f"effect ({unit})" if unit else "effect"
    return style.write(figure, path, caption, legend=handles, legend_title=title)


def bin_names(profile: Profile) -> list[str]:
    """What the bins are called, from the strongest support on.

    Example:
        >>> import torch
        >>> from monai_causal.visualize.profile import profile
        >>> bin_names(profile(torch.zeros(1), bins=(0.02, 1.0)))
        ['-1 or less', '-1 to -0.02', 'within ±0.02', '+0.02 to +1', '+1 or more']
    """
    names = []
    for low, high in profile.edges:
        if low == -float("inf"):
            names.append(f"{style.signed(high)} or less")
        elif high == float("inf"):
            names.append(f"{style.signed(low)} or more")
        elif low < 0 < high:
            names.append(f"within ±{high:g}")
        else:
            names.append(f"{style.signed(low)} to {style.signed(high)}")
    return names


def bin_colours(count: int) -> list[tuple[float, float, float]]:
    """One colour per bin: red on the side that supports, blue on the other, the darker the stronger."""
    middle = count // 2

    def colour(k: int) -> tuple[float, float, float]:
        if k == middle:
            return to_rgb(style.NOTHING)
        depth = 0.3 + 0.7 * abs(k - middle) / middle
        red, green, blue = (1 - depth * (1 - part) for part in to_rgb(style.SUPPORT if k < middle else style.SUPPRESS))
        return red, green, blue

    return [colour(k) for k in range(count)]


def extremes(profile: Profile, unit: str) -> str:
    """The strongest effects, in words."""
    weakest, strongest = style.signed(profile.minimum), style.signed(profile.maximum)
    return f"strongest support {weakest}, strongest suppression {strongest} {unit}".rstrip()


def _percent(profile: Profile) -> np.ndarray:
    counts = np.array(profile.histogram, dtype=float)
    return 100 * counts / counts.sum()


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=style.SMALL)
