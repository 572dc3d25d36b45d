# SPDX-License-Identifier: Apache-2.0
"""Volumes on paper: three orthogonal planes, or a montage of slices, as thick as they are and with their sides named.

With an affine, planes lie as radiologists hang them: head or front on top, the patient's right (or front) on the left.
Without one, rows and columns are the array's own axes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from nibabel.affines import voxel_sizes
from numpy.typing import ArrayLike

from monai_causal.visualize.render import style
from monai_causal.visualize.render.panels import Outline, Panel, draw_bar, draw_panel, outline_legend, row_title

__all__ = ["Plane", "draw_planes", "plane_widths", "planes", "planes_height", "save_montage", "save_planes"]

_PLANES = {"S": "axial", "I": "axial", "A": "coronal", "P": "coronal", "L": "sagittal", "R": "sagittal"}
_OPPOSITE = dict(zip("RLAPSI", "LRPAIS", strict=True))
_SHOWN_FIRST = "SAR"  # on top or on the left
_STRAIGHT = 0.985  # cosine of ten degrees: a plane turned farther is only near what it is called


@dataclass(frozen=True)
class Plane:
    """One slice of a volume, and how it is laid on paper.

    Attributes:
        axis: the array's axis that it is cut across, at ``index``.
        index: which slice.
        rows, columns: the array's axes that run down and to the right; ``flip_rows`` and ``flip_columns`` say whether
            they run backwards.
        aspect: height of a pixel in terms of its width.
        name: what it is called.
        edges: what lies to the left, right, top and bottom.
    """

    axis: int
    index: int
    rows: int
    columns: int
    flip_rows: bool
    flip_columns: bool
    aspect: float
    name: str
    edges: tuple[str, str, str, str]

    def cut(self, volume: np.ndarray) -> np.ndarray:
        """``(rows, columns)`` of a volume."""
        slab = np.take(volume, self.index, axis=self.axis)
        slab = slab if self.rows < self.columns else slab.T
        return slab[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]

    def of(self, panel: Panel) -> Panel:
        """A panel of the plane from one of the volume, on the whole volume's scales."""
        low, high = np.percentile(panel.image, (0.5, 99.5)).tolist()
        return replace(
            panel,
            image=self.cut(panel.image),
            heat=None if panel.heat is None else self.cut(panel.heat),
            outlines=tuple(Outline(self.cut(line.mask), line.colour, line.label) for line in panel.outlines),
            limit=panel.largest,
            doubtful=None if panel.doubtful is None else self.cut(panel.doubtful),
            faded=None if panel.faded is None else self.cut(panel.faded),
            window=panel.window or (low, high),
            aspect=self.aspect,
            edges=self.edges,
            title=self.name,
        )


def planes(spatial_shape: Sequence[int], centre: Sequence[int], affine: ArrayLike | None = None) -> tuple[Plane, ...]:
    """The three planes through a voxel; with an affine axial, coronal and sagittal, in this order.

    Example:
        >>> [plane.name for plane in planes((40, 40, 12), (20, 20, 6), np.diag([1, 1, 4, 1]))]
        ['axial, slice 7 of 12', 'coronal, slice 21 of 40', 'sagittal, slice 21 of 40']
    """
    if len(spatial_shape) != 3 or len(centre) != 3:
        raise ValueError(f"a volume of shape {tuple(spatial_shape)} through {tuple(centre)}: three axes are needed.")
    made = [_plane(tuple(spatial_shape), axis, int(centre[axis]), affine) for axis in range(3)]
    order = {"axial": 0, "coronal": 1, "sagittal": 2}
    return tuple(sorted(made, key=lambda plane: order.get(plane.name.partition(",")[0].split()[-1], plane.axis)))


def save_planes(
    path: str | os.PathLike[str],
    panel: Panel,
    centre: Sequence[int],
    affine: ArrayLike | None = None,
    caption: str = "",
) -> Path:
    """Three orthogonal planes of a volume's panel through a voxel, on one colour scale.

    Example:
        >>> import tempfile
        >>> effects = np.zeros((16, 16, 6))
        >>> effects[:4, :4, :2] = -1.0
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     panel = Panel(np.random.rand(16, 16, 6), "a volume", effects, "Dice points")
        ...     save_planes(f"{folder}/planes.png", panel, (2, 2, 1), np.diag([1, 1, 3, 1])).name
        'planes.png'
    """
    cuts = planes(panel.image.shape, centre, affine)
    figure = style.new_figure(planes_height(cuts, panel.image.shape))
    cells = figure.subplots(1, 3, width_ratios=plane_widths(cuts, panel.image.shape))
    draw_planes(figure, cells.tolist(), panel, cuts)
    return style.write(figure, path, caption, legend=outline_legend([panel]))


