# SPDX-License-Identifier: Apache-2.0
"""From stored values to grey as a calibrated display shows it: the pipeline of PS3.3, step by step, on arrays.

stored bits -> stored values -> modality (lookup table, or slope and intercept) -> values of interest (lookup table
before window, else percentiles) -> polarity, last and once. The functions know no header; what a header says is read
in :mod:`monai_causal.dicom.grey_tags`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "PERCENTILES",
    "Grey",
    "Lut",
    "Percentiles",
    "Rescale",
    "Window",
    "WindowFunction",
    "between",
    "counted",
    "displayed",
    "looked_up",
    "percentiles",
    "rescaled",
    "stored_values",
    "voi_looked_up",
    "windowed",
    "within",
]

WindowFunction: TypeAlias = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
PERCENTILES = (0.5, 99.5)
"""What becomes black and white where a file gives neither a lookup table nor a window."""

_TABLE_BITS = 16
_BLOCK = 2**20  # pixels that are looked up at once: numpy makes 8 bytes of each index


@dataclass(frozen=True, eq=False)
class Lut:
    """A lookup table: ``entries`` of ``bits`` bits, the first for the input ``first`` (PS3.3 C.11.1.1, C.11.2.1.1)."""

    entries: NDArray[np.uint16]
    first: int
    bits: int


class Rescale(NamedTuple):
    """Modality values are ``slope`` x stored value + ``intercept``."""

    slope: float
    intercept: float


class Window(NamedTuple):
    """A window of modality values (PS3.3 C.11.2.1.2)."""

    center: float
    width: float
    function: WindowFunction = "LINEAR"


class Percentiles(NamedTuple):
    """The modality values that become black and white, found in the picture."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Grey:
    """What one picture's header says about its grey values."""

    bits: int
    high_bit: int
    signed: bool
    modality: Lut | Rescale | None = None
    voi: Lut | Window | None = None
    inverted: bool = False
    padding: tuple[int, int] | None = None

    @property
    def lowest(self) -> int:
        """The lowest value that can be stored."""
        return -(1 << (self.bits - 1)) if self.signed else 0


def stored_values(raw: NDArray[Any], bits: int, high_bit: int, signed: bool) -> NDArray[Any]:
    """The value in each cell without the bits around it, where old files keep overlays (PS3.5 section 8).

    Args:
        raw: cells as they are in the file, any integer type.
        bits: BitsStored.
        high_bit: HighBit, the place of the value's highest bit.
        signed: the value is a two's complement.

    Example:
        >>> stored_values(np.array([0xF801, 0x0FFF], np.uint16), 12, 11, True).tolist()
        [-2047, -1]
    """
    cells: NDArray[np.signedinteger[Any]] = raw.astype(np.int64 if raw.itemsize > 2 else np.int32)
    values = (cells >> (high_bit + 1 - bits)) & ((1 << bits) - 1)
    if signed:
        sign = 1 << (bits - 1)
        values = (values ^ sign) - sign
    return values


def within(stored: NDArray[Any], limits: tuple[int, int]) -> NDArray[np.bool_]:
    """Where stored values lie within two limits, both included and in either order: pixel padding (C.7.5.1.1.2)."""
    low, high = sorted(limits)
    return (stored >= low) & (stored <= high)


def looked_up(values: NDArray[Any], lut: Lut) -> NDArray[np.float64]:
    """A lookup table's entries; what lies before its first or after its last input gets the entry at that end.

    Inputs that are no whole numbers, as a rescale may give them, go to the nearest.
    """
    index = np.clip(np.rint(values) - lut.first, 0, len(lut.entries) - 1).astype(np.int64)
    return lut.entries[index].astype(np.float64)


def rescaled(values: NDArray[Any], rescale: Rescale) -> NDArray[np.float64]:
    """Slope and intercept (C.11.1.1.2)."""
    return values * np.float64(rescale.slope) + rescale.intercept


def voi_looked_up(values: NDArray[Any], lut: Lut) -> NDArray[np.float64]:
    """A VOI lookup table as grey in [0, 1]: 0 to 2^bits - 1 is the whole range, whichever entries occur."""
    return np.minimum(looked_up(values, lut) / ((1 << lut.bits) - 1), 1)


