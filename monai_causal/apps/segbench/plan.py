# SPDX-License-Identifier: Apache-2.0
"""The items of a benchmark in their order, and which of them a shard does. Nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monai_causal.apps.segbench.config import BenchConfig

__all__ = ["Block", "Run", "plan", "shard_of"]


@dataclass(frozen=True, order=True)
class Run:
    """What a mean and a standard deviation of the paper are taken over: a network on a data set under a seed."""

    data: str
    network: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.data}|{self.network}|seed {self.seed}"

    def record(self) -> dict[str, Any]:
        return {"data": self.data, "network": self.network, "seed": self.seed}


@dataclass(frozen=True)
class Block:
    """An image under a run: its methods share evidence, so that they are done by one process, one after the other."""

    run: Run
    sample: str
    methods: tuple[str, ...]

    @property
    def keys(self) -> dict[str, str]:
        """The items' keys, by method."""
        return {method: f"{self.run.name}|{self.sample}|{method}" for method in self.methods}


def plan(bench: BenchConfig, samples: Mapping[tuple[str, int], Sequence[str]]) -> list[Block]:
    """All blocks, run by run.

    Args:
        bench: the benchmark.
        samples: names of the images, by data set and seed.

    Example:
        >>> from monai_causal.apps.segbench.config import as_config
        >>> bench = as_config(
        ...     {"data": [{"name": "a"}], "networks": [{"name": "n", "build": "unet", "untrained": True}]}
        ... )
        >>> [block.keys["dea"] for block in plan(bench, {("a", 0): ["one", "two"]})]
        ['a|n|seed 0|one|dea', 'a|n|seed 0|two|dea']
    """
    methods = tuple(method.label for method in bench.methods)
    return [
        Block(Run(data.name, network.name, seed), sample, methods)
        for data in bench.data
        for network in bench.networks
        for seed in bench.seeds
        for sample in samples[data.name, seed]
    ]


def shard_of(blocks: Sequence[Block], shard: tuple[int, int]) -> list[Block]:
    """The i-th of n parts, ``(i, n)``, i from 1: every n-th block, so that parts are of like size in every run."""
    part, parts = shard
    if not 1 <= part <= parts:
        raise ValueError(f"shard {part}/{parts}: give i/n with i from 1 to n.")
    return list(blocks[part - 1 :: parts])
