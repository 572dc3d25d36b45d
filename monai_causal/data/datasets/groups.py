# SPDX-License-Identifier: Apache-2.0
"""Items in groups: parts that share no patient, and the sites of a study across hospitals."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from monai_causal.data.datasets.layout import DatasetError, Item

Group = TypeVar("Group", bound=Mapping[str, Any])


def split_by_group(
    items: Sequence[Group], fractions: Sequence[float], seed: int = 0, *, key: str = "patient"
) -> tuple[list[Group], ...]:
    """Parts of the items such that no patient is in two of them.

    The patients' order is drawn from the seed, whatever the order of the items; a part holds its fraction of the items
    to within one patient. An item without a patient is a group of its own. Within a part the order is kept.

    Args:
        items: dictionaries with ``id`` and, where known, ``key``.
        fractions: one per part, together 1.
        seed: of the draw.
        key: what must stay together: ``"patient"``, ``"sequence"``, ``"centre"``, ``"site"``.

    >>> items = [{"id": str(number), "patient": str(number // 2)} for number in range(10)]
    >>> train, test = split_by_group(items, (0.6, 0.4))
    >>> len(train), len(test), {item["patient"] for item in train} & {item["patient"] for item in test}
    (6, 4, set())
    """
    if not fractions or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"fractions={tuple(fractions)}: give one above 0 for each part, together 1.")
    groups: dict[tuple[str, str], list[int]] = {}
    for number, item in enumerate(items):
        known = item.get(key)
        groups.setdefault((key, str(known)) if known is not None else ("id", str(item["id"])), []).append(number)
    parts: list[list[int]] = [[] for _ in fractions]
    ends = [sum(fractions[: part + 1]) * len(items) for part in range(len(fractions) - 1)]
    dealt = 0
    for group in sorted(groups, key=lambda group: hashlib.sha256(repr((seed, *group)).encode()).digest()):
        middle = dealt + len(groups[group]) / 2
        parts[sum(middle > end for end in ends)] += groups[group]
        dealt += len(groups[group])
    if not all(parts):
        raise ValueError(
            f"{len(groups)} groups of {len(items)} items leave part {[bool(part) for part in parts].index(False)} of "
            f"{len(parts)} empty: give larger fractions, or fewer parts."
        )
    return tuple([items[number] for number in sorted(part)] for part in parts)


def sites_of(items: Sequence[Item]) -> dict[str, list[Item]]:
    """The items of each site, sites and items in the order in which they come.

    Raises:
        DatasetError: an item has no site, or a site has a single image, which can be neither split nor held out.

    >>> items = [{"id": str(number), "site": f"C{number % 2 + 1}"} for number in range(5)]
    >>> {site: len(its) for site, its in sites_of(items).items()}
    {'C1': 3, 'C2': 2}
    """
    if not items:
        raise DatasetError("there are no items: give those of at least one data set.")
    groups: dict[str, list[Item]] = {}
    for place, item in enumerate(items):
        site = item.get("site")
        if site is None or str(site) == "":
            raise DatasetError(
                f"item {place} of {len(items)}, of the data set {item.get('dataset', '(not named)')!r}, has no 'site': "
                "set item['site'] where one data set is one hospital, or give a decathlon list whose entries carry it."
            )
        groups.setdefault(str(site), []).append(item)
    for site, its in groups.items():
        if len(its) == 1:
            raise DatasetError(
                f"site {site!r} has one image: a site that is held out or trained on needs more; "
                "add images, or leave the site out."
            )
    return groups
