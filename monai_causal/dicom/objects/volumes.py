# SPDX-License-Identifier: Apache-2.0
"""Results on CT and MR volumes, such as maps of PdCR and DEA, as objects that lie on the slices of their series.

Slices may be oblique, voxels anisotropic, and a volume may have been reoriented or cropped on its way through a
pipeline: the affine tells which voxel is which pixel of which slice. Values are moved, never interpolated.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from monai_causal.dicom.errors import guarded
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.objects.belonging import Origin, adopt, made_as, neutral, origin_of, unlogged
from monai_causal.dicom.objects.content import Algorithm, Code, MapMeaning, array_digest, canonical, check_finite
from monai_causal.dicom.objects.parametric_map import parametric_map
from monai_causal.dicom.objects.seg import ANATOMY, describe, settle_dimensions, tracking_uid
from monai_causal.dicom.objects.uids import seal, seed_of
from monai_causal.dicom.objects.writing import SERIES_NUMBERS, WrittenObject, written
from monai_causal.dicom.series import find_series, volume_of
from monai_causal.dicom.series_geometry import SliceGrid
from monai_causal.dicom.study_survey import survey
from monai_causal.dicom.tags import numbers
from monai_causal.extras import require

__all__ = [
    "VolumeContent",
    "VolumeRegion",
    "build_volume_objects",
    "on_slices",
    "slices_affine",
    "write_volume_objects",
]

VolumeKind = Literal["seg", "pm"]
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_WHOLE = 0.02
"""of a voxel, by which a voxel's centre may miss a pixel's: positions in headers are rounded"""


@dataclass(frozen=True, eq=False)
class VolumeRegion:
    """A region of a volume that becomes a segment.

    Args:
        name: what it is called.
        code: what it is.
        mask: bool, of the content's shape.
        category: of the code; anatomy by default.
        laterality: of the patient, where it has one.
    """

    name: str
    code: Code
    mask: NDArray[np.bool_]
    category: Code = ANATOMY
    laterality: Literal["left", "right"] | None = None


@dataclass(frozen=True, eq=False)
class VolumeContent:
    """What a result on a volume says.

    Args:
        affine: (4, 4), from indices of its arrays to mm in RAS+, as a MetaTensor has it.
        algorithm: who made it.
        configuration: of the run, as JSON takes it; another configuration gives other UIDs.
        description: of the series, in a few words.
        regions: that become segments; they may overlap.
        heat: float map of the same shape.
        heat_means: what the map's values say.
        moment: ``("YYYYMMDD", "HHMMSS")`` that the objects bear; None takes the source's own.
    """

    affine: NDArray[np.float64]
    algorithm: Algorithm
    configuration: Mapping[str, Any]
    description: str
    regions: tuple[VolumeRegion, ...] = ()
    heat: NDArray[np.float32] | None = None
    heat_means: MapMeaning = field(default_factory=MapMeaning)
    moment: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        arrays = [one.mask for one in self.regions] + ([] if self.heat is None else [self.heat])
        shapes = {array.shape for array in arrays}
        if len(shapes) != 1 or len(next(iter(shapes))) != 3:
            raise ValueError(f"arrays of {sorted(shapes)}: give regions or a map, all of one shape of three axes.")
        for one in self.regions:
            if one.mask.dtype != np.bool_:
                raise ValueError(f"{one.name}: a mask of {one.mask.dtype}; give bool.")
        if self.heat is not None:
            check_finite(self.heat)
        if self.affine.shape != (4, 4) or not np.isfinite(self.affine).all():
            raise ValueError(f"an affine of {self.affine.shape}: give the (4, 4) matrix of the volume, in RAS+.")

    @property
    def digest(self) -> str:
        """SHA-256 of everything in it."""
        return array_digest(
            np.frombuffer(
                canonical(
                    {
                        "affine": array_digest(self.affine),
                        "algorithm": dict(vars(self.algorithm)),
                        "configuration": dict(self.configuration),
                        "description": self.description,
                        "regions": [
                            [one.name, _words(one.code), _words(one.category), array_digest(one.mask), one.laterality]
                            for one in self.regions
                        ],
                        "heat": None if self.heat is None else array_digest(self.heat),
                        "heat_means": self.heat_means.as_list(),
                        "moment": self.moment,
                    }
                ),
                np.uint8,
            )
        )


def write_volume_objects(
    source: str | os.PathLike[str] | Sequence[Any],
    content: VolumeContent,
    folder: str | os.PathLike[str],
    *,
    kinds: Sequence[VolumeKind] = ("seg", "pm"),
    series: str | None = None,
    limits: Limits | None = None,
) -> tuple[WrittenObject, ...]:
    """Write a result on a series of slices, byte for byte the same for the same arguments.

    Args:
        source: a folder, a DICOMDIR, or the files of the series.
        content: what is to be written.
        folder: is there already; each file is whole or not there at all.
        kinds: ``"seg"`` for the regions, ``"pm"`` for the map.
        series: where there are several: the UID of one, or the beginning of its digest as messages give it.
        limits: what each file may ask for.

    Raises:
        ValueError: the arrays do not lie on the slices' pixels, or a kind lacks what it is made of.
    """
    made = build_volume_objects(source, content, kinds=kinds, series=series, limits=limits)
    return tuple(written(kind, made[kind], folder) for kind in kinds)


def build_volume_objects(
    source: str | os.PathLike[str] | Sequence[Any],
    content: VolumeContent,
    *,
    kinds: Sequence[VolumeKind],
    series: str | None = None,
    limits: Limits | None = None,
) -> dict[VolumeKind, Any]:
    """The same as pydicom data sets, by kind, none of them written."""
    for kind in kinds:
        if kind not in get_args(VolumeKind):
            raise ValueError(f"kinds: {kind!r} is none of {', '.join(get_args(VolumeKind))}.")
    if "seg" in kinds and not content.regions:
        raise ValueError("kinds: 'seg' is made of content.regions, and there is none; leave out 'seg'.")
    if "pm" in kinds and content.heat is None:
        raise ValueError("kinds: 'pm' is made of content.heat, which is None; give one or leave out 'pm'.")
    grid, _ = volume_of(find_series(survey(source, limits), series))
    affine = slices_affine(grid)
    masks = [on_slices(one.mask, content.affine, affine, grid.shape) for one in content.regions]
    heat = None if content.heat is None else on_slices(content.heat, content.affine, affine, grid.shape)
    headers = []
    for one in grid.slices:
        header = one.open(limits).dataset
        if not header.get("SOPClassUID"):  # some files say it in their file meta information only
            header.SOPClassUID = one.sop_class
        headers.append(header)
    with guarded("writing a result on a series"), unlogged():
        origin = origin_of(headers, content.algorithm, content.description, content.moment)
        references = [_reference(header, grid) for header in headers]
        seed = seed_of(*(one.digest for one in grid.slices), content.digest)
        made: dict[VolumeKind, Any] = {}
        for kind in kinds:
            number = SERIES_NUMBERS[kind]
            if kind == "seg":
                made[kind] = _segmentation(origin, references, content, masks, seed, number)
            else:
                assert heat is not None
                made[kind] = parametric_map(origin, references, heat, content.heat_means, seed, number)
            seal(made[kind], seed, kind)
    return made


def slices_affine(grid: SliceGrid) -> NDArray[np.float64]:
    """From (slice, row, column) to mm in RAS+."""
    first, last = grid.slices[0].header, grid.slices[-1].header
    orientation = np.array(numbers(first, "ImageOrientationPatient"))
    across, down = orientation[:3], orientation[3:]
    start, end = (np.array(numbers(header, "ImagePositionPatient")) for header in (first, last))
    count = len(grid.slices)
    thickness = numbers(first, "SliceThickness")
    step = (end - start) / (count - 1) if count > 1 else np.cross(across, down) * (thickness or (1.0,))[0]
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 3] = step, start
    affine[:3, 1], affine[:3, 2] = down * grid.spacing[1], across * grid.spacing[0]
    result: NDArray[np.float64] = _LPS @ affine
    return result


def on_slices(
    values: NDArray[Any], affine: NDArray[np.float64], slices: NDArray[np.float64], shape: tuple[int, int, int]
) -> NDArray[Any]:
    """An array (three axes) as slices, rows and columns of the series; 0 where it was cropped away.

    Args:
        values: the array.
        affine: of the array, to RAS+.
        slices: of :func:`slices_affine`.
        shape: columns, rows, slices, as :class:`~monai_causal.dicom.series_geometry.SliceGrid` says it.

    Raises:
        ValueError: the array's voxels are not the series' own: it was resampled, or lies elsewhere.
    """
    between = np.linalg.inv(slices) @ affine
    steps = np.rint(between[:3, :3]).astype(int)
    far = (np.array(values.shape) - 1).clip(1)
    whole = np.abs(between[:3, :3] - steps) * far < _WHOLE * 2
    if not whole.all() or not np.array_equal(np.abs(steps).sum(0), [1, 1, 1]) or abs(np.linalg.det(steps)) < 0.5:
        raise ValueError(
            "the result's voxels are not the series' own (it was resampled on the way): bring it back first, for "
            "instance with MONAI's Invertd or ResampleToMatch."
        )
    start = between[:3, 3]
    if np.abs(start - np.rint(start)).max() > _WHOLE * 2:
        raise ValueError(
            f"the result lies {start - np.rint(start)} of a voxel beside the series' slices, rows, columns."
        )
    axes = [int(np.flatnonzero(row)[0]) for row in steps]  # of the array, for slices, rows, columns
    signs = [int(steps[place, axis]) for place, axis in enumerate(axes)]
    turned = np.transpose(values, axes)[tuple(slice(None, None, sign) for sign in signs)]
    first = [
        round(float(start[place])) - (turned.shape[place] - 1 if sign < 0 else 0) for place, sign in enumerate(signs)
    ]
    size = shape[::-1]
    if any(at < 0 or at + length > whole for at, length, whole in zip(first, turned.shape, size, strict=True)):
        raise ValueError(
            f"the result covers {turned.shape} from {tuple(first)} on of a series of {size} (slices, rows, columns): "
            "it is larger than the series or belongs to another one."
        )
    placed = np.zeros(size, values.dtype)
    placed[tuple(slice(at, at + length) for at, length in zip(first, turned.shape, strict=True))] = turned
    return placed


def _words(code: Code) -> list[str]:
    return [code.scheme, code.value, code.meaning]


def _reference(header: Any, grid: SliceGrid) -> Any:
    reference = neutral(header, positioned=True)
    if "SliceThickness" not in reference:
        reference.SliceThickness = f"{grid.spacing[2] or 1.0:.10g}"
    return reference


def _segmentation(
    origin: Origin,
    references: Sequence[Any],
    content: VolumeContent,
    masks: Sequence[NDArray[np.bool_]],
    seed: str,
    number: int,
) -> Any:
    seg = require("highdicom.seg")
    stack = np.stack(masks, axis=-1)
    dataset = seg.Segmentation(
        source_images=list(references),
        pixel_array=stack.astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=[
            describe(
                place + 1,
                one.name,
                one.code,
                origin.algorithm,
                tracking_uid(seed, one.name),
                category=one.category,
                laterality=one.laterality,
            )
            for place, one in enumerate(content.regions)
        ],
        **made_as(origin, seed, number),
        # Of nothing but empty regions the frames stay, since a segmentation without any frame is none.
        omit_empty_frames=bool(stack.any()),
        content_label="REGIONS",
        content_description=content.description[:64],
    )
    adopt(dataset, origin, "seg", number)
    settle_dimensions(dataset, seed, "seg")
    return dataset
