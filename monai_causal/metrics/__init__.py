# SPDX-License-Identifier: Apache-2.0
"""How good is a map? Interventional metrics, conditioned on a mask, in 2-D and 3-D; and statistics between methods."""

from __future__ import annotations

from monai_causal.metrics.attribution import (
    ProgressiveCurve,
    averaged_attribution,
    progressive_curve,
    ranked_regions,
)
from monai_causal.metrics.boxes import box_overlap, saliency_to_boxes
from monai_causal.metrics.correlation import map_correlation
from monai_causal.metrics.curves import Curve, Curves, PerturbationCurves
from monai_causal.metrics.faithfulness import DeletionFaithfulness
from monai_causal.metrics.infidelity import infidelity, square_regions
from monai_causal.metrics.joint import JointFill, joint_regions
from monai_causal.metrics.leakage import leak_absolute, leak_signed
from monai_causal.metrics.pointing import pointing_game
from monai_causal.metrics.sanity import random_weights_sanity
from monai_causal.metrics.stability import attribution_stability
from monai_causal.metrics.statistics import (
    Bootstrap,
    Comparison,
    benjamini_hochberg,
    compare_methods,
    holm,
    paired_bootstrap,
    wilcoxon,
)

__all__ = [
    "Bootstrap",
    "Comparison",
    "Curve",
    "Curves",
    "DeletionFaithfulness",
    "JointFill",
    "PerturbationCurves",
    "ProgressiveCurve",
    "attribution_stability",
    "averaged_attribution",
    "benjamini_hochberg",
    "box_overlap",
    "compare_methods",
    "holm",
    "infidelity",
    "joint_regions",
    "leak_absolute",
    "leak_signed",
    "map_correlation",
    "paired_bootstrap",
    "pointing_game",
    "progressive_curve",
    "random_weights_sanity",
    "ranked_regions",
    "saliency_to_boxes",
    "square_regions",
    "wilcoxon",
]
