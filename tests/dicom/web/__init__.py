# SPDX-License-Identifier: Apache-2.0
"""Tests of the package ``monai_causal.dicom.web``."""
