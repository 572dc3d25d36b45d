# SPDX-License-Identifier: Apache-2.0
"""What is trained on and what is tested on: one task per held-out site, or one law of confounding and its opposites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from monai_causal.apps.mcdrl.config import PhantomData, SitesData
from monai_causal.apps.mcdrl.phantom_seeds import FAR
from monai_causal.apps.mcdrl.samples import Sample
from monai_causal.data.datasets import DatasetError, Item, load_dataset, read_pair, sites_of, split_by_group
from monai_causal.data.phantoms import endoscopy
from monai_causal.data.phantoms.endoscopy import CONFOUNDERS, draw_causes

__all__ = ["Scene", "Task", "TestSet", "scenes_of", "tasks_of"]


@dataclass(frozen=True, eq=False)
class TestSet:
    """Images that are tested on, of the training's distribution (``in``) or not (``out``)."""

    __test__ = False  # for pytest, which takes the name for a test

    name: str
    kind: Literal["in", "out"]
    samples: tuple[Sample, ...]


@dataclass(frozen=True, eq=False)
class Task:
    """What one training learns from, and what it is tested on."""

    name: str
    train: tuple[Sample, ...]
    validation: tuple[Sample, ...]
    tests: tuple[TestSet, ...]
    left_out: int = 0
    """Images of no class, or of several."""

    @property
    def samples(self) -> list[Sample]:
        """All images, each once."""
        parts = (self.train, self.validation, *(test.samples for test in self.tests))
        return list({one.name: one for part in parts for one in part}.values())

    def record(self) -> dict[str, Any]:
        """For a file."""
        tests = [
            {"set": test.name, "kind": test.kind, "images": len(test.samples), "groups": _groups(test.samples)}
            for test in self.tests
        ]
        return {
            "task": self.name, "train": len(self.train), "validation": len(self.validation), "tests": tests,
            "left_out": self.left_out,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Scene:
    """The same scene under each confounder of one severity."""

    name: str
    severity: float
    views: Mapping[str, Sample]


def tasks_of(data: PhantomData | SitesData, classes: Sequence[str]) -> list[Task]:
    """The tasks in their order; no image is read."""
    return [_phantom_task(data)] if isinstance(data, PhantomData) else _site_tasks(data, classes)


def scenes_of(data: PhantomData | SitesData) -> list[Scene]:
    """What the invariance is measured on; nothing but phantoms can be photographed again under another light."""
    if not isinstance(data, PhantomData):
        return []
    return [
        Scene(
            f"scene-{seed}",
            severity,
            {
                confounder: Sample(
                    f"scene-{seed}-{confounder}-{severity:g}", "phantom", f"scene-{seed}", confounder,
                    partial(_rendered, data, seed, 0.0, severity, confounder),
                )
                for confounder in CONFOUNDERS
            },
        )
        for severity in data.do_severity
        for seed in range(data.seed + 3 * FAR, data.seed + 3 * FAR + data.do_scenes)
    ]  # fmt: skip


def _phantom_task(data: PhantomData) -> Task:
    def drawn(part: int, count: int, strength: float, law: str) -> tuple[Sample, ...]:
        first = data.seed + part * FAR
        return tuple(
            Sample(
                f"{law}-{seed}", "phantom", f"scene-{seed}", _confounder(data, seed, strength),
                partial(_rendered, data, seed, strength, data.severity, None),
            )
            for seed in range(first, first + count)
        )  # fmt: skip

    tests = (("training law", "in", data.strength), ("unconfounded", "out", 0.0), ("reversed", "out", -data.strength))
    return Task(
        "phantom",
        drawn(0, data.train, data.strength, "train"),
        drawn(1, data.validation, data.strength, "validation"),
        # The same scenes under each law: what differs between the sets is the confounder alone.
        tuple(
            TestSet(name, kind, drawn(2, data.test, strength, name.replace(" ", "-")))  # type: ignore[arg-type]
            for name, kind, strength in tests
        ),
    )


def _confounder(data: PhantomData, seed: int, strength: float) -> str:
    return draw_causes(seed, size=(data.size, data.size), strength=strength).confounder


def _rendered(
    data: PhantomData, seed: int, strength: float, severity: float | None, confounder: str | None
) -> tuple[Tensor, Tensor]:
    phantom = endoscopy(seed, size=(data.size, data.size), strength=strength, severity=severity, evidence=data.evidence)
    if confounder is not None:
        phantom = phantom.do(confounder=confounder)
    return torch.from_numpy(phantom.image), torch.from_numpy(phantom.labels.astype("int64"))


def _site_tasks(data: SitesData, classes: Sequence[str]) -> list[Task]:
    items, left_out = _items(data, classes)
    sites = sites_of(items)
    if data.count is not None:
        sites = {site: _drawn(its, data.count, data.seed) for site, its in sites.items()}
    samples = {site: tuple(_sample(one) for one in its) for site, its in sites.items()}
    if not data.held_out:
        parts = _parts([one for its in sites.values() for one in its], data)
        train, validation, test = (tuple(_sample(one) for one in part) for part in parts)
        return [Task("all sites", train, validation, (TestSet("all sites", "in", test),), left_out)]
    held_out = tuple(sites) if data.held_out == "all" else data.held_out
    unknown = [site for site in held_out if site not in sites]
    if unknown:
        raise DatasetError(f"held_out: {unknown[0]!r} is no site of this data; it has {', '.join(sites)}.")
    if len(sites) < 2:
        raise DatasetError(f"there is one site, {next(iter(sites))!r}: with it held out nothing is left to train on.")
    tasks = []
    for site in held_out:
        parts = _parts([one for other, its in sites.items() if other != site for one in its], data)
        train, validation, test = (tuple(_sample(one) for one in part) for part in parts)
        tests = [TestSet(f"sources of {site}", "in", test or validation)] if test or validation else []
        tasks.append(Task(site, train, validation, (*tests, TestSet(site, "out", samples[site])), left_out))
    return tasks


def _items(data: SitesData, classes: Sequence[str]) -> tuple[list[Item], int]:
    items: list[Item] = []
    groups: dict[str, str] = {}
    for number, one in enumerate(data.sets):
        found = load_dataset(one.name, one.root, one.split, unlabelled=one.unlabelled, **one.options)
        for item in found:
            # Two data sets, or one read twice, may call an image or a patient the same.
            prefix = one.name if sum(other.name == one.name for other in data.sets) == 1 else f"{one.name}-{number + 1}"
            item = {**item, "called": f"{prefix}-{item['index']:05d}", "id": f"{prefix}/{item['id']}"}
            if one.site is not None:
                item["site"] = one.site
            known = item.get("patient", item.get("sequence"))
            # A patient's own name has no place in a table.
            own = item["called"]
            item["group"] = own if known is None else groups.setdefault(f"{prefix}/{known}", f"group-of-{own}")
            items.append(item)
    if data.class_key is None:
        return items, 0
    classed = [(item, _class_of(item, data, classes)) for item in items]
    named = [{**item, "class": number} for item, number in classed if number is not None]
    if not named:
        raise DatasetError(f"class_key: no image has a {data.class_key!r} that 'class_values' turns into one class.")
    return named, len(items) - len(named)


def _class_of(item: Item, data: SitesData, classes: Sequence[str]) -> int | None:
    value = item.get(str(data.class_key))
    values = value if isinstance(value, list | tuple) else [] if value is None else [value]
    found = {classes.index(data.class_values[str(one)]) + 1 for one in values if str(one) in data.class_values}
    strangers = [one for one in values if str(one) not in data.class_values]
    return found.pop() if len(found) == 1 and not strangers else None


def _sample(item: Item) -> Sample:
    site = str(item["site"])
    return Sample(item["called"], site, item["group"], site, partial(_read, item))


def _read(item: Item) -> tuple[Tensor, Tensor]:
    try:
        image, label = read_pair(item)
    except ValueError as error:
        raise ValueError(f"{item['called']}, {error}") from None
    if "class" in item:
        label = torch.where((label > 0) & (label != 255), item["class"], label)
    return torch.as_tensor(image), label


def _parts(items: Sequence[Item], data: SitesData) -> list[list[Item]]:
    """Training, validation, source test; no patient and no sequence in two of them."""
    shares = [1 - data.validation - data.source_test, data.validation, data.source_test]
    parts = iter(split_by_group(items, [one for one in shares if one > 0], data.seed, key="group"))
    return [next(parts) if share > 0 else [] for share in shares]


def _drawn(items: Sequence[Item], count: int, seed: int) -> list[Item]:
    if count >= len(items):
        return list(items)
    return split_by_group(items, (count / len(items), 1 - count / len(items)), seed, key="group")[0][:count]


def _groups(samples: Sequence[Sample]) -> int:
    return len({one.group for one in samples})
