# SPDX-License-Identifier: Apache-2.0
"""The map of a result as a parametric map of real numbers.

The standard asks for a frame of reference, which a radiograph has not. So one is made up and said to be: its position
is no position in the patient, and nothing but this map lies in it. That is why no map is written unless asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_causal.dicom.objects.belonging import Origin, adopt, coded, made_as, neutral
from monai_causal.dicom.objects.content import MapMeaning
from monai_causal.dicom.objects.seg import settle_dimensions, stored_orientation
from monai_causal.dicom.objects.uids import uid_of
from monai_causal.dicom.tags import numbers
from monai_causal.extras import require

__all__ = ["SYNTHETIC", "parametric_map", "radiograph_map"]

SYNTHETIC = "Synthetic frame of reference: no position in the patient"


def radiograph_map(origin: Origin, heat: NDArray[np.float32], means: MapMeaning, seed: str, number: int) -> Any:
    """The map of a radiograph, in the stored picture's pixels and a frame of reference of its own.

    Args:
        origin: whose it is.
        heat: (rows, columns) of the stored picture.
        means: what its values say.
        seed: of UIDs.
        number: of the series.
    """
    reference = neutral(origin.header)
    reference.FrameOfReferenceUID = uid_of(seed, "synthetic frame of reference")
    reference.PositionReferenceIndicator = None
    reference.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]  # seen from the front, as a frontal radiograph
    reference.ImagePositionPatient = [0, 0, 0]
    spacings = (numbers(origin.header, keyword) for keyword in ("ImagerPixelSpacing", "PixelSpacing"))
    usable = [spacing for spacing in spacings if len(spacing) == 2 and min(spacing) > 0]
    reference.PixelSpacing = [f"{value:.10g}" for value in (usable[0] if usable else (1.0, 1.0))]
    reference.SliceThickness = 1
    dataset = parametric_map(origin, [reference], heat[None], means, seed, number)
    dataset.PositionReferenceIndicator = None
    dataset.ImageComments = f"{SYNTHETIC}{'' if usable else '; the pixel spacing of 1 mm is made up as well'}"
    dataset.PatientOrientation = stored_orientation(origin.header)
    return dataset


def parametric_map(
    origin: Origin,
    references: Sequence[Any],
    heat: NDArray[np.float32],
    means: MapMeaning,
    seed: str,
    number: int,
) -> Any:
    """A map on source images that lie in a frame of reference.

    Args:
        origin: whose it is.
        references: headers of the source images as highdicom may see them, in the map's order.
        heat: (images, rows, columns).
        means: what its values say.
        seed: of UIDs.
        number: of the series.
    """
    hd, pm = require("highdicom"), require("highdicom.pm")
    values = np.ascontiguousarray(heat, np.float32)
    low, high = float(values.min()), float(values.max())
    dataset = pm.ParametricMap(
        source_images=list(references),
        pixel_array=values,
        **made_as(origin, seed, number),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            pm.RealWorldValueMapping(
                lut_label="HEATMAP",
                lut_explanation=means.says,
                unit=coded(means.unit),
                value_range=(low, high),
                slope=1.0,
                intercept=0.0,
                quantity_definition=coded(means.quantity),
            )
        ],
        voi_lut_transformations=[
            hd.VOILUTTransformation(
                window_center=(low + high) / 2, window_width=max(high - low, 1e-6), voi_lut_function="LINEAR_EXACT"
            )
        ],
        content_label="HEATMAP",
        content_description=means.says,
    )
    adopt(dataset, origin, "pm", number)
    settle_dimensions(dataset, seed, "pm")
    return dataset
