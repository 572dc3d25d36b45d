# SPDX-License-Identifier: Apache-2.0
"""Run a study: train and test, one line in the journal per training, resumable at any point, in shards."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from monai_causal.apps.mcdrl import methods, training
from monai_causal.apps.mcdrl.config import LosoConfig, Method
from monai_causal.apps.mcdrl.judgement import RULE
from monai_causal.apps.mcdrl.measures import answer_of, look, measure_image, measure_invariance
from monai_causal.apps.mcdrl.method_names import METHODS
from monai_causal.apps.mcdrl.pictures import images_file, kept_file
from monai_causal.apps.mcdrl.plan import Run, plan, shard_of
from monai_causal.apps.mcdrl.results import RUN_SCHEMA, STUDY_SCHEMA, TIMING_SCHEMA, do_file, rows_file
from monai_causal.apps.mcdrl.rows import as_csv, write_csv
from monai_causal.apps.mcdrl.samples import Sample, Store
from monai_causal.apps.mcdrl.tasks import Task, TestSet, scenes_of, tasks_of
from monai_causal.apps.study.configuration import ConfigError
from monai_causal.apps.study.journal import Journal
from monai_causal.apps.study.training import weights_digest
from monai_causal.extras import require
from monai_causal.files import draft_of, write_json
from monai_causal.networks.blocks.confounder_prompts import read_confounders
from monai_causal.networks.nets.mcdrl import MCDRL
from monai_causal.versions import versions

__all__ = ["run_loso"]

Row = dict[str, Any]
logger = logging.getLogger(__name__)


def run_loso(config: LosoConfig, out: Path, shard: tuple[int, int] = (1, 1)) -> Path:
    """Do what is left of a study, and return its journal.

    One process does it, on one device; several share it by shards.

    Args:
        config: the settings.
        out: folder; made if it is not there. A study that was begun there goes on.
        shard: ``(i, n)``: only the i-th of n parts, in a journal of its own; several processes may share a folder.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1:
        raise ConfigError(
            f"WORLD_SIZE={processes}: a study does not share one training among processes. Start it without torchrun, "
            f"once for each part: --shard 1/{processes} to {processes}/{processes}, each with a device of its own."
        )
    for method in config.methods:
        _check_prompts(config, method)
    tasks = tasks_of(config.data, config.classes)
    runs = plan(config, [task.name for task in tasks])
    mine = shard_of(runs, shard)
    out.mkdir(parents=True, exist_ok=True)
    made_with = versions("torch", "monai", "numpy", "scipy", *_libraries(config))
    _begin(out / "study.json", config, tasks, made_with)
    part = "" if shard[1] == 1 else f"-{shard[0]}-of-{shard[1]}"
    stamp = {"schema": RUN_SCHEMA, "study": config.digest(), "versions": made_with}
    with (
        Journal(out / f"journal{part}.jsonl", stamp) as journal,
        Journal(out / f"timing{part}.jsonl", {"schema": TIMING_SCHEMA}) as timing,
    ):
        left = [run for run in mine if run.key not in journal.entries]
        work = _Worker(config, {task.name: task for task in tasks}, runs, out)
        work.tidy([run for run in mine if run.key in journal.entries])
        for run in tqdm(left, "trainings", total=len(mine), initial=len(mine) - len(left), disable=None):
            started = time.perf_counter()
            found = work(run)
            journal.append(run.key, found)
            timing.append(run.key, {"seconds": time.perf_counter() - started})
            work.tidy([run])
        return journal.path


