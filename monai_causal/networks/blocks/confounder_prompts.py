# SPDX-License-Identifier: Apache-2.0
"""The prompts of MCDRL: a dictionary of confounders by category, and the sentences they stand in."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from monai_causal.extras import require

__all__ = ["ConfounderPrompts", "read_confounders"]

SCHEMA = "monai_causal/confounders/1"
TEMPLATES = ("template", "class_template", "joint_template")
OWN = Path(__file__).with_name("confounders.yaml")


@dataclass(frozen=True)
class ConfounderPrompts:
    """M confounders and three templates.

    Example:
        >>> prompts = read_confounders(count=3)
        >>> prompts.dictionary()[0], prompts.of_class("polyp"), prompts.joint("polyp")[2]
        ('An endoscopy image with motion blur', 'A polyp in an endoscopic image', 'A polyp with narrow-band imaging')
    """

    confounders: tuple[str, ...]
    template: str = "An endoscopy image with {confounder}"
    class_template: str = "A {class} in an endoscopic image"
    joint_template: str = "A {class} with {confounder}"

    def __post_init__(self) -> None:
        if not self.confounders:
            raise ValueError("the confounder dictionary is empty: name at least one confounder.")
        empty = [number for number, one in enumerate(self.confounders, start=1) if not one.strip()]
        if empty:
            raise ValueError(f"confounder {empty[0]} is empty text: describe it, or leave it out.")
        twice = [one for one in self.confounders if self.confounders.count(one) > 1]
        if twice:
            raise ValueError(f"the confounder {twice[0]!r} stands in the dictionary twice.")
        for key, needed in zip(TEMPLATES, ("c", "k", "ck"), strict=True):
            for place in [{"c": "{confounder}", "k": "{class}"}[letter] for letter in needed]:
                if place not in str(getattr(self, key)):
                    raise ValueError(f"{key}: {getattr(self, key)!r}: it needs {place} in it.")

    def dictionary(self) -> list[str]:
        """One sentence per confounder."""
        return [self.template.replace("{confounder}", one) for one in self.confounders]

    def of_class(self, name: str) -> str:
        """The sentence of a class."""
        return self.class_template.replace("{class}", name)

    def joint(self, name: str) -> list[str]:
        """The sentences of a class under every confounder."""
        return [self.joint_template.replace("{class}", name).replace("{confounder}", one) for one in self.confounders]


def read_confounders(path: str | os.PathLike[str] | None = None, count: int | None = None) -> ConfounderPrompts:
    """The dictionary of a YAML file.

    Args:
        path: the file; None: the twelve confounders of endoscopy that come with the package.
        count: how many: one of each category in turn, then the further ones. None: all that stand in the categories.
    """
    path = OWN if path is None else Path(path)
    if not path.is_file():
        raise ValueError(f"{path.name}: there is no such dictionary of confounders.")
    yaml = require("yaml")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name}: this is no YAML: {error}") from error
    if not isinstance(content, Mapping) or content.get("schema") != SCHEMA:
        raise ValueError(f"{path.name}: no dictionary of confounders; its first key is 'schema: {SCHEMA}'.")
    unknown = [key for key in content if key not in ("schema", "categories", "further", *TEMPLATES)]
    if unknown:
        raise ValueError(f"{path.name}: nothing is called {unknown[0]!r} in a dictionary of confounders.")
    categories = content.get("categories")
    if not isinstance(categories, Mapping) or not all(_are_texts(one) for one in categories.values()):
        raise ValueError(f"{path.name}: 'categories' holds a list of texts for every category.")
    further = content.get("further") or []
    if not _are_texts(further):
        raise ValueError(f"{path.name}: 'further' holds a list of texts.")
    in_turn = [one for one in chain.from_iterable(zip_longest(*categories.values())) if one is not None]
    whole = [*in_turn, *further]
    if not in_turn:
        raise ValueError(f"{path.name}: the confounder dictionary is empty: name at least one in 'categories'.")
    count = len(in_turn) if count is None else count
    if not 1 <= count <= len(whole):
        raise ValueError(f"{path.name}: {count} confounders asked for; it has {len(whole)}: give from 1 to that many.")
    prompts = ConfounderPrompts(tuple(whole[:count]))
    return replace(prompts, **{key: content[key] for key in TEMPLATES if key in content})


def _are_texts(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(one, str) for one in value)
