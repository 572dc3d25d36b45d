# SPDX-License-Identifier: Apache-2.0
"""The trainings of a study in their order, and which of them a shard does. Nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monai_causal.apps.mcdrl.config import LosoConfig

__all__ = ["Run", "plan", "shard_of"]


@dataclass(frozen=True, order=True)
class Run:
    """One training and its tests."""

    task: str
    method: str
    seed: int

    @property
    def key(self) -> str:
        return f"{self.task}|{self.method}|seed {self.seed}"

    def file(self, number: int) -> str:
        """What its files are called: a number in the plan, and what a reader looks for."""
        return f"{number:04d}-{self.method}-{self.seed}"

    def record(self) -> dict[str, Any]:
        return {"task": self.task, "method": self.method, "seed": self.seed}


def plan(config: LosoConfig, tasks: Sequence[str]) -> list[Run]:
    """All runs: seed by seed, so that an unfinished study has whole seeds.

    Example:
        >>> from monai_causal.apps.mcdrl.config import as_config
        >>> data = {"kind": "phantom", "train": 8, "validation": 2, "test": 4}
        >>> study = as_config({"data": data, "methods": ["baseline", "mcdrl"], "seeds": [0, 1]})
        >>> [run.key for run in plan(study, ["phantom"])][:3]
        ['phantom|baseline|seed 0', 'phantom|mcdrl|seed 0', 'phantom|baseline|seed 1']
    """
    return [
        Run(task, method.label, seed) for seed in config.seeds for task in tasks for method in config.methods
    ]  # fmt: skip


def shard_of(runs: Sequence[Run], shard: tuple[int, int]) -> list[Run]:
    """The i-th of n parts, ``(i, n)``, i from 1: every n-th run."""
    part, parts = shard
    if not 1 <= part <= parts:
        raise ValueError(f"shard {part}/{parts}: give i/n with i from 1 to n.")
    return list(runs[part - 1 :: parts])
