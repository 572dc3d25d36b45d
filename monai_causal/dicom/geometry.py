# SPDX-License-Identifier: Apache-2.0
"""Turning, resizing and padding a picture, and the exact way back for what is found in it.

All is done in whole numbers. A pixel of one grid belongs to the pixel of the other grid in which its centre lies; a
box, a mask and a map follow this one rule, so that the mask of a box and the box of a mask stay the same thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Box", "Orientation", "Placement"]

Box: TypeAlias = "tuple[tuple[int, int], tuple[int, int]]"
"""Half-open, in array order: ((first row, row after the last), (first column, column after the last))."""


class Orientation(Enum):
    """The eight ways to lay a picture: what is done to it, transposing first, then reversing rows, then columns.

    Example:
        >>> Orientation.ROTATE_90.apply(np.array([[1, 2, 3], [4, 5, 6]])).tolist()
        [[3, 6], [2, 5], [1, 4]]
    """

    IDENTITY = (False, False, False)
    MIRROR = (False, False, True)
    FLIP = (False, True, False)
    ROTATE_180 = (False, True, True)
    TRANSPOSE = (True, False, False)
    ROTATE_270 = (True, False, True)
    ROTATE_90 = (True, True, False)
    """a quarter turn against the clock"""
    ANTITRANSPOSE = (True, True, True)

    @property
    def transposes(self) -> bool:
        """Rows become columns."""
        return self.value[0]

    @property
    def mirrors(self) -> bool:
        """Left and right hands are exchanged: no turning alone does this."""
        return sum(self.value) % 2 == 1

    @property
    def inverse(self) -> Orientation:
        """What undoes this."""
        transpose, rows, columns = self.value
        return Orientation((transpose, columns, rows)) if transpose else self

    def then(self, other: Orientation) -> Orientation:
        """This first, then the other, as one.

        Example:
            >>> Orientation.ROTATE_90.then(Orientation.ROTATE_90)
            <Orientation.ROTATE_180: (False, True, True)>
        """
        transpose, rows, columns = self.value
        if other.transposes:
            rows, columns = columns, rows
        _, more_rows, more_columns = other.value
        return Orientation((transpose != other.transposes, rows != more_rows, columns != more_columns))

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array (rows, columns, ...) laid this way; a view of its memory."""
        transpose, rows, columns = self.value
        turned = array.swapaxes(0, 1) if transpose else array
        return turned[:: -1 if rows else 1, :: -1 if columns else 1]

    def shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns after it."""
        return (shape[1], shape[0]) if self.transposes else shape

    def box(self, box: Box, shape: tuple[int, int]) -> Box:
        """A box in a picture of this shape, after it."""
        first, second = (box[1], box[0]) if self.transposes else box
        height, width = self.shape(shape)
        _, rows, columns = self.value
        return (
            (height - first[1], height - first[0]) if rows else first,
            (width - second[1], width - second[0]) if columns else second,
        )


@dataclass(frozen=True)
class Placement:
    """How a source picture lies in a view of it: turned, then resized, then padded.

    Args:
        source: rows and columns of the source.
        orientation: how it is laid.
        resized: rows and columns after resizing; as they are by default.
        padding: rows and columns added, ((before, after), (before, after)).

    Example:
        >>> placement = Placement.fit((5, 3), (8, 8), Orientation.MIRROR)
        >>> placement.resized, placement.padding, placement.to_source(((0, 8), (1, 4)))
        ((8, 5), ((0, 0), (1, 2)), ((0, 5), (1, 3)))
    """

    source: tuple[int, int]
    orientation: Orientation = Orientation.IDENTITY
    resized: tuple[int, int] | None = None
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))

    def __post_init__(self) -> None:
        if self.resized is None:
            object.__setattr__(self, "resized", self.turned)
        if min(*self.source, *self._resized) < 1 or min(min(pair) for pair in self.padding) < 0:
            raise ValueError(f"{self}: sizes are 1 or more, padding is 0 or more.")

    @classmethod
    def fit(
        cls,
        source: tuple[int, int],
        size: int | tuple[int, int],
        orientation: Orientation = Orientation.IDENTITY,
        keep_aspect: bool = True,
    ) -> Placement:
        """The largest view of the whole source in ``size``, centred; with ``keep_aspect`` false it fills ``size``."""
        height, width = (size, size) if isinstance(size, int) else size
        if min(height, width) < 1:
            raise ValueError(f"size={size}: rows and columns are 1 or more.")
        if not keep_aspect:
            return cls(source, orientation, (height, width))
        rows, columns = orientation.shape(source)
        # Whole numbers throughout: the axis that decides fills its side exactly, the other rounds half up.
        if height * columns <= width * rows:
            resized = (height, max(1, (2 * columns * height + rows) // (2 * rows)))
        else:
            resized = (max(1, (2 * rows * width + columns) // (2 * columns)), width)
        spare = (height - resized[0], width - resized[1])
        padding = ((spare[0] // 2, spare[0] - spare[0] // 2), (spare[1] // 2, spare[1] - spare[1] // 2))
        return cls(source, orientation, resized, padding)

    @property
    def turned(self) -> tuple[int, int]:
        """Rows and columns of the source once it is turned."""
        return self.orientation.shape(self.source)

    @property
    def view(self) -> tuple[int, int]:
        """Rows and columns of the view."""
        (top, bottom), (left, right) = self.padding
        return self._resized[0] + top + bottom, self._resized[1] + left + right

    @property
    def _resized(self) -> tuple[int, int]:
        assert self.resized is not None
        return self.resized

    def render(self, pixels: NDArray[np.float32], fill: float = 0.0) -> NDArray[np.float32]:
        """The view of source pixels (rows, columns): bilinear, and antialiased where it shrinks."""
        self._check(pixels.shape, self.source, "source")
        turned = np.ascontiguousarray(self.orientation.apply(pixels), dtype=np.float32)
        if self._resized != self.turned:
            size = (self._resized[1], self._resized[0])
            turned = np.asarray(Image.fromarray(turned).resize(size, Image.Resampling.BILINEAR))
        return np.pad(turned, self.padding, constant_values=fill)

    def to_view(self, found: Any) -> Any:
        """A box, or a mask or map (rows, columns, ...), of the source as it lies in the view.

        A mask or map is 0 where there is only padding. See :meth:`to_source`.
        """
        if _is_box(found):
            box = self.orientation.box(_checked(found, self.source), self.source)
            rows, columns = (
                _moved(span, old, new) for span, old, new in zip(box, self.turned, self._resized, strict=True)
            )
            (top, _), (left, _) = self.padding
            return (rows[0] + top, rows[1] + top), (columns[0] + left, columns[1] + left)
        values = np.asarray(found)
        self._check(values.shape, self.source, "source")
        resized = _picked(self.orientation.apply(values), self._resized)
        return np.pad(resized, (*self.padding, *[(0, 0)] * (values.ndim - 2)))

    def to_source(self, found: Any) -> Any:
        """A box, or a mask or map (rows, columns, ...), found in the view as it lies in the source.

        Each source pixel gets the value of the view's pixel in which its centre lies. A box becomes the source pixels
        whose centres it holds; one too small to hold any becomes the pixel in which it lies. What reaches into the
        padding is cut there.

        Raises:
            ValueError: the box lies in the padding, is empty or leaves the view; or the array is not the view's size.
        """
        (top, _), (left, _) = self.padding
        height, width = self._resized
        if not _is_box(found):
            values = np.asarray(found)
            self._check(values.shape, self.view, "view")
            resized = values[top : top + height, left : left + width]
            return np.ascontiguousarray(self.orientation.inverse.apply(_picked(resized, self.turned)))
        box = []
        for (start, stop), before, new, old in zip(
            _checked(found, self.view), (top, left), self._resized, self.turned, strict=True
        ):
            start, stop = max(start - before, 0), min(stop - before, new)
            if start >= stop:
                raise ValueError(f"box {found}: it lies in the padding {self.padding} around the picture.")
            box.append(_moved((start, stop), new, old))
        return self.orientation.inverse.box((box[0], box[1]), self.turned)

    def _check(self, shape: Sequence[int], expected: Sequence[int], what: str) -> None:
        if list(shape[:2]) != list(expected):
            raise ValueError(f"an array of {tuple(shape)}: the {what} is {expected} (rows, columns).")


def _is_box(found: Any) -> bool:
    return not isinstance(found, np.ndarray) and isinstance(found, (tuple, list)) and list(np.shape(found)) == [2, 2]


def _checked(found: Any, shape: tuple[int, int]) -> Box:
    spans = []
    for (start, stop), size in zip(found, shape, strict=True):
        if int(start) != start or int(stop) != stop or not 0 <= start < stop <= size:
            raise ValueError(
                f"box {found} in a picture of {shape}: give whole numbers, start below stop, within it, "
                "as ((start, stop), (start, stop))."
            )
        spans.append((int(start), int(stop)))
    return spans[0], spans[1]


def _picked(values: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """The pixel of ``values`` in which each pixel's centre of a grid of this shape lies."""
    for axis, (old, new) in enumerate(zip(values.shape[:2], shape, strict=True)):
        if old != new:
            values = values.take((2 * np.arange(new) + 1) * old // (2 * new), axis=axis)
    return values


def _moved(span: tuple[int, int], old: int, new: int) -> tuple[int, int]:
    """The pixels of a grid of ``new`` whose centres lie in ``span`` of a grid of ``old``."""
    # Pixel k of the new grid is picked from the old one's (2 k + 1) * old // (2 * new): solved for k.
    start, stop = (-((old - 2 * new * edge) // (2 * old)) for edge in span)
    if start < stop:
        return start, stop
    held = (span[0] + span[1]) * new // (2 * old)
    return held, held + 1
