# SPDX-License-Identifier: Apache-2.0
"""MedGround: evaluate attribution on samples whose marked region is known to carry the model's answer."""

from __future__ import annotations

from monai_causal.apps.medground.building import Build, BuildConfig, build_benchmark
from monai_causal.apps.medground.candidates import Candidate, Case, Source
from monai_causal.apps.medground.evaluating import evaluate_benchmark
from monai_causal.apps.medground.filtering import Fate, Reply, filtered
from monai_causal.apps.medground.records import Record, load_records, save_records
from monai_causal.apps.medground.sources import PhantomSource

__all__ = [
    "Build",
    "BuildConfig",
    "Candidate",
    "Case",
    "Fate",
    "PhantomSource",
    "Record",
    "Reply",
    "Source",
    "build_benchmark",
    "evaluate_benchmark",
    "filtered",
    "load_records",
    "save_records",
]
