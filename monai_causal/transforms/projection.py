# SPDX-License-Identifier: Apache-2.0
"""Radiographs in a MONAI pipeline: read as :func:`monai_causal.dicom.projection.read_projection` reads them.

Two ways in: the transforms :class:`LoadProjection` and :class:`LoadProjectiond`, and :class:`ProjectionReader` for
MONAI's own ``LoadImage`` and ``LoadImaged``, as any bundle has them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.data.image_reader import ImageReader
from monai.transforms import MapTransform, Transform
from numpy.typing import NDArray

from monai_causal.dicom.geometry import Orientation, Placement
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.projection import Projection, read_projection
from monai_causal.dicom.selection import select_projection
from monai_causal.dicom.study_web import WebStudy

__all__ = ["LoadProjection", "LoadProjectiond", "ProjectionReader", "placement_of"]


class LoadProjection(Transform):
    """A DICOM radiograph as a MetaTensor (1, rows, columns), float32 in [0, 1], upright and as shown on a display.

    A folder, a DICOMDIR, a sequence of files or a study on a server gives the radiograph that
    :func:`~monai_causal.dicom.selection.select_projection` finds in it.

    The affine is that of ITK's reader for the same file: indices of the stored picture to mm (right, anterior,
    superior by name only, since a projection has no place in the patient), 1 mm where the spacing is unknown. If the
    picture was turned upright, the affine says so, and what is saved with it lies on the file. The metadata are text,
    so that any loader can make batches of them; they hold digests and UIDs, but neither a name of the patient nor of
    the file. :func:`placement_of` leads back to the stored pixels.

    Args:
        limits: what a file may ask for.
        image_only: return the image; otherwise the image and its ``Projection``.
        for_processing: read also a DX for processing.
        upright: turn the picture by its PatientOrientation; otherwise leave it as stored.
        rules: which image of a study is wanted; by default a frontal chest radiograph.
        study: which study, where there are several.

    Example:
        >>> image = LoadProjection()("chest.dcm")  # doctest: +SKIP
        >>> image.shape, image.meta["view"]  # doctest: +SKIP
        (torch.Size([1, 2048, 2500]), 'PA')
    """

    def __init__(
        self,
        limits: Limits | None = None,
        image_only: bool = True,
        *,
        for_processing: bool = False,
        upright: bool = True,
        rules: Any = None,
        study: str | None = None,
    ) -> None:
        self.limits, self.image_only = limits, image_only
        self.for_processing, self.upright, self.rules, self.study = for_processing, upright, rules, study

    def read(self, source: Any) -> Projection:
        """The radiograph of a file, or the one that a study holds."""
        if not _is_study(source):
            return read_projection(source, self.limits, for_processing=self.for_processing, upright=self.upright)
        selection = select_projection(
            source, self.rules, study=self.study, for_processing=self.for_processing, limits=self.limits
        )
        return selection.read(upright=self.upright)

    def __call__(self, source: str | os.PathLike[str] | bytes | Any) -> MetaTensor | tuple[MetaTensor, Projection]:
        projection = self.read(source)
        pixels, affine = torch.from_numpy(projection.pixels)[None], torch.from_numpy(_affine(projection))
        image = MetaTensor(pixels, affine=affine, meta=_meta(projection))
        return image if self.image_only else (image, projection)


class LoadProjectiond(MapTransform):
    """:class:`LoadProjection` for the files under ``keys``.

    Args:
        keys: files or studies, as :class:`LoadProjection` takes them.
        limits: what a file may ask for.
        projection_postfix: where each ``Projection`` goes, as ``f"{key}_{postfix}"``; nowhere by default.
        allow_missing_keys: do nothing where a key is missing.
        options: further arguments of :class:`LoadProjection`.

    Example:
        >>> LoadProjectiond("image")({"image": "chest.dcm"})["image"].meta["spacing_kind"]  # doctest: +SKIP
        'detector'
    """

    def __init__(
        self,
        keys: KeysCollection,
        limits: Limits | None = None,
        projection_postfix: str | None = None,
        allow_missing_keys: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.load = LoadProjection(limits, image_only=False, **options)
        self.projection_postfix = projection_postfix

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[key], projection = self.load(d[key])
            if self.projection_postfix is not None:
                d[f"{key}_{self.projection_postfix}"] = projection
        return d


class ProjectionReader(ImageReader):
    """Radiographs for MONAI's ``LoadImage`` and ``LoadImaged``: pixels and metadata as of :class:`LoadProjection`.

    Once ``monai_causal.transforms`` is imported, ``LoadImaged("image", reader="ProjectionReader")`` finds it; a bundle
    that imports nothing writes ``"reader": "monai_causal.transforms.ProjectionReader"``. The array is (rows, columns)
    without channel: ``ensure_channel_first=True``, or ``EnsureChannelFirstd``, makes it (1, rows, columns).

    It reads only where it is named. ``LoadImage`` answers an exception of ``read`` by trying every other reader it
    has, which would show a refused radiograph by other rules, and hand it to ITK; so the file is opened in
    ``get_data``, whose exceptions reach the caller. MONAI itself adds the file's name to the metadata, as
    ``filename_or_obj``, for its writers; :class:`LoadProjection` does not.

    Args:
        limits: what a file may ask for.
        for_processing, upright, rules, study: as of :class:`LoadProjection`.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        for_processing: bool = False,
        upright: bool = True,
        rules: Any = None,
        study: str | None = None,
    ) -> None:
        self.load = LoadProjection(limits, for_processing=for_processing, upright=upright, rules=rules, study=study)

    def verify_suffix(self, filename: Any) -> bool:
        """False: no file is taken because of its name."""
        return False

    def read(self, data: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The names of the files as they are; see :meth:`get_data`."""
        return tuple(data) if isinstance(data, (tuple, list)) else (data,)

    def get_data(self, img: Sequence[Any]) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Read the file, or the study in a folder.

        Raises:
            DicomError: it is refused, or no radiograph.
            ValueError: more than one file is named: radiographs make no channels of each other.
        """
        if len(img) != 1:
            raise ValueError(f"{len(img)} files as one image: a radiograph is one file, or give the folder of a study.")
        projection = self.load.read(img[0])
        affine = _affine(projection)
        meta = {
            **_meta(projection),
            "affine": affine,
            "original_affine": affine.copy(),
            "spatial_shape": np.array(projection.pixels.shape),
            "original_channel_dim": float("nan"),  # MONAI's word for: there is none
            "space": "RAS",
        }
        return projection.pixels, meta


def placement_of(image: MetaTensor) -> Placement:
    """How the stored picture lies in an image that :class:`LoadProjection` or :class:`ProjectionReader` gave.

    Bring a result to the size of that image first (``Invertd`` does), then ``placement_of(image).to_source(result)``
    gives its stored pixels.

    Args:
        image: not of a batch; ``decollate_batch`` takes one apart.

    Example:
        >>> meta = {"source": '{"rows": 5, "columns": 3}', "orientation": "ROTATE_90"}
        >>> placement_of(MetaTensor(torch.zeros(1, 3, 5), meta=meta)).to_source(((0, 1), (0, 5)))
        ((0, 5), (2, 3))
    """
    try:
        source = json.loads(image.meta["source"])
        orientation = Orientation[image.meta["orientation"]]
        return Placement((source["rows"], source["columns"]), orientation)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ValueError("the image's metadata do not say how it was read: load it with LoadProjection.") from None


def _is_study(source: Any) -> bool:
    if isinstance(source, (str, os.PathLike)):
        return Path(source).is_dir() or Path(source).name.upper() == "DICOMDIR"
    return isinstance(source, (list, tuple, WebStudy))


def _affine(projection: Projection) -> NDArray[np.float64]:
    """Indices (row, column) of the upright picture to the world in which ITK lays the stored one."""
    orientation, (rows, columns) = projection.orientation, projection.placement.source
    spacing = projection.spacing or (1.0, 1.0)
    by_row, by_column = spacing[::-1] if orientation.transposes else spacing
    stored = np.array([[0, -by_column, 0, 0], [-by_row, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=np.float64)
    transpose, reverse_rows, reverse_columns = orientation.value
    back = np.eye(4)  # from an upright index to a stored one, the reversals undone first
    height, width = orientation.shape((rows, columns))
    if reverse_rows:
        back[0, 0], back[0, 3] = -1, height - 1
    if reverse_columns:
        back[1, 1], back[1, 3] = -1, width - 1
    if transpose:
        back = back[[1, 0, 2, 3]]
    return stored @ back


def _meta(projection: Projection) -> dict[str, Any]:
    """What is known of the picture, as text."""
    rows, columns = projection.placement.source
    uids = {
        name: str(projection.header.get(keyword) or "")
        for name, keyword in (
            ("study", "StudyInstanceUID"),
            ("series", "SeriesInstanceUID"),
            ("instance", "SOPInstanceUID"),
            ("sop_class", "SOPClassUID"),
        )
    }
    source = {"sha256": projection.provenance.file_sha256, "rows": rows, "columns": columns, **uids}
    return {
        "source": json.dumps(source),
        "orientation": projection.orientation.name,
        "view": projection.view or "",
        "laterality": projection.laterality or "",
        "spacing": json.dumps(projection.spacing),
        "spacing_kind": projection.spacing_kind,
        "remarks": " ".join(remark.code for remark in projection.remarks),
        "provenance": json.dumps(projection.provenance.as_dict()),
    }
