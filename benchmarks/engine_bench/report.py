# SPDX-License-Identifier: Apache-2.0
"""Rows, verdicts, and the two files that they become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine_bench.timing import Kind, Place, Spread, Timing, relative
from monai_causal.files import draft_of, write_json

__all__ = [
    "TIMES",
    "Column",
    "Outcome",
    "Part",
    "Row",
    "Setting",
    "Verdict",
    "facts",
    "spread",
    "timed_row",
    "write_report",
]

SCHEMA = "monai_causal/benchmark-engine/1"


@dataclass(frozen=True)
class Setting:
    """What the command line decides."""

    quick: bool = False
    full_dense: bool = False
    seed: int = 0

    def pick(self, full: Any, quick: Any) -> Any:
        return quick if self.quick else full


@dataclass(frozen=True)
class Row:
    """One contender in one case. Seconds are per item, ``times`` is the cost against ``reference``."""

    part: str
    case: str
    contender: str
    kind: Kind
    device: str
    threads: int
    batch_size: int
    items: int
    rounds: int = 1
    cpu_seconds: Spread | None = None
    wall_seconds: Spread | None = None
    reference: str | None = None
    times_cpu: Spread | None = None
    times_wall: Spread | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """A target and whether it was reached; ``passed`` is ``None`` where it was not measured."""

    target: str
    place: str
    measured: str
    passed: bool | None


@dataclass(frozen=True)
class Outcome:
    rows: list[Row]
    verdicts: list[Verdict] = field(default_factory=list)


Column = tuple[str, Callable[[Row], str]]


@dataclass(frozen=True)
class Part:
    """One part of the benchmark.

    Attributes:
        name: what ``--parts`` calls it.
        title: a heading.
        plan: what is measured, on how many items, and what counts as a pass; known before anything runs.
        run: the measurement.
        columns: of its table.
        every_place: whether it is repeated at each number of threads.
    """

    name: str
    title: str
    plan: Callable[[Setting], str]
    run: Callable[[Setting, Place], Outcome]
    columns: Sequence[Column]
    every_place: bool = False


def timed_row(part: str, case: str, timing: Timing, place: Place, reference: Timing | None = None, **facts: Any) -> Row:
    """The row of a timing."""
    contender = timing.contender
    return Row(
        part=part,
        case=case,
        contender=contender.name,
        kind=contender.kind,
        device=place.device.type,
        threads=place.threads,
        batch_size=contender.batch_size,
        items=contender.items,
        rounds=len(timing.cpu),
        cpu_seconds=Spread.of(timing.cpu),
        wall_seconds=Spread.of(timing.wall),
        reference=reference.contender.name if reference else None,
        times_cpu=relative(timing, reference, "cpu") if reference else None,
        times_wall=relative(timing, reference, "wall") if reference else None,
        facts=facts,
    )


def write_report(
    folder: Path, stem: str, parts: Sequence[Part], setting: Setting, outcome: Outcome, about: dict[str, Any]
) -> tuple[Path, Path]:
    """Write ``stem.json`` and ``stem.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "schema": SCHEMA,
        **about,
        "targets": [asdict(verdict) for verdict in outcome.verdicts],
        "rows": [_as_json(row) for row in outcome.rows],
    }
    page = folder / f"{stem}.md"
    with draft_of(page) as draft:
        draft.write_text(_page(parts, setting, outcome, about), encoding="utf-8")
    return write_json(folder / f"{stem}.json", content), page


def _as_json(row: Row) -> dict[str, Any]:
    content = asdict(row)
    for name, value in content.items():
        if isinstance(value, Spread):
            content[name] = value._asdict()
    return content


