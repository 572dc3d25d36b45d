# SPDX-License-Identifier: Apache-2.0
"""The tables of a cohort: what their columns hold. Parquet's schema is made of this, and rows are checked by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["ITEMS", "MEASURES", "REGIONS", "TIMINGS", "Column", "checked_row"]


class Column(NamedTuple):
    """One column.

    Args:
        kind: ``int``, ``float``, ``text``, ``bool`` or ``floats`` (a list).
        says: what it holds.
        needed: it is never null.
    """

    kind: str
    says: str
    needed: bool = False


ITEMS: dict[str, Column] = {
    "item": Column("int", "number of the item in the listing, from 0", True),
    "unit": Column("int", "first item of the same patient: what counts as one in an interval", True),
    "site": Column("text", "hospital or data set, where the listing says it"),
    "state": Column("text", "done, failed, pending or running", True),
    "reason": Column("text", "why it failed"),
    "input": Column("text", "SHA-256 of what it was made of, files by their bytes"),
    "facts": Column("text", "what the job says of the item, as JSON"),
    "notes": Column("text", "what did not go the straight way, as JSON"),
}
REGIONS: dict[str, Column] = {
    "item": Column("int", "number of the item", True),
    "model": Column("text", "who was asked", True),
    "method": Column("text", "how", True),
    "question": Column("text", "what about: the RoI or the words of a question"),
    "region": Column("int", "number of the region within its map", True),
    "name": Column("text", "of the region, where it has one: an anatomy"),
    "box": Column("text", "start:stop per axis in array order"),
    "offset": Column("floats", "centre of the region minus centre of the RoI, in voxels of the network's image"),
    "effect": Column("float", "score after - before: negative supports the answer", True),
    "unit": Column("text", "of the effect", True),
    "standard_error": Column("float", "of the effect"),
    "low": Column("float", "of its interval"),
    "high": Column("float", "of its interval"),
    "p_value": Column("float", "where the rule gives one"),
    "draws": Column("int", "how often the region was replaced"),
    "relevant": Column("bool", "the method's own decision"),
}
MEASURES: dict[str, Column] = {
    "item": Column("int", "number of the item", True),
    "model": Column("text", "who was asked", True),
    "method": Column("text", "how", True),
    "question": Column("text", "what about"),
    "name": Column("text", "of the measure", True),
    "value": Column("float", "null where it could not be measured"),
    "text": Column("text", "an answer in words, where the measure is none"),
    "unit": Column("text", "of the value"),
}
TIMINGS: dict[str, Column] = {
    "item": Column("int", "number of the item", True),
    "attempts": Column("int", "how often it was begun", True),
    "seconds": Column("float", "that the last attempt took"),
    "finished": Column("float", "when it ended, in seconds since 1970"),
    "bytes": Column("int", "of its output"),
}
_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "text": (str,),
    "bool": (bool,),
    "floats": (list, tuple),
}


def checked_row(columns: Mapping[str, Column], given: Mapping[str, Any]) -> dict[str, Any]:
    """A row without its nulls, checked.

    Raises:
        ValueError: a column is not known, is of another kind, or lacks what it needs.
    """
    for name, value in given.items():
        if name not in columns:
            raise ValueError(f"a row names {name!r}; its table has {', '.join(columns)}.")
        kind = columns[name].kind
        right = isinstance(value, _KINDS[kind]) and (kind == "bool" or not isinstance(value, bool))
        if value is not None and not right:
            raise ValueError(f"a row's {name!r} is {value!r}: {kind} is wanted.")
    for name, column in columns.items():
        if column.needed and given.get(name) is None:
            raise ValueError(f"a row lacks {name!r}.")
    return {name: given[name] for name in columns if given.get(name) is not None}
