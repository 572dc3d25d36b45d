# SPDX-License-Identifier: Apache-2.0
"""Checked dataclasses out of what a YAML or JSON file holds.

Every error names the key, its value and what would do. A key that is not known is an error: a slip of the pen must not
silently become a default. Nothing heavy is imported.
"""

from __future__ import annotations

import json
import os
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from monai_causal.extras import require

__all__ = [
    "ConfigError",
    "StatisticsConfig",
    "ValueProblemError",
    "checked",
    "configured",
    "listed",
    "need",
    "need_distinct",
    "need_name",
    "parse_shard",
    "read_content",
]

Configured = TypeVar("Configured")


class ConfigError(ValueError):
    """A configuration that cannot be run."""


class ValueProblemError(ConfigError):
    """A value that its own dataclass refuses; where the dataclass stands, only the reader knows."""


def need(holds: bool, key: str, value: Any, remedy: str) -> None:
    """Raise unless a condition holds; for the ``__post_init__`` of a dataclass that :func:`checked` reads.

    Example:
        >>> need(5 >= 1, "draws", 5, "draw at least once")
    """
    if not holds:
        raise ValueProblemError(f"{key}: {value!r}: {remedy}.")


def need_name(name: str, key: str = "name", also: str = "") -> None:
    """Refuse what cannot be part of a file's name and of a row's; ``also`` holds further signs that may be in it."""
    unfit = [sign for sign in name if not (sign.isalnum() or sign in f"-_.+={also}")]
    spaces = ", spaces" if " " in also else ""
    need(bool(name.strip()) and not unfit, key, name, f"letters, digits{spaces} and - _ . + = name files and rows")


def need_distinct(key: str, names: Iterable[object]) -> None:
    """Refuse a list in which something stands twice."""
    listed_names = list(names)
    twice = [name for name in listed_names if listed_names.count(name) > 1]
    need(not twice, key, twice[:1], "give each a name (label) of its own")


def checked(kind: Any, value: Any, key: str) -> Any:
    """``value`` as what a type hint asks for: a number, text, a list, a dataclass with fields of these ...

    Raises:
        ConfigError: with the key as it stands in the file, such as ``networks[0].train.steps``.

    Example:
        >>> checked(tuple[int, ...], [8, 8], "patch_size")
        (8, 8)
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        choices = [one for one in arguments if one is not type(None)]
        if len(choices) == 1:
            return checked(choices[0], value, key)
        for one in choices:
            try:
                return checked(one, value, key)
            except ConfigError:
                continue
        raise ValueProblemError(f"{key}: {value!r}: give {' or '.join(_called(one) for one in choices)}.")
    if origin is Literal:
        need(value in arguments, key, value, f"choose {' or '.join(map(repr, arguments))}")
        return value
    if is_dataclass(kind):
        return _dataclass(kind, value, key)
    if origin is tuple:
        length = None if arguments[-1] is Ellipsis else len(arguments)
        fits = isinstance(value, list | tuple) and length in (None, len(value))
        need(fits, key, value, "give a list" if length is None else f"give a list of {length}")
        return tuple(checked(arguments[0], one, f"{key}[{number}]") for number, one in enumerate(value))
    if origin is dict:
        need(isinstance(value, Mapping), key, value, "give keys and values")
        return dict(value)
    fits = isinstance(value, int | float if kind is float else kind) and (kind is bool or not isinstance(value, bool))
    need(fits, key, value, f"give {_called(kind)}")
    return float(value) if kind is float else value


def read_content(path: str | os.PathLike[str]) -> Any:
    """What a YAML or JSON file holds."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path.name}: there is no such configuration.")
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        try:
            return json.loads(text)
        except ValueError as error:
            raise ConfigError(f"{path.name} is no JSON: {error}.") from None
    yaml = require("yaml")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path.name} is no YAML: {' '.join(str(error).split())}") from None


def configured(kind: type[Configured], content: Any, schema: str) -> Configured:
    """A configuration out of a dictionary, which may name its ``schema`` and then must name this one."""
    if isinstance(content, Mapping) and "schema" in content:
        content = dict(content)
        named = content.pop("schema")
        if named != schema:
            raise ConfigError(f"schema: {named!r} is not read here; give {schema!r}.")
    found = checked(kind, content, "")
    assert isinstance(found, kind)
    return found


@dataclass(frozen=True)
class StatisticsConfig:
    """Intervals over images."""

    level: float = 0.95
    resamples: int = 10000

    def __post_init__(self) -> None:
        need(0 < self.level < 1, "level", self.level, "give a confidence level between 0 and 1, such as 0.95")
        need(self.resamples >= 100, "resamples", self.resamples, "give at least 100")


def parse_shard(text: str) -> tuple[int, int]:
    """``i/n`` as two numbers.

    Example:
        >>> parse_shard("2/4")
        (2, 4)
    """
    part, slash, parts = text.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise ConfigError(f"shard: {text!r}: give i/n with i from 1 to n, such as 1/4.")
    return int(part), int(parts)


def _called(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return names.get(kind, "a list")


def _dataclass(kind: Any, value: Any, key: str) -> Any:
    need(isinstance(value, Mapping), key or "the configuration", value, "give keys and values")
    known = {one.name: one for one in fields(kind)}
    prefix = f"{key}." if key else ""
    for name in value:
        need(name in known, f"{prefix}{name}", value[name], f"no such key; known are {listed(known)}")
    for name, one in known.items():
        required = one.default is MISSING and one.default_factory is MISSING
        if required and name not in value:
            raise ConfigError(f"{prefix}{name} is missing: it has no default.")
    hints = get_type_hints(kind)
    given = {name: checked(hints[name], value[name], f"{prefix}{name}") for name in value}
    try:
        return kind(**given)
    except ValueProblemError as problem:
        raise ConfigError(f"{prefix}{problem}") from None


def listed(names: Iterable[object]) -> str:
    """Names in alphabetical order."""
    return ", ".join(sorted(map(str, names))) or "nothing"
