# SPDX-License-Identifier: Apache-2.0
"""Two files of one data set are told from two data sets."""

from __future__ import annotations

import io

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from monai_causal.dicom.web.same import how_same
from tests.dicom.encodings import lut, written
from tests.dicom.studies import image


def nested(**values: str) -> Dataset:
    ds = image(1, VOILUTSequence=[lut([1, 2], 0, 8)], **values)
    ds.VOILUTSequence[0].ModalityLUTSequence = [lut([3, 4], 0, 8)]
    return ds


def otherwise(content: bytes) -> bytes:
    """The same data set as another program writes it: its own meta information, group lengths, undefined lengths."""
    ds = pydicom.dcmread(io.BytesIO(content))
    ds.file_meta.ImplementationVersionName = "SOMEBODY_ELSE"
    ds.add_new(0x00080000, "UL", 17)
    ds["VOILUTSequence"].is_undefined_length = True
    ds.VOILUTSequence[0].is_undefined_length_sequence_item = True
    ds.VOILUTSequence[0]["ModalityLUTSequence"].is_undefined_length = True
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, ds)
    return buffer.getvalue()


def test_the_same_bytes() -> None:
    assert how_same(written(nested()), written(nested())) == "file"


def test_the_same_data_set_in_another_file() -> None:
    ours = written(nested())
    assert otherwise(ours) != ours
    assert how_same(ours, otherwise(ours)) == how_same(otherwise(ours), ours) == "dataset"


def test_another_data_set() -> None:
    deeper = nested()
    deeper.VOILUTSequence[0].ModalityLUTSequence[0].LUTExplanation = "x"
    pixel = nested()
    pixel.PixelData = bytes([pixel.PixelData[0] ^ 1]) + pixel.PixelData[1:]
    for other in (nested(ViewPosition="AP"), deeper, pixel):
        assert how_same(written(nested()), written(other)) is None
        assert how_same(written(nested()), otherwise(written(other))) is None


def test_a_mask_of_one_bit_per_pixel() -> None:
    def mask(first: int) -> bytes:
        ds = image(1, BitsAllocated=1, BitsStored=1, HighBit=0, Rows=8, Columns=2)
        ds.PixelData = bytes([first, 0])
        return written(ds)

    assert how_same(mask(1), written(pydicom.dcmread(io.BytesIO(mask(1))))) == "file"
    assert how_same(mask(1), mask(2)) is None


def test_another_transfer_syntax_is_another_object() -> None:
    assert how_same(written(nested()), written(nested(), ImplicitVRLittleEndian)) is None


@pytest.mark.parametrize("held", [b"", b"<html>", written(nested())[:-3]])
def test_what_is_no_object_is_not_the_same(held: bytes) -> None:
    assert how_same(written(nested()), held) is None
