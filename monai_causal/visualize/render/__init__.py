# SPDX-License-Identifier: Apache-2.0
"""Draw: effects laid over images, in one convention everywhere.

Red: the region supports the answer (its effect is negative). Blue: it suppresses it. The colour scale is symmetric and
printed, so that two pictures can be compared, and what has no effect stays grey. The RoI is outlined in yellow.
"""

from __future__ import annotations

from monai_causal.visualize.render.curves import convergence, save_attribution_curves, save_convergence, save_ranking
from monai_causal.visualize.render.explanation import save_explanation, save_networks
from monai_causal.visualize.render.panels import Outline, Panel, common_scale, save_grid, save_panels
from monai_causal.visualize.render.profile import save_profile, save_profiles
from monai_causal.visualize.render.results import doubtful, picture, result_panel, spread_panel
from monai_causal.visualize.render.volumes import save_montage, save_planes

__all__ = [
    "Outline",
    "Panel",
    "common_scale",
    "convergence",
    "doubtful",
    "picture",
    "result_panel",
    "save_attribution_curves",
    "save_convergence",
    "save_explanation",
    "save_grid",
    "save_montage",
    "save_networks",
    "save_panels",
    "save_planes",
    "save_profile",
    "save_profiles",
    "save_ranking",
    "spread_panel",
]
