# SPDX-License-Identifier: Apache-2.0
"""Pictures inside a page: small enough for many, sharp enough for one, and the same bytes every time."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray
from PIL import Image

from monai_causal.visualize.render import style

__all__ = ["bar", "encode_file", "encode_image", "encode_map", "extent"]

Array = NDArray[np.float64]

_LADDER = ((1400, 88), (1024, 85), (768, 82), (512, 80), (384, 75), (256, 70), (192, 60), (128, 50))
"""Longest side and WebP quality, until a picture fits."""
_EXACT = 512
"""Longest side of a picture that is first tried without loss."""
_MAP_SIDES = (1024, 512, 384, 256, 128, 64)
_STEPS = 127
_MOST_PIXELS = 100_000_000


def encode_image(values: NDArray[np.uint8], room: int) -> str:
    """A grey (rows, columns) or colour (rows, columns, 3) picture as a data URI of about ``room`` bytes at most."""
    return _fitted(Image.fromarray(np.ascontiguousarray(values)), room)


def encode_file(path: Path, room: int) -> tuple[str, int, int]:
    """A picture file, with its own width and height.

    Raises:
        ValueError: it is no picture, or one beyond all measure.
    """
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                raise ValueError(f"{opened.width} x {opened.height} pixels are too many for a page.")
            shown = opened.convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("it cannot be read as a picture.") from error
    return _fitted(shown, room), shown.width, shown.height


def encode_map(values: Array, signed: bool, limit: float, room: int, smooth: bool = False) -> str:
    """A map (rows, columns) as a see-through picture in the package's colours.

    Args:
        values: of the map; what is not finite is not shown.
        signed: red below 0 and blue above, else one colour scale from 0.
        limit: the value of the scale's end; 0 draws nothing.
        room: bytes.
        smooth: values may be interpolated when a large map is made smaller.
    """
    share = np.nan_to_num(values / limit if limit > 0 else np.zeros_like(values), nan=0.0, posinf=1.0, neginf=-1.0)
    share = np.clip(share, -1.0 if signed else 0.0, 1.0)
    for side in _MAP_SIDES:
        small = _shrunk(share, side, smooth)
        steps = np.rint((small + 1) / 2 * (_STEPS - 1) if signed else small * (_STEPS - 1)).astype(np.uint8)
        data = _png(steps, signed)
        if len(data) <= room or side == _MAP_SIDES[-1]:
            break
    return _uri(data, "png")


def bar(signed: bool) -> str:
    """The colour bar as a picture of one row."""
    steps = np.arange(_STEPS, dtype=np.uint8)[None]
    return _uri(_png(steps, signed), "png")


def extent(values: Array, signed: bool) -> float:
    """The end of a map's colour scale: its largest value, of either sign where signs matter."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0
    return float(np.abs(finite).max() if signed else max(finite.max(), 0.0))


def _colours(signed: bool) -> NDArray[np.uint8]:
    colours: ListedColormap = style.SUPPORT_TO_SUPPRESS if signed else style.MAGNITUDES
    return np.rint(255 * np.asarray(colours(np.linspace(0.0, 1.0, _STEPS)))).astype(np.uint8)


def _png(steps: NDArray[np.uint8], signed: bool) -> bytes:
    colours = _colours(signed)
    picture = Image.frombytes("P", (steps.shape[1], steps.shape[0]), np.ascontiguousarray(steps).tobytes())
    picture.putpalette(colours[:, :3].tobytes())
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True, transparency=colours[:, 3].tobytes())
    return file.getvalue()


def _shrunk(values: Array, side: int, smooth: bool) -> Array:
    if max(values.shape) <= side:
        return values
    factor = side / max(values.shape)
    size = [max(1, round(length * factor)) for length in values.shape]
    if smooth:
        picture = Image.fromarray(values.astype(np.float32))
        return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BOX), dtype=np.float64)
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, values.shape, strict=True))
    return values[np.ix_(rows, columns)]


def _fitted(picture: Image.Image, room: int) -> str:
    if max(picture.size) <= _EXACT and len(data := _webp(picture, lossless=True)) <= room:
        return _uri(data, "webp")
    for side, quality in _LADDER:
        shown = picture
        if max(picture.size) > side:
            factor = side / max(picture.size)
            shown = picture.resize(_scaled(picture.size, factor), Image.Resampling.LANCZOS)
        data = _webp(shown, quality=quality)
        if len(data) <= room:
            break
    return _uri(data, "webp")


def _webp(picture: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="WEBP", method=4, **options)
    return file.getvalue()


def _scaled(size: Sequence[int], factor: float) -> tuple[int, int]:
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
