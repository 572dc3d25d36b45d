# SPDX-License-Identifier: Apache-2.0
"""MONAI transforms: explanations where a pipeline already has the image, and readers of radiographs and series.

Importing this package makes the two readers known to ``LoadImage`` and ``LoadImaged`` by their names.
"""

from __future__ import annotations

import monai.data

from monai_causal.transforms.explanations import DEAd, PdCRd
from monai_causal.transforms.projection import LoadProjection, LoadProjectiond, ProjectionReader, placement_of
from monai_causal.transforms.series import SafeSeriesReader

__all__ = [
    "DEAd",
    "LoadProjection",
    "LoadProjectiond",
    "PdCRd",
    "ProjectionReader",
    "SafeSeriesReader",
    "placement_of",
]

# LoadImage looks for a reader's name in monai.data first. Its other table, SUPPORTED_READERS, would not do: whatever
# stands there is also tried, unasked, on every file that another reader fails on.
for _reader in (ProjectionReader, SafeSeriesReader):
    setattr(monai.data, _reader.__name__, _reader)
