# SPDX-License-Identifier: Apache-2.0
"""Results as DICOM objects: segmentation, report, picture, presentation state, map; the same bytes every time."""

from __future__ import annotations

from monai_causal.dicom.objects.content import CAVEAT, Algorithm, Code, Concept, MapMeaning, ResultContent
from monai_causal.dicom.objects.volumes import VolumeContent, VolumeRegion, write_volume_objects
from monai_causal.dicom.objects.writing import KINDS, Kind, WrittenObject, write_results

__all__ = [
    "CAVEAT",
    "KINDS",
    "Algorithm",
    "Code",
    "Concept",
    "Kind",
    "MapMeaning",
    "ResultContent",
    "VolumeContent",
    "VolumeRegion",
    "WrittenObject",
    "write_results",
    "write_volume_objects",
]
