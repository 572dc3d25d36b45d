# SPDX-License-Identifier: Apache-2.0
"""A job that needs nothing: it says of each item what follows from its content. Imports no deep learning library."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_causal.apps.study.configuration import checked, need
from monai_causal.cohort.items import Item
from monai_causal.cohort.jobs.base import Job, Record

__all__ = ["Trivial", "TrivialSettings"]


@dataclass(frozen=True)
class TrivialSettings:
    """How much of nothing is done."""

    seconds: float = 0.0
    """Slept per item."""
    regions: int = 1
    """Rows per item."""

    def __post_init__(self) -> None:
        need(self.seconds >= 0, "seconds", self.seconds, "give 0 or more")
        need(self.regions >= 0, "regions", self.regions, "give 0 or more")


class Trivial(Job):
    """Numbers between 0 and 1 out of an item's content."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings: TrivialSettings = checked(TrivialSettings, settings, "job.settings")

    def together(self, sample: Any) -> Hashable | None:
        return "all"

    def run(self, samples: Sequence[Any], folders: Sequence[Path]) -> Sequence[Record]:
        return [self.record(sample) for sample in samples]

    def record(self, item: Item) -> Record:
        """Of one item."""
        if self.settings.seconds:
            time.sleep(self.settings.seconds)
        digest = hashlib.sha256(json.dumps(item.content, sort_keys=True).encode()).digest()
        common = {"model": "none", "method": "trivial"}
        rows = [
            {**common, "region": number, "effect": -digest[number % 32] / 255, "unit": "fraction"}
            for number in range(self.settings.regions)
        ]
        return Record({"kind": "trivial"}, [{**common, "name": "score", "value": digest[0] / 255}], rows)
