# SPDX-License-Identifier: Apache-2.0
"""Which image of a study is wanted, as JSON: an ordered list of selections, each with conditions on attributes.

The form is that of MONAI Deploy's series selector, so that its rule files can be taken over; here each image is judged
by its own header, and the order of the selections is the order of preference.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_causal.dicom.study import Instance
from monai_causal.dicom.tags import codes, numbers
from monai_causal.extras import require

__all__ = ["FRONTAL_CHEST", "SCHEMA", "VIEW", "Rule", "SelectionRules"]

SCHEMA = "monai_causal/selection-rules/1"
VIEW = "View"
"""A condition's name that is no DICOM keyword: the view as ``ViewCodeSequence``, ``ViewPosition`` or the description of
the series tells it: PA, AP, FRONTAL, LL, RL, LAT ..., or empty where nothing does."""

_COMPARISONS = {
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    "!=": lambda value, bound: value != bound,
}


@dataclass(frozen=True)
class Rule:
    """One selection: it is met where all of its conditions are.

    Args:
        name: how reasons call it.
        conditions: by DICOM keyword or :data:`VIEW`. Text: equal to one of the values whatever the capitals, or a
            regular expression found in it. A number: equal. ``[low, high]``: between, ends included. ``[bound, ">"]``:
            compared. A list of texts: all among the values, those that begin with ``!`` not among them.
    """

    name: str
    conditions: Mapping[str, Any]

    def __post_init__(self) -> None:
        known = require("pydicom.datadict")
        for keyword, condition in self.conditions.items():
            if keyword != VIEW and known.tag_for_keyword(keyword) is None:
                raise ValueError(f"rule {self.name!r}: {keyword!r} is no DICOM keyword, nor {VIEW!r}.")
            _check(self.name, keyword, condition)

    def met_by(self, instance: Instance) -> bool:
        """Whether an image meets all conditions."""
        return all(_met(instance, keyword, condition) for keyword, condition in self.conditions.items())


@dataclass(frozen=True)
class SelectionRules:
    """Rules in the order of preference.

    Example:
        >>> rules = SelectionRules.from_json({"selections": [{"name": "PA", "conditions": {"View": "^PA$"}}]})
        >>> rules.rules[0].name
        'PA'
    """

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        if not self.rules:
            raise ValueError("selection rules: there is no selection; at least one is needed.")

    @classmethod
    def from_json(cls, source: str | os.PathLike[str] | Mapping[str, Any]) -> SelectionRules:
        """Read rules.

        Args:
            source: a file, or what it holds: ``{"selections": [{"name", "conditions": {keyword: condition}}]}``.

        Raises:
            ValueError: it is of another form; the message says where.
        """
        if isinstance(source, Mapping):
            content: Any = source
        else:
            try:
                content = json.loads(Path(source).read_text(encoding="utf-8"))
            except ValueError as error:
                raise ValueError(f"selection rules: the file is no JSON ({type(error).__name__}).") from None
        if not isinstance(content, Mapping) or not isinstance(content.get("selections"), list):
            raise ValueError("selection rules: a JSON object with a list 'selections' is needed.")
        if content.get("schema", SCHEMA) != SCHEMA:
            raise ValueError(f"selection rules: schema {content['schema']!r} is not read here; {SCHEMA!r} is.")
        rules = []
        for place, selection in enumerate(content["selections"], start=1):
            if not isinstance(selection, Mapping) or not isinstance(selection.get("conditions"), Mapping):
                raise ValueError(f"selection rules: selection {place} has no object 'conditions'.")
            rules.append(Rule(str(selection.get("name") or f"selection {place}"), selection["conditions"]))
        return cls(tuple(rules))

    def as_json(self) -> dict[str, Any]:
        """The same as JSON takes it."""
        selections = [{"name": rule.name, "conditions": dict(rule.conditions)} for rule in self.rules]
        return {"schema": SCHEMA, "selections": selections}

    @property
    def keywords(self) -> tuple[str, ...]:
        """The attributes that the rules look at."""
        return tuple(sorted({keyword for rule in self.rules for keyword in rule.conditions} - {VIEW}))

    def rank(self, instance: Instance) -> int | None:
        """The place of the first rule that an image meets."""
        return next((place for place, rule in enumerate(self.rules) if rule.met_by(instance)), None)


def _check(name: str, keyword: str, condition: Any) -> None:
    kind = f"rule {name!r}, {keyword}: "
    if isinstance(condition, str):
        try:
            re.compile(condition)
        except re.error as error:
            raise ValueError(f"{kind}{condition!r} is no regular expression ({error}).") from None
    elif isinstance(condition, list):
        numeric = [one for one in condition if _is_number(one)]
        texts = [one for one in condition if isinstance(one, str)]
        compared = len(condition) == 2 and len(numeric) == 1 and condition[1] in _COMPARISONS
        if not condition or not (
            len(texts) == len(condition) or (len(condition) == 2 and len(numeric) == 2) or compared
        ):
            raise ValueError(
                f"{kind}{condition!r} is neither [low, high], [bound, comparison] with one of "
                f"{', '.join(_COMPARISONS)}, nor a list of texts."
            )
    elif not _is_number(condition):
        raise ValueError(f"{kind}{condition!r} is neither a text, a number nor a list of these.")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _met(instance: Instance, keyword: str, condition: Any) -> bool:
    if _is_number(condition):
        return any(value == condition for value in numbers(instance.header, keyword))
    if isinstance(condition, list) and any(map(_is_number, condition)):
        values = numbers(instance.header, keyword)
        if condition[1] in _COMPARISONS:
            return any(_COMPARISONS[condition[1]](value, condition[0]) for value in values)
        return any(condition[0] <= value <= condition[1] for value in values)
    texts = (instance.view[0] or "",) if keyword == VIEW else codes(instance.header, keyword)
    if isinstance(condition, str):
        # An empty text is found in every other one; as a condition it means that there is none.
        return any(text.casefold() == condition.casefold() for text in texts or ("",)) or (
            condition != "" and any(re.search(condition, text, re.IGNORECASE) for text in texts)
        )
    wanted = {text.upper() for text in condition if not text.startswith("!")}
    unwanted = {text[1:].upper() for text in condition if text.startswith("!")}
    return wanted <= set(texts) and not unwanted & set(texts)


FRONTAL_CHEST = {
    "schema": SCHEMA,
    "selections": [
        {"name": name, "conditions": {VIEW: view, "ImageType": ["!LOCALIZER"]}}
        for name, view in (
            ("frontal, PA", "^PA$"),
            ("frontal, AP", "^AP$"),
            ("frontal, PA or AP unsaid", "^FRONTAL$"),
            ("view unsaid", ""),
        )
    ],
}
"""The rules for a frontal chest radiograph. An image whose view nothing tells comes last; a lateral one never comes."""
