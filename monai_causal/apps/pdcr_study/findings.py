# SPDX-License-Identifier: Apache-2.0
"""What the journals of a study hold, put in the study's own order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_causal.apps.pdcr_study.journal import read_journal

__all__ = ["Entry", "Findings", "Reader", "per_unit", "read", "read_findings"]

Entry = dict[str, Any]
Reader = Callable[[Entry], Any]
"""Takes a number out of an entry."""


@dataclass(frozen=True)
class Findings:
    """A study as far as it has come.

    Attributes:
        head: the configuration, the digests of images and donors, the versions, and how many items there are in all.
        networks: by name: the digest of the weights, the number of parameters, and the Dice on each image.
        entries: the items, in the study's order.
    """

    head: dict[str, Any]
    networks: dict[str, Entry]
    entries: tuple[Entry, ...]

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = self.head["config"]
        return config

    @property
    def failed(self) -> list[Entry]:
        return [entry for entry in self.entries if entry["status"] == "failed"]

    @property
    def missing(self) -> int:
        """Items that nobody has come to yet."""
        return int(self.head["items"]) - len(self.entries)

    @property
    def methods(self) -> list[str]:
        """Labels of the methods that give a map, in the study's order."""
        return [one["label"] for one in self.config["methods"] if one["regions"] == "grid"]

    @property
    def pdcr(self) -> list[str]:
        """Those of them that are PdCR."""
        maps = self.methods
        return [one["label"] for one in self.config["methods"] if one["name"] == "pdcr" and one["label"] in maps]

    def results(self, kind: str, network: str | None = None, task: str | None = None) -> list[Entry]:
        """The items of a kind that came to a result."""
        return [
            entry
            for entry in self.entries
            if entry["status"] == "ok"
            and entry["kind"] == kind
            and network in (None, entry["network"])
            and task in (None, entry["task"])
        ]


def read_findings(out: Path) -> Findings:
    """Everything that the journals in a folder hold; the shards of one study are put together."""
    paths = sorted(out.glob("journal*.jsonl"))
    if not paths:
        raise ValueError(f"{out.name} holds no journal of a study: run one into it first.")
    head: dict[str, Any] = {}
    entries: dict[str, Entry] = {}
    for path in paths:
        own, items = read_journal(path)
        own.pop("shard")
        differing = [key for key in own if head and own[key] != head.get(key)]
        if differing:
            raise ValueError(
                f"{path.name} and {paths[0].name} are of different studies: they differ in {differing[0]}."
            )
        head = own
        for key, entry in items.items():
            if entry["kind"] == "network" and key in entries and entries[key]["weights"] != entry["weights"]:
                raise ValueError(f"{path.name}: {key} has other weights than in another shard; run them all alike.")
            if entry["kind"] != "network" and key in entries:
                raise ValueError(f"{path.name}: {key} is in another shard too; each item belongs to one.")
            entries[key] = entry
    networks = {key.partition("|")[2]: entry for key, entry in entries.items() if entry["kind"] == "network"}
    order = [one["name"] for one in head["config"]["networks"]]
    items_in_order = sorted((one for one in entries.values() if one["kind"] != "network"), key=lambda one: one["order"])
    return Findings(head, {name: networks[name] for name in order if name in networks}, tuple(items_in_order))


def read(*keys: str | int) -> Reader:
    """What stands in an entry's result under these keys, one after the other; ``None`` where there is no such key.

    Example:
        >>> read("curve", 1)({"result": {"curve": [0.0, 2.5]}}), read("area")({"result": {}})
        (2.5, None)
    """

    def reader(entry: Entry) -> Any:
        value = entry["result"]
        for key in keys:
            if isinstance(value, dict) and key not in value:
                return None
            value = value[key]
        return value

    return reader


def per_unit(entries: Iterable[Entry], value: Reader) -> dict[int, float]:
    """The mean of a value over the entries of each unit (an image, or all images of a patient): what an interval over
    images resamples. Entries without the value are left out.

    Example:
        >>> entries = [{"unit": 0, "x": 1.0}, {"unit": 0, "x": 3.0}, {"unit": 4, "x": 5.0}, {"unit": 5, "x": None}]
        >>> per_unit(entries, lambda entry: entry["x"])
        {0: 2.0, 4: 5.0}
    """
    values: dict[int, list[float]] = {}
    for entry in entries:
        number = value(entry)
        if number is not None:
            values.setdefault(entry["unit"], []).append(float(number))
    return {unit: sum(some) / len(some) for unit, some in sorted(values.items())}
