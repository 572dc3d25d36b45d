# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.grey import Lut, Rescale, Window
from monai_causal.dicom.grey_tags import grey_of, lut_of

HEADER = {
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
    "WindowCenter": 2048,
    "WindowWidth": 4096,
}


def item(count: int = 4, first: int = 0, bits: int = 16, data: Any = None) -> dict[str, Any]:
    return {"LUTDescriptor": [count, first, bits], "LUTData": list(range(count or 65536)) if data is None else data}


def read(**values: Any) -> tuple[Any, list[str]]:
    header = {**HEADER, **values}
    grey, remarks = grey_of({key: value for key, value in header.items() if value is not ...})
    return grey, [remark.code for remark in remarks]


def test_a_plain_header() -> None:
    grey, remarks = read()
    assert (grey.bits, grey.high_bit, grey.signed, grey.modality) == (12, 11, False, None)
    assert (grey.voi, grey.inverted, grey.padding, remarks) == (Window(2048, 4096), False, None, [])


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted", "remarks"),
    [
        ("MONOCHROME1", ..., True, []),
        ("MONOCHROME1", "", True, []),
        ("MONOCHROME1", "INVERSE", True, []),
        ("MONOCHROME2", "IDENTITY", False, []),
        ("MONOCHROME2", "INVERSE", True, ["polarity-contradiction"]),
        ("MONOCHROME1", "IDENTITY", False, ["polarity-contradiction"]),
        ("MONOCHROME1", "LIN OD", True, []),
        ("", ..., False, ["photometric-assumed"]),
    ],
)
def test_polarity(photometric: str, shape: Any, inverted: bool, remarks: list[str]) -> None:
    grey, found = read(PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    assert (grey.inverted, found) == (inverted, remarks)


@pytest.mark.parametrize("values", [{"PhotometricInterpretation": "RGB"}, {"SamplesPerPixel": 3}])
def test_colours_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(DicomError, match="colour"):
        read(**values)


@pytest.mark.parametrize(
    ("values", "modality", "remarks"),
    [
        ({"RescaleSlope": 2, "RescaleIntercept": -3}, Rescale(2, -3), []),
        ({"RescaleSlope": 1, "RescaleIntercept": 0}, None, []),
        ({"RescaleSlope": "", "RescaleIntercept": 5}, Rescale(1, 5), ["rescale-incomplete"]),
        ({"RescaleSlope": 0, "RescaleIntercept": 5}, Rescale(1, 5), ["rescale-incomplete"]),
        ({"RescaleSlope": 3}, Rescale(3, 0), ["rescale-incomplete"]),
        ({"RescaleSlope": None, "RescaleIntercept": None}, None, ["rescale-incomplete"]),
        ({"RescaleSlope": "nan", "RescaleIntercept": 1}, Rescale(1, 1), ["rescale-incomplete"]),
    ],
)
def test_rescale(values: dict[str, Any], modality: Rescale | None, remarks: list[str]) -> None:
    grey, found = read(**values)
    assert (grey.modality, found) == (modality, remarks)


def test_a_modality_table_comes_before_rescale_and_must_be_whole() -> None:
    grey, remarks = read(ModalityLUTSequence=[item()], RescaleSlope=2, RescaleIntercept=0)
    assert isinstance(grey.modality, Lut)
    assert remarks == ["modality-lut-and-rescale"]
    with pytest.raises(DicomError, match="damaged"):
        read(ModalityLUTSequence=[item(data=[1, 2])])


@pytest.mark.parametrize(
    ("values", "window", "remarks"),
    [
        ({"WindowCenter": [10, 20], "WindowWidth": [5, 6]}, Window(10, 5), ["several-windows"]),
        ({"WindowCenter": ""}, None, ["window-unusable", "window-missing"]),
        ({"WindowWidth": None}, None, ["window-unusable", "window-missing"]),
        ({"WindowWidth": 0}, None, ["window-unusable", "window-missing"]),
        ({"WindowWidth": -5}, None, ["window-unusable", "window-missing"]),
        ({"WindowWidth": "inf"}, None, ["window-unusable", "window-missing"]),
        ({"WindowCenter": ..., "WindowWidth": ...}, None, ["window-missing"]),
        ({"WindowWidth": 0.5}, Window(2048, 0.5, "LINEAR_EXACT"), ["window-exact"]),
        ({"WindowWidth": 1}, Window(2048, 1), []),
        ({"WindowWidth": 0.5, "VOILUTFunction": "SIGMOID"}, Window(2048, 0.5, "SIGMOID"), []),
        ({"VOILUTFunction": "linear_exact "}, Window(2048, 4096, "LINEAR_EXACT"), []),
        ({"VOILUTFunction": "CUBIC"}, Window(2048, 4096), ["unknown-window-function"]),
    ],
)
def test_windows(values: dict[str, Any], window: Window | None, remarks: list[str]) -> None:
    grey, found = read(**values)
    assert (grey.voi, found) == (window, remarks)


def test_a_voi_table_comes_before_the_window_and_a_damaged_one_gives_way_to_it() -> None:
    grey, remarks = read(VOILUTSequence=[item(first=9), item()])
    assert (grey.voi.first, remarks) == (9, ["several-voi-luts"])
    grey, remarks = read(VOILUTSequence=[item(data=[1])])
    assert (grey.voi, remarks) == (Window(2048, 4096), ["voi-lut-unusable"])
    grey, remarks = read(VOILUTSequence=[item(bits=8, data=[0, 1, 2, 256])])
    assert (grey.voi.bits, remarks) == (8, ["overflowing-lut"])


@pytest.mark.parametrize(
    ("values", "first"),
    [
        ({}, 63488),
        ({"PixelRepresentation": 1}, -2048),
        ({"RescaleSlope": 1, "RescaleIntercept": -1024}, -2048),
        ({"RescaleSlope": -1, "RescaleIntercept": 0}, -2048),
        ({"RescaleSlope": 1, "RescaleIntercept": 10}, 63488),
        ({"PixelRepresentation": 1, "ModalityLUTSequence": [item()]}, 63488),
        ({"PixelRepresentation": 1, "RescaleSlope": 1, "RescaleIntercept": 2048}, 63488),
    ],
)
@pytest.mark.parametrize("written", [63488, -2048])
def test_the_sign_of_the_first_input_is_that_of_the_tables_input(
    values: dict[str, Any], first: int, written: int
) -> None:
    """PS3.3 C.11.2.1.1: whichever of US and SS the file was written with."""
    grey, _ = read(VOILUTSequence=[item(first=written)], **values)
    assert grey.voi.first == first


def test_entries_come_in_every_form_that_files_have() -> None:
    words = [3, 500, 65535]
    for data in (words, np.array(words, "<u2").tobytes()):
        lut = lut_of(item(3, data=data), signed=False)
        assert lut is not None
        assert lut.entries.tolist() == words
    big = lut_of(item(3, data=np.array(words, ">u2").tobytes()), signed=False, little=False)
    assert big is not None
    assert big.entries.tolist() == words
    assert lut_of(item(1, data=7), signed=False).entries.tolist() == [7]  # type: ignore[union-attr]


def test_entries_of_eight_bits_lie_two_in_a_word_or_one() -> None:
    entries = bytes([1, 2, 3])
    for data, little in (
        (entries + b"\0", True),
        (bytes([2, 1, 0, 3]), False),
        ([0x0201, 0x0003], True),
        ([1, 2, 3], True),
        (np.array([1, 2, 3], "<u2").tobytes(), True),
    ):
        lut = lut_of(item(3, bits=8, data=data), signed=False, little=little)
        assert lut is not None
        assert lut.entries.tolist() == [1, 2, 3]


def test_zero_entries_mean_65536() -> None:
    lut = lut_of(item(0, 32768), signed=True)
    assert lut is not None
    assert (len(lut.entries), lut.first, lut.entries[-1]) == (65536, -32768, 65535)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"LUTDescriptor": [4, 0, 16]},
        {"LUTDescriptor": [4, 0], "LUTData": [1, 2, 3, 4]},
        {"LUTDescriptor": ["x", 0, 16], "LUTData": [1, 2, 3, 4]},
        item(bits=7),
        item(bits=17),
        item(data=[1, 2, 3]),
        item(data=b""),
    ],
)
def test_a_damaged_table_is_none(broken: dict[str, Any]) -> None:
    assert lut_of(broken, signed=False) is None


