# SPDX-License-Identifier: Apache-2.0
"""The report's image library (TID 1600): the source, to be shown as the presentation state has it, and the picture.

A presentation state is no image and stands in no list of images. The standard's place for it is within the reference to
the image that it presents (PS3.3 C.18.4).
"""

from __future__ import annotations

from typing import Any

from monai_causal.dicom.objects.belonging import coded, filled
from monai_causal.dicom.objects.content import Code
from monai_causal.extras import require

__all__ = ["PICTURE", "image_library"]

PICTURE = Code("99MCAUSAL", "picture", "Picture of the result")
_SOURCE = Code("SCT", "260753009", "Source")
_LIBRARY = Code("DCM", "111028", "Image Library")
_GROUP = Code("DCM", "126200", "Image Library Group")
_MODALITY = Code("DCM", "121139", "Modality")
_ROWS, _COLUMNS = Code("DCM", "110910", "Pixel Data Rows"), Code("DCM", "110911", "Pixel Data Columns")
_PIXELS = Code("UCUM", "{pixels}", "Pixels")
_MODALITIES = {
    "CR": "Computed Radiography",
    "DX": "Digital Radiography",
    "RF": "Radiofluoroscopy",
    "XA": "X-Ray Angiography",
    "OT": "Other Modality",
}


def image_library(source: Any, presentation: Any | None = None, picture: Any | None = None) -> Any:
    """The container of the images that a report is about, the source's group first.

    Args:
        source: header of the source image.
        presentation: the finished presentation state of the source, or None.
        picture: the finished secondary capture, or None.
    """
    shown = _entry(_SOURCE, source)
    if presentation is not None:
        shown.ReferencedSOPSequence[0].ReferencedSOPSequence = [
            filled(ReferencedSOPClassUID=presentation.SOPClassUID, ReferencedSOPInstanceUID=presentation.SOPInstanceUID)
        ]
    entries = [shown] if picture is None else [shown, _entry(PICTURE, picture)]
    return _container(_LIBRARY, [_container(_GROUP, [entry]) for entry in entries])


def _entry(name: Code, image: Any) -> Any:
    """A reference to an image, with what describes it (TID 1601, 1602)."""
    sr = require("highdicom.sr")
    described = {"relationship_type": "HAS ACQ CONTEXT"}
    modality = str(image.get("Modality") or "")
    modality = modality if modality in _MODALITIES else "OT"
    item = sr.ImageContentItem(
        name=coded(name),
        referenced_sop_class_uid=image.SOPClassUID,
        referenced_sop_instance_uid=image.SOPInstanceUID,
        relationship_type="CONTAINS",
    )
    item.ContentSequence = sr.ContentSequence(
        [
            sr.CodeContentItem(coded(_MODALITY), coded(Code("DCM", modality, _MODALITIES[modality])), **described),
            sr.NumContentItem(coded(_ROWS), int(image.Rows), coded(_PIXELS), **described),
            sr.NumContentItem(coded(_COLUMNS), int(image.Columns), coded(_PIXELS), **described),
        ]
    )
    return item


def _container(name: Code, items: list[Any]) -> Any:
    sr = require("highdicom.sr")
    container = sr.ContainerContentItem(name=coded(name), is_content_continuous=False, relationship_type="CONTAINS")
    container.ContentSequence = sr.ContentSequence(items)
    return container
