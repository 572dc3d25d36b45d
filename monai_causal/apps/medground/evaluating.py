# SPDX-License-Identifier: Apache-2.0
"""Evaluate methods on a benchmark: one line in the journal per (mode, sample, method), resumable, in shards."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from monai_causal.apps.medfocus.attribute import MedFocus
from monai_causal.apps.medfocus.baselines.registry import METHODS, Method, build_method
from monai_causal.apps.medfocus.result import Attribution, MedFocusResult
from monai_causal.apps.medfocus.segmenter import Concepts, ConceptSegmenter
from monai_causal.apps.medfocus.vlm.interface import AnsweringModel
from monai_causal.apps.medfocus.vlm.prompts import Mode, finding_question
from monai_causal.apps.medground.candidates import Pixels, box_mask
from monai_causal.apps.medground.fates import kept_by_mode, read_build, read_fates
from monai_causal.apps.medground.frame import Frame
from monai_causal.apps.medground.models import Remembering, identity
from monai_causal.apps.medground.plan import Item, items_of, shard_of, tasks_of
from monai_causal.apps.medground.scoring import scored
from monai_causal.apps.study.journal import Journal, carry_out
from monai_causal.apps.study.lines import Entry, reason_of
from monai_causal.versions import versions

__all__ = ["FOLDER", "SCHEMA", "TIMING_SCHEMA", "default_methods", "evaluate_benchmark"]

SCHEMA = "monai_causal/medground-evaluation/1"
TIMING_SCHEMA = "monai_causal/medground-timing/1"
FOLDER = "evaluation"
"""Of the journals, in the benchmark's folder."""

logger = logging.getLogger(__name__)

NEEDS_MORE = ("prompt-phrases",)
"""Methods that need a model of their own."""


def default_methods() -> tuple[str, ...]:
    """All methods that need nothing but the model."""
    return tuple(name for name in METHODS if name not in NEEDS_MORE)


