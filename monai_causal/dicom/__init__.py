# SPDX-License-Identifier: Apache-2.0
"""DICOM as hospitals send it: read safely, shown as on a calibrated display, with every result back in its study."""

from __future__ import annotations

from monai_causal.dicom.decoders import Decoder, available
from monai_causal.dicom.decoding import close_worker, decode_frames
from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.geometry import Box, Orientation, Placement
from monai_causal.dicom.inspection import inspect
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.objects.writing import write_results
from monai_causal.dicom.projection import Projection, Provenance, read_projection
from monai_causal.dicom.remarks import Remark
from monai_causal.dicom.safety import OpenedFile, open_dicom
from monai_causal.dicom.selection import Selection, SelectionError, select_projection
from monai_causal.dicom.selection_rules import SelectionRules
from monai_causal.dicom.series import checked_series
from monai_causal.dicom.study_survey import survey
from monai_causal.dicom.study_web import WebStudy

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
    "Selection",
    "SelectionError",
    "SelectionRules",
    "WebStudy",
    "available",
    "checked_series",
    "close_worker",
    "decode_frames",
    "inspect",
    "open_dicom",
    "read_projection",
    "select_projection",
    "survey",
    "write_results",
]
