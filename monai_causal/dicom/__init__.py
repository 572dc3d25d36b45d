# SPDX-License-Identifier: Apache-2.0
"""DICOM as hospitals send it: read safely, shown as on a calibrated display, with every result back in its study."""

from __future__ import annotations

from monai_causal.dicom.decoders import Decoder, available
from monai_causal.dicom.decoding import close_worker, decode_frames
from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.geometry import Box, Orientation, Placement
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.projection import Projection, Provenance, read_projection
from monai_causal.dicom.remarks import Remark
from monai_causal.dicom.safety import OpenedFile, open_dicom

__all__ = [
    "Box",
    "Decoder",
    "DicomError",
    "Limits",
    "OpenedFile",
    "Orientation",
    "Placement",
    "Projection",
    "Provenance",
    "Remark",
    "available",
    "close_worker",
    "decode_frames",
    "open_dicom",
    "read_projection",
]
