# SPDX-License-Identifier: Apache-2.0
"""Pictures of maps: where DEA deletes better than EGA and where worse (Figs. 2, 4), and how it is made (Fig. 3).

Only images whose maps were kept can be shown; which of them are is decided by TDD, not by looks.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from monai_causal.apps.segbench.plan import Block
from monai_causal.apps.segbench.results import Results
from monai_causal.apps.segbench.run import map_file
from monai_causal.visualize.render import style
from monai_causal.visualize.render.panels import Outline, Panel, save_grid
from monai_causal.visualize.render.results import picture

__all__ = ["Case", "kept_cases", "save_gallery", "save_mechanism"]

PER_NETWORK, SHOWN = 2, 6


class Case(NamedTuple):
    """A block whose maps were kept, and how much more DEA's map deletes than EGA's."""

    block: Block
    gain: float


def kept_cases(results: Results, folder: Path, fused: str, gradient: str) -> list[Case]:
    """The blocks with maps of all methods, the largest gain first.

    Args:
        results: of the benchmark.
        folder: of the benchmark.
        fused, gradient: labels of DEA and of EGA.
    """
    cases = []
    for block in results.complete:
        if all(map_file(folder, block.run, block.sample, method).is_file() for method in block.methods):
            mine, other = (results.entries[block.keys[label]]["values"]["tdd"] for label in (fused, gradient))
            cases.append(Case(block, mine - other))
    return sorted(cases, key=lambda case: (-case.gain, case.block.run, case.block.sample))


def save_gallery(results: Results, folder: Path, cases: list[Case], path: Path, caption: str) -> Path:
    """The first cases of each network as rows (network, seed, image), methods as columns, each map under its TDD."""
    rows, names = [], []
    shown: list[Case] = []
    for case in cases:
        if sum(one.block.run.network == case.block.run.network for one in shown) < PER_NETWORK:
            shown.append(case)
    for case in shown[:SHOWN]:
        block = case.block
        line = [_panel(folder, block, block.methods[0], None, "")]
        for method in block.methods:
            values = results.entries[block.keys[method]]["values"]
            line.append(_panel(folder, block, method, method, f"TDD {values['tdd']:.2f}"))
        rows.append(line)
        names.append(f"{block.run.network} {block.run.seed}, {block.sample.removeprefix('image-')}")
    columns = ["image", *results.methods]
    return save_grid(path, rows, names, columns, caption, same_scale="all", columns=len(columns))


def save_mechanism(folder: Path, case: Case, gradient: str, intervention: str, fused: str, path: Path) -> Path:
    """Gradient, intervention, their interaction (the product in Eq. 2) and the result, of one image."""
    block = case.block
    first, second = (_load(folder, block, label)["heat"] for label in (gradient, intervention))
    line = [
        _panel(folder, block, fused, None, ""),
        _panel(folder, block, gradient, gradient, ""),
        _panel(folder, block, intervention, intervention, ""),
        _drawn(folder, block, fused, first * second, ""),
        _panel(folder, block, fused, fused, ""),
    ]
    columns = ["image", "gradient", "intervention", "interaction", "result"]
    caption = (
        f"{block.run.network}, seed {block.run.seed}, {block.sample}: EGA, RIA, their product, and DEA, on one scale. "
        f"DEA's TDD is {case.gain:+.2f} against EGA's."
    )
    return save_grid(path, [line], [block.run.data], columns, caption, columns=len(columns))


def _panel(folder: Path, block: Block, file: str, method: str | None, title: str) -> Panel:
    return _drawn(folder, block, file, None if method is None else _load(folder, block, method)["heat"], title)


def _drawn(folder: Path, block: Block, file: str, heat: np.ndarray | None, title: str) -> Panel:
    content = _load(folder, block, file)
    image, mask = content["image"], content["mask"]
    if mask.ndim == 3:  # the plane with most of the target
        plane = int(mask.sum((0, 1)).argmax())
        image, mask, heat = image[..., plane], mask[..., plane], None if heat is None else heat[..., plane]
    shown = picture(image, mask.shape, None if len(image) in (1, 3) else 0)
    outline = Outline(mask, style.ROI_COLOUR, "target")
    return Panel(shown, title, heat, outlines=(outline,), signed=False, bar_label="attribution")


def _load(folder: Path, block: Block, method: str) -> dict[str, np.ndarray]:
    with np.load(map_file(folder, block.run, block.sample, method), allow_pickle=False) as file:
        return dict(file)
