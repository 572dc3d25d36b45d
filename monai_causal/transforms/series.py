# SPDX-License-Identifier: Apache-2.0
"""CT and MR series for a MONAI pipeline: ITK's geometry and grey values, from files that were checked first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.data.image_reader import ImageReader, ITKReader
from numpy.typing import NDArray

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.series import checked_series
from monai_causal.extras import require

__all__ = ["SafeSeriesReader"]


class SafeSeriesReader(ImageReader):
    """A series of slices for ``LoadImage`` and ``LoadImaged``, as MONAI's ``ITKReader`` reads it, but safely.

    Array, affine and spacing are those of ``ITKReader`` to the bit. What differs: every file passes the checks of
    :func:`~monai_causal.dicom.safety.open_dicom` and is decoded in the child process, ITK sees only files written
    anew; a folder with several series is refused instead of one being taken; so is a series with a missing slice; and
    no attribute of the header is among the metadata, but ``source`` (JSON text): digest, UIDs and the instances in the
    order of the slices, for those who write results beside them.

    Once ``monai_causal.transforms`` is imported, ``LoadImaged("image", reader="SafeSeriesReader")`` finds it; a bundle
    that imports nothing writes ``"reader": "monai_causal.transforms.SafeSeriesReader"``. As with
    :class:`~monai_causal.transforms.projection.ProjectionReader`, files are opened in ``get_data``, so that a refused
    series is not handed on to another reader.

    Args:
        limits: what each file may ask for.
        series: where a folder holds several: the UID of one, or the beginning of its digest as messages give it.
        irregular: accept missing slices, uneven steps and a tilted stack.
    """

    def __init__(self, limits: Limits | None = None, *, series: str | None = None, irregular: bool = False) -> None:
        self.limits, self.series, self.irregular = limits, series, irregular

    def verify_suffix(self, filename: Any) -> bool:
        """False: no file is taken because of its name."""
        return False

    def read(self, data: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The names of the files or of the folder as they are; see :meth:`get_data`."""
        return tuple(data) if isinstance(data, (tuple, list)) else (data,)

    def get_data(self, img: Sequence[Any]) -> tuple[NDArray[Any], dict[str, Any]]:
        """Check all files of the series, then let ITK read copies of them.

        Args:
            img: one folder or DICOMDIR, or the files of the series.

        Raises:
            DicomError: a file is refused, or the files make no volume.
        """
        require("itk")
        source = img[0] if len(img) == 1 and isinstance(img[0], (str, Path)) else list(img)
        with checked_series(source, series=self.series, irregular=self.irregular, limits=self.limits) as checked:
            reader = ITKReader()
            values, meta = reader.get_data(reader.read(str(checked.folder)))
            values = np.array(values)  # what ITK holds is gone with its image
        if values.shape != checked.grid.shape:
            raise DicomError(
                f"ITK makes a volume of {values.shape} of the series; its headers say {checked.grid.shape}"
            )
        kept = {key: meta[key] for key in ("spacing", "affine", "original_affine", "space", "spatial_shape")}
        kept["original_channel_dim"] = meta["original_channel_dim"]
        source_of = {
            "sha256": checked.digest,
            "study": checked.study,
            "series": checked.series,
            "frame_of_reference": checked.frame_of_reference,
            "instances": checked.instances,
            "transfer_syntaxes": checked.transfer_syntaxes,
        }
        remarks = "" if checked.grid.regular else "irregular-slices"
        return values, {**kept, "source": json.dumps(source_of), "remarks": remarks}
