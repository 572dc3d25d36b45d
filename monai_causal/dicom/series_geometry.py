# SPDX-License-Identifier: Apache-2.0
"""Whether the slices of a series make one volume: the same grid in all, in even steps, one above the other.

A reader that takes a series' first and last slice for its geometry gives a plausible volume even where a slice is
missing, and every map made on it lies in the wrong place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.study import Instance
from monai_causal.dicom.tags import numbers

__all__ = ["SliceGrid", "grid_of", "is_slice"]

_EVEN = 0.01
"""of a step, by which the slices' distances may differ; rounded positions in headers differ by less"""
_SAME = 1e-4
"""by which the components of two orientations, or mm of two spacings, may differ"""


@dataclass(frozen=True, eq=False)
class SliceGrid:
    """Slices in the order of their positions, and the grid that they make.

    Args:
        slices: along the normal of the slices.
        shape: columns, rows, slices, as ITK counts them.
        spacing: mm along the same axes; the third is None for a single slice.
        regular: the slices lie in even steps one above the other.
    """

    slices: tuple[Instance, ...]
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float | None]
    regular: bool


def is_slice(instance: Instance) -> bool:
    """Whether an image has one frame with a place in the patient."""
    return (
        instance.has_pixels
        and instance.size[0] == 1
        and len(numbers(instance.header, "ImagePositionPatient")) == 3
        and len(numbers(instance.header, "ImageOrientationPatient")) == 6
    )


def grid_of(slices: Sequence[Instance], *, irregular: bool = False) -> SliceGrid:
    """The grid that the slices of a series make.

    Args:
        slices: in any order; each satisfies :func:`is_slice`.
        irregular: accept missing slices, uneven steps and a tilted stack, whose geometry no affine can hold.

    Raises:
        DicomError: the slices make no volume; the message says why.
    """
    first = slices[0]
    size, spacing, orientation = _plane(first)
    for other in slices[1:]:
        other_size, other_spacing, other_orientation = _plane(other)
        if size != other_size or not np.allclose(spacing, other_spacing, atol=_SAME, rtol=0):
            raise DicomError(
                f"{first.item} and {other.item} differ in rows, columns or pixel spacing: they make no volume"
            )
        if not np.allclose(orientation, other_orientation, atol=_SAME, rtol=0):
            raise DicomError(f"{first.item} and {other.item} lie in different planes: they make no volume")
    normal = np.cross(orientation[:3], orientation[3:])
    positions = np.array([numbers(one.header, "ImagePositionPatient") for one in slices])
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    ordered = tuple(slices[int(index)] for index in order)
    step, regular = _step(ordered, positions[order], along[order], irregular)
    rows, columns = size
    return SliceGrid(ordered, (columns, rows, len(slices)), (float(spacing[1]), float(spacing[0]), step), regular)


def _plane(one: Instance) -> tuple[tuple[int, int], NDArray[np.float64], NDArray[np.float64]]:
    spacing = np.array(numbers(one.header, "PixelSpacing"))
    if spacing.shape != (2,) or not (spacing > 0).all():
        raise DicomError("it has no usable PixelSpacing", item=one.item)
    orientation = np.array(numbers(one.header, "ImageOrientationPatient"))
    across, down = orientation[:3], orientation[3:]
    if not np.allclose([across @ across, down @ down, across @ down], [1, 1, 0], atol=1e-3):
        raise DicomError("its ImageOrientationPatient holds no two directions at right angles", item=one.item)
    return one.size[1:], spacing, orientation


def _step(
    slices: Sequence[Instance], positions: NDArray[np.float64], along: NDArray[np.float64], irregular: bool
) -> tuple[float | None, bool]:
    """The distance of the slices, and whether all are the same."""
    if len(slices) == 1:
        return None, True
    steps = np.diff(along)
    step = float(np.median(steps))
    shortest = int(steps.argmin())
    if steps[shortest] <= _SAME:
        raise DicomError(
            f"{slices[shortest].item} and {slices[shortest + 1].item} lie at the same position: the series holds more "
            "than one volume"
        )
    allowed = max(_EVEN * step, 2 * _SAME)
    uneven = np.abs(steps - step) > allowed
    aside = np.linalg.norm(np.diff(positions, axis=0), axis=1) ** 2 - steps**2
    tilted = aside > allowed**2
    if not irregular and uneven.any():
        worst = int(np.abs(steps - step).argmax())
        raise DicomError(
            f"its slices are {step:g} mm apart, but {steps[worst]:g} mm between {slices[worst].item} and "
            f"{slices[worst + 1].item}: a slice is missing or the steps are uneven, which no affine can hold; "
            "irregular=True reads it all the same"
        )
    if not irregular and tilted.any():
        raise DicomError(
            "its slices are shifted against each other (tilted gantry), which the geometry of a volume cannot hold; "
            "irregular=True reads it all the same"
        )
    return step, not (uneven.any() or tilted.any())
