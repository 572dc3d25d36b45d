# SPDX-License-Identifier: Apache-2.0
"""A page for this machine alone: open an image, ask about a part of it, and watch the map as it comes."""

from __future__ import annotations

from monai_causal.studio.opening import Start, open_start
from monai_causal.studio.radiograph import RadiographSession
from monai_causal.studio.segmentation import SegmentationSession, Settings, Stage
from monai_causal.studio.serving import serve

__all__ = ["RadiographSession", "SegmentationSession", "Settings", "Stage", "Start", "open_start", "serve"]
