# SPDX-License-Identifier: Apache-2.0
"""Tables of every parameter, read from the code: of a class or function, and of a command.

``{parameters} monai_causal.visualize.PdCR`` takes names and defaults from the signature and meanings from the
docstring; ``{command} medfocus run`` takes both from the command line's own description. A parameter without a word of
explanation is a warning, which fails the build.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

__all__ = ["command_rows", "documented", "parameter_rows", "setup", "shown"]

logger = logging.getLogger(__name__)

Row = tuple[str, str, str]


def shown(name: str) -> Any:
    """What a dotted name means, such as ``monai_causal.visualize.PdCR.explain``."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(f"{name!r}: no module of that name or of one before a dot.")


def documented(docstring: str) -> dict[str, str]:
    """What the sections Args and Attributes of a Google docstring say of each name."""
    found: dict[str, str] = {}
    inside, names = False, ()
    for line in inspect.cleandoc(docstring).splitlines():
        if re.fullmatch(r"[A-Z][\w ]*:", line):
            inside = line in ("Args:", "Attributes:")
        elif inside and (entry := re.match(r" {4}([\w*]+(?:, [\w*]+)*): +(.*)", line)):
            names = tuple(name.lstrip("*") for name in entry[1].split(", "))
            found.update(dict.fromkeys(names, entry[2]))
        elif inside and line.startswith(" " * 8):
            found.update({name: f"{found[name]} {line.strip()}" for name in names})
    return found


def parameter_rows(name: str) -> list[Row]:
    """Name, default and meaning of each parameter of a class or function."""
    thing = shown(name)
    meanings = _beside_fields(thing) | documented(thing.__doc__ or "") | documented(thing.__init__.__doc__ or "")
    rows = []
    for parameter in inspect.signature(thing).parameters.values():
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        rows.append((f"{stars}{parameter.name}", _default(parameter), meanings.get(parameter.name, "")))
    return rows


def _beside_fields(thing: Any) -> dict[str, str]:
    """What stands as a string below the fields of a dataclass and of those that it inherits from."""
    found: dict[str, str] = {}
    for owner in reversed(inspect.getmro(thing)) if inspect.isclass(thing) else ():
        if owner.__module__.startswith("monai_causal"):
            said = ModuleAnalyzer.for_module(owner.__module__).find_attr_docs()
            found |= {name: " ".join(lines).strip() for (of, name), lines in said.items() if of == owner.__qualname__}
    return found


def command_rows(words: str) -> list[Row]:
    """Option or argument, default and meaning of each of a command, such as ``medfocus run``."""
    from monai_causal.cli import app

    command: Any = typer.main.get_command(app)
    for word in words.split():
        command = command.commands[word]
    rows = []
    for parameter in command.params:
        if parameter.name == "help":
            continue
        argument = parameter.param_type_name == "argument"
        written = str(parameter.name).upper() if argument else ", ".join(parameter.opts)
        default = "required" if parameter.required else _given(parameter.default)
        rows.append((written, default, getattr(parameter, "help", None) or ""))
    return rows


def _given(default: Any) -> str:
    """An option's default as it would be typed; nothing where leaving it out means something else or nothing."""
    if default is None or default is False or default == "":
        return ""
    return " ".join(map(str, default)) if isinstance(default, tuple | list) else str(default)


def _default(parameter: inspect.Parameter) -> str:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return ""
    if parameter.default is parameter.empty:
        return "required"
    given = parameter.default
    return getattr(given, "__name__", None) or repr(given)


def _markdown(text: str) -> str:
    """Docstring text (reStructuredText) as a cell of a Markdown table."""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text).replace("``", "`")
    parts = re.split(r"(`[^`]*`)", text)  # what is in backticks stays as it is
    parts[::2] = [re.sub(r"([*_$<\[\]])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts).replace("|", "\\|")


def _table(rows: list[Row], first: str) -> Iterator[str]:
    yield f"| {first} | default | meaning |"
    yield "| --- | --- | --- |"
    for name, default, meaning in rows:
        told = f"`{default}`" if default and default != "required" else default
        yield f"| `{name}` | {told.replace('|', chr(92) + '|')} | {_markdown(meaning)} |"


class _Rows(SphinxDirective):
    required_arguments = 1
    final_argument_whitespace = True
    column = "parameter"

    def title(self, name: str) -> str:
        return name.rpartition(".")[2]

    def rows(self, name: str) -> list[Row]:
        return parameter_rows(name)

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        rows = self.rows(name)
        for written, _, meaning in rows:
            if not meaning:
                logger.warning("%s: nothing is said of %s", name, written, location=self.get_location())
        lines = [f"**`{self.title(name)}`**", "", *_table(rows, self.column)]
        holder = nodes.container()
        self.state.nested_parse(StringList(lines, source=name), self.content_offset, holder)
        return holder.children


class _CommandRows(_Rows):
    column = "option"

    def title(self, name: str) -> str:
        return f"monai-causal {name}"

    def rows(self, name: str) -> list[Row]:
        return command_rows(name)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives ``parameters`` and ``command``."""
    app.add_directive("parameters", _Rows)
    app.add_directive("command", _CommandRows)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
