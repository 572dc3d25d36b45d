# SPDX-License-Identifier: Apache-2.0
"""What a page shows, as plain values: whoever reads results makes these, and the templates know nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Case", "Fact", "Gallery", "Page", "Plane", "Region", "Scale", "Slice", "Text", "Token", "View", "number"]

Role = Literal["supports", "suppresses", "none"]
ROLES: tuple[Role, ...] = ("supports", "suppresses", "none")
Fact = tuple[str, str]
"""A name and what stands beside it."""


@dataclass(frozen=True)
class Slice:
    """One picture and what lies on it, both as data URIs; an empty one is not shown."""

    index: int
    image: str
    overlay: str = ""


@dataclass(frozen=True)
class Plane:
    """A picture, or a stack of slices through a volume.

    Attributes:
        name: of a volume's plane; empty for a picture.
        axes: those of the array that run down and across.
        through: the axis that the slices are counted along; ``None`` for a picture.
        rows, columns: voxels down and across.
        width, height: how large it is shown, which differs from these where voxels are no squares.
        slices: one or more.
        start: which of them is shown first.
        pixelated: the overlay's values belong to whole regions and must not be smoothed.
    """

    name: str
    axes: tuple[int, int]
    through: int | None
    rows: int
    columns: int
    width: int
    height: int
    slices: tuple[Slice, ...]
    start: int = 0
    pixelated: bool = True


@dataclass(frozen=True)
class Region:
    """Something that was intervened on.

    Attributes:
        name: as a reader knows it.
        box: spans ``((start, stop), ...)`` in the array's order; ``None`` where it has no place.
        effect: in the view's unit; ``None`` where it was not measured.
        low, high: of its interval, where there is one.
        draws: how often it was asked about.
        role: what it does to the answer.
        chosen: the method names it, or calls it relevant.
        drawn: its outline is on the picture from the start.
        note: what else is known of it.
    """

    name: str
    box: tuple[tuple[int, int], ...] | None
    effect: float | None
    low: float | None = None
    high: float | None = None
    draws: int | None = None
    role: Role = "none"
    chosen: bool = False
    drawn: bool = False
    note: str = ""

    @property
    def estimate(self) -> tuple[float | None, float | None, float | None]:
        """The effect and the ends of its interval."""
        return self.effect, self.low, self.high


@dataclass(frozen=True)
class Token:
    """A word of the answer; ``shade`` is 0 to 9, by its effect's size among all."""

    text: str
    drop: float
    role: Role
    shade: int


@dataclass(frozen=True)
class Scale:
    """The colour bar: what its two ends and its picture say."""

    low: str
    high: str
    picture: str
    left: str
    right: str


@dataclass(frozen=True)
class View:
    """What one method says of a case.

    Attributes:
        method: its name.
        conclusion: in one sentence, or a few.
        unit: of the effects.
        planes: one for a picture, three for a volume, none where there is nothing to show.
        regions: all of them; ``listed`` are those that the table shows.
        listed: indices into ``regions``, the strongest first.
        measured: how many regions there are, where ``regions`` are not all of them.
        outline: a box that the question was about.
        tokens: the answer with its effects.
        profile: rows of label, count and share.
        facts: settings, model, versions, runtime.
        warnings: what a reader should know first.
        figure: the picture that the command wrote, as a data URI.
        note: about the picture.
    """

    method: str
    conclusion: str
    unit: str = ""
    sign: str = ""
    planes: tuple[Plane, ...] = ()
    regions: tuple[Region, ...] = ()
    listed: tuple[int, ...] = ()
    outline: tuple[tuple[int, int], ...] | None = None
    outline_name: str = ""
    tokens: tuple[Token, ...] = ()
    token_note: str = ""
    profile: tuple[tuple[str, int, float], ...] = ()
    facts: tuple[Fact, ...] = ()
    warnings: tuple[str, ...] = ()
    figure: str = ""
    note: str = ""
    scale: Scale | None = None
    measured: int = 0

    @property
    def data(self) -> list[list[Any]]:
        """Regions for the page's script: name, flat box, role, whether chosen, draws, and as they are read the effect
        and its interval's ends. Numbers are put into words here alone, so that all of a page reads alike."""
        return [
            [one.name, [edge for span in one.box or () for edge in span], ROLES.index(one.role), int(one.chosen),
             one.draws, *(None if value is None else number(value, True, "-") for value in one.estimate)]
            for one in self.regions
        ]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One image and question, with what one or more methods say."""

    title: str
    asked: tuple[Fact, ...]
    views: tuple[View, ...]
    caveat: str


@dataclass(frozen=True)
class Gallery:
    """A picture of a results folder, and the note that belongs under it."""

    name: str
    picture: str
    width: int
    height: int


@dataclass(frozen=True)
class Text:
    """A text file of a results folder."""

    name: str
    content: str


@dataclass(frozen=True)
class Page:
    """All of a report."""

    title: str
    facts: tuple[Fact, ...] = ()
    cases: tuple[Case, ...] = ()
    volumes: tuple[View, ...] = ()
    tables: Sequence[Any] = ()
    charts: Sequence[Any] = ()
    gallery: tuple[Gallery, ...] = ()
    texts: tuple[Text, ...] = ()
    left_out: tuple[str, ...] = field(default=())


def number(value: float | None, signed: bool = False, minus: str = "\u2212") -> str:
    """A number for people: three digits that matter, a true minus, and a dash for what there is not.

    Example:
        >>> number(-0.012345, signed=True), number(1234567.0), number(None)
        ('\\u22120.0123', '1,234,567', '\\u2013')
    """
    if value is None or value != value:
        return "\u2013"
    sign = "+" if signed and value > 0 else ""
    size = abs(value)
    text = f"{value:,.0f}" if size >= 1000 and size != float("inf") else f"{value:.3g}"
    return (sign + text).replace("-", minus, 1) if value < 0 else sign + text
