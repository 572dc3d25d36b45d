# SPDX-License-Identifier: Apache-2.0
"""Any box file: COCO's JSON, or a CSV with a row per box."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_causal.apps.medground.sources.annotated import Annotated, AnnotatedSource, Box

__all__ = ["source_from_coco", "source_from_csv"]

COLUMNS = ("image", "finding", "x0", "y0", "x1", "y1")


def source_from_csv(
    path: str | os.PathLike[str], images: str | os.PathLike[str], name: str | None = None, **options: Any
) -> AnnotatedSource:
    """A CSV with the columns ``image, finding, x0, y0, x1, y1``, half-open in native pixels.

    A row without numbers says that the finding is not on the image. A finding that other images have and that no row
    names for an image is not asked about there: nobody said that it is absent.

    Args:
        path: of the file.
        images: the folder to which ``image`` is relative.
        name: of the data set; by default the file's.
        options: of :class:`~monai_causal.apps.medground.sources.annotated.AnnotatedSource`.
    """
    path = Path(path)
    found: dict[str, dict[str, list[Box]]] = {}
    absent: dict[str, list[str]] = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        lacking = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if lacking:
            raise ValueError(f"{path.name} has no column {lacking[0]!r}; it needs {', '.join(COLUMNS)}.")
        for row in reader:
            where = f"{path.name}, line {reader.line_num}"
            finding, image = row["finding"].strip(), row["image"].strip()
            found.setdefault(image, {})
            corners = [row[column].strip() for column in COLUMNS[2:]]
            if not any(corners):
                absent.setdefault(image, []).append(finding)
                continue
            found[image].setdefault(finding, []).append(_box(corners, where))
    listed = [
        Annotated(image, Path(images) / image, findings, [one for one in absent.get(image, ()) if one not in findings])
        for image, findings in found.items()
    ]
    return AnnotatedSource(name or path.stem, _some(listed, path.name), **options)


def source_from_coco(
    path: str | os.PathLike[str], images: str | os.PathLike[str], name: str | None = None, **options: Any
) -> AnnotatedSource:
    """COCO's JSON: ``images``, ``annotations`` with ``bbox`` [x, y, width, height], and ``categories``.

    All categories count as looked for on every image, as the format means it: what an image does not have is absent.

    Args:
        path: of the file.
        images: the folder to which ``file_name`` is relative.
        name: of the data set; by default the file's.
        options: of :class:`~monai_causal.apps.medground.sources.annotated.AnnotatedSource`.
    """
    path = Path(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, Mapping) or not isinstance(content.get(key), list):
            raise ValueError(f"{path.name} has no list {key!r}: it is no COCO file.")
    categories = {one["id"]: str(one["name"]) for one in content["categories"]}
    found: dict[Any, dict[str, list[Box]]] = {one["id"]: {} for one in content["images"]}
    for number, one in enumerate(content["annotations"]):
        where = f"{path.name}, annotation {number}"
        if one.get("image_id") not in found or one.get("category_id") not in categories:
            raise ValueError(f"{where}: its image or category is not in the file.")
        x, y, width, height = (float(value) for value in one["bbox"])
        box = _box([str(x), str(y), str(x + width), str(y + height)], where)
        found[one["image_id"]].setdefault(categories[one["category_id"]], []).append(box)
    listed = [
        Annotated(
            str(one["file_name"]),
            Path(images) / one["file_name"],
            found[one["id"]],
            [category for category in categories.values() if category not in found[one["id"]]],
        )
        for one in content["images"]
    ]
    return AnnotatedSource(name or path.stem, _some(listed, path.name), **options)


def _box(corners: list[str], where: str) -> Box:
    try:
        x0, y0, x1, y1 = (float(value) for value in corners)
    except ValueError:
        raise ValueError(f"{where}: {corners} are not four numbers.") from None
    if not (x0 < x1 and y0 < y1):  # also false for NaN
        raise ValueError(f"{where}: x0 {x0}, y0 {y0}, x1 {x1}, y1 {y1} is no box.")
    return x0, y0, x1, y1


def _some(listed: list[Annotated], name: str) -> list[Annotated]:
    if not listed:
        raise ValueError(f"{name} names no image.")
    return listed
