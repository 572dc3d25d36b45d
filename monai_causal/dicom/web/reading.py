# SPDX-License-Identifier: Apache-2.0
"""A whole object as a data set, whatever it is: its structure is walked before pydicom makes anything of it.

``open_dicom`` reads images; here come reports, presentation states and segmentations of one bit per pixel as well.
"""

from __future__ import annotations

import io
from typing import Any

from monai_causal.dicom.errors import DicomError, guarded
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.safety import EXPLICIT_BIG
from monai_causal.dicom.structure import walk, walk_meta
from monai_causal.extras import require

__all__ = ["read_object"]

_PREAMBLE = 128


def read_object(content: bytes) -> tuple[Any, str]:
    """The data set of a file, and its transfer syntax.

    Raises:
        DicomError: it is no DICOM file, or asks for more than
            :meth:`Limits.for_series <monai_causal.dicom.limits.Limits.for_series>` gives.
    """
    start = _PREAMBLE + 4
    if content[_PREAMBLE:start] != b"DICM":
        raise DicomError("it is no DICOM file (no preamble)")
    with guarded("reading it"):
        pydicom = require("pydicom")
        end = walk_meta(content, start)
        read = require("pydicom.filereader").read_dataset
        meta = read(io.BytesIO(content[start:end]), is_implicit_VR=False, is_little_endian=True)
        syntax = str(meta.TransferSyntaxUID)
        if pydicom.uid.UID(syntax).is_deflated:
            raise DicomError("it is deflated, and a small file may inflate to a huge one")
        walk(content, end, little=syntax != EXPLICIT_BIG, limits=Limits.for_series())
        return pydicom.dcmread(io.BytesIO(content)), syntax
