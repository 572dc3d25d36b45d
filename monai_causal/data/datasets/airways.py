# SPDX-License-Identifier: Apache-2.0
"""Bronchi and larynx.

BM-BronchoLC's three JSON files are read as third parties describe them, and checked against that:

- ``objects.json``: a list of patients ``{"object_id", "series": [{"object_id", "images": [{"object_id"}]}]}`` (or
  ``"videos"`` for ``"series"``); the picture is ``imgs/<patient>/<series>/<image>.png``, each by its ``object_id``;
- ``annotation.json``: a list of outlines ``{"object_id", "label_ids", "data": [{"x", "y"}]}`` of an image;
- ``labels.json``: a list of ``{"id", "name"}``.

The label is the union of the outlines of lesions. An image without one (an anatomical landmark at most) has no label:
nothing published says that it is free of lesions.
"""

from __future__ import annotations

import json
from numbers import Real
from pathlib import Path
from typing import Any

from monai_causal.data.datasets.layout import DatasetError, Item, Layout, files, inside, require_files
from monai_causal.data.readers import PICTURES, Polygons

GROUPS = {"Lung_cancer": "lung cancer", "Non_lung_cancer": "no lung cancer"}
LESIONS = {  # by their published names, in lower case
    "mucosal infiltration": "Mucosal infiltration",
    "mucosal edema of carina": "Mucosal edema of carina",
    "vascular growth": "Vascular growth",
    "muscosal erythema": "Mucosal erythema",
    "mucosal erythema": "Mucosal erythema",
    "tumor": "Tumor",
    "anthrocosis": "Anthracosis",
    "anthracosis": "Anthracosis",
    "stenosis": "Stenosis",
}
LANDMARKS = (
    "vocal cords",
    "main carina",
    "intermediate bronchus",
    "right superior lobar bronchus",
    "right inferior lobar bronchus",
    "right middle lobar bronchus",
    "left inferior lobar bronchus",
    "left superior lobar bronchus",
    "right main bronchus",
    "left main bronchus",
    "trachea",
)
LARYNGEAL_CLASSES = 8
KINDS: dict[Any, str] = {list: "list", str: "text", Real: "number"}


class _Json:
    """One of the JSON files of a folder: a list of dictionaries whose fields are checked as they are read."""

    def __init__(self, layout: Layout, folder: Path, name: str) -> None:
        self.layout, self.name = layout, f"{folder.name}/{name}"
        if not (folder / name).is_file():
            raise layout.error(f"the file {self.name!r} is missing.")
        try:
            content = json.loads((folder / name).read_text(encoding="utf-8-sig"))
        except ValueError:
            raise layout.error(f"{self.name!r} is not JSON.") from None
        if not isinstance(content, list):
            raise layout.error(f"{self.name!r} holds a {type(content).__name__}; a list is expected.")
        self.entries: list[Any] = content

    def error(self, number: int, problem: str) -> DatasetError:
        return self.layout.error(f"entry {number} of {self.name!r} {problem}.")

    def field(self, number: int, entry: Any, kind: type, *keys: str) -> Any:
        """The first of these keys that the entry has."""
        if not isinstance(entry, dict):
            raise self.error(number, f"holds a {type(entry).__name__} where a dictionary is expected")
        value = next((entry[key] for key in keys if key in entry), None)
        if not isinstance(value, kind):
            raise self.error(number, f"has no {' or '.join(map(repr, keys))} that is a {KINDS[kind]}")
        return value

    def name_of(self, number: int, entry: Any) -> str:
        """An object's id, which is the name of its file or folder too."""
        value: str = self.field(number, entry, str, "object_id")
        if not value or Path(value).name != value:
            raise self.error(number, "has an 'object_id' that cannot be the name of a file")
        return value


def _bm_broncholc(layout: Layout, root: Path, split: str | None, complete: bool = True) -> list[Item]:
    root = inside(root, "BM-BronchoLC")
    there = [group for group in GROUPS if (root / group).is_dir()]
    items = []
    for group in GROUPS if complete or not there else there:
        folder = layout.folder(root, group)
        items += _bronchoscopies(layout, inside(folder, group), GROUPS[group], complete)
    return layout.counted(items, complete)


def _bronchoscopies(layout: Layout, folder: Path, diagnosis: str, complete: bool) -> list[Item]:
    images = layout.folder(folder, "imgs")
    items: list[Item] = []
    objects = _Json(layout, folder, "objects.json")
    for number, person in enumerate(objects.entries):
        patient = objects.name_of(number, person)
        for video in objects.field(number, person, list, "series", "videos"):
            series = objects.name_of(number, video)
            for one in objects.field(number, video, list, "images"):
                image = objects.name_of(number, one)
                items.append(
                    {
                        "image": str(images / patient / series / f"{image}.png"),
                        "label_type": "binary",
                        "id": image,
                        "patient": patient,
                        "sequence": f"{patient}/{series}",
                        "site": "bm-broncholc",
                        "diagnosis": diagnosis,
                    }
                )
    require_files(layout, items, ["image"])
    unlisted = sum(path.suffix.lower() in PICTURES for path in images.rglob("*")) - len(items)
    if complete and unlisted > 0:
        raise layout.error(f"{unlisted} pictures are not in {objects.name!r} (complete=False leaves them out).")
    marked = _marked(layout, folder, {item["id"] for item in items})
    for item in items:
        lesions, outlines = marked.get(item["id"], (set(), []))
        item["lesions"] = sorted(lesions)
        if outlines:
            item["label"] = Polygons(tuple(outlines), item["image"])
    return items


