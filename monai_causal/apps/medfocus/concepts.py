# SPDX-License-Identifier: Apache-2.0
"""Which concepts MedFocus names: a vocabulary with codes, groups and what is anatomically plausible, read from YAML.

The vocabulary of the chest radiograph comes along; another modality is another file of the same keys.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Literal

from monai_causal.apps.study.configuration import configured, listed, need, need_distinct, read_content

__all__ = ["SCHEMA", "Code", "Composite", "Concept", "Vocabulary", "chest_vocabulary", "read_vocabulary"]

SCHEMA = "monai_causal/concepts/1"
Pair = tuple[str, str]


@dataclass(frozen=True)
class Code:
    """A coded term as DICOM writes it: coding scheme designator, value, meaning."""

    scheme: str
    value: str
    meaning: str

    def __post_init__(self) -> None:
        for name, longest in (("scheme", 16), ("value", 16 if self.scheme == "SCT" else 64), ("meaning", 64)):
            text = getattr(self, name)
            need(0 < len(text.strip()) <= longest, name, text, f"give 1 to {longest} characters")
        if self.scheme == "SCT":
            need(self.value.isdecimal(), "value", self.value, "a SNOMED CT code is a whole number, in quotes")


@dataclass(frozen=True)
class Concept:
    """A part of the body that can be found on an image.

    Args:
        name: what results call it.
        code: what it is.
        laterality: of the patient, where it has one.
        region: where it lies, if its own code is a private one.
        area: least and largest plausible fraction of the image that it covers.
        synonyms: names under which other segmenters know it.
        moves_with: the concept whose outline says where this one is, if its own can hardly be seen.
    """

    name: str
    code: Code
    laterality: Literal["left", "right"] | None = None
    region: Code | None = None
    area: tuple[float, float] = (0.0, 1.0)
    synonyms: tuple[str, ...] = ()
    moves_with: str | None = None

    def __post_init__(self) -> None:
        need(bool(self.name.strip()), "name", self.name, "give each concept a name")
        if len(self.area) == 2:
            low, high = self.area
            need(0 <= low < high <= 1, "area", self.area, "give two fractions of the image, the smaller one first")


@dataclass(frozen=True)
class Composite:
    """Several concepts that are asked about together."""

    name: str
    members: tuple[str, ...]

    def __post_init__(self) -> None:
        need(bool(self.name.strip()), "name", self.name, "give each composite a name")
        need(len(self.members) > 1, "members", self.members, "a composite has at least two")
        need_distinct("members", self.members)


@dataclass(frozen=True)
class Vocabulary:
    """Concepts, composites, and what holds between concepts on a plausible image.

    Args:
        name: of the modality and view.
        concepts: in the order of every mask stack.
        composites: groups of them.
        across: pairs of which the first lies nearer to the image's left edge.
        down: pairs of which the first lies nearer to its upper edge.
        apart: pairs that hardly overlap.

    Example:
        >>> chest = chest_vocabulary()
        >>> len(chest.concepts), chest.composite("both lungs").members
        (11, ('left lung', 'right lung'))
        >>> chest.find("Heart")
        'cardiac silhouette'
    """

    name: str
    concepts: tuple[Concept, ...]
    composites: tuple[Composite, ...] = ()
    across: tuple[Pair, ...] = ()
    down: tuple[Pair, ...] = ()
    apart: tuple[Pair, ...] = ()

    def __post_init__(self) -> None:
        need(bool(self.concepts), "concepts", (), "name at least one")
        names = [one.name for one in self.concepts]
        need_distinct("concepts and composites", [*names, *(one.name for one in self.composites)])
        said = [(_plain(text), one.name) for one in self.concepts for text in (one.name, *one.synonyms)]
        need_distinct("names and synonyms", [text for text, _ in said])
        leads = [(one.moves_with,) for one in self.concepts if one.moves_with is not None]
        pairs = {key: getattr(self, key) for key in ("across", "down", "apart")}
        for key, groups in (
            *pairs.items(),
            ("composites", [one.members for one in self.composites]),
            ("moves_with", leads),
        ):
            for group in groups:
                for name in group:
                    need(name in names, key, name, f"no such concept; known are {listed(names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the concepts, in order."""
        return tuple(one.name for one in self.concepts)

    def concept(self, name: str) -> Concept:
        """The concept of this name."""
        for one in self.concepts:
            if one.name == name:
                return one
        raise ValueError(f"{name!r} is no concept of the {self.name}; those are {listed(self.names)}.")

    def composite(self, name: str) -> Composite:
        """The composite of this name."""
        for one in self.composites:
            if one.name == name:
                return one
        known = listed(one.name for one in self.composites)
        raise ValueError(f"{name!r} is no composite of the {self.name}; those are {known}.")

    def find(self, label: str) -> str | None:
        """The concept that another segmenter's label means, by name or synonym; None: it means none of them.

        Case, underscores and hyphens do not matter.
        """
        meant = _plain(label)
        for one in self.concepts:
            if meant in {_plain(text) for text in (one.name, *one.synonyms)}:
                return one.name
        return None


def read_vocabulary(path: str | os.PathLike[str]) -> Vocabulary:
    """A vocabulary from a YAML or JSON file, checked: the first thing that is wrong is said, with its key."""
    return configured(Vocabulary, read_content(path), SCHEMA)


@lru_cache(maxsize=1)
def chest_vocabulary() -> Vocabulary:
    """The 11 concepts and 4 composites of the frontal chest radiograph."""
    with as_file(files("monai_causal.apps.medfocus") / "concepts.yaml") as path:
        return read_vocabulary(path)


def _plain(label: str) -> str:
    return " ".join(label.lower().replace("_", " ").replace("-", " ").split())
