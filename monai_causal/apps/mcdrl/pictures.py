# SPDX-License-Identifier: Apache-2.0
"""Pictures: what each method outlines (Fig. 4), and where its features lie (Fig. 5).

Only images whose masks were kept can be shown, those under the first seed; which of them are is decided by MCDRL's
Dice, not by looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from monai_causal.apps.mcdrl.judgement import REFERENCE
from monai_causal.apps.mcdrl.plan import Run
from monai_causal.apps.mcdrl.results import Results
from monai_causal.apps.mcdrl.tables import labelled
from monai_causal.extras import require
from monai_causal.visualize.render import style
from monai_causal.visualize.render.panels import Outline, Panel, save_grid

__all__ = ["images_file", "kept_file", "save_feature_maps", "save_galleries"]

Arrays = dict[str, np.ndarray]
BASELINE = "baseline"
FEWEST = 8  # points of a map
PERPLEXITY = 30.0
MARKERS = "osD^vP*X"
ACROSS = 6  # panels of a gallery


def kept_file(folder: Path, run: Run, number: int) -> Path:
    """Where a run's masks and features are."""
    return folder / "pictures" / f"{run.file(number)}.npz"


def images_file(folder: Path, task: str) -> Path:
    """Where a task's images are."""
    plain = "".join(sign if sign.isalnum() or sign in "-_." else "_" for sign in task)
    return folder / "pictures" / f"images-of-{plain}.npz"


def save_galleries(results: Results, out: Path) -> dict[str, str]:
    """Of each test set MCDRL's worst, median and best image with every method's outline; headings by file."""
    reference = labelled(results, REFERENCE)
    drawn: dict[str, str] = {}
    for task in results.tasks if reference is not None else ():
        kept = _kept(results, task)
        if reference not in kept:
            continue
        images = _load(images_file(results.folder, task))
        for name in dict.fromkeys(images["sets"].tolist()):
            path = out / f"gallery-{len(drawn) + 1}.png"
            places = [place for place, one in enumerate(images["sets"]) if one == name]
            _save_gallery(results, task, name, places, images, kept, path)
            drawn[path.name] = f"Cases: {name}"
    return drawn


def save_feature_maps(results: Results, out: Path) -> dict[str, str]:
    """t-SNE of the pooled features of baseline and MCDRL, by what is in the image and by where it comes from."""
    labels = [label for name in (BASELINE, REFERENCE) if (label := labelled(results, name)) is not None]
    drawn: dict[str, str] = {}
    for task in results.tasks:
        kept = {label: one for label, one in _kept(results, task).items() if label in labels and "features" in one}
        if not kept or len(next(iter(kept.values()))["features"]) < FEWEST:
            continue
        path = out / f"features-{len(drawn) + 1}.png"
        _save_features(results, task, kept, path)
        drawn[path.name] = f"Features: {task}"
    return drawn


def positions(features: np.ndarray) -> np.ndarray:
    """t-SNE ``(n, 2)`` of features ``(n, d)``, each of unit length; the same for the same features."""
    units = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    perplexity = min(PERPLEXITY, (len(units) - 1) / 3)
    found: np.ndarray = (
        require("sklearn.manifold")
        .TSNE(perplexity=perplexity, init="pca", random_state=0)
        .fit_transform(units.astype(np.float64))
    )
    return found


def _save_gallery(
    results: Results, task: str, name: str, places: Sequence[int], images: Arrays, kept: dict[str, Arrays], path: Path
) -> None:
    scores = {label: _scores(results, task, name, label) for label in kept}
    reference = str(labelled(results, REFERENCE))
    # An image without a lesion shows nothing but whether a method invents one.
    places = [place for place in places if images["labels"][place].any()] or list(places)
    ranked = sorted(places, key=lambda place: scores[reference][str(images["samples"][place])])
    chosen = dict(
        zip(("worst", "median", "best"), (ranked[0], ranked[(len(ranked) - 1) // 2], ranked[-1]), strict=True)
    )
    rows = []
    for place in chosen.values():
        sample = str(images["samples"][place])
        picture = np.moveaxis(images["images"][place], 0, -1) / 255
        truth = Outline(images["labels"][place] > 0, style.REFERENCE_COLOUR, "truth")
        line: list[Panel | None] = [Panel(picture, ""), Panel(picture, "", outlines=(truth,))]
        for label, arrays in kept.items():
            answer = Outline(arrays["masks"][place] > 0, style.ROI_COLOUR, "answer")
            line.append(Panel(picture, f"Dice {scores[label][sample]:.2f}", outlines=(truth, answer)))
        rows.append(line)
    columns = ["image", "truth", *kept]
    caption = (
        f"{name}, seed {results.config.seeds[0]}: the worst, median and best of {len(places)} kept images, by MCDRL's "
        f"Dice.{_flag(results)}"
    )
    save_grid(path, rows, list(chosen), columns, caption, columns=min(len(columns), ACROSS))


def _save_features(results: Results, task: str, kept: dict[str, Arrays], path: Path) -> None:
    images = _load(images_file(results.folder, task))
    names = ("no lesion", *results.config.classes)
    classes = [names[_most_frequent(label)] for label in images["labels"]]
    conditions = images["conditions"].tolist()
    figure = style.new_figure(0.42 * style.WIDTH * 2, style.WIDTH)
    cells = figure.subplots(2, len(kept), squeeze=False)
    looks = _looks([("class", one) for one in classes] + [("condition", one) for one in conditions])
    points = {label: positions(arrays["features"]) for label, arrays in kept.items()}
    for line, (what, values) in zip(cells, (("class", classes), ("condition", conditions)), strict=True):
        for axes, (label, at) in zip(line, points.items(), strict=True):
            for value in sorted(set(values)):
                colour, marker = looks[what, value]
                inside = np.array([one == value for one in values])
                axes.plot(*at[inside].T, marker, color=colour, markersize=4, alpha=0.8, markeredgewidth=0)
            _frame(axes, f"{label}, by {what}")
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", markersize=5, label=value.replace("_", " "))
        for (_, value), (colour, marker) in looks.items()
    ]
    caption = (
        f"{task}: t-SNE of the mean feature over the selected cells, {len(classes)} test images, seed "
        f"{results.config.seeds[0]}. Distances between far clouds mean nothing.{_flag(results)}"
    )
    style.write(figure, path, caption, legend=handles)


def _kept(results: Results, task: str) -> dict[str, Arrays]:
    """What was kept under the first seed, by method."""
    found = {}
    for number, run in enumerate(results.runs):
        path = kept_file(results.folder, run, number)
        if run.task == task and run.key in results.entries and path.is_file():
            found[run.method] = _load(path)
    return found


def _scores(results: Results, task: str, name: str, label: str) -> dict[str, float]:
    rows = results.rows[Run(task, label, results.config.seeds[0])]
    return {row["sample"]: row["dice"] for row in rows if row["set"] == name}


def _most_frequent(label: np.ndarray) -> int:
    counts: Any = np.bincount(label.ravel())[1:]
    return int(counts.argmax()) + 1 if counts.any() else 0


def _looks(values: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, str]]:
    """Colour and marker of each value; 56 before a pair comes again."""
    styles = zip(cycle(MARKERS), style.line_styles(), strict=False)
    return {value: (colour, marker) for value, (marker, (colour, _)) in zip(sorted(set(values)), styles, strict=False)}


def _frame(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=style.TEXT, color=style.INK)
    axes.set_xticks([])
    axes.set_yticks([])


def _flag(results: Results) -> str:
    return " Oracle selection." if results.config.selection == "oracle" else ""


def _load(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
