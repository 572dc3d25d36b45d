# SPDX-License-Identifier: Apache-2.0
"""What a header says about grey values, as :class:`monai_causal.dicom.grey.Grey`; doubts become remarks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.grey import Grey, Lut, Rescale, Window, WindowFunction
from monai_causal.dicom.remarks import Remark, remark
from monai_causal.dicom.tags import codes, number, numbers, sequence

__all__ = ["grey_of", "lut_of"]

_FUNCTIONS: dict[str, WindowFunction] = {function: function for function in ("LINEAR", "LINEAR_EXACT", "SIGMOID")}


def grey_of(dataset: Any, *, little: bool = True) -> tuple[Grey, list[Remark]]:
    """The grey pipeline of a header.

    Args:
        dataset: a header; anything with pydicom's ``get``.
        little: byte order of the file, for lookup tables that are kept as bytes.

    Raises:
        DicomError: the picture is not grey, or its values cannot be understood.

    Example:
        >>> grey, remarks = grey_of({"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "WindowCenter": 2048,
        ...                          "WindowWidth": 4096, "PhotometricInterpretation": "MONOCHROME1"})
        >>> grey.voi, grey.inverted, remarks
        (Window(center=2048.0, width=4096.0, function='LINEAR'), True, [])
    """
    remarks: list[Remark] = []
    inverted = _inverted(dataset, remarks)
    allocated = int(number(dataset, "BitsAllocated") or 0)
    bits = int(number(dataset, "BitsStored") or allocated)
    if allocated not in (8, 16, 32) or not 1 <= bits <= allocated:
        raise DicomError(f"{bits} bits stored of {allocated} allocated: what is read has 8, 16 or 32 bits allocated")
    high = number(dataset, "HighBit")
    if high is None or not bits - 1 <= high < allocated:
        remarks.append(remark("high-bit-assumed"))
        high = bits - 1
    signed = number(dataset, "PixelRepresentation") == 1
    modality = _modality(dataset, signed, little, remarks)
    lowest, highest = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    if isinstance(modality, Rescale):
        ends = [modality.slope * value + modality.intercept for value in (lowest, highest)]
        voi_signed = min(ends) < 0
    else:
        voi_signed = signed and modality is None
    return Grey(
        bits=bits,
        high_bit=int(high),
        signed=signed,
        modality=modality,
        voi=_voi(dataset, voi_signed, little, remarks),
        inverted=inverted,
        padding=_padding(dataset, allocated, signed, remarks),
    ), remarks


def lut_of(item: Any, *, signed: bool, little: bool = True) -> Lut | None:
    """A lookup table from an item with LUTDescriptor and LUTData, or None if the two do not fit together.

    Args:
        item: the item of a sequence.
        signed: the inputs may be negative, so the first input is to be read as signed. The file's own VR does not
            tell: all three numbers of the descriptor share it (PS3.3 C.11.1.1.1, C.11.2.1.1).
        little: byte order of the file.

    Example:
        >>> lut_of({"LUTDescriptor": [2, 65535, 8], "LUTData": [0, 255]}, signed=True).first
        -1
    """
    descriptor = [int(value) & 0xFFFF for value in numbers(item, "LUTDescriptor")]
    if len(descriptor) != 3 or not 8 <= descriptor[2] <= 16:
        return None
    count, first, bits = descriptor[0] or 65536, descriptor[1], descriptor[2]
    entries = _entries(item, count, bits, little)
    if entries is None:
        return None
    return Lut(entries, first - 65536 if signed and first >= 32768 else first, bits)


def _entries(item: Any, count: int, bits: int, little: bool) -> NDArray[np.uint16] | None:
    data = item.get("LUTData")
    if isinstance(data, bytes):
        words = np.frombuffer(data[: len(data) // 2 * 2], "<u2" if little else ">u2")
    else:
        words = np.array([int(value) & 0xFFFF for value in numbers(item, "LUTData")], np.uint16)
    if len(words) >= count:
        return words[:count].astype(np.uint16)
    if bits == 8 and 2 * len(words) >= count:
        # Entries of 8 bits lie two in a word, the lower byte first; many files give each a word of its own instead.
        return words.astype("<u2").view(np.uint8)[:count].astype(np.uint16)
    return None


def _modality(dataset: Any, signed: bool, little: bool, remarks: list[Remark]) -> Lut | Rescale | None:
    items = sequence(dataset, "ModalityLUTSequence")
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    if items:
        lut = lut_of(items[0], signed=signed, little=little)
        if lut is None:
            raise DicomError("its modality lookup table is damaged, so its values have no meaning")
        if slope is not None or intercept is not None:
            remarks.append(remark("modality-lut-and-rescale"))
        return lut
    if slope is None and intercept is None and "RescaleSlope" not in dataset and "RescaleIntercept" not in dataset:
        return None
    if not slope or intercept is None:
        remarks.append(remark("rescale-incomplete"))
    rescale = Rescale(slope or 1.0, intercept or 0.0)
    return None if rescale == (1, 0) else rescale


def _voi(dataset: Any, signed: bool, little: bool, remarks: list[Remark]) -> Lut | Window | None:
    items = sequence(dataset, "VOILUTSequence")
    if items:
        lut = lut_of(items[0], signed=signed, little=little)
        if lut is None:
            remarks.append(remark("voi-lut-unusable"))
        else:
            if len(items) > 1:
                remarks.append(remark("several-voi-luts", count=len(items)))
            if lut.entries.max() >> lut.bits:
                remarks.append(remark("overflowing-lut", bits=lut.bits))
            return lut
    window = _window(dataset, remarks)
    if window is None:
        remarks.append(remark("window-missing"))
    return window


def _window(dataset: Any, remarks: list[Remark]) -> Window | None:
    centers, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    if not centers or not widths:
        if "WindowCenter" in dataset or "WindowWidth" in dataset:
            remarks.append(remark("window-unusable"))
        return None
    named = next(iter(codes(dataset, "VOILUTFunction")), "LINEAR")
    function = _FUNCTIONS.get(named)
    if function is None:
        remarks.append(remark("unknown-window-function"))
        function = "LINEAR"
    if not widths[0] > 0:
        remarks.append(remark("window-unusable"))
        return None
    if max(len(centers), len(widths)) > 1:
        remarks.append(remark("several-windows", count=max(len(centers), len(widths))))
    if function == "LINEAR" and widths[0] < 1:
        remarks.append(remark("window-exact", width=widths[0]))
        function = "LINEAR_EXACT"
    return Window(centers[0], widths[0], function)


def _inverted(dataset: Any, remarks: list[Remark]) -> bool:
    photometric = next(iter(codes(dataset, "PhotometricInterpretation")), "")
    samples = number(dataset, "SamplesPerPixel")
    if photometric not in ("", "MONOCHROME1", "MONOCHROME2") or samples not in (None, 1):
        raise DicomError(
            "it is a colour picture (PhotometricInterpretation is neither MONOCHROME1 nor MONOCHROME2, or "
            "SamplesPerPixel is not 1); a radiograph is grey, and no rule says how its colours would become grey"
        )
    if not photometric:
        remarks.append(remark("photometric-assumed"))
    shape = next(iter(codes(dataset, "PresentationLUTShape")), "")
    if shape not in ("IDENTITY", "INVERSE"):
        return photometric == "MONOCHROME1"
    # INVERSE is how DX says the same as MONOCHROME1: one inversion, not two.
    if (shape == "INVERSE") != (photometric == "MONOCHROME1"):
        remarks.append(remark("polarity-contradiction"))
    return shape == "INVERSE"


def _padding(dataset: Any, allocated: int, signed: bool, remarks: list[Remark]) -> tuple[int, int] | None:
    value, limit = number(dataset, "PixelPaddingValue"), number(dataset, "PixelPaddingRangeLimit")
    if value is None:
        if limit is not None:
            remarks.append(remark("padding-without-value"))
        return None

    def as_stored(number: float) -> int:
        # Writers give the wrong one of US and SS; only the bits are sure.
        cell = int(number) & ((1 << allocated) - 1)
        return cell - (1 << allocated) if signed and cell >> (allocated - 1) else cell

    return as_stored(value), as_stored(value if limit is None else limit)
