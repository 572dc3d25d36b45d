# SPDX-License-Identifier: Apache-2.0
"""A job that says what its items hold; workers import no deep learning library for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_causal.cohort.jobs.base import Job, Record


class Told(Job):
    """Items hold ``measures`` and ``regions`` as records do."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        pass

    def run(self, samples: Sequence[Any], folders: Sequence[Path]) -> Sequence[Record]:
        return [Record({}, item.content["measures"], item.content["regions"]) for item in samples]
