# SPDX-License-Identifier: Apache-2.0
"""Run a benchmark: one line in the journal per (image, method), resumable at any point, in shards."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from monai_causal.apps.segbench.config import BenchConfig, DataConfig, MethodConfig
from monai_causal.apps.segbench.evidence import Evidence
from monai_causal.apps.segbench.measure import Measure
from monai_causal.apps.segbench.networks import load_model
from monai_causal.apps.segbench.plan import Block, Run, plan, shard_of
from monai_causal.apps.segbench.samples import Chosen, Sample, choose, read_sample, sample_name, units_of
from monai_causal.apps.study.journal import Journal, carry_out
from monai_causal.apps.study.lines import reason_of
from monai_causal.apps.study.training import weights_digest
from monai_causal.files import draft_of, write_json
from monai_causal.versions import versions

__all__ = ["SCHEMA", "STUDY_SCHEMA", "TIMING_SCHEMA", "map_file", "run_bench"]

SCHEMA = "monai_causal/segbench/1"
TIMING_SCHEMA = "monai_causal/segbench-timing/1"
STUDY_SCHEMA = "monai_causal/segbench-study/1"

logger = logging.getLogger(__name__)


def run_bench(bench: BenchConfig, out: Path, shard: tuple[int, int] = (1, 1)) -> Path:
    """Do what is left of a benchmark, and return its journal.

    Args:
        bench: the settings.
        out: folder; made if it is not there. A benchmark that was begun there goes on.
        shard: ``(i, n)``: only the i-th of n parts, in a journal of its own; several processes may share a folder.
    """
    for network in bench.networks:  # a file that is not there shows now, not after hours
        place = network.place()
        if place is not None and not Path(place).exists():
            raise ValueError(f"network {network.name!r}: its weights are not where the configuration says.")
    chosen = {data.name: choose(data, bench.seeds) for data in bench.data}
    blocks = plan(
        bench,
        {
            (name, seed): [sample_name(item) for item in part.explained]
            for name, parts in chosen.items()
            for seed, part in parts.items()
        },
    )
    mine = shard_of(blocks, shard)
    out.mkdir(parents=True, exist_ok=True)
    made_with = versions("torch", "monai", "numpy", "scipy")
    _begin(out / "study.json", bench, chosen, blocks, made_with)
    part = "" if shard[1] == 1 else f"-{shard[0]}-of-{shard[1]}"
    stamp = {"schema": SCHEMA, "study": bench.digest(), "versions": made_with}
    with (
        Journal(out / f"journal{part}.jsonl", stamp) as journal,
        Journal(out / f"timing{part}.jsonl", {"schema": TIMING_SCHEMA}) as timing,
    ):
        for run in dict.fromkeys(block.run for block in mine):
            keys = {key: (block, method) for block in mine if block.run == run for method, key in block.keys.items()}
            if not keys.keys() <= journal.entries.keys():
                work = _Worker(bench, run, chosen[run.data][run.seed], journal, out)
                carry_out(keys, _for(work, keys), journal, timing, run.name)
        return journal.path


def map_file(out: Path, run: Run, sample: str, method: str) -> Path:
    """Where a map is kept."""
    return out / "maps" / f"{run.data}-{run.network}-seed{run.seed}" / f"{sample}-{method}.npz"


class _Worker:
    """Does the items of one run."""

    def __init__(self, bench: BenchConfig, run: Run, chosen: Chosen, journal: Journal, out: Path) -> None:
        self.run, self.out = run, out
        self.data = next(data for data in bench.data if data.name == run.data)
        self.methods = {method.label: method for method in bench.methods}
        self.items = {sample_name(item): item for item in chosen.explained}
        kept = len(self.items) if bench.maps == "all" else bench.maps
        self.examples = set(list(self.items)[:kept])
        limit = bench.metrics.stability_images
        self.perturbed = set(list(self.items)[: len(self.items) if limit is None else limit])
        config = next(network for network in bench.networks if network.name == run.network)
        channels = _first_image(self.data, chosen).shape[1]
        self.model = load_model(config, self.data, run.seed, channels, chosen.training, out / "networks")
        self.evidence = Evidence(
            self.model, run.seed, batch_size=bench.batch_size, execution=bench.execution, device=bench.device
        )
        self.measure = Measure(self.evidence, bench.metrics, run.seed)
        self._sample: tuple[str, Sample, float | None] | None = None
        self._introduce(journal)

    def __call__(self, block: Block, label: str) -> dict[str, Any]:
        """What came of a method on an image: its values, or the reason why there are none."""
        entry = {"kind": "item", **self.run.record(), "sample": block.sample, "method": label}
        try:
            sample, dice = self._read(block.sample)
            content, heat, seconds = self.measure(self.methods[label], sample, block.sample in self.perturbed)
            if block.sample in self.examples:
                self._keep(map_file(self.out, self.run, block.sample, label), sample, heat)
        # One image that fails, for whatever reason, must not take the others along; the report lists it.
        except Exception as error:
            logger.warning("%s, %s: %s", self.run.name, block.sample, reason_of(error))
            return {**entry, "status": "failed", "reason": reason_of(error)}
        content["values"]["dice"] = dice
        target = {"class": sample.class_idx, "pixels": int(sample.mask.sum())}
        return {**entry, "status": "ok", "reason": None, "target": target, **content, "seconds": seconds}

    def _read(self, name: str) -> tuple[Sample, float | None]:
        if self._sample is None or self._sample[0] != name:
            self._sample = None
            self.evidence.forget()
            sample = read_sample(self.data, self.items[name])
            self._sample = (name, sample, self.measure.dice(sample))
        return self._sample[1:]

    def _introduce(self, journal: Journal) -> None:
        """One line for the network. Its weights must be those that the journal knows."""
        key, network = f"network|{self.run.name}", self.model.network
        digest = weights_digest(network)
        known = journal.entries.get(key)
        if known is None:
            parameters = sum(one.numel() for one in network.parameters())
            kind = type(network).__name__
            content = {"class": kind, "weights": digest, "parameters": parameters, "layer": self._layer()}
            journal.append(key, {"kind": "network", **self.run.record(), **content})
        elif known["weights"] != digest:
            raise ValueError(
                f"the weights of network {self.run.network!r} are not those that the benchmark was begun with (digest "
                f"{digest}, {known['weights']} then): give the same checkpoint, or write to another folder."
            )

    def _layer(self) -> str | None:
        """Where gradients are taken: as named, or found on the first image that can be read."""
        for name in self.items if self.model.target_layer is None else ():
            try:
                sample, _ = self._read(name)
                self.evidence.heat(MethodConfig("ega"), sample.image, sample.class_idx, sample.mask)
                break
            except ValueError as error:
                logger.info("%s shows no target layer: %s", name, reason_of(error))
        return self.evidence.layer()

    def _keep(self, path: Path, sample: Sample, heat: Tensor) -> None:
        """A map with what it takes to draw it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"heat": heat[0, 0].numpy(), "image": sample.image[0].numpy(), "mask": sample.mask.numpy()}
        with draft_of(path) as draft, draft.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **content)


