# SPDX-License-Identifier: Apache-2.0
"""The paper's three data sets in the layouts of their publishers: Chest ImaGenome, VinDr-CXR and PadChest-GR.

None may be passed on; each reader checks the layout first, and says where a data set comes from if it is not there.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_causal.apps.medground.sources.annotated import Annotated, AnnotatedSource, Box
from monai_causal.data.imagenome import FILES, SCENE_GRAPHS, SUFFIX, read_scene_graph

__all__ = ["source_from_imagenome", "source_from_padchest_gr", "source_from_vindr"]

ORIGINS = {
    "imagenome": (
        "Chest ImaGenome: https://physionet.org/content/chest-imagenome and, for its images, "
        "https://physionet.org/content/mimic-cxr-jpg (credentialed access; training and a data use agreement)"
    ),
    "vindr_cxr": "VinDr-CXR: https://physionet.org/content/vindr-cxr (credentialed access; a data use agreement)",
    "padchest_gr": "PadChest-GR: https://bimcv.cipf.es/bimcv-projects/padchest-gr (a form; research use)",
}
VINDR_NOTHING = ("No finding", "Other lesion", "Other lesions", "Other disease", "Other diseases")
"""Of no place, or of no name that a question could ask about."""


def source_from_imagenome(
    folder: str | os.PathLike[str], images: str | os.PathLike[str], seed: int = 0
) -> AnnotatedSource:
    """Chest ImaGenome's silver scene graphs on MIMIC-CXR-JPG.

    A finding's boxes are those of all anatomical regions for which the report says yes; it is absent where the report
    says no of some region and yes of none.

    Args:
        folder: that holds ``silver_dataset/scene_graph``.
        images: of MIMIC-CXR-JPG, that holds ``files``.
        seed: of the draw of questions about what is not there.
    """
    graphs = _there(Path(folder) / SCENE_GRAPHS, "imagenome", SCENE_GRAPHS)
    files = _there(Path(images) / FILES, "imagenome", f"{FILES} (of MIMIC-CXR-JPG)")
    paths = sorted(graphs.glob(f"*{SUFFIX}"))
    if not paths:
        raise FileNotFoundError(f"{SCENE_GRAPHS} holds no *{SUFFIX}. {ORIGINS['imagenome']}.")
    listed = [_scene(path, files, f"scene graph {number}") for number, path in enumerate(paths)]
    return AnnotatedSource("imagenome", listed, seed=seed)


def source_from_vindr(folder: str | os.PathLike[str], split: str = "test", seed: int = 0) -> AnnotatedSource:
    """VinDr-CXR: ``annotations/annotations_SPLIT.csv`` and ``SPLIT/ID.dicom``.

    The boxes of all readers count; the test set's are their consensus. A class without a box on an image is absent.

    Args:
        folder: that holds ``annotations``.
        split: ``"test"`` or ``"train"``.
        seed: of the draw of questions about what is not there.
    """
    if split not in ("test", "train"):
        raise ValueError(f"split={split!r}: 'test' or 'train'.")
    name = f"annotations/annotations_{split}.csv"
    path = _there(Path(folder) / name, "vindr_cxr", name)
    images = _there(Path(folder) / split, "vindr_cxr", split)
    found: dict[str, dict[str, list[Box]]] = {}
    classes: dict[str, None] = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = ("image_id", "class_name", "x_min", "y_min", "x_max", "y_max")
        lacking = [column for column in columns if column not in (reader.fieldnames or ())]
        if lacking:
            raise ValueError(f"{name} has no column {lacking[0]!r}: it is not VinDr-CXR's.")
        for row in reader:
            boxes = found.setdefault(row["image_id"], {})
            finding = row["class_name"].strip()
            corners = [row[column].strip() for column in columns[2:]]
            if finding in VINDR_NOTHING or not all(corners):
                continue
            classes[finding] = None
            x0, y0, x1, y1 = (float(value) for value in corners)
            boxes.setdefault(finding, []).append((x0, y0, x1, y1))
    listed = [
        Annotated(image, images / f"{image}.dicom", boxes, [one for one in sorted(classes) if one not in boxes])
        for image, boxes in sorted(found.items())
    ]
    return AnnotatedSource("vindr_cxr", listed, about={"split": split}, seed=seed)


def source_from_padchest_gr(folder: str | os.PathLike[str], seed: int = 0) -> AnnotatedSource:
    """PadChest-GR: ``grounded_reports*.json`` and the images under ``PadChest_GR``.

    A finding is what a sentence's first label calls it; its boxes are those of all sentences with that label. What no
    sentence of an image names, and other images have, is absent: the reports list all findings.

    Args:
        folder: that holds the JSON, and the images in it or in a folder ``PadChest_GR`` or ``Padchest_GR_files``.
        seed: of the draw of questions about what is not there.
    """
    folder = _there(Path(folder), "padchest_gr", "the folder")
    reports = sorted(folder.glob("grounded_reports*.json"))
    if not reports:
        raise FileNotFoundError(f"no grounded_reports*.json is there. {ORIGINS['padchest_gr']}.")
    content = json.loads(reports[-1].read_text(encoding="utf-8"))
    if not isinstance(content, list):
        raise ValueError(f"{reports[-1].name}: a list of studies is expected, not {type(content).__name__}.")
    places = [
        folder / "PadChest_GR",
        folder / "Padchest_GR_files" / "PadChest_GR",
        folder / "Padchest_GR_files",
        folder,
    ]
    images = next(place for place in places if place.is_dir())
    found = {}
    for number, study in enumerate(content):
        image = study.get("ImageID") if isinstance(study, Mapping) else None
        if not isinstance(image, str) or not isinstance(study.get("findings"), list):
            raise ValueError(f"{reports[-1].name}, study {number}: it needs ImageID and a list findings.")
        found[image] = _grounded(study["findings"], f"{reports[-1].name}, study {number}")
    labels = sorted({name for findings in found.values() for name in findings})
    listed = [
        Annotated(
            image, images / image, {name: boxes for name, boxes in findings.items() if boxes},
            [one for one in labels if one not in findings], fractions=True,
        )
        for image, findings in sorted(found.items())
    ]  # fmt: skip
    return AnnotatedSource("padchest_gr", listed, seed=seed)


def _scene(path: Path, files: Path, item: str) -> Annotated:
    """One scene graph."""
    graph = read_scene_graph(path, item)
    there: dict[str, list[Box]] = {}
    denied: dict[str, None] = {}
    for region, said, finding in graph.statements():
        if said == "yes" and region in graph.regions and graph.regions[region] not in there.setdefault(finding, []):
            there[finding].append(graph.regions[region])
        elif said == "no":
            denied[finding] = None
    findings = {name: boxes for name, boxes in there.items() if boxes}
    absent = [one for one in denied if one not in there]
    return Annotated(graph.identifier, files / graph.picture, findings, absent)


def _grounded(findings: list[Any], where: str) -> dict[str, list[Box]]:
    """Boxes by label; a finding that is there without a box has an empty list."""
    found: dict[str, list[Box]] = {}
    for number, one in enumerate(findings):
        if not {"labels", "abnormal", "boxes"} <= set(one):
            raise ValueError(f"{where}, finding {number}: it needs labels, abnormal and boxes.")
        if not one["abnormal"] or not one["labels"]:
            continue
        boxes = found.setdefault(str(one["labels"][0]), [])
        for box in one["boxes"]:
            x0, y0, x1, y1 = (float(value) for value in box)
            if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
                raise ValueError(f"{where}, finding {number}: {box} is no box in fractions of the image.")
            boxes.append((x0, y0, x1, y1))
    return found


def _there(path: Path, dataset: str, what: str) -> Path:
    if not path.exists():
        raise FileNotFoundError(
            f"{what} is not there: no {dataset} in its publisher's layout. Get it from {ORIGINS[dataset]}."
        )
    return path