def evaluate_benchmark(
    folder: Path,
    vlm: AnsweringModel,
    name: str,
    methods: Sequence[str] | None = None,
    modes: Sequence[Mode] | None = None,
    shard: tuple[int, int] = (1, 1),
    *,
    limit: int | None = None,
    segmenter: Callable[[Any], Concepts] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Do what is left of an evaluation, and return its journal.

    Args:
        folder: of the benchmark. An evaluation that was begun there goes on; further methods may join later.
        vlm: the model that it was built with.
        name: of the model, as it was called then.
        methods: by id; by default :func:`default_methods`.
        modes: by default those of the benchmark.
        shard: ``(i, n)``: only the i-th of n parts of the images, in a journal of its own; several processes may share
            a folder.
        limit: only the first so many samples of each mode.
        segmenter: finds MedFocus's concepts; by default the network that comes along.
        options: by method, what it is built with beside the model, such as a detector.
    """
    build = read_build(folder)
    _check_same_model(build, identity(vlm, name))
    wanted = tuple(modes) if modes is not None else tuple(build["config"]["modes"])
    for mode in wanted:
        if mode not in get_args(Mode):
            raise ValueError(f"mode={mode!r}: one of {', '.join(get_args(Mode))}.")
    fates = read_fates(folder)
    kept = {mode: samples for mode, samples in kept_by_mode(fates).items() if mode in wanted}
    if not any(kept.values()):
        raise ValueError(f"nothing to evaluate: of {len(fates)} samples none passed the filter in {', '.join(wanted)}.")
    chosen = tuple(dict.fromkeys(methods)) if methods is not None else default_methods()
    worker = _Worker(folder, Remembering(vlm), chosen, segmenter or ConceptSegmenter(), options or {})
    worker.samples = {(mode, one["index"]): one for mode, some in kept.items() for one in some}
    mine = shard_of(tasks_of(kept, limit), shard)
    items = {item.key: item for item in items_of(mine, chosen)}
    out = folder / FOLDER
    out.mkdir(exist_ok=True)
    stamp = {"schema": SCHEMA, "study": build["digest"], "versions": versions("torch", "monai", "numpy", "scipy")}
    part = "" if shard[1] == 1 else f"-{shard[0]}-of-{shard[1]}"
    with (
        Journal(out / f"journal{part}.jsonl", stamp) as journal,
        Journal(out / f"timing{part}.jsonl", {"schema": TIMING_SCHEMA}) as timing,
    ):
        worker.introduce(journal)
        carry_out(items, lambda key: worker(items[key]), journal, timing, "explanations")
        return journal.path


class _Worker:
    """Explains one answer with one method, and scores the explanation."""

    samples: Mapping[tuple[str, int], Entry]

    def __init__(
        self,
        folder: Path,
        vlm: Remembering,
        methods: Sequence[str],
        segmenter: Callable[[Any], Concepts],
        options: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.folder, self.segmenter = folder, _Shared(segmenter)
        self.methods: dict[str, Method] = {}
        for name in methods:
            given = dict(options.get(name, {}))
            if name == MedFocus.name:
                # The margin under further maskings costs twice the forwards again and changes no score.
                given = {"also": (), "segmenter": self.segmenter, **given}
            self.methods[name] = build_method(name, vlm, **given)

    def introduce(self, journal: Journal) -> None:
        """One line per method; its settings must be those that the journal knows."""
        for name, method in self.methods.items():
            key, settings = f"method|{name}", settings_of(method)
            known = journal.entries.get(key)
            if known is None:
                journal.append(key, {"kind": "method", "method": name, "settings": settings})
            elif known["settings"] != settings:
                raise ValueError(
                    f"{name} was begun with {known['settings']}, now it has {settings}. Go on with what it was begun "
                    "with, or copy the benchmark to another folder."
                )

    def __call__(self, item: Item) -> dict[str, Any]:
        """What came of it: values, or the reason why there are none."""
        sample = self.samples[item.mode, item.index]
        entry = {
            "kind": "item",
            "mode": item.mode,
            "case": item.case,
            "index": item.index,
            "finding": item.finding,
            "method": item.method,
        }
        # One sample that fails, for whatever reason, must not take the others along; the report counts it.
        try:
            result = self._explained(item, sample)
            values = self._scored(result, sample)
        except Exception as error:
            logger.warning("%s: %s", item.key, reason_of(error))
            return {**entry, "status": "failed", "reason": reason_of(error)}
        seconds = result.runtime.seconds - result.runtime.parts.get("answer", 0.0)
        if isinstance(result, MedFocusResult):
            seconds += self.segmenter.seconds_saved
        said = {
            "boxes": [list(box) for box in result.boxes],
            "whole_image": result.whole_image,
            "concept": getattr(result, "concept", None),
            "forwards": result.runtime.forwards,
        }
        return {**entry, "status": "ok", "reason": None, "values": values, **said, "seconds": seconds}

    def _explained(self, item: Item, sample: Entry) -> Attribution:
        pixels = _read(self.folder / sample["image"])
        if hashlib.sha256(pixels.tobytes()).hexdigest() != sample["image_sha256"]:
            raise ValueError("the image is not the one that passed the filter: it was changed since")
        grey = torch.from_numpy(pixels.astype(np.float32) / 255)
        result = self.methods[item.method].attribute(grey, finding_question(sample["attribute"]), item.mode)
        said, then = result.answer.text, sample["replies"]["original"][0]["text"]
        if said != then:
            raise ValueError(f"the model answers {said!r} where it said {then!r} when the benchmark was built")
        return result

    def _scored(self, result: Attribution, sample: Entry) -> dict[str, float]:
        frame = Frame(_pair(sample["size"]), _pair(sample["shown"]))
        if "mask" in sample:
            mask = _read(self.folder / sample["mask"]) > 0
        else:
            mask = box_mask(frame.boxes([tuple(box) for box in sample["boxes"]]), frame.shown)
        return scored(result, sample["boxes"], sample["concepts"], mask, frame)


class _Shared:
    """A segmenter that looks at an image once, however many questions are about it."""

    def __init__(self, segmenter: Callable[[Any], Concepts]) -> None:
        self.segmenter = segmenter
        self.seconds_saved = 0.0
        """What the last call would have cost, had it not been remembered."""
        self._last: tuple[str, Concepts, float] | None = None

    def __call__(self, image: Tensor) -> Concepts:
        digest = hashlib.sha256(image.numpy().tobytes()).hexdigest()
        if self._last is not None and self._last[0] == digest:
            self.seconds_saved = self._last[2]
            return self._last[1]
        start = time.perf_counter()
        found = self.segmenter(image)
        self._last = digest, found, time.perf_counter() - start
        self.seconds_saved = 0.0
        return found


def settings_of(method: Method) -> dict[str, Any]:
    """What a method was built with, as far as results depend on it."""
    plain = (str, int, float, bool, type(None))
    kept: dict[str, Any] = {name: value for name, value in vars(method).items() if isinstance(value, plain)}
    kept |= getattr(method, "settings", {})
    if isinstance(method, MedFocus):
        kept["maskings"] = list(method.maskings)
    return {name: value for name, value in sorted(kept.items()) if name not in ("batch_size", "progress")}


def _check_same_model(build: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    for key in {**build["model"], **here}:
        if build["model"].get(key) != here.get(key):
            raise ValueError(
                f"the benchmark was built with another model: its {key} was {build['model'].get(key)!r} and is "
                f"{here.get(key)!r} now. Samples pass the filter for one model; build a benchmark for this one."
            )


def _read(path: Path) -> Pixels:
    with Image.open(path) as picture:
        return np.asarray(picture, dtype=np.uint8)


def _pair(size: Sequence[int]) -> tuple[int, int]:
    return int(size[0]), int(size[1])