def _for(work: _Worker, keys: dict[str, tuple[Block, str]]) -> Callable[[str], dict[str, Any]]:
    return lambda key: work(*keys[key])


def _first_image(data: DataConfig, chosen: Chosen) -> Tensor:
    """The first image that can be read: it says how many channels there are."""
    problem: Exception | None = None
    for item in chosen.explained:
        try:
            return read_sample(data, item).image
        except ValueError as error:
            problem = error
    raise ValueError(f"data {data.name!r}: not one image has a target; the last one: {problem}")


def _begin(
    path: Path, bench: BenchConfig, chosen: dict[str, dict[int, Chosen]], blocks: list[Block], made_with: dict[str, str]
) -> None:
    """Write what is done, or check that it is what was begun here."""
    samples: dict[Run, list[str]] = {}
    for block in blocks:
        samples.setdefault(block.run, []).append(block.sample)
    content = {
        "schema": STUDY_SCHEMA,
        "digest": bench.digest(),
        "config": bench.record(),
        "versions": made_with,
        "runs": [{**run.record(), "samples": names} for run, names in samples.items()],
        "units": {data.name: units_of(data, chosen[data.name]) for data in bench.data},
    }
    if path.exists():
        known = json.loads(path.read_text(encoding="utf-8"))
        for key in content.keys() | known.keys():
            if known.get(key) != json.loads(json.dumps(content.get(key))):
                raise ValueError(
                    f"this folder holds a benchmark with another {key}. Go on with what it was begun with, or write to "
                    "another folder."
                )
        return
    write_json(path, content)