def _page(parts: Sequence[Part], setting: Setting, outcome: Outcome, about: dict[str, Any]) -> str:
    blocks = ["# The engine, measured"]
    if setting.quick:
        blocks.append("**A quick run on toy sizes: it shows that the benchmark works, and its figures mean nothing.**")
    blocks += [
        "Side by side in one run. Every number under *times* is a cost per intervention divided by the cost of the "
        "reference named in the same row: the contenders take turns, the division is made within each round, and the "
        "median over the rounds stands with the lowest and highest in brackets. Below 1 is cheaper. CPU time is "
        "summed over threads; on a CPU it is what the targets are judged on, on a GPU the time that passes is.",
        "## What is measured, and what counts as a pass",
        "Written down before the run.",
        "\n".join(f"- **{part.title}** (`--parts {part.name}`): {part.plan(setting)}" for part in parts),
        "## Targets",
        _table(
            ["target", "where", "measured", "reached"],
            [[v.target, v.place, v.measured, _word(v.passed)] for v in outcome.verdicts],
        )
        if outcome.verdicts
        else "None of the parts that ran has one.",
        "## Where it loses",
        "\n".join(f"- {line}" for line in _losses(outcome)) or "Nowhere in this run.",
    ]
    for part in parts:
        rows = [row for row in outcome.rows if row.part == part.name]
        blocks += [f"## {part.title}", _part_table(part, rows) if rows else "Nothing came of it: see the failures."]
    if about["failures"]:
        blocks += ["## Failures", "\n".join(f"- {line}" for line in about["failures"])]
    blocks += ["## Machine and command", _machine(about)]
    return "\n\n".join(blocks) + "\n"


def _part_table(part: Part, rows: Sequence[Row]) -> str:
    first = [("device", lambda row: f"{row.device} x{row.threads}" if row.device == "cpu" else row.device)]
    columns = [*first, *part.columns]
    return _table([name for name, _ in columns], [[cell(row) for _, cell in columns] for row in rows])


def _losses(outcome: Outcome) -> list[str]:
    """Missed targets, and every row of ours that the best of the peers undercuts on the same work."""
    missed = [verdict for verdict in outcome.verdicts if verdict.passed is False]
    lines = [f"target missed ({v.place}): {v.target}; measured {v.measured}" for v in missed]
    for row in outcome.rows:
        peers = [other for other in outcome.rows if other.kind == "peer" and _same_work(row, other)]
        if row.kind != "ours" or not peers:
            continue
        best = min(peers, key=_cost)
        if _cost(row) > _cost(best):
            lines.append(
                f"{row.part}, {row.case}, batch {row.batch_size} ({row.device}): {row.contender} costs "
                f"{_cost(row) / _cost(best):.3g} times what the best peer does ({best.contender})"
            )
    return lines


def _same_work(first: Row, second: Row) -> bool:
    names = ("part", "case", "device", "threads", "batch_size")
    return all(getattr(first, name) == getattr(second, name) for name in names)


def _cost(row: Row) -> float:
    """What two contenders are compared on: memory where a row is about memory, else time."""
    if row.cpu_seconds is None or row.wall_seconds is None:
        return max(1.0, float(row.facts["extra_mib"]))  # less than that is the allocator's own
    return row.cpu_seconds.median if row.device == "cpu" else row.wall_seconds.median


def spread(values: Spread | None, digits: int = 3) -> str:
    """``median (low-high)``, without the brackets where they say nothing more."""
    if values is None:
        return ""
    median, low, high = (f"{value:.{digits}g}" for value in values)
    return median if low == high else f"{median} ({low}-{high})"


def milliseconds(values: Spread | None) -> str:
    return spread(Spread(*(1e3 * value for value in values)) if values else None)


def facts(*names: str) -> list[Column]:
    """Columns for named facts of a row."""

    def column(name: str) -> Column:
        return name.replace("_", " "), lambda row: _shown(row.facts.get(name))

    return [column(name) for name in names]


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, Spread):
        return spread(value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


TIMES: list[Column] = [
    ("case", lambda row: row.case),
    ("contender", lambda row: row.contender),
    ("batch", lambda row: str(row.batch_size)),
    ("items", lambda row: str(row.items)),
    ("rounds", lambda row: str(row.rounds)),
    ("CPU ms/item", lambda row: milliseconds(row.cpu_seconds)),
    ("wall ms/item", lambda row: milliseconds(row.wall_seconds)),
    ("reference", lambda row: row.reference or ""),
    ("times (CPU)", lambda row: spread(row.times_cpu)),
    ("times (wall)", lambda row: spread(row.times_wall)),
]


def _machine(about: dict[str, Any]) -> str:
    machine = about["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [
        f"`{about['command']}`, seed {about['seed']}, begun {about['begun']}, {about['minutes']} minutes in all "
        f"({', '.join(f'{name} {minutes}' for name, minutes in about['minutes_per_part'].items())})",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['os']}; load before the "
        f"run {machine['load_before']}",
        f"GPU: {machine['gpu']}" if machine["gpu"] else "No GPU was present: every figure is of the CPU.",
        versions,
        f"commit {machine['commit'] or 'unknown'}",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _word(passed: bool | None) -> str:
    return {True: "yes", False: "**NO**", None: "not measured"}[passed]
