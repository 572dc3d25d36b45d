# SPDX-License-Identifier: Apache-2.0
"""What a task found, as a file that a client can lay on the image."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from monai_causal.data.readers import PICTURES, VOLUMES
from monai_causal.extras import require
from monai_causal.label.studies import Study

__all__ = ["extension", "save_for_client"]

# What holds a label map without loss: JPEG blurs it.
_LOSSLESS = (".png", ".bmp", ".tif", ".tiff")
_ITK_WRITES = (".nrrd", ".mha", ".mhd")


def extension(asked: str | None, image: Path, real: bool) -> str:
    """The suffix of a result: what the client asked for, else the image's own where that can hold it.

    Args:
        asked: by the client, ``result_extension``.
        image: the file that was asked about.
        real: whether the result holds real numbers; it is NIfTI then.
    """
    wanted = (asked or "").lower()
    if real:
        if wanted and wanted not in VOLUMES:
            raise ValueError(f"result_extension={asked!r}: a map of real numbers is written as .nii.gz or .nii.")
        return wanted or ".nii.gz"
    name = image.name.lower()
    if not wanted:
        wanted = next((suffix for suffix in (*VOLUMES, *_LOSSLESS) if name.endswith(suffix)), "")
        wanted = wanted or (".png" if name.endswith(PICTURES) else ".nii.gz")
    known = (*VOLUMES, *_ITK_WRITES, *(_LOSSLESS if name.endswith(PICTURES) else ()))
    if wanted not in known:
        raise ValueError(f"result_extension={asked!r}: of this image a label map can be {', '.join(known)}.")
    return wanted


def save_for_client(values: Tensor, study: Study, suffix: str) -> str:
    """Write what lies on the image into a temporary file, whose name is returned; the server removes it.

    Args:
        values: on the image's own grid, in array order.
        study: the image.
        suffix: of :func:`extension`.
    """
    handle, path = tempfile.mkstemp(suffix=suffix, prefix="monai-causal-")
    os.close(handle)
    array = study.for_client(values)
    if suffix in _LOSSLESS:
        Image.fromarray(np.ascontiguousarray(array.T)).save(path)
        return path
    solid = array.reshape(*array.shape, *(1,) * (3 - array.ndim))
    if suffix in VOLUMES:
        nib.save(nib.Nifti1Image(solid, study.affine), path)
    else:
        _save_with_itk(solid, study.affine, path)
    return path


def _save_with_itk(array: NDArray[Any], affine: NDArray[np.float64], path: str) -> None:
    itk = require("itk")
    image = itk.image_from_array(np.ascontiguousarray(array.T))
    matrix = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine  # from NIfTI's world to DICOM's
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(matrix[:3, 3].tolist())
    image.SetDirection(itk.matrix_from_array(np.ascontiguousarray(matrix[:3, :3] / spacing)))
    itk.imwrite(image, path)
