# SPDX-License-Identifier: Apache-2.0
"""Phantoms: images rendered by a small structural causal model, so the true cause is known and a counterfactual exact.

>>> phantom = shapes(seed=3)
>>> other = phantom.do(cue=2 if phantom.causes.cue == 1 else 1)  # the same image with the other cue
>>> phantom.image.shape, other.causes.noise_seed == phantom.causes.noise_seed
((1, 128, 128), True)
"""

from __future__ import annotations

from monai_causal.data.phantoms.chest import ChestCauses, ChestPhantom, chest
from monai_causal.data.phantoms.endoscopy import EndoscopyCauses, endoscopy
from monai_causal.data.phantoms.phantom import Causes, Phantom
from monai_causal.data.phantoms.shapes import ShapesCauses, shapes
from monai_causal.data.phantoms.vessels import VesselsCauses, vessels

__all__ = [
    "Causes",
    "ChestCauses",
    "ChestPhantom",
    "EndoscopyCauses",
    "Phantom",
    "ShapesCauses",
    "VesselsCauses",
    "chest",
    "endoscopy",
    "shapes",
    "vessels",
]
