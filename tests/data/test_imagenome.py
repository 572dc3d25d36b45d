# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monai_causal.data.imagenome import SUFFIX, read_scene_graph


def region(name: str, *corners: float) -> dict[str, Any]:
    keys = ("original_x1", "original_y1", "original_x2", "original_y2")
    return {"bbox_name": name, **dict(zip(keys, corners, strict=True))}


def written(folder: Path, **values: Any) -> Path:
    graph = {
        "image_id": "i1",
        "patient_id": "10000032.0",
        "study_id": 50414267,
        "objects": [region("left lung", 30, 5, 55.5, 35), region("spine", 4, 4, 4, 9)],
        "attributes": [
            {
                "bbox_name": "left lung",
                "attributes": [["anatomicalfinding|yes|lung opacity", "nlp|yes|abnormal"], ["disease|no|pneumonia"]],
            },
            {"bbox_name": "spine", "attributes": [["anatomicalfinding|maybe|fracture"]]},
        ],
        **values,
    }
    path = folder / f"i1{SUFFIX}"
    path.write_text(json.dumps({key: value for key, value in graph.items() if value is not None}))
    return path


def test_regions_statements_and_the_image_are_read(tmp_path: Path) -> None:
    graph = read_scene_graph(written(tmp_path), "image 0")
    assert graph.picture.parts == ("p10", "p10000032", "s50414267", "i1.jpg")
    assert graph.regions == {"left lung": (30, 5, 55.5, 35)}  # what has no area has no place
    assert list(graph.statements()) == [("left lung", "yes", "lung opacity"), ("left lung", "no", "pneumonia")]


def test_another_form_is_told_without_an_identifier(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^image 0: its scene graph has no study_id, objects: it is not Chest"):
        read_scene_graph(written(tmp_path, study_id=None, objects=None), "image 0")
    with pytest.raises(ValueError, match=r"^image 0: its scene graph has no attributes"):
        list(read_scene_graph(written(tmp_path, attributes=None), "image 0").statements())
    with pytest.raises(FileNotFoundError, match=r"^image 3: no scene graph in silver_dataset") as error:
        read_scene_graph(tmp_path / "another", "image 3")
    assert str(tmp_path) not in str(error.value)
