# SPDX-License-Identifier: Apache-2.0
"""What an attribution says, the same for MedFocus and every other method, and how it is kept as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import monai
import numpy as np
import torch
from monai.data import MetaTensor
from torch import Tensor

from monai_causal import __version__
from monai_causal.apps.medfocus.attribute_asking import Asked, Picture
from monai_causal.apps.medfocus.margin import Margin
from monai_causal.apps.medfocus.vlm.answers import Reading
from monai_causal.apps.medfocus.vlm.interface import Answer, AnsweringModel
from monai_causal.apps.medfocus.vlm.prompts import Mode
from monai_causal.apps.study.configuration import ConfigError, configured, read_content
from monai_causal.files import write_json

__all__ = [
    "ATTRIBUTION_SCHEMA",
    "MEDFOCUS_SCHEMA",
    "Attribution",
    "ConceptEffect",
    "Corners",
    "MedFocusResult",
    "Runtime",
    "TokenEffect",
    "by_word",
    "common",
    "read_result",
    "whole",
]

ATTRIBUTION_SCHEMA = "monai_causal/attribution/1"
MEDFOCUS_SCHEMA = "monai_causal/medfocus/1"

Corners = tuple[int, int, int, int]
"""``x0, y0, x1, y1``, half-open."""

Kept = TypeVar("Kept", bound="Attribution")


@dataclass(frozen=True)
class Runtime:
    """What it took.

    Args:
        seconds: of wall clock, all in all; of several questions asked together each says the time of all.
        forwards: pictures that went through the model to score this answer; generating it is not counted.
        parts: seconds per stage.
        questions: that shared it.
    """

    seconds: float
    forwards: int
    parts: dict[str, float] = field(default_factory=dict)
    questions: int = 1


@dataclass(frozen=True)
class TokenEffect:
    """How far one token's log-probability dropped (nats), clipped at 0 unless effects are signed."""

    text: str
    drop: float


