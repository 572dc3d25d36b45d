# SPDX-License-Identifier: Apache-2.0
"""Golden models: networks whose effects are known on paper. An engine that disagrees with them is wrong.

Everything is float64. Images are (C, *spatial) or, where a network takes them, (B, C, *spatial); masks are (*spatial)
and boolean; boxes are half-open, ((start, stop), ...) per axis. The closed forms are numpy: they never run the network.
"""

from __future__ import annotations

from tests.golden.context import PlantedContext
from tests.golden.linear import LinearSegmenter

__all__ = ["LinearSegmenter", "PlantedContext"]
