# SPDX-License-Identifier: Apache-2.0
"""What ``monai-causal explain`` does: one image, one model, one method; a picture, a map that lies on the image, and a
summary."""

from __future__ import annotations

from monai_causal.apps.explain.request import Request, parse_range, parse_roi, parse_sizes
from monai_causal.apps.explain.run import explain, in_words

__all__ = ["Request", "explain", "in_words", "parse_range", "parse_roi", "parse_sizes"]
