# SPDX-License-Identifier: Apache-2.0
"""Run a study: networks x images x RoIs x methods, one line in the journal per item, resumable at any point."""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn
from tqdm.auto import tqdm

from monai_causal.apps.pdcr_study.config import NetworkConfig, StudyConfig
from monai_causal.apps.pdcr_study.fills import compare_fills
from monai_causal.apps.pdcr_study.images import Images, Subject, find_rois, read_images
from monai_causal.apps.pdcr_study.journal import Journal
from monai_causal.apps.pdcr_study.methods import ask
from monai_causal.apps.pdcr_study.networks import load_network
from monai_causal.apps.pdcr_study.questions import Question, measuring_seed
from monai_causal.apps.pdcr_study.verification import trace
from monai_causal.apps.study.lines import reason_of
from monai_causal.apps.study.training import weights_digest
from monai_causal.files import draft_of
from monai_causal.intervene import DonorPatchFill, Evaluator
from monai_causal.intervene.regions import Box, coverage
from monai_causal.intervene.scores import hard_answer
from monai_causal.versions import versions

__all__ = ["Item", "plan", "run_study"]

logger = logging.getLogger(__name__)

Answer = tuple[dict[str, Any], "Tensor | None"]
Task = tuple[str, str, Callable[[Question], Answer]]
"""Its name, its kind, and how it is answered."""
Found = tuple[str, str, "Box | Tensor | None", str]
"""The name of a RoI, the rule that found it, where it is, and why there is none."""


@dataclass(frozen=True, eq=False)
class Item:
    """One line of the journal to be.

    Attributes:
        order: its place in the study, whatever the order in which items finish.
        network: of the study.
        subject: the image.
        roi: its name.
        rule: the name of the rule that found it.
        task: what is asked: a method's label, ``fills``, or a kind of error to trace.
        kind: ``method``, ``components``, ``fills`` or ``tracing``.
        place: the RoI; the whole image where the task finds its own, ``None`` where there is none.
        answer: asks.
        problem: why there is nothing to ask.
        example: whether the map is kept.
    """

    order: int
    network: NetworkConfig
    subject: Subject
    roi: str
    rule: str
    task: str
    kind: str
    place: Box | Tensor | None
    answer: Callable[[Question], Answer]
    problem: str = ""
    example: bool = False

    @property
    def key(self) -> str:
        return f"{self.network.name}|{self.subject.name}|{self.roi}|{self.task}"


def plan(study: StudyConfig, subjects: Sequence[Subject]) -> list[Item]:
    """All items of a study, network by network and image by image."""
    return [
        Item(order, network, subject, roi, rule, task, kind, place, answer, problem, number < study.examples)
        for order, (network, (number, subject), (roi, rule, place, problem), (task, kind, answer)) in enumerate(
            (network, numbered, found, task)
            for network in study.networks
            for numbered in enumerate(subjects)
            for found, tasks in _asked(study, numbered[1])
            for task in tasks
        )
    ]


def run_study(study: StudyConfig, out: Path, shard: tuple[int, int] = (1, 1)) -> Path:
    """Do what is left of a study, and return its journal.

    Args:
        study: the settings.
        out: folder; made if it is not there. A study that was begun there goes on.
        shard: ``(i, n)``: only the i-th of n parts, in a journal of its own; several processes may share a folder.
    """
    part, parts = shard
    out.mkdir(parents=True, exist_ok=True)
    images = read_images(study)
    channels = images.subjects[0].image.shape[1]
    for network in study.networks:  # a checkpoint that does not fit shows now, not after hours
        if network.checkpoint is not None:
            load_network(study, network, channels, out / "networks")
    items = plan(study, images.subjects)
    mine = items[part - 1 :: parts]
    name = "journal" if parts == 1 else f"journal-{part}-of-{parts}"
    head = {
        "config": study.record(),
        "images": {subject.name: subject.digest for subject in images.subjects},
        "donors": [one.digest for one in images.bank.images],
        "items": len(items),
        "shard": list(shard),
        "versions": versions("torch", "monai", "numpy", "scipy"),
    }
    with (
        Journal(out / f"{name}.jsonl", head) as journal,
        _Stopwatch(out / f"timing{name.removeprefix('journal')}.csv") as stopwatch,
    ):
        _run(study, images, mine, journal, stopwatch, out)
        return journal.path


def _run(
    study: StudyConfig, images: Images, items: Sequence[Item], journal: Journal, stopwatch: _Stopwatch, out: Path
) -> None:
    done = sum(item.key in journal.entries for item in items)
    with tqdm(total=len(items), initial=done, desc="study", disable=None) as bar:
        for config in study.networks:
            left = [item for item in items if item.network is config and item.key not in journal.entries]
            if not left:
                continue
            network = load_network(study, config, images.subjects[0].image.shape[1], out / "networks")
            evaluator = Evaluator(
                network, seed=measuring_seed(study), device=study.device, batch_size=study.batch_size
            )  # fmt: skip
            _introduce(study, config, network, evaluator, images, journal)
            for item in left:
                started = time.perf_counter()
                journal.append(item.key, _entry(item, _outcome(study, item, network, evaluator, images, out)))
                stopwatch.note(item.key, time.perf_counter() - started)
                bar.update()


