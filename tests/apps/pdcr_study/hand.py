# SPDX-License-Identifier: Apache-2.0
"""A journal written by hand, whose tables can be worked out on paper."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from monai_causal.apps.pdcr_study.config import as_config
from monai_causal.apps.pdcr_study.findings import Findings, read_findings
from monai_causal.apps.pdcr_study.journal import Journal
from monai_causal.visualize.profile import profile

CONFIG: dict[str, Any] = {
    "data": {"name": "phantom", "parts": {"explain": 3, "donors": 3}},
    "networks": [
        {"build": "unet", "name": "one", "train": {"steps": 1}},
        {"build": "unet", "name": "two", "train": {"steps": 1}},
    ],
    "methods": [{"name": "pdcr", "label": "PdCR", "options": {"rule": "paper"}}, {"name": "rise", "label": "RISE"}],
    "metrics": {"top": 2, "draws": 3},
    "statistics": {"resamples": 500},
}


class Hand:
    """Adds items to a study's journal, in the order in which they are given."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.folder, self.count = folder, 0
        config = as_config({**CONFIG, **changes}).record()
        head = {"config": config, "images": {}, "donors": [], "items": 100, "shard": [1, 1], "versions": {"torch": "2"}}
        self.journal = Journal(folder / "journal.jsonl", head)
        for one in config["networks"]:
            entry = {"kind": "network", "weights": "0123", "parameters": 1234567, "dice": [80.0, None, 90.0]}
            self.journal.append(f"network|{one['name']}", entry)

    def add(
        self, network: str, unit: int, task: str, result: dict[str, Any] | None, kind: str = "method",
        roi: str = "boundary-32", reason: str | None = None,
    ) -> None:  # fmt: skip
        self.count += 1
        entry = {
            "order": self.count, "network": network, "image": f"image-{unit}", "unit": unit, "roi": roi,
            "rule": roi.partition(" ")[0], "task": task, "kind": kind,
            "status": "ok" if result is not None else "failed", "reason": reason, "result": result,
        }  # fmt: skip
        self.journal.append(f"{network}|image-{unit}|{roi}|{task}", entry)

    def findings(self) -> Findings:
        return read_findings(self.folder)


def pdcr(
    effects: Sequence[float], attribution: float = 1.0, curve: Sequence[float] = (0.0, 1.0, 2.0), **more: Any
) -> Any:
    """What PdCR puts into a journal."""
    values = torch.tensor(effects, dtype=torch.float64)
    return {
        "baseline": 90.0, "unit": "Dice points", "rule": {"name": "paper", "tau": 0.02}, "regions": len(effects),
        "relevant": int((values != 0).sum()), "not_settled": 0, "evaluations": 100, "execution": "dense",
        "profile": profile(values).as_dict(), "ids": list(range(len(effects))), "effects": list(effects),
        "strongest": {"id": 0, "draws": [-1.0, -3.0, -2.0, -2.0]}, **worth(attribution, curve), **more,
    }  # fmt: skip


def worth(attribution: float | None, curve: Sequence[float] = (0.0, 1.0, 2.0)) -> dict[str, Any]:
    """What a map is worth: the area is by the trapezoid rule, over the share of the regions."""
    area = sum((a + b) / 2 for a, b in pairwise(curve)) / (len(curve) - 1)
    return {"attribution": attribution, "curve": list(curve), "area": area, "top": [0, 1]}