def _marked(layout: Layout, folder: Path, images: set[str]) -> dict[str, tuple[set[str], list[Any]]]:
    """The lesions of each image, and their outlines."""
    names = _label_names(_Json(layout, folder, "labels.json"))
    annotations = _Json(layout, folder, "annotation.json")
    marked: dict[str, tuple[set[str], list[Any]]] = {}
    for number, entry in enumerate(annotations.entries):
        image = annotations.field(number, entry, str, "object_id")
        if image not in images:
            raise annotations.error(number, "is of an image that objects.json does not list")
        found = set()
        for label in annotations.field(number, entry, list, "label_ids"):
            if not isinstance(label, str) or label not in names:
                raise annotations.error(number, "has a label id that labels.json does not name")
            name = " ".join(names[label].lower().split())
            if name in LESIONS:
                found.add(LESIONS[name])
            elif name not in LANDMARKS:
                raise annotations.error(
                    number, f"is labelled {names[label]!r}, which is neither a published lesion nor a landmark"
                )
        outline = _outline(annotations, number, entry)
        if found:
            lesions, outlines = marked.setdefault(image, (set(), []))
            lesions |= found
            outlines += [outline] if outline else []
    return marked


def _label_names(labels: _Json) -> dict[str, str]:
    names: dict[str, str] = {}
    for number, entry in enumerate(labels.entries):
        key = labels.field(number, entry, str, "id")
        if key in names:
            raise labels.error(number, "has the id of another one")
        names[key] = labels.field(number, entry, str, "name")
    return names


def _outline(annotations: _Json, number: int, entry: Any) -> tuple[tuple[float, float], ...]:
    """The corners (x, y); none where an annotation names a label without outlining it."""
    corners = annotations.field(number, entry, list, "data")
    if 0 < len(corners) < 3:
        raise annotations.error(number, f"outlines an area by {len(corners)} points; three are the fewest")
    read = ((annotations.field(number, one, Real, "x"), annotations.field(number, one, Real, "y")) for one in corners)
    return tuple((float(x), float(y)) for x, y in read)


def _laryngoscope8(layout: Layout, root: Path, split: str | None, complete: bool = True) -> list[Item]:
    root = inside(root, "Laryngoscope8")
    if not root.is_dir():
        raise layout.error("the folder of its classes is missing.")
    folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")
    if complete and len(folders) != LARYNGEAL_CLASSES:
        raise layout.error(
            f"there are {len(folders)} folders where {LARYNGEAL_CLASSES} classes are published "
            "(complete=False accepts a part)."
        )
    items = [
        {
            "image": str(path),
            "label_type": "binary",
            "id": f"{folder.name}/{name}",
            "site": "laryngoscope8",
            "diagnosis": folder.name,
        }
        for folder in folders
        for name, path in files(layout, folder).items()
    ]
    return layout.counted(items, complete)


BM_BRONCHOLC = Layout(
    title="BM-BronchoLC",
    page="https://doi.org/10.6084/m9.figshare.24243670",
    tree="""\
    Lung_cancer/          annotation.json objects.json labels.json     (and Non_lung_cancer/)
    Lung_cancer/imgs/     PATIENT/SERIES/IMAGE.png ...""",
    load=_bm_broncholc,
    count=2921,
    note="Known: a derived copy has red and blue swapped, so look at a frame: mucosa is red. The publishers' own split "
    "is over images, so that one patient is in two parts: use split_by_group.",
    unmasked="Images without the outline of a lesion have no mask: that they show none is not published.",
)

LARYNGOSCOPE8 = Layout(
    title="Laryngoscope8",
    page="https://pure.bit.edu.cn/en/publications/laryngoscope8-laryngeal-image-dataset-and-classification-of-laryn",
    tree="""\
    CLASS/                NAME.jpg ...              (eight folders, one per class)""",
    load=_laryngoscope8,
    count=3057,
    note="Known: 1,950 people, and no file says which images are of one person.",
    unmasked="Known: it is published with a class per image and without masks, whatever a paper says; "
    "unlabelled='keep' lists the images with their 'diagnosis'. Segmentations of the larynx are in VoFoCD, in the "
    "vocal-folds set of arXiv 1807.06081 and in BAGLS (the glottis): give them as a decathlon list.",
)
