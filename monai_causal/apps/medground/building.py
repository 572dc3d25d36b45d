# SPDX-License-Identifier: Apache-2.0
"""Build a benchmark for one model: every candidate through the causal filter, every fate kept.

A folder holds ``build.json`` (what is built), ``fates*.jsonl`` (one line per candidate and mode, append-only, so that a
build goes on where it was killed), the images and outlines of what was kept, and the published record files.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from monai_causal.apps.medfocus.attribute_asking import ask, picture_of
from monai_causal.apps.medfocus.vlm.interface import AnsweringModel
from monai_causal.apps.medfocus.vlm.prompts import Mode
from monai_causal.apps.medground.candidates import Candidate, Case, Mask, Pixels, Source, box_mask
from monai_causal.apps.medground.checks import measured, problem_of
from monai_causal.apps.medground.editors.base import Editor
from monai_causal.apps.medground.editors.cache import EditCache
from monai_causal.apps.medground.editors.prompts import NOTHING_ABNORMAL, absent
from monai_causal.apps.medground.filtering import EDITS, EditProblemError, Fate, Reply, filtered, needed
from monai_causal.apps.medground.frame import Frame, frame_of
from monai_causal.apps.medground.models import identity
from monai_causal.apps.study.journal import Journal
from monai_causal.apps.study.lines import reason_of
from monai_causal.files import draft_of, write_json
from monai_causal.versions import versions

__all__ = ["BUILD_SCHEMA", "FATES_SCHEMA", "Build", "BuildConfig", "build_benchmark", "digest_of"]

BUILD_SCHEMA = "monai_causal/medground-build/1"
FATES_SCHEMA = "monai_causal/medground-fates/1"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """How candidates are filtered.

    Args:
        count: of the candidates, before the filter; None takes all that the source has.
        modes: in which the model answers; each filters for itself.
        negatives: share of the candidates that ask about what is not there.
        resolution: longer side at which all images of a sample are shown and edited; None: as they are.
        seeds: edits per step.
        agreement: share of the seeds that must answer as a step wants.
        sham: ask about sham edits, too.
        max_new_tokens: of an answer.
    """

    count: int | None
    modes: tuple[Mode, ...] = ("direct", "reasoning")
    negatives: float = 0.25
    resolution: int | None = None
    seeds: int = 1
    agreement: float = 1.0
    sham: bool = False
    max_new_tokens: int = 256

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ValueError(f"count={self.count}: at least one candidate.")
        if not self.modes or len(set(self.modes)) < len(self.modes):
            raise ValueError(f"modes={self.modes}: one of direct and reasoning, or both.")
        if not 0 <= self.negatives < 1:
            raise ValueError(f"negatives={self.negatives}: a share of at least 0 and below 1, such as 0.25.")
        if self.resolution is not None and self.resolution < 32:
            raise ValueError(f"resolution={self.resolution}: at least 32 pixels.")
        needed(self.seeds, self.agreement)


@dataclass(frozen=True, eq=False)
class Build:
    """Who is asked about what, and who edits.

    Args:
        vlm: the model.
        model: what records call it.
        source: of images and questions.
        editor: of images whose causes nobody knows; a source that knows them brings its own.
    """

    vlm: AnsweringModel
    model: str
    source: Source
    editor: Editor | None = None


def build_benchmark(build: Build, config: BuildConfig, out: Path, shard: tuple[int, int] = (1, 1)) -> Path:
    """Do what is left of a build, and return its journal.

    Args:
        build: who and what.
        config: how.
        out: folder; made if it is not there. A build that was begun there goes on.
        shard: ``(i, n)``: only the i-th of n parts of the images, in a journal of its own; several processes may share
            a folder.
    """
    (out / "images").mkdir(parents=True, exist_ok=True)
    stated = _begin(build, config, out)
    part = "" if shard[1] == 1 else f"-{shard[0]}-of-{shard[1]}"
    stamp = {"schema": FATES_SCHEMA, "study": stated["digest"], "versions": stated["versions"]}
    cache = EditCache(out / "edits") if build.editor is not None else None
    with (
        Journal(out / f"fates{part}.jsonl", stamp) as journal,
        tqdm(total=config.count, desc="candidates", disable=None) as bar,
    ):
        for number, case in enumerate(build.source.cases(config.count, config.negatives)):
            if number % shard[1] == shard[0] - 1:
                _one_case(build, config, case, journal, out, cache)
            bar.update(len(case.candidates))
        return journal.path


def digest_of(content: Any) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of what JSON makes of it."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _begin(build: Build, config: BuildConfig, out: Path) -> dict[str, Any]:
    """Write what is built, or check that it is what is being built there already."""
    settings = {
        "model": identity(build.vlm, build.model),
        "source": build.source.record,
        "editor": None if build.editor is None else build.editor.record,
        "config": {**asdict(config), "modes": list(config.modes)},
    }
    # `device` or `batch size` change the time, not the result, and are no part of it.
    stated = {
        "schema": BUILD_SCHEMA,
        "digest": digest_of(settings),
        **json.loads(json.dumps(settings)),
        "versions": versions("torch", "monai", "numpy", "scipy"),
    }
    path = out / "build.json"
    if path.exists():
        known = json.loads(path.read_text(encoding="utf-8"))
        for key in ("schema", "model", "source", "editor", "config", "versions"):
            if known.get(key) != stated[key]:
                raise ValueError(
                    f"{key}: what is in this folder was begun with {json.dumps(known.get(key))}, now it is "
                    f"{json.dumps(stated[key])}. Go on with what it was begun with, or build in another folder."
                )
        return stated
    write_json(path, stated)
    return stated


def _one_case(
    build: Build, config: BuildConfig, case: Case, journal: Journal, out: Path, cache: EditCache | None
) -> None:
    keys = {
        f"{mode}|{case.name}|{candidate.finding}|{candidate.index}": (mode, candidate)
        for candidate in case.candidates
        for mode in config.modes
    }
    seen: _Seen | None = None
    for key, (mode, candidate) in keys.items():
        if key in journal.entries:
            continue
        entry = {"mode": mode, "case": case.name, **_plain(candidate)}
        # One image that fails, for whatever reason, must not take the others along, and must not vanish.
        try:
            seen = seen or _Seen(build, config, case, cache)
            sample = _Sample(seen, case.located(candidate))
            fate = sample.fate(mode)
            entry |= {**_plain(sample.candidate), **sample.record, **_told(fate, sample.edits)}
            if fate.fate == "kept":
                entry |= _keep(sample, out)
        except Exception as error:
            logger.warning("%s, %s: %s", case.name, candidate.finding, reason_of(error))
            entry |= {"fate": "error", "reason": reason_of(error)}
        journal.append(key, entry)


@dataclass(eq=False)
class _Seen:
    """What the questions about one image share."""

    build: Build
    config: BuildConfig
    case: Case
    cache: EditCache | None
    image: Pixels = field(init=False)
    frame: Frame = field(init=False)

    def __post_init__(self) -> None:
        native = self.case.pixels()
        size = (int(native.shape[0]), int(native.shape[1]))
        self.frame = frame_of(size, self.config.resolution)
        self.image = self.frame.image(native)


class _Sample:
    """One question about one image, and what was done to answer it."""

    def __init__(self, seen: _Seen, candidate: Candidate) -> None:
        self.seen, self.candidate = seen, candidate
        if candidate.positive and not candidate.boxes:
            raise ValueError(f"{candidate.finding} is there but no box says where; it cannot be edited away.")
        shape = seen.image.shape
        self.inside = box_mask(seen.frame.boxes(candidate.boxes), (shape[0], shape[1]))
        exact = seen.case.editor(candidate)
        if exact is not None and seen.frame.native != seen.frame.shown:
            raise ValueError("resolution: exact edits are made at the image's own size; leave it out.")
        self.editor: Editor | None = exact or seen.build.editor
        self.edits: dict[str, list[dict[str, Any]]] = {}

    def fate(self, mode: Mode) -> Fate:
        """Through the filter, in one mode."""
        config = self.seen.config
        self.edits = {}
        return filtered(
            "yes" if self.candidate.positive else "no",
            lambda image, seed: self._reply(mode, image, seed),
            steps=self.steps,
            seeds=config.seeds,
            agreement=config.agreement,
            sham=config.sham and self.editor is not None,
        )

    @property
    def steps(self) -> tuple[str, ...]:
        """The edits that there are. A finding that is not there has no box to paint in: only an exact editor can put
        it there, and the others are judged by the background alone."""
        if self.editor is None:
            raise ValueError("no editor: a source of images with unknown causes needs one.")
        if self.candidate.positive or self.editor.exact:
            return EDITS
        return ("background_normal",)

    @property
    def record(self) -> dict[str, Any]:
        assert self.editor is not None
        frame = self.seen.frame
        return {
            "size": list(frame.native),
            "shown": list(frame.shown),
            "image_sha256": hashlib.sha256(self.seen.image.tobytes()).hexdigest(),
            "editor": self.editor.record,
        }

    def _reply(self, mode: Mode, image: str, seed: int) -> Reply:
        seen = self.seen
        pixels = seen.image if image == "original" else self._edited(image, seed)
        grey = torch.from_numpy(pixels.astype(np.float32) / 255)
        asked = ask(
            seen.build.vlm,
            picture_of(grey),
            [self.candidate.question],
            mode,
            max_new_tokens=seen.config.max_new_tokens,
        )[0]
        return Reply(asked.answer.text, asked.reading)

    def _edited(self, edit: str, seed: int) -> Pixels:
        editor, before = self.editor, self.seen.image
        assert editor is not None
        mask, prompt = self._told_to(edit)

        def make() -> Pixels:
            if edit == "sham":
                return editor.sham(before, mask, seed)
            return editor(before, mask, prompt, seed)

        cache = None if editor.exact else self.seen.cache
        request = {"editor": editor.record, "mask": _sha(mask), "prompt": prompt, "seed": seed, "edit": edit == "sham"}
        after = make() if cache is None else cache(before, request, make)
        found = measured(before, after, mask)
        problem = problem_of(found, editor.exact, must_change=edit == "foreground")
        self.edits.setdefault(edit, []).append({"sha256": _sha(after), "prompt": prompt, "seed": seed, **found})
        if problem is not None:
            raise EditProblemError(edit, problem)
        return after

    def _told_to(self, edit: str) -> tuple[Mask, str]:
        """Where an edit changes something, and its prompt."""
        attribute, everywhere = self.candidate.attribute, np.ones_like(self.inside)
        inside = self.inside if self.candidate.positive else everywhere
        outside = ~self.inside
        if edit == "foreground":
            return inside, absent(attribute) if self.candidate.positive else attribute
        if edit == "background":
            return outside, absent(attribute)
        return (outside, NOTHING_ABNORMAL) if edit == "background_normal" else (inside, "")


def _told(fate: Fate, edits: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    replies = {
        image: [{"text": one.text, "reading": one.reading} for one in some] for image, some in fate.replies.items()
    }
    return {"fate": fate.fate, "reason": fate.reason, "replies": replies, "edits": dict(edits)}


def _keep(sample: _Sample, out: Path) -> dict[str, Any]:
    """Write what an evaluation needs to see: the image as it was shown, and the finding's outline."""
    digest = hashlib.sha256(sample.seen.image.tobytes()).hexdigest()[:16]
    kept = {"image": f"images/{digest}.png"}
    _write(out / kept["image"], sample.seen.image)
    mask = sample.seen.case.mask(sample.candidate)
    if mask is not None:
        shown = sample.seen.frame.mask(mask)
        kept["mask"] = f"images/{digest}-{sample.candidate.index}.png"
        _write(out / kept["mask"], 255 * shown.astype(np.uint8))
    return kept


def _write(path: Path, pixels: Pixels) -> None:
    if not path.exists():
        with draft_of(path) as draft:
            Image.fromarray(pixels).save(draft)


def _sha(array: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def _plain(candidate: Candidate) -> dict[str, Any]:
    content = asdict(candidate)
    return {**content, "boxes": [list(box) for box in candidate.boxes], "concepts": list(candidate.concepts)}
