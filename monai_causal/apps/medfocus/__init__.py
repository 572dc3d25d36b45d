# SPDX-License-Identifier: Apache-2.0
"""MedFocus: which named anatomy a vision-language model's answer rests on, and how that anatomy is found."""

from __future__ import annotations

from monai_causal.apps.medfocus.attribute import MedFocus
from monai_causal.apps.medfocus.concepts import Vocabulary, chest_vocabulary
from monai_causal.apps.medfocus.pool import Reference, ReferencePool
from monai_causal.apps.medfocus.pool_folder import pool_from_folder
from monai_causal.apps.medfocus.pool_sources import pool_from_imagenome, pool_from_masks, pool_from_phantoms
from monai_causal.apps.medfocus.reference import Located, PoolTransport
from monai_causal.apps.medfocus.result import MedFocusResult, read_result
from monai_causal.apps.medfocus.segmenter import Concepts, ConceptSegmenter
from monai_causal.apps.medfocus.transport import UnbalancedTransport
from monai_causal.apps.medfocus.transport_fitted import FittedTransport, Transported
from monai_causal.apps.medfocus.vlm import load_vlm, read_answer

__all__ = [
    "ConceptSegmenter",
    "Concepts",
    "FittedTransport",
    "Located",
    "MedFocus",
    "MedFocusResult",
    "PoolTransport",
    "Reference",
    "ReferencePool",
    "Transported",
    "UnbalancedTransport",
    "Vocabulary",
    "chest_vocabulary",
    "load_vlm",
    "pool_from_folder",
    "pool_from_imagenome",
    "pool_from_masks",
    "pool_from_phantoms",
    "read_answer",
    "read_result",
]
