# SPDX-License-Identifier: Apache-2.0
"""The methods that MedFocus is compared with, on its interface, each by the id of a registry."""

from __future__ import annotations

from monai_causal.apps.medfocus.baselines.base import Baseline
from monai_causal.apps.medfocus.baselines.registry import METHODS, Method, build_method

__all__ = ["METHODS", "Baseline", "Method", "build_method"]
