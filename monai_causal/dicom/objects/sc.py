# SPDX-License-Identifier: Apache-2.0
"""The picture that any viewer shows, as a secondary capture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_causal.dicom.geometry import Orientation
from monai_causal.dicom.objects.belonging import MANUFACTURER, Origin, adopt, coded, filled, neutral
from monai_causal.dicom.objects.content import Code
from monai_causal.dicom.objects.uids import uid_of
from monai_causal.dicom.tags import codes
from monai_causal.extras import require

__all__ = ["capture", "turned_orientation"]

_OPPOSITE = str.maketrans("LRAPHFlraphf", "RLPAFHrlpafh")
_LETTERS = set("LRAPHF")


def turned_orientation(header: Any, orientation: Orientation) -> tuple[str, ...]:
    """PatientOrientation of the picture after it was turned; empty where the file says nothing.

    Example:
        >>> turned_orientation({"PatientOrientation": ["R", "F"]}, Orientation.MIRROR)
        ('L', 'F')
    """
    words = codes(header, "PatientOrientation")
    if len(words) != 2 or any(not word or set(word) - _LETTERS for word in words):
        return ()
    transpose, rows, columns = orientation.value
    # The first word says where columns lead to, the second where rows do.
    along, down = (words[1], words[0]) if transpose else words
    return along.translate(_OPPOSITE) if columns else along, down.translate(_OPPOSITE) if rows else down


def capture(
    origin: Origin,
    picture: NDArray[np.uint8],
    orientation: Orientation,
    caveat: str,
    seed: str,
    number: int,
) -> Any:
    """A picture of the result, upright as the projection was.

    Args:
        origin: whose it is.
        picture: (rows, columns, 3).
        orientation: what was done to the stored picture before it was drawn.
        caveat: what a reader must know.
        seed: of UIDs.
        number: of the series.
    """
    reference = neutral(origin.header)
    words = turned_orientation(origin.header, orientation)
    dataset = require("highdicom.sc").SCImage(
        pixel_array=np.ascontiguousarray(picture),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=reference.StudyInstanceUID,
        series_instance_uid=uid_of(seed, "series"),
        series_number=number,
        sop_instance_uid=uid_of(seed, "instance"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        patient_orientation=words or ("L", "F"),
    )
    adopt(dataset, origin, "sc", number)
    if not words:  # highdicom demands one; the standard lets it be unknown
        dataset.PatientOrientation = None
    dataset.ConversionType = "SYN"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    # What is drawn on it quotes question and answer; and what the source had burned in is still there.
    dataset.BurnedInAnnotation = "YES"
    dataset.DerivationDescription = (
        "outlines of named anatomy and their effects on a model's answer, drawn on the image"
    )
    dataset.ImageComments = caveat
    dataset.LossyImageCompression = "01" if "01" in codes(origin.header, "LossyImageCompression") else "00"
    if dataset.LossyImageCompression == "01":
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword in origin.header:
                dataset[keyword] = origin.header[keyword]
    if "RecognizableVisualFeatures" in origin.header:
        dataset["RecognizableVisualFeatures"] = origin.header["RecognizableVisualFeatures"]
    refer(dataset, origin)
    return dataset


def refer(dataset: Any, origin: Origin) -> None:
    """What an image was made from: the source images, each with its purpose, and their series."""
    dataset.SourceImageSequence = [
        filled(
            ReferencedSOPClassUID=header.SOPClassUID,
            ReferencedSOPInstanceUID=header.SOPInstanceUID,
            PurposeOfReferenceCodeSequence=[
                coded(Code("DCM", "121322", "Source image for image processing operation"))
            ],
        )
        for header in origin.headers
    ]
    dataset.ReferencedSeriesSequence = [
        filled(
            SeriesInstanceUID=origin.header.SeriesInstanceUID,
            ReferencedInstanceSequence=[
                filled(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID)
                for header in origin.headers
            ],
        )
    ]
