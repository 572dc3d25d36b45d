# SPDX-License-Identifier: Apache-2.0
"""Records in the published schema, both ways: what passed the filter, with the model's answers on the way.

A file is a JSON list. The published one holds, per record, the model, the data set, an index in it, the true answer and
four predictions, whose names end in the mode; no image, question or box. Written here are the same keys and, beside
them, everything that an evaluation needs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_causal.apps.medfocus.vlm.answers import Reading, read_answer
from monai_causal.apps.medfocus.vlm.prompts import Mode
from monai_causal.files import draft_of

__all__ = ["PREDICTIONS", "Record", "load_records", "save_records"]

PREDICTIONS = {
    "original": "prediction",
    "foreground": "prediction_edited",
    "background": "prediction_edited_kept",
    "background_normal": "prediction_edited_kept_normal",
}
"""The published names of the answers, by image; the mode follows after an underscore."""
MODES: tuple[Mode, ...] = ("direct", "reasoning")
_ENDINGS: dict[str, Mode] = {**{mode: mode for mode in MODES}, "reason": "reasoning"}
_OWN = ("model", "dataset", "index", "answer")


@dataclass(frozen=True)
class Record:
    """One sample that passed the filter for one model in one mode.

    Args:
        model: who answered.
        dataset: where the image comes from.
        index: of the sample in it.
        answer: the true answer, ``yes`` or ``no``.
        mode: how the model was told to answer.
        predictions: the model's answers by image, as it gave them; the names are those of :data:`PREDICTIONS`.
        more: everything else that the file holds of it: question, boxes, digests ...
    """

    model: str
    dataset: str
    index: int
    answer: Reading
    mode: Mode
    predictions: Mapping[str, str]
    more: Mapping[str, Any]

    @property
    def readings(self) -> dict[str, Reading]:
        """The model's answers, read: ``yes``, ``no`` or ``unclear``."""
        return {image: read_answer(text) for image, text in self.predictions.items()}

    @property
    def causal(self) -> bool:
        """Whether the answers are those of a sample that passes the filter."""
        if self.answer not in ("yes", "no"):
            return False
        other = "no" if self.answer == "yes" else "yes"
        wanted = dict.fromkeys(self.predictions, self.answer) | {"foreground": other}
        return all(reading == wanted[image] for image, reading in self.readings.items())

    @property
    def boxes(self) -> tuple[tuple[int, int, int, int], ...]:
        """``x0, y0, x1, y1``, half-open, in native pixels; none in the published file."""
        return tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in self.more.get("boxes", ()))

    def as_dict(self) -> dict[str, Any]:
        """As the published file has it, further keys behind."""
        said = {f"{PREDICTIONS[image]}_{self.mode}": text for image, text in self.predictions.items()}
        own = {"model": self.model, "dataset": self.dataset, "index": self.index, "answer": self.answer.capitalize()}
        return {**own, **said, **self.more}


def load_records(path: str | os.PathLike[str]) -> list[Record]:
    """The records of a file, checked: the first that is wrong is named by its number and key.

    Args:
        path: the published ``direct.json``, or what ``monai-causal medground build`` wrote.

    Example:
        >>> records = load_records("medground/direct.json")  # doctest: +SKIP
        >>> len(records), records[0].answer, records[0].readings["foreground"]  # doctest: +SKIP
        (1880, 'yes', 'no')
    """
    name = Path(path).name
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{name} is no JSON: {error}.") from None
    if not isinstance(content, list):
        raise ValueError(f"{name}: a list of records is expected, not {type(content).__name__}.")
    return [_record(one, f"{name}, record {number}") for number, one in enumerate(content)]


def save_records(path: str | os.PathLike[str], records: Iterable[Record]) -> Path:
    """Write records for :func:`load_records`, and for whoever reads the published file."""
    with draft_of(path) as draft:
        text = json.dumps([record.as_dict() for record in records], indent=1, allow_nan=False)
        draft.write_text(text + "\n", encoding="utf-8")
    return Path(path)


def _record(content: Any, where: str) -> Record:
    if not isinstance(content, dict):
        raise ValueError(f"{where}: keys and values are expected, not {type(content).__name__}.")
    for key, kind in zip(_OWN, (str, str, int, str), strict=True):
        if not isinstance(content.get(key), kind) or isinstance(content.get(key), bool):
            raise ValueError(f"{where}: {key} is {content.get(key)!r}; give {'a number' if kind is int else 'text'}.")
    named = {_ENDINGS[ending] for ending in _ENDINGS if f"{PREDICTIONS['original']}_{ending}" in content}
    if len(named) != 1:
        raise ValueError(f"{where}: needs exactly one of prediction_direct and prediction_reasoning, has {len(named)}.")
    mode = named.pop()
    keys = {
        f"{stem}_{ending}": image
        for image, stem in PREDICTIONS.items()
        for ending in _ENDINGS
        if _ENDINGS[ending] == mode
    }
    predictions = {keys[key]: content[key] for key in content if key in keys}
    unread = [image for image, text in predictions.items() if not isinstance(text, str)]
    if unread:
        raise ValueError(f"{where}: the {unread[0]} prediction is {predictions[unread[0]]!r}; give text.")
    answer = read_answer(content["answer"])
    if answer == "unclear":
        raise ValueError(f"{where}: answer is {content['answer']!r}; give Yes or No.")
    more = {key: value for key, value in content.items() if key not in _OWN and key not in keys}
    return Record(content["model"], content["dataset"], content["index"], answer, mode, predictions, more)
