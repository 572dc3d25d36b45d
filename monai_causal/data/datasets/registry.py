# SPDX-License-Identifier: Apache-2.0
"""The data sets by name."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any, Literal, TypeAlias

from monai_causal.data.datasets import airways, colon, lists, photographs, rendered, retina, skin
from monai_causal.data.datasets.layout import DatasetError, Item, Layout

Unlabelled: TypeAlias = Literal["error", "drop", "keep"]

DATASETS: dict[str, Layout] = {
    "ham10000": skin.HAM10000,
    "isic": skin.ISIC,
    "fives": retina.FIVES,
    "polypgen": colon.POLYPGEN,
    "kvasir-seg": colon.KVASIR_SEG,
    "cvc-clinicdb": colon.CVC_CLINICDB,
    "etis-larib": colon.ETIS_LARIB,
    "polypdb": colon.POLYPDB,
    "bm-broncholc": airways.BM_BRONCHOLC,
    "laryngoscope8": airways.LARYNGOSCOPE8,
    "voc2012": photographs.VOC2012,
    "sbd": photographs.SBD,
    "decathlon": lists.DECATHLON,
    "phantom": rendered.PHANTOM,
}
"""The data sets by name."""


def load_dataset(
    name: str,
    root: str | os.PathLike[str] | None = None,
    split: str | None = None,
    *,
    unlabelled: Unlabelled = "error",
    **options: Any,
) -> list[Item]:
    """The items of a data set, in the order of their ids.

    Args:
        name: ham10000, isic, fives, polypgen, kvasir-seg, cvc-clinicdb, etis-larib, polypdb, bm-broncholc,
            laryngoscope8, voc2012, sbd, decathlon (any list in its format) or phantom.
        root: the folder that holds the published tree, or one of the folders on the way to it; of a decathlon list the
            JSON file, or the folder with its ``dataset.json``; a phantom has none.
        split: one of the data set's own; None: all of them (VOC 2012: trainval; decathlon: training). Where there is
            none, make parts with :func:`split_by_group`.
        unlabelled: an image without a label is an ``"error"``; ``"drop"`` leaves it out, ``"keep"`` lists it without.
        options: PolypGen: ``centres``; CVC-ClinicDB, ETIS-Larib, PolypDB, BM-BronchoLC, Laryngoscope8: ``complete``
            (True: another number of images than the published one is an error; False accepts it); CVC-ClinicDB,
            ETIS-Larib: ``sequences`` (without a ``metadata.csv``, ``"unknown"`` warns and ``"error"`` refuses);
            decathlon: ``base_dir``; phantom: ``count``, ``seed``, ``size``, ``strength``, ``evidence``.

    >>> [item["id"] for item in load_dataset("phantom", count=2, seed=5)]
    ['shapes-5', 'shapes-6']
    """
    if name not in DATASETS:
        raise DatasetError(f"no data set {name!r}; those known by name: {', '.join(DATASETS)}.")
    layout = DATASETS[name]
    if split is not None and name != "decathlon" and split not in layout.splits:
        own = f"it has {', '.join(layout.splits)}" if layout.splits else "it has none: use split_by_group"
        raise DatasetError(f"{layout.title} has no split {split!r}; {own}.")
    if unlabelled not in ("error", "drop", "keep"):
        raise ValueError(f"unlabelled={unlabelled!r}: choose 'error', 'drop' or 'keep'.")
    known = list(inspect.signature(layout.load).parameters)[3:]
    if not options.keys() <= set(known):
        raise DatasetError(
            f"{layout.title} has no option {min(options.keys() - set(known))!r}; {', '.join(known) or 'it has none'}."
        )
    if name == "phantom":
        return _numbered(name, layout.load(layout, None, split, **options))
    if root is None or not Path(root).exists():
        raise layout.error("the folder given is not there." if root is not None else "give the folder that holds it.")
    items = layout.load(layout, Path(root), split, **options)
    if not items:
        raise layout.error("there is not one image in it.")
    copies = len(items) - len({str(item["id"]) for item in items})
    if copies:
        raise layout.error(f"{copies} of {len(items)} images have the id of another one.")
    items.sort(key=lambda item: str(item["id"]))
    known_gap = f"\n{layout.unmasked}" if layout.unmasked else ""
    without = [number for number, item in enumerate(items) if not item.get("label")]
    if without and unlabelled == "error":
        raise layout.error(
            f"{len(without)} of {len(items)} images have no mask, the first is number {without[0]} in the order of ids "
            f"(unlabelled='drop' leaves them out, 'keep' lists them without).{known_gap}"
        )
    if unlabelled == "drop":
        items = [item for item in items if item.get("label")]
        if not items and layout.unmasked:
            raise layout.error(f"none of its {len(without)} images has a mask.{known_gap}")
    return _numbered(name, items)


def _numbered(name: str, items: list[Item]) -> list[Item]:
    return [{"dataset": name, **item, "index": index} for index, item in enumerate(items)]
