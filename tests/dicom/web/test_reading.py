# SPDX-License-Identifier: Apache-2.0
"""Objects of every kind are read, and what asks for too much is not."""

from __future__ import annotations

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.web.reading import read_object
from tests.dicom.encodings import written
from tests.dicom.studies import image, report


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_any_object_in_any_native_syntax(syntax: str) -> None:
    mask = image(2, BitsAllocated=1, BitsStored=1, HighBit=0, Rows=8, Columns=2)
    mask.PixelData = b"\1\0"
    others = [report(3)] if syntax != ExplicitVRBigEndian else []  # `written` turns pixels, which a report has not
    for ds in (image(1), mask, *others):
        dataset, named = read_object(written(ds, syntax))
        assert (dataset.SOPInstanceUID, named) == (ds.SOPInstanceUID, syntax)


def nested(depth: int) -> Dataset:
    ds = image(1)
    inner = ds
    for _ in range(depth):
        item = Dataset()
        inner.ContentSequence = [item]
        inner = item
    return ds


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no preamble"),
        (b"<html>" * 40, "no preamble"),
        (written(image(1))[:-3], "cut off"),
        (written(nested(40)), "sequences"),
        (written(image(1), DeflatedExplicitVRLittleEndian), "deflated"),
        (b"\0" * 128 + b"DICM", "reading it failed"),
    ],
)
def test_what_is_not_read(content: bytes, reason: str) -> None:
    with pytest.raises(DicomError, match=reason):
        read_object(content)
