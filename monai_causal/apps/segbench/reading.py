# SPDX-License-Identifier: Apache-2.0
"""YAML or JSON into checked dataclasses; every error names the key, its value and what would do.

A key that is not known is an error: a slip of the pen must not silently become a default. Nothing heavy is imported.
"""

from __future__ import annotations

import json
import os
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from monai_causal.extras import require

__all__ = ["ConfigError", "checked", "need", "need_name", "read_content"]


class ConfigError(ValueError):
    """A configuration that cannot be run."""


class _ValueError(ConfigError):
    """A value that its own dataclass refuses; where the dataclass stands, only the reader knows."""


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


def checked(kind: Any, value: Any, key: str = "") -> Any:
    """``value`` as what a type hint asks for, dataclasses and lists of them included, or an error that names the key.

    Example:
        >>> checked(tuple[int, ...], [1, 2], "seeds")
        (1, 2)
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
        need(False, key, value, f"give {' or '.join(_called(one) for one in choices)}")
    if origin is Literal:
        need(value in arguments, key, value, f"give {_called(kind)}")
        return value
    if is_dataclass(kind):
        return _dataclass(kind, value, key)
    if origin is tuple:
        need(isinstance(value, list | tuple), key, value, "give a list")
        return tuple(checked(arguments[0], one, f"{key}[{number}]") for number, one in enumerate(value))
    if origin is dict:
        need(isinstance(value, Mapping), key, value, "give keys and values")
        return dict(value)
    fits = isinstance(value, int | float if kind is float else kind) and (kind is bool or not isinstance(value, bool))
    need(fits, key, value, f"give {_called(kind)}")
    return float(value) if kind is float else value


def need(holds: bool, key: str, value: Any, remedy: str) -> None:
    """Refuse a value unless it ``holds``."""
    if not holds:
        raise _ValueError(f"{key}: {value!r}: {remedy}.")


def need_name(name: str, key: str = "name") -> None:
    """Refuse what cannot be part of a file's name and of a row's."""
    unfit = [sign for sign in name if not (sign.isalnum() or sign in "-_.+=")]
    need(bool(name) and not unfit, key, name, "letters, digits and - _ . + = name files and rows")


def _dataclass(kind: Any, value: Any, key: str) -> Any:
    need(isinstance(value, Mapping), key or "the configuration", value, "give keys and values")
    known = {one.name: one for one in fields(kind)}
    prefix = f"{key}." if key else ""
    for name in value:
        need(name in known, f"{prefix}{name}", value[name], f"no such key; known are {', '.join(sorted(known))}")
    for name, one in known.items():
        if one.default is MISSING and one.default_factory is MISSING and name not in value:
            raise ConfigError(f"{prefix}{name} is missing: it has no default.")
    hints = get_type_hints(kind)
    given = {name: checked(hints[name], value[name], f"{prefix}{name}") for name in value}
    try:
        return kind(**given)
    except _ValueError as problem:
        raise ConfigError(f"{prefix}{problem}") from None


def _called(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return names.get(kind, "a list")