def _outcome(
    study: StudyConfig, item: Item, network: nn.Module, evaluator: Evaluator, images: Images, out: Path
) -> dict[str, Any]:
    """What came of an item: a result, or the reason why there is none."""
    if item.place is None:
        return {"status": "failed", "reason": item.problem, "result": None}
    try:
        bank = images.bank.without(image=item.subject.image)
        fill = DonorPatchFill(bank.patches)
        question = Question(study, network, evaluator, item.subject, item.place, fill, images.donors)
        result, heat = item.answer(question)
    # One item that fails, out of memory or out of luck, must not take the others along; the report lists it.
    except Exception as error:
        logger.warning("%s failed: %s", item.key, reason_of(error))
        return {"status": "failed", "reason": reason_of(error), "result": None}
    if item.example and heat is not None and heat.ndim == 2:  # a table of volumes would show nothing
        _keep_map(out / "maps", item, question, heat)
    return {"status": "ok", "reason": None, "result": result}


def _entry(item: Item, outcome: dict[str, Any]) -> dict[str, Any]:
    return {
        "order": item.order,
        "network": item.network.name,
        "image": item.subject.name,
        "unit": item.subject.unit,
        "roi": item.roi,
        "rule": item.rule,
        "task": item.task,
        "kind": item.kind,
        **outcome,
    }


def _introduce(
    study: StudyConfig,
    config: NetworkConfig,
    network: nn.Module,
    evaluator: Evaluator,
    images: Images,
    journal: Journal,
) -> None:
    """One line per network: its weights' digest, and how well it segments what is explained. Its weights must be the
    ones that the journal knows."""
    key, digest = f"network|{config.name}", weights_digest(network)
    if key in journal.entries:
        known = journal.entries[key]["weights"]
        if known != digest:
            raise ValueError(
                f"the weights of network {config.name!r} are not those that the study was begun with (digest {digest}, "
                f"{known} then): give the same checkpoint, or write to another folder."
            )
        return
    overlaps = []
    for subject in images.subjects:
        output = evaluator.answer(subject.image)
        index = 0 if output.shape[1] == 1 else subject.class_idx or 0
        answer = hard_answer(output, index, "auto", study.threshold)[0].cpu()
        both = int(answer.sum() + subject.inside.sum())
        overlaps.append(200.0 * int((answer & subject.inside).sum()) / both if both else None)
    parameters = sum(one.numel() for one in network.parameters())
    journal.append(key, {"kind": "network", "weights": digest, "parameters": parameters, "dice": overlaps})


def _asked(study: StudyConfig, subject: Subject) -> Iterator[tuple[Found, list[Task]]]:
    """The RoIs of an image, each with what is asked about it."""
    tasks: list[Task] = [
        (method.label, "components" if method.regions == "components" else "method", _method(method))
        for method in study.methods
    ]
    if study.fills is not None:
        tasks.append(("fills", "fills", _fills(study.fills)))
    for rule in study.rois if tasks else ():
        try:
            rois = find_rois(subject, rule, study.patch_size)
            found: list[Found] = [(name, rule.name, place, "") for name, place in rois]
        except ValueError as error:
            found = [(rule.name, rule.name, None, f"no RoI: {error}")]
        for one in found:
            yield one, tasks
    if study.tracing is not None:
        errors = [(error, "tracing", _tracing(error, study.tracing)) for error in study.tracing.errors]
        yield ("own", "own", tuple((0, length) for length in subject.inside.shape), ""), errors


def _method(method: Any) -> Callable[[Question], Answer]:
    return lambda question: ask(question, method)


def _fills(settings: Any) -> Callable[[Question], Answer]:
    return lambda question: (dict(compare_fills(question, settings)), None)


def _tracing(error: str, settings: Any) -> Callable[[Question], Answer]:
    return lambda question: (trace(question, error, settings), None)


def _keep_map(folder: Path, item: Item, question: Question, heat: Tensor) -> None:
    """The map, with what it takes to draw it."""
    folder.mkdir(exist_ok=True)
    subject = question.subject
    content = {
        "heat": heat.numpy(),
        "image": subject.image[0].numpy(),
        "roi": coverage(question.roi, subject.inside.shape).numpy(),
        "inside": subject.inside.numpy(),
    }
    with draft_of(folder / f"{item.order:06d}.npz") as draft, draft.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **content)


class _Stopwatch:
    """Seconds per item, in a file of their own: no other file depends on how fast the machine was."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", newline="", encoding="utf-8")
        self._rows = csv.writer(self._file)
        if not self._file.tell():
            self._rows.writerow(("key", "seconds"))

    def note(self, key: str, seconds: float) -> None:
        self._rows.writerow((key, f"{seconds:.3f}"))
        self._file.flush()

    def __enter__(self) -> _Stopwatch:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