def windowed(values: NDArray[Any], window: Window) -> NDArray[np.float64]:
    """Grey in [0, 1] by a window, as PS3.3 C.11.2.1.2.1 and C.11.2.1.3 define the three functions.

    LINEAR of width 1 is a threshold: above center - 0.5 is white.

    Example:
        >>> windowed(np.array([0, 2047, 2048, 4095]), Window(2048, 4096)).tolist()[::3]
        [0.0, 1.0]
    """
    center, width, function = window
    if function == "SIGMOID":
        with np.errstate(over="ignore"):  # an infinite exponential is the limit: black
            return 1 / (1 + np.exp(-4 * (values - center) / width))
    if function == "LINEAR":
        # The standard's c - 0.5 and w - 1: a window of w whole numbers, first and last of which are black and white.
        low, span = center - 0.5 - (width - 1) / 2, width - 1
    else:
        low, span = center - width / 2, width
    return between(values, Percentiles(low, low + span))


def between(values: NDArray[Any], limits: Percentiles) -> NDArray[np.float64]:
    """Grey in [0, 1] by two values, the lower and all below it black, the upper and all above it white.

    Where they are one value, what is above it is white and the rest black.
    """
    low, high = limits
    if not low < high:
        return (values > low).astype(np.float64)
    return np.clip((values - low) / (high - low), 0, 1)


def counted(stored: NDArray[Any], grey: Grey, left_out: NDArray[np.bool_] | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Which stored values occur, ascending, and how often, without the pixels that are left out (unless all are)."""
    values = stored if left_out is None or left_out.all() else stored[~left_out]
    if grey.bits > _TABLE_BITS:
        return np.unique(values, return_counts=True)
    counts = np.zeros(1 << grey.bits, np.int64)
    flat = values.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        counts += np.bincount(flat[start : start + _BLOCK] - grey.lowest, minlength=len(counts))
    (present,) = np.nonzero(counts)
    return present + grey.lowest, counts[present]


def percentiles(values: NDArray[Any], counts: NDArray[Any], ranks: tuple[float, float] = PERCENTILES) -> Percentiles:
    """The values at two percentiles: the lowest value that this share of the pixels does not exceed.

    Example:
        >>> percentiles(np.array([30, 10, 20]), np.array([1, 1, 998]))
        Percentiles(low=20.0, high=20.0)
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(counts[order])
    low, high = (values[order][np.searchsorted(reached, reached[-1] * rank / 100)] for rank in ranks)
    return Percentiles(float(low), float(high))


def displayed(
    stored: NDArray[Any], grey: Grey, left_out: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float32], Lut | Window | Percentiles]:
    """Stored values as grey, float32 in [0, 1], and what chose the values of interest.

    Args:
        stored: values from :func:`stored_values`.
        grey: what the header says.
        left_out: pixels that do not count where percentiles are needed.

    Example:
        >>> grey = Grey(bits=8, high_bit=7, signed=False, voi=Window(128, 256), inverted=True)
        >>> displayed(np.array([[0, 51, 255]]), grey)[0].tolist()
        [[1.0, 0.800000011920929, 0.0]]
    """
    voi: Lut | Window | Percentiles | None = grey.voi
    if voi is None:
        values, counts = counted(stored, grey, left_out)
        voi = percentiles(_modality(values, grey), counts)
    if grey.bits > _TABLE_BITS:
        return _shown(stored, grey, voi).astype(np.float32), voi
    # Every value that can be stored goes through the pipeline once: exact, and a picture costs one look-up per pixel.
    table = _shown(np.arange(grey.lowest, grey.lowest + (1 << grey.bits)), grey, voi).astype(np.float32)
    flat, shown = stored.reshape(-1), np.empty(stored.size, np.float32)
    for start in range(0, flat.size, _BLOCK):
        shown[start : start + _BLOCK] = table[flat[start : start + _BLOCK] - grey.lowest]
    return shown.reshape(stored.shape), voi


def _modality(values: NDArray[Any], grey: Grey) -> NDArray[Any]:
    if isinstance(grey.modality, Lut):
        return looked_up(values, grey.modality)
    return values if grey.modality is None else rescaled(values, grey.modality)


def _shown(values: NDArray[Any], grey: Grey, voi: Lut | Window | Percentiles) -> NDArray[np.float64]:
    values = _modality(values, grey)
    if isinstance(voi, Lut):
        shown = voi_looked_up(values, voi)
    elif isinstance(voi, Window):
        shown = windowed(values, voi)
    else:
        shown = between(values, voi)
    return 1 - shown if grey.inverted else shown
