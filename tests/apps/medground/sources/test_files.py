# SPDX-License-Identifier: Apache-2.0
"""Box files and the three data sets' layouts, made small."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_causal.apps.medground.candidates import Candidate, Source
from monai_causal.apps.medground.sources import (
    source_from_coco,
    source_from_csv,
    source_from_imagenome,
    source_from_padchest_gr,
    source_from_vindr,
)
from monai_causal.apps.medground.sources.annotated import read_pixels


def picture(path: Path, size: tuple[int, int] = (40, 60), deep: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(0, 1, size[0] * size[1]).reshape(size)
    Image.fromarray((ramp * (65535 if deep else 255)).astype(np.uint16 if deep else np.uint8)).save(path)


def listed(source: Source, negatives: float = 0.0) -> list[Candidate]:
    return [case.located(one) for case in source.cases(None, negatives) for one in case.candidates]


def said(source: Source, negatives: float = 0.0) -> list[tuple[str, bool, Any]]:
    return [(one.finding, one.positive, one.boxes) for one in listed(source, negatives)]


def rows(path: Path, *lines: tuple[object, ...]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return path


HEAD = ("image", "finding", "x0", "y0", "x1", "y1")


def test_a_csv_gives_boxes_and_what_was_denied(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    table = rows(
        tmp_path / "boxes.csv",
        HEAD,
        ("a.png", "Nodule", 1, 2, 10, 12),
        ("a.png", "Nodule", 20, 2, 30, 12.5),
        ("a.png", "Effusion", "", "", "", ""),
        ("b.png", "Effusion", 0, 0, 99, 10),
    )
    source = source_from_csv(table, tmp_path)
    assert said(source, 0.5) == [
        ("Nodule", True, ((1, 2, 10, 12), (20, 2, 30, 13))),
        ("Effusion", False, ()),
        ("Effusion", True, ((0, 0, 60, 10),)),  # cut at the image's border
    ]
    first = listed(source)[0]
    assert first.question == "Is there evidence of nodule in the image?"
    assert source.record["source"] == "boxes"
    assert [case.name.partition("-")[0] for case in source.cases(None, 0.0)] == ["boxes", "boxes"]
    assert all(name not in case.name for case in source.cases(None, 0.0) for name in ("a.png", "b.png"))


def test_a_csv_that_is_wrong_says_where(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no column 'x0'"):
        source_from_csv(rows(tmp_path / "a.csv", ("image", "finding")), tmp_path)
    with pytest.raises(ValueError, match="line 3: x0 9"):
        source_from_csv(rows(tmp_path / "b.csv", HEAD, ("a", "n", 1, 1, 2, 2), ("a", "n", 9, 1, 2, 2)), tmp_path)


def test_coco_boxes_are_corner_and_size_and_all_categories_were_looked_for(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    content = {
        "images": [{"id": 5, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "nodule"}, {"id": 2, "name": "mass"}],
        "annotations": [{"image_id": 5, "category_id": 1, "bbox": [4, 6, 10, 8]}],
    }
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(content))
    assert said(source_from_coco(path, tmp_path), 0.5) == [("nodule", True, ((4, 6, 14, 14),)), ("mass", False, ())]
    content["annotations"][0]["category_id"] = 3  # type: ignore[index]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="annotation 0"):
        source_from_coco(path, tmp_path)


def test_vindr_takes_all_readers_and_leaves_out_what_has_no_place(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    rows(
        tmp_path / "annotations" / "annotations_test.csv",
        ("image_id", "class_name", "x_min", "y_min", "x_max", "y_max"),
        ("b", "No finding", "", "", "", ""),
        ("a", "Cardiomegaly", 1, 2, 30, 20),
        ("a", "Cardiomegaly", 2, 2, 31, 20),
        ("a", "Other lesion", 2, 2, 31, 20),
    )
    source = source_from_vindr(tmp_path)
    a, b = source.images
    assert a.findings == {"Cardiomegaly": [(1.0, 2.0, 30.0, 20.0), (2.0, 2.0, 31.0, 20.0)]}
    assert (a.path, a.absent) == (tmp_path / "test" / "a.dicom", [])
    assert (b.findings, b.absent) == ({}, ["Cardiomegaly"])


def test_padchest_boxes_are_fractions_of_deep_images(tmp_path: Path) -> None:
    picture(tmp_path / "PadChest_GR" / "1.png", deep=True)
    picture(tmp_path / "PadChest_GR" / "2.png", deep=True)
    finding = {"labels": ["pleural effusion"], "abnormal": True, "boxes": [[0.5, 0.25, 1.0, 0.5]]}
    normal = {"labels": ["Normal"], "abnormal": False, "boxes": []}
    studies = [{"ImageID": "1.png", "findings": [finding, normal]}, {"ImageID": "2.png", "findings": [normal]}]
    (tmp_path / "grounded_reports_1.json").write_text(json.dumps(studies))
    source = source_from_padchest_gr(tmp_path)
    assert said(source, 0.5) == [
        ("pleural effusion", True, ((30, 10, 60, 20),)),
        ("pleural effusion", False, ()),
    ]
    assert (read_pixels(tmp_path / "PadChest_GR" / "1.png")[[0, -1], [0, -1]] == [0, 255]).all()
    finding["boxes"] = [[0.5, 0.25, 1.2, 0.5]]
    (tmp_path / "grounded_reports_2.json").write_text(json.dumps(studies))
    with pytest.raises(ValueError, match="study 0, finding 0"):
        source_from_padchest_gr(tmp_path)


def test_imagenome_findings_lie_where_the_report_says_yes(tmp_path: Path) -> None:
    def region(name: str, *corners: int) -> dict[str, Any]:
        return {
            "bbox_name": name,
            **dict(zip(("original_x1", "original_y1", "original_x2", "original_y2"), corners, strict=True)),
        }

    graph = {
        "image_id": "i1", "patient_id": 10000032, "study_id": "50414267.0",
        "objects": [region("left lung", 30, 5, 55, 35), region("right lung", 5, 5, 28, 35)],
        "attributes": [
            {"bbox_name": "left lung", "attributes": [["anatomicalfinding|yes|lung opacity", "nlp|yes|abnormal"]]},
            {"bbox_name": "right lung", "attributes": [["anatomicalfinding|no|lung opacity", "disease|no|pneumonia"]]},
        ],
    }  # fmt: skip
    folder = tmp_path / "silver_dataset" / "scene_graph"
    folder.mkdir(parents=True)
    (folder / "i1_SceneGraph.json").write_text(json.dumps(graph))
    picture(tmp_path / "files" / "p10" / "p10000032" / "s50414267" / "i1.jpg")
    source = source_from_imagenome(tmp_path, tmp_path)
    assert said(source, 0.5) == [("lung opacity", True, ((30, 5, 55, 35),)), ("pneumonia", False, ())]


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda folder: source_from_vindr(folder), "physionet.org/content/vindr-cxr"),
        (lambda folder: source_from_padchest_gr(folder), "bimcv.cipf.es"),
        (lambda folder: source_from_imagenome(folder, folder), "physionet.org/content/chest-imagenome"),
    ],
)
def test_a_data_set_that_is_not_there_is_answered_with_its_page(tmp_path: Path, make: Any, where: str) -> None:
    with pytest.raises(FileNotFoundError, match=where) as error:
        make(tmp_path)
    assert str(tmp_path) not in str(error.value)