class _Worker:
    """Does one run after the other; images are read once."""

    def __init__(self, config: LosoConfig, tasks: dict[str, Task], runs: Sequence[Run], out: Path) -> None:
        self.config, self.tasks, self.out = config, tasks, out
        self.numbers = {run: number for number, run in enumerate(runs)}
        self.store = Store(config.data.size, config.classes)
        self.scenes = scenes_of(config.data)
        device = config.device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.device = torch.device(device)
        for name in ("runs", "unfinished", *(["pictures"] if config.pictures else ())):
            (out / name).mkdir(exist_ok=True)

    def __call__(self, run: Run) -> Row:
        config, task, method = self.config, self.tasks[run.task], self.config.method(run.method)
        self.store.read(task.samples)
        settings = config.train_of(method)
        network, loss = methods.build(method.name, config.network_of(method), settings, config.classes, run.seed)
        sources = self.store.views(task.train, flips=settings.flips, seed=run.seed)
        chosen_by = self._chosen_by(task)
        validation = self.store.views(chosen_by, flips=False, seed=run.seed) if chosen_by else None
        trained = training.train(
            network, loss, sources, validation, settings, seed=run.seed, folder=self._folder(run), device=self.device,
            curves=self.out / "curves" / run.file(self.numbers[run]),
        )  # fmt: skip
        rows = [row for test in task.tests for row in self._tested(run, network, test, settings.batch_size)]
        write_csv(rows_file(self.out, run, self.numbers[run]), rows)
        do_rows = measure_invariance(network, self.scenes, self.store, self.device, settings.batch_size)
        do_rows = [{**run.record(), **row} for row in do_rows]
        if do_rows:
            write_csv(do_file(self.out, run, self.numbers[run]), do_rows)
        self._keep(run, network, task, settings.batch_size)
        sizes = [(one.numel(), one.requires_grad) for one in network.parameters()]
        return {
            **run.record(),
            "epochs": trained.epochs,
            "best_epoch": trained.best_epoch,
            "losses": [value if math.isfinite(value) else None for value in trained.losses],
            "parameters": sum(size for size, _ in sizes),
            "trained_parameters": sum(size for size, learns in sizes if learns),
            # The best epoch may be one before the intervention was switched on.
            "intervening": bool(network.intervening) if isinstance(network, MCDRL) else None,
            "weights": weights_digest(network),
            "images": len(rows),
            "rows": _digest(rows),
            "do_rows": _digest(do_rows) if do_rows else None,
        }

    def tidy(self, runs: Sequence[Run]) -> None:
        """A finished run needs nothing to go on with."""
        for run in runs:
            shutil.rmtree(self._folder(run), ignore_errors=True)

    def _folder(self, run: Run) -> Path:
        return self.out / "unfinished" / run.file(self.numbers[run])

    def _chosen_by(self, task: Task) -> tuple[Sample, ...]:
        """The images that the epoch is chosen by."""
        if self.config.selection == "oracle":
            return tuple(sample for test in task.tests if test.kind == "out" for sample in test.samples)
        return task.validation if self.config.selection == "validation" else ()

    def _tested(self, run: Run, network: nn.Module, test: TestSet, batch_size: int) -> list[Row]:
        seen = look(network, test.samples, self.store, self.device, batch_size)
        return [
            {
                **run.record(), "set": test.name, "kind": test.kind, "site": sample.site, "sample": sample.name,
                "group": sample.group, "condition": sample.condition, **measure_image(one, self.store.truth(sample)),
            }
            for sample, one in zip(test.samples, seen, strict=True)
        ]  # fmt: skip

    def _keep(self, run: Run, network: nn.Module, task: Task, batch_size: int) -> None:
        """What pictures are made of, and the weights if they are asked for."""
        if self.config.keep_weights:
            (self.out / "weights").mkdir(exist_ok=True)
            with draft_of(self.out / "weights" / f"{run.file(self.numbers[run])}.pt") as draft:
                torch.save(network.state_dict(), draft)
        if not self.config.pictures or run.seed != self.config.seeds[0]:
            return
        shown = [(test, one) for test in task.tests for one in _some(test.samples, self.config.pictures)]
        samples = [sample for _, sample in shown]
        seen = list(look(network, samples, self.store, self.device, batch_size))
        size = (self.config.data.size, self.config.data.size)
        masks = torch.stack([answer_of(one.logits, size) for one in seen]).to(torch.uint8)
        content = {"samples": np.array([one.name for one in samples]), "masks": masks.numpy()}
        features = [one.feature for one in seen if one.feature is not None]
        if features:
            content["features"] = torch.stack(features).numpy()
        _save(kept_file(self.out, run, self.numbers[run]), content)
        images = images_file(self.out, task.name)
        if not images.exists():
            pixels = (255 * self.store.images(samples)).round().to(torch.uint8)
            content = {
                "samples": content["samples"],
                "sets": np.array([test.name for test, _ in shown]),
                "kinds": np.array([test.kind for test, _ in shown]),
                "conditions": np.array([one.condition for one in samples]),
                "images": pixels.numpy(),
                "labels": self.store.labels(samples)[:, 0].to(torch.uint8).numpy(),
            }
            _save(images, content)


def _check_prompts(config: LosoConfig, method: Method) -> None:
    """A dictionary that cannot be read shows now, not when its turn comes."""
    if METHODS[method.name].family != "mcdrl":
        return
    network = config.network_of(method)
    try:
        read_confounders(network.confounders, network.count)
    except ValueError as error:
        raise ConfigError(f"method {method.label!r}: {error}") from None


def _libraries(config: LosoConfig) -> list[str]:
    """Those that CLIP and its adapters come from, where a method has them."""
    with_clip = [config.network_of(one) for one in config.methods if METHODS[one.name].family != "unet"]
    used = {"open_clip": bool(with_clip), "peft": any(one.tune == "lora" for one in with_clip)}
    distributions = {"open_clip": "open_clip_torch", "peft": "peft"}
    for name in [name for name, is_used in used.items() if is_used]:
        require(name)  # what is not installed shows now
    return [distributions[name] for name, is_used in used.items() if is_used]


def _begin(path: Path, config: LosoConfig, tasks: Sequence[Task], made_with: dict[str, str]) -> None:
    """Write what is done and by what rule it will be judged, or check that it is what was begun here."""
    content = {
        "schema": STUDY_SCHEMA,
        "digest": config.digest(),
        "rule": RULE,
        "config": config.record(),
        "versions": made_with,
        "tasks": [task.record() for task in tasks],
    }
    if path.exists():
        known = json.loads(path.read_text(encoding="utf-8"))
        for key in content.keys() | known.keys():
            if known.get(key) != json.loads(json.dumps(content.get(key))):
                raise ValueError(
                    f"this folder holds a study with another {key}. Go on with what it was begun with, or write to "
                    "another folder."
                )
        return
    write_json(path, content)


def _some(samples: Sequence[Sample], count: int) -> list[Sample]:
    """So many, drawn by the number that a name ends with: of phantoms, the same scenes under every law."""

    def drawn(place: int) -> bytes:
        return hashlib.sha256(samples[place].name.rpartition("-")[2].encode()).digest()

    return [samples[place] for place in sorted(sorted(range(len(samples)), key=drawn)[:count])]


def _save(path: Path, content: dict[str, np.ndarray]) -> None:
    with draft_of(path) as draft, draft.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **content)


def _digest(rows: Sequence[Row]) -> str:
    return hashlib.sha256(as_csv(rows).encode()).hexdigest()[:16]