@dataclass(frozen=True)
class ConceptEffect:
    """What replacing one concept or composite did.

    Args:
        name: of the concept.
        members: of a composite.
        box: around all of it, x0 y0 x1 y1 half-open; None where it was not found.
        drop: fall of the answer's log-probability in nats, token by token clipped at 0 and summed; None where it was
            not found.
        signed: the same without clipping.
        tokens: before - after of each of the answer's tokens, unclipped.
        confidence: of the segmentation, 0 to 1.
        flags: what is implausible about the segmentation.
    """

    name: str
    members: tuple[str, ...]
    box: Corners | None
    drop: float | None
    signed: float | None
    tokens: tuple[float, ...]
    confidence: float
    flags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """Where a method says that an answer comes from.

    Args:
        method: its id.
        question: as it was asked.
        mode: how the model was told to answer.
        answer: what is explained, with its tokens.
        reading: of the answer: yes, no or unclear.
        log_prob: of the answer on the picture as it is, in nats.
        size: height and width of the picture.
        boxes: x0 y0 x1 y1, half-open, in pixels of the picture that was given; the strongest first.
        source_boxes: the same in the stored picture of the file, where a projection was given; None for a box in the
            padding of a resized one.
        whole_image: the method names no place, and the box is all of the picture.
        notes: what a reader should know.
        runtime: what it took.
        provenance: the model, the picture, versions and settings.
        heat: (H, W), higher where the answer is supported more; None for methods that give boxes only. It is not
            kept in JSON.
    """

    method: str
    question: str
    mode: Mode
    answer: Answer
    reading: Reading
    log_prob: float
    size: tuple[int, int]
    boxes: tuple[Corners, ...]
    source_boxes: tuple[Corners | None, ...] | None = None
    whole_image: bool = False
    notes: tuple[str, ...] = ()
    runtime: Runtime
    provenance: dict[str, Any]
    heat: Tensor | None = field(default=None, compare=False, repr=False)

    schema = ATTRIBUTION_SCHEMA

    @property
    def box(self) -> Corners:
        """The strongest of the boxes."""
        return self.boxes[0]

    def as_dict(self) -> dict[str, Any]:
        """All but the map, as JSON takes it."""
        content: dict[str, Any] = {"schema": self.schema}
        for one in fields(self):
            if one.name != "heat":
                content[one.name] = _plain(getattr(self, one.name))
        return content

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it as JSON, for :func:`read_result`."""
        return write_json(path, self.as_dict())


@dataclass(frozen=True, kw_only=True)
class MedFocusResult(Attribution):
    """Which anatomy an answer rests on.

    Args:
        concept: the smallest concept or composite that does nearly what the strongest does (``MedFocus(within=...)``);
            None where the answer hardly depends on any of them.
        strongest: the concept of the largest effect even so; None where no concept was found.
        concepts: the effect of every concept and composite, in the vocabulary's order.
        token_effects: of the answer's tokens when the named concept is replaced, or the strongest where none is named.
        relative_probability: of the answer, with the strongest concept replaced, of what it was before.
        tau: relative probability at which no concept is named.
        signed: effects are not clipped.
        masking: with what concepts were replaced.
        by: box or mask.
        margin: how sure the winner is; None where no concept was found.
    """

    concept: str | None
    strongest: str | None
    concepts: tuple[ConceptEffect, ...]
    token_effects: tuple[TokenEffect, ...]
    relative_probability: float
    tau: float
    signed: bool
    masking: str
    by: str
    margin: Margin | None

    schema = MEDFOCUS_SCHEMA

    @property
    def effects(self) -> dict[str, float]:
        """The drop in log-probability by concept, of those that were found; positive: it supports the answer."""
        drops = {one.name: one.signed if self.signed else one.drop for one in self.concepts}
        return {name: drop for name, drop in drops.items() if drop is not None}

    @property
    def coin_toss(self) -> bool:
        """A concept is named, and it could as well have been another."""
        return self.concept is not None and self.margin is not None and self.margin.coin_toss


def by_word(tokens: tuple[TokenEffect, ...]) -> tuple[TokenEffect, ...]:
    """Token effects added up over words, which join to the same text.

    Example:
        >>> by_word((TokenEffect("Card", 0.5), TokenEffect("iomegaly", 0.25), TokenEffect(" yes", 1.0)))
        (TokenEffect(text='Cardiomegaly', drop=0.75), TokenEffect(text=' yes', drop=1.0))
    """
    words: list[TokenEffect] = []
    for token in tokens:
        begins = not words or token.text[:1].isspace() or words[-1].text[-1:].isspace()
        if begins:
            words.append(token)
        else:
            words[-1] = TokenEffect(words[-1].text + token.text, words[-1].drop + token.drop)
    return tuple(words)


def read_result(path: str | os.PathLike[str]) -> Attribution:
    """A result that :meth:`Attribution.save` wrote, checked: the first thing that is wrong is said, with its key."""
    content = read_content(path)
    kinds: dict[str, type[Attribution]] = {ATTRIBUTION_SCHEMA: Attribution, MEDFOCUS_SCHEMA: MedFocusResult}
    named = content.get("schema") if isinstance(content, Mapping) else None
    if named not in kinds:
        raise ConfigError(f"schema: {named!r} is not read here; give {' or '.join(map(repr, kinds))}.")
    return configured(kinds[named], content, named)


def whole(size: tuple[int, int]) -> Corners:
    """The box of a whole picture of this height and width."""
    return (0, 0, size[1], size[0])


def common(
    kind: type[Kept],
    picture: Picture,
    asked: Asked,
    vlm: AnsweringModel,
    *,
    boxes: tuple[Corners, ...],
    heat: Tensor | None = None,
    notes: tuple[str, ...] = (),
    settings: Mapping[str, Any],
    **more: Any,
) -> Kept:
    """A result with everything in it that does not depend on the method.

    Args:
        kind: of result.
        picture: what was asked about.
        asked: the question.
        vlm: who answered.
        boxes: as found; none at all is the whole picture.
        heat: (H, W); a MetaTensor with the picture's affine where it has one.
        notes: of the method.
        settings: of the method, for the record.
        more: fields of the kind of result.
    """
    if heat is not None and picture.affine is not None:
        heat = MetaTensor(heat, affine=torch.from_numpy(picture.affine))
    found = boxes or (whole(picture.size),)
    return kind(
        question=asked.question,
        mode=asked.mode,
        answer=asked.answer,
        reading=asked.reading,
        size=picture.size,
        boxes=found,
        source_boxes=None if picture.projection is None else _in_source(found, picture),
        whole_image=not boxes,
        notes=(*picture.notes, *asked.notes, *notes),
        provenance={
            "model": vlm.provenance,
            "image": picture.provenance,
            "settings": dict(settings),
            "versions": {
                "monai_causal": __version__,
                "torch": torch.__version__,
                "monai": monai.__version__,
                "python": platform.python_version(),
            },
        },
        heat=heat,
        **more,
    )


def _in_source(boxes: tuple[Corners, ...], picture: Picture) -> tuple[Corners | None, ...]:
    moved: list[Corners | None] = []
    for x0, y0, x1, y1 in boxes:
        try:
            (top, bottom), (left, right) = picture.projection.to_source(((y0, y1), (x0, x1)))
        except ValueError:  # it lies in the padding: a place that the stored picture does not have
            moved.append(None)
        else:
            moved.append((int(left), int(top), int(right), int(bottom)))
    return tuple(moved)


def _plain(value: Any) -> Any:
    """A field as JSON reads it back."""
    if hasattr(value, "__dataclass_fields__"):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value
