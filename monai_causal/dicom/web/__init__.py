# SPDX-License-Identifier: Apache-2.0
"""A DICOMweb server as source and as keeper: searched, read and written with patience, every word of it checked."""

from __future__ import annotations

from monai_causal.dicom.web.access import Address, Credentials, is_address
from monai_causal.dicom.web.client import DicomWeb, Stored
from monai_causal.dicom.web.delivery import Delivery, deliver
from monai_causal.dicom.web.patience import Patience
from monai_causal.dicom.web.problems import WebError
from monai_causal.dicom.web.same import how_same

__all__ = [
    "Address",
    "Credentials",
    "Delivery",
    "DicomWeb",
    "Patience",
    "Stored",
    "WebError",
    "deliver",
    "how_same",
    "is_address",
]
