# SPDX-License-Identifier: Apache-2.0
"""A grayscale presentation state: the source image as it was explained, with the outline of the chosen concept on it.

A viewer that applies it shows the source's own pixels by the grey rules that the projection was read by (for a file
without a window the percentiles that stood in for one), the right way up, black and white as they belong.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from monai_causal.dicom.geometry import Box, Orientation
from monai_causal.dicom.grey import Lut, Rescale, Window
from monai_causal.dicom.grey_tags import grey_of
from monai_causal.dicom.objects.belonging import Origin, adopt, filled, made_as, neutral
from monai_causal.dicom.objects.content import ResultContent
from monai_causal.dicom.objects.outline import outlines, simplified
from monai_causal.dicom.objects.placed import Placed
from monai_causal.dicom.projection import Projection
from monai_causal.dicom.tags import sequence
from monai_causal.extras import require

__all__ = ["presentation", "turning"]

_POINTS = 4000
"""of one line; explicit VR has room for 8,191"""
_LINES = 16
_SHUTTER = (
    *("ShutterShape", "ShutterLeftVerticalEdge", "ShutterRightVerticalEdge", "ShutterUpperHorizontalEdge"),
    *("ShutterLowerHorizontalEdge", "CenterOfCircularShutter", "RadiusOfCircularShutter"),
    *("VerticesOfThePolygonalShutter", "ShutterPresentationValue"),
)
_SMALLEST = 0.02
"""of the longest outline, below which a speck gets no outline of its own"""


def turning(orientation: Orientation) -> tuple[int, bool]:
    """Degrees clockwise, and whether columns are reversed after that: how a presentation state says a turning.

    Example:
        >>> turning(Orientation.FLIP), turning(Orientation.ROTATE_90)
        ((180, True), (270, False))
    """
    probe = np.arange(6).reshape(2, 3)
    for quarters in range(4):
        turned = np.rot90(probe, -quarters)
        for flipped in (False, True):
            candidate = turned[:, ::-1] if flipped else turned
            if np.array_equal(candidate, orientation.apply(probe)):
                return 90 * quarters, flipped
    raise AssertionError(orientation)


def presentation(
    origin: Origin,
    projection: Projection,
    content: ResultContent,
    places: Sequence[Placed],
    seed: str,
    number: int,
) -> Any:
    """The presentation state of a result.

    Args:
        origin: whose it is.
        projection: how the source was shown.
        content: what the result says.
        places: its concepts in the stored picture.
        seed: of UIDs.
        number: of the series.
    """
    pr = require("highdicom.pr")
    reference = neutral(origin.header)
    layer = pr.GraphicLayer("EXPLANATION", order=1, description="What the model's answer rests on")
    chosen = next((one for one in places if one.concept.name == content.chosen), None)
    dataset = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[reference],
        **made_as(origin, seed, number),
        content_label="EXPLANATION",
        content_description="What the model's answer rests on; no diagnosis",
        graphic_layers=[layer],
        graphic_annotations=[
            pr.GraphicAnnotation(
                referenced_images=[reference],
                graphic_layer=layer,
                graphic_objects=_lines(chosen) or None,
                text_objects=[_caption(content)],
            )
        ],
    )
    adopt(dataset, origin, "gsps", number)
    _show_as_read(dataset, origin.header, projection)
    _lay(dataset, projection)
    for keyword in _SHUTTER:  # a presentation state's own counts, not the image's
        if keyword in origin.header:
            dataset[keyword] = copy.deepcopy(origin.header[keyword])
    if "ShutterShape" in dataset and "ShutterPresentationValue" not in dataset:
        dataset.ShutterPresentationValue = 0
    return dataset


def _lines(chosen: Placed | None) -> list[Any]:
    if chosen is None or chosen.box is None:
        return []
    pr = require("highdicom.pr")
    lines = [_corners(chosen.box)]
    around = outlines(chosen.mask)
    for line in around[:_LINES]:
        if len(line) >= _SMALLEST * len(around[0]):
            tolerance = 0.75
            short = simplified(line, tolerance)
            while len(short) > _POINTS:
                tolerance *= 2
                short = simplified(line, tolerance)
            lines.append(short)
    return [pr.GraphicObject(graphic_type="POLYLINE", graphic_data=line, units="PIXEL") for line in lines]


def _corners(box: Box) -> Any:
    (top, bottom), (left, right) = box
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], np.float64)


def _caption(content: ResultContent) -> Any:
    """Two lines at the upper edge of what is displayed, whatever is zoomed to."""
    chosen = content.chosen_concept
    if chosen is None:
        said = "the answer rests on no single concept"
    else:
        effect = "" if chosen.effect is None else f" ({chosen.effect:.3g} {content.effect_unit.strip('{}')})"
        said = f"the answer rests on: {chosen.name}{effect}"
    read = f" ({content.reading})" if content.reading else ""
    text = f"{content.algorithm.name}: {said}\r\nExplains a model's answer{read}; no diagnosis"
    return require("highdicom.pr").TextObject(
        text_value=text[:1024],
        units="DISPLAY",
        bounding_box=(0.02, 0.02, 0.9, 0.1),
        text_justification="LEFT",
    )


def _show_as_read(dataset: Any, header: Any, projection: Projection) -> None:
    """Modality, VOI and polarity as the projection was read, in place of what highdicom takes from the header."""
    grey, _ = grey_of(header)
    for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "SoftcopyVOILUTSequence"):
        if keyword in dataset:
            del dataset[keyword]
    if isinstance(grey.modality, Lut):
        dataset.ModalityLUTSequence = [copy.deepcopy(sequence(header, "ModalityLUTSequence")[0])]
    elif isinstance(grey.modality, Rescale):
        dataset.RescaleSlope, dataset.RescaleIntercept = (_decimal(value) for value in grey.modality)
        dataset.RescaleType = "US"
    reference = filled(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID)
    item = filled(ReferencedImageSequence=[reference])
    if isinstance(grey.voi, Lut):
        item.VOILUTSequence = [copy.deepcopy(sequence(header, "VOILUTSequence")[0])]
    else:
        window = grey.voi
        if window is None:
            low, high = projection.provenance.voi_parameters["values"]
            window = Window((low + high) / 2, max(high - low, 1e-6), "LINEAR_EXACT")
        item.WindowCenter, item.WindowWidth = _decimal(window.center), _decimal(window.width)
        if window.function != "LINEAR":
            item.VOILUTFunction = window.function
    dataset.SoftcopyVOILUTSequence = [item]
    dataset.PresentationLUTShape = "INVERSE" if grey.inverted else "IDENTITY"


def _lay(dataset: Any, projection: Projection) -> None:
    """Turn the picture as the projection was turned, and display all of it."""
    degrees, flipped = turning(projection.orientation)
    dataset.ImageRotation = degrees
    dataset.ImageHorizontalFlip = "Y" if flipped else "N"
    # The corners are the source's pixels that come to lie there (PS3.3 C.10.4): counted from 1, column before row.
    height, width = projection.placement.turned
    back = projection.orientation.inverse
    corners = []
    for row, column in ((0, 0), (height - 1, width - 1)):
        (top, _), (left, _) = back.box(((row, row + 1), (column, column + 1)), (height, width))
        corners.append([left + 1, top + 1])
    spacing = projection.detector_spacing or projection.spacing
    for item in dataset.DisplayedAreaSelectionSequence:
        item.DisplayedAreaTopLeftHandCorner, item.DisplayedAreaBottomRightHandCorner = corners
        item.PresentationSizeMode = "SCALE TO FIT"
        for keyword in ("PresentationPixelSpacing", "PresentationPixelAspectRatio"):
            if keyword in item:
                del item[keyword]
        if spacing is None:
            item.PresentationPixelAspectRatio = [1, 1]
        else:  # between the rows and columns of the stored picture
            stored = spacing[::-1] if projection.orientation.transposes else spacing
            item.PresentationPixelSpacing = [_decimal(value) for value in stored]


def _decimal(value: float) -> str:
    """At most 16 characters, as a decimal string has them."""
    return f"{value:.10g}"
