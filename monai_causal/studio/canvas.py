# SPDX-License-Identifier: Apache-2.0
"""The picture on the page: image, colours over it, boxes, and where somebody taps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_causal.extras import require
from monai_causal.intervene.regions import Box
from monai_causal.studio.pictures import Cut, colours_of_map, colours_of_picture, colours_of_segmentation
from monai_causal.visualize.render import style

__all__ = ["Canvas", "Hovered"]

Hovered = Mapping[str, Any]
"""A box that is told of when a pointer is over it: ``box``; how it is drawn: ``line``, ``alpha``, ``width``; and its
texts."""

_NUMBER = "%+.3g"
_FIRST_OPACITY = 0.85
_EDGES = ("top", "bottom", "left", "right")
_DRAWN = ("line", "alpha", "width")
_UNSEEN = "rgba(0, 0, 0, 0)"


class Canvas:
    """One picture, or one slice of a volume at a time.

    Args:
        on_tap: gets the voxel that was tapped on.
        tell: what hovering over a box shows: words, and which of a box's texts stands beside them.
    """

    def __init__(self, on_tap: Callable[[tuple[int, ...]], None], tell: Iterable[tuple[str, str]]) -> None:
        models, plotting = require("bokeh.models"), require("bokeh.plotting")
        self._on_tap = on_tap
        self._cut = Cut((1, 1))
        self._image: NDArray[Any] = np.zeros((1, 1, 1), dtype=np.float32)
        self._segmentation: NDArray[Any] | None = None
        self._map: tuple[NDArray[Any], bool, float] | None = None
        self._boxes: tuple[Hovered, ...] = ()
        self._roi: Box | None = None
        tips = [(said, f"@{name}") for said, name in tell]
        self._columns = [name[1:] for _, name in tips]
        self._sources = {
            name: models.ColumnDataSource({"image": [], "dw": [], "dh": []}) for name in ("image", "classes", "map")
        }
        self._values = models.ColumnDataSource({"image": [], "dw": [], "dh": []})
        edges: dict[str, list[Any]] = {
            "left": [],
            "right": [],
            "top": [],
            "bottom": [],
            "line": [],
            "alpha": [],
            "width": [],
        }
        self._box_source = models.ColumnDataSource({**edges, **{name: [] for name in self._columns}})
        self._roi_source = models.ColumnDataSource({name: [] for name in ("left", "right", "top", "bottom")})
        self.figure = plotting.figure(
            tools="", toolbar_location=None, sizing_mode="scale_width", x_range=models.Range1d(0, 1),
            y_range=models.Range1d(1, 0), min_border=0, outline_line_color=None, background_fill_color="#10151a",
            border_fill_color=None, output_backend="canvas",
        )  # fmt: skip
        self.figure.axis.visible = False
        self.figure.grid.visible = False
        self._painted = {
            name: self.figure.image_rgba("image", x=0, y=0, dw="dw", dh="dh", source=source)
            for name, source in self._sources.items()
        }
        self._painted["map"].glyph.global_alpha = _FIRST_OPACITY
        unseen = models.LinearColorMapper(palette=[_UNSEEN, _UNSEEN], nan_color=_UNSEEN)
        values = self.figure.image("image", x=0, y=0, dw="dw", dh="dh", source=self._values, color_mapper=unseen)
        boxes = self.figure.quad(
            left="left", right="right", top="top", bottom="bottom", source=self._box_source, fill_color="white",
            fill_alpha=0.0, line_color="line", line_alpha="alpha", line_width="width", hover_fill_alpha=0.12,
            hover_fill_color="white", hover_line_color="white", hover_line_alpha=1.0,
        )  # fmt: skip
        self.figure.quad(
            left="left", right="right", top="top", bottom="bottom", source=self._roi_source, fill_alpha=0.0,
            line_color=style.ROI_COLOUR, line_width=2.5, line_dash=[6, 4],
        )  # fmt: skip
        self._value_hover = models.HoverTool(
            renderers=[values], tooltips=[("map", f"@image{{{_NUMBER}}}")], formatters={"@image": "printf"}
        )
        self.figure.add_tools(
            models.HoverTool(renderers=[boxes], tooltips=tips),
            self._value_hover,
            models.WheelZoomTool(modifiers="ctrl"),
            models.PanTool(),
        )
        self.figure.toolbar.active_scroll = self.figure.tools[2]
        self.figure.on_event(require("bokeh.events").Tap, self._tapped)

    @property
    def cut(self) -> Cut:
        """Which slice is shown."""
        return self._cut

    def show(self, image: NDArray[Any], edges: tuple[float, ...], segmentation: NDArray[Any] | None = None) -> None:
        """Another image: ``(C, *spatial)`` in [0, 1], with the edges of its voxels and its classes."""
        self._image, self._segmentation = image, segmentation
        self._map, self._boxes, self._roi = None, (), None
        self._edges = edges
        shape = tuple(image.shape[1:])
        through = None if len(shape) == 2 else 2
        index = 0 if through is None else _fullest(segmentation, shape, through)
        self.turn(Cut(shape, through, index), new=True)

    def turn(self, cut: Cut, new: bool = False) -> None:
        """Another slice."""
        rows, columns = (cut.shape[axis] for axis in cut.axes)
        if new or cut.through != self._cut.through:
            down, across = (self._edges[axis] for axis in cut.axes)
            self.figure.aspect_ratio = max(0.2, min(5.0, columns * across / (rows * down)))
        turned = new or cut.axes != self._cut.axes
        self._cut = cut
        if turned:
            self.reset()
        self._paint("image", colours_of_picture(cut.of(self._image)))
        classes = None if self._segmentation is None else colours_of_segmentation(cut.of(self._segmentation))
        self._paint("classes", classes)
        self._paint_map()
        self._place_boxes()
        self._place_roi()

    def show_map(self, heat: NDArray[Any] | None, signed: bool = True, values: bool = False) -> None:
        """A map ``(*spatial)`` over the image; ``values``: hovering tells of them."""
        limit = 0.0 if heat is None or not np.isfinite(heat).any() else float(np.nanmax(np.abs(heat)))
        self._map = None if heat is None else (heat, signed, limit)
        self._value_hover.renderers[0].visible = values and heat is not None
        self._paint_map()

    def show_boxes(self, boxes: Iterable[Hovered]) -> None:
        """Boxes that hovering tells of; ``line``, ``alpha`` and ``width`` say how they are drawn."""
        self._boxes = tuple(boxes)
        self._place_boxes()

    def show_roi(self, box: Box | None) -> None:
        """The dashed box that is asked about."""
        self._roi = box
        self._place_roi()

    def fade(self, name: str, opacity: float) -> None:
        """How much of the ``map`` or the ``classes`` is seen, 0 to 1."""
        self._painted[name].glyph.global_alpha = opacity

    def zoom(self, by: float) -> None:
        """Nearer (above 1) or farther, around the middle."""
        ranges = (self.figure.x_range, self.figure.y_range)
        for one, length in zip(ranges, (self._lengths[1], self._lengths[0]), strict=True):
            middle, half = (one.start + one.end) / 2, (one.end - one.start) / 2 / by
            half = float(np.clip(half, -length / 2, length / 2))
            middle = float(np.clip(middle, abs(half), length - abs(half)))
            one.update(start=middle - half, end=middle + half)

    def reset(self) -> None:
        """All of the picture."""
        rows, columns = self._lengths
        self.figure.x_range.update(start=0, end=columns)
        self.figure.y_range.update(start=rows, end=0)

    @property
    def _lengths(self) -> tuple[int, int]:
        rows, columns = (self._cut.shape[axis] for axis in self._cut.axes)
        return rows, columns

    def _tapped(self, event: Any) -> None:
        voxel = None if event.x is None or event.y is None else self._cut.voxel(event.y, event.x)
        if voxel is not None:
            self._on_tap(voxel)

    def _paint(self, name: str, colours: NDArray[Any] | None) -> None:
        rows, columns = self._lengths
        source = self._values if name == "values" else self._sources[name]
        source.data = (
            {"image": [], "dw": [], "dh": []}
            if colours is None
            else {"image": [colours], "dw": [columns], "dh": [rows]}
        )

    def _paint_map(self) -> None:
        if self._map is None:
            self._paint("map", None)
            self._paint("values", None)
            return
        heat, signed, limit = self._map
        here = self._cut.of(heat)
        self._paint("map", colours_of_map(here, signed, limit))
        self._paint("values", here.astype(np.float32) if self._value_hover.renderers[0].visible else None)

    def _place_boxes(self) -> None:
        columns: dict[str, list[Any]] = {name: [] for name in self._box_source.data}
        for one in self._boxes:
            edges = self._cut.rectangle(one["box"])
            if edges is None:
                continue
            for name, edge in zip(_EDGES, edges, strict=True):
                columns[name].append(edge)
            for name in (*_DRAWN, *self._columns):
                columns[name].append(one[name])
        self._box_source.data = columns

    def _place_roi(self) -> None:
        edges = None if self._roi is None else self._cut.rectangle(self._roi)
        self._roi_source.data = {name: [] if edges is None else [edges[at]] for at, name in enumerate(_EDGES)}


def _fullest(segmentation: NDArray[Any] | None, shape: tuple[int, ...], through: int) -> int:
    """The slice that holds most of the segmentation; the middle one where there is none."""
    if segmentation is None or (segmentation < 0).all():
        return shape[through] // 2
    others = tuple(axis for axis in range(len(shape)) if axis != through)
    return int((segmentation >= 0).sum(others).argmax())
