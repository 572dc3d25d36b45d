# SPDX-License-Identifier: Apache-2.0
"""Where images with questions and boxes come from."""

from __future__ import annotations

from monai_causal.apps.medground.sources.annotated import Annotated, AnnotatedSource
from monai_causal.apps.medground.sources.box_files import source_from_coco, source_from_csv
from monai_causal.apps.medground.sources.official import (
    source_from_imagenome,
    source_from_padchest_gr,
    source_from_vindr,
)
from monai_causal.apps.medground.sources.phantoms import PhantomSource

__all__ = [
    "Annotated",
    "AnnotatedSource",
    "PhantomSource",
    "source_from_coco",
    "source_from_csv",
    "source_from_imagenome",
    "source_from_padchest_gr",
    "source_from_vindr",
]