@pytest.mark.parametrize(
    ("values", "padding", "remarks"),
    [
        ({"PixelPaddingValue": 4095}, (4095, 4095), []),
        ({"PixelPaddingValue": 4000, "PixelPaddingRangeLimit": 4095}, (4000, 4095), []),
        ({"PixelPaddingValue": 63536, "PixelRepresentation": 1}, (-2000, -2000), []),
        ({"PixelPaddingValue": -2000, "PixelRepresentation": 1}, (-2000, -2000), []),
        ({"PixelPaddingValue": -1}, (65535, 65535), []),
        ({"PixelPaddingRangeLimit": 5}, None, ["padding-without-value"]),
    ],
)
def test_padding(values: dict[str, Any], padding: Any, remarks: list[str]) -> None:
    grey, found = read(**values)
    assert (grey.padding, found) == (padding, remarks)


@pytest.mark.parametrize("high", [..., 3, 16, ""])
def test_an_impossible_high_bit_is_the_lowest_possible(high: Any) -> None:
    grey, remarks = read(HighBit=high)
    assert (grey.high_bit, remarks) == (11, ["high-bit-assumed"])


@pytest.mark.parametrize("values", [{"BitsAllocated": 12}, {"BitsStored": 17}, {"BitsAllocated": ...}])
def test_impossible_bits_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(DicomError, match="bits"):
        read(**values)