def save_montage(
    path: str | os.PathLike[str],
    panel: Panel,
    affine: ArrayLike | None = None,
    *,
    axis: int | None = None,
    slices: int | Sequence[int] = 12,
    columns: int = 4,
    caption: str = "",
) -> Path:
    """Slices of a volume's panel along one axis, on one colour scale.

    Args:
        path: of the PNG file.
        panel: of the volume.
        affine: voxel to world ``(4, 4)``.
        axis: of the array, that is cut across; by default the one along which voxels are longest, and among equal ones
            the one from foot to head, or the last.
        slices: which ones, or how many, evenly over where there is an effect or an outline.
        columns: slices in a row.
        caption: beneath.
    """
    shape = panel.image.shape
    axis = _coarsest(affine) if axis is None else axis
    chosen = _spread(panel, axis, slices) if isinstance(slices, int) else list(slices)
    cuts = [_plane(shape, axis, index, affine) for index in chosen]
    first = cuts[0]
    columns = min(columns, len(cuts))
    rows = -(-len(cuts) // columns)
    height = 0.85 * style.WIDTH / columns * shape[first.rows] * first.aspect / shape[first.columns]
    figure = style.new_figure(rows * (height + 0.25))
    cells = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, cut in zip(cells, cuts, strict=False):
        draw_panel(axes, replace(cut.of(panel), title=style.wrapped(cut.name, style.WIDTH / columns)))
    for axes in cells[len(cuts) :]:
        axes.set_axis_off()
    if panel.heat is not None:
        draw_bar(figure, cells, panel)
    return style.write(figure, path, caption, legend=outline_legend([panel]))


def draw_planes(figure: Figure, cells: Sequence[Axes], panel: Panel, cuts: Sequence[Plane]) -> None:
    """Planes side by side, with the volume's title to their left and one colour bar to their right."""
    widths = plane_widths(cuts, panel.image.shape)
    room = (style.WIDTH - 1.4) / sum(widths)
    for axes, cut, width in zip(cells, cuts, widths, strict=True):
        flat = cut.of(panel)
        draw_panel(axes, replace(flat, title=style.wrapped(flat.title, width * room)))
    if panel.title:
        row_title(cells[0], style.wrapped(panel.title, 0.8 * planes_height(cuts, panel.image.shape)))
    if panel.heat is not None:
        draw_bar(figure, cells, panel)


def planes_height(cuts: Sequence[Plane], shape: Sequence[int]) -> float:
    """Inches that the planes need in a picture as wide as all are, titles included."""
    widths = plane_widths(cuts, shape)
    inches = (style.WIDTH - 1.2) / sum(widths)
    tallest = max(
        inches * width * cut.aspect * shape[cut.rows] / shape[cut.columns]
        for cut, width in zip(cuts, widths, strict=True)
    )
    return min(tallest, 0.6 * style.WIDTH) + 0.45


def _plane(shape: tuple[int, ...], axis: int, index: int, affine: ArrayLike | None) -> Plane:
    if not 0 <= index < shape[axis]:
        raise ValueError(f"slice {index} of axis {axis}: the volume has {shape[axis]} there.")
    rows, columns = (other for other in range(3) if other != axis)
    where = f"slice {index + 1} of {shape[axis]}"
    if affine is None:
        edges = (f"axis {rows}\n↓", "", "", f"axis {columns} →")
        return Plane(axis, index, rows, columns, False, False, 1.0, f"axis {axis}, {where}", edges)
    matrix = np.asarray(affine, dtype=float)
    codes = nib.orientations.aff2axcodes(matrix)
    if codes[rows] in "LR" or codes[columns] in "SI":
        rows, columns = columns, rows
    spacing = voxel_sizes(matrix)
    across = matrix[:3, axis] / spacing[axis]
    near = "" if np.abs(across).max() >= _STRAIGHT else "near "
    (left, right), (top, bottom) = _ends(codes[columns]), _ends(codes[rows])
    return Plane(
        axis, index, rows, columns, codes[rows] == top, codes[columns] == left, float(spacing[rows] / spacing[columns]),
        f"{near}{_PLANES[codes[axis]]}, {where}", (left, right, top, bottom),
    )  # fmt: skip


def _ends(code: str) -> tuple[str, str]:
    """The side shown first, on top or on the left, and the other one."""
    return (code, _OPPOSITE[code]) if code in _SHOWN_FIRST else (_OPPOSITE[code], code)


def plane_widths(cuts: Sequence[Plane], shape: Sequence[int]) -> list[float]:
    """In proportion to what the planes measure, but none so narrow that its title has no room."""
    # All planes have two of three edges: in units of the first plane's column voxels.
    unit = {cuts[0].columns: 1.0, cuts[0].rows: cuts[0].aspect}
    for cut in cuts[1:]:
        if cut.rows in unit:
            unit.setdefault(cut.columns, unit[cut.rows] / cut.aspect)
        elif cut.columns in unit:
            unit.setdefault(cut.rows, unit[cut.columns] * cut.aspect)
    widths = [shape[cut.columns] * unit[cut.columns] for cut in cuts]
    return [max(width, 0.6 * max(widths)) for width in widths]


def _coarsest(affine: ArrayLike | None) -> int:
    if affine is None:
        return 2
    matrix = np.asarray(affine, dtype=float)
    spacing, codes = voxel_sizes(matrix), nib.orientations.aff2axcodes(matrix)
    if np.allclose(spacing, spacing[0], rtol=0.01):
        return next(axis for axis, code in enumerate(codes) if code in "SI")
    return int(spacing.argmax())


def _spread(panel: Panel, axis: int, count: int) -> list[int]:
    told = np.zeros(panel.image.shape, bool) if panel.heat is None else np.nan_to_num(panel.heat) != 0
    for line in panel.outlines:
        told = told | np.asarray(line.mask, dtype=bool)
    there = np.flatnonzero(told.any(tuple(other for other in range(3) if other != axis)))
    first, last = (there[0], there[-1]) if len(there) else (0, panel.image.shape[axis] - 1)
    return sorted(set(np.linspace(first, last, count).round().astype(int).tolist()))
