# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from monai_causal.data.datasets import DATASETS, DatasetError, load_dataset, read_image, read_pair, split_by_group
from monai_causal.data.readers import ReadError
from tests.data.datasets.trees import picture

NAMES = ("bm-broncholc", "laryngoscope8")
NAMED = {"u-1": "Tumor", "u-2": "Muscosal erythema", "u-3": "Anthrocosis", "u-4": "Main carina", "u-5": "Group"}


def outline(image: str, labels: list[str], corners: list[tuple[float, float]]) -> dict[str, Any]:
    return {"object_id": image, "label_ids": labels, "data": [{"x": x, "y": y} for x, y in corners]}


SQUARE: list[tuple[float, float]] = [(1, 2), (3.9, 2.2), (3.5, 4.9), (1, 4)]  # the pixels of columns 1-3 and rows 2-4
FAR: list[tuple[float, float]] = [(6, 0), (7.5, 0), (9, 1), (6, 1)]  # it leaves the picture


def group(folder: Path, patients: dict[str, dict[str, list[str]]], annotations: list[Any]) -> None:
    objects = []
    for patient, videos in patients.items():
        series = []
        for video, images in videos.items():
            for image in images:
                picture(folder / "imgs" / patient / video / f"{image}.png")
            series.append({"object_id": video, "images": [{"object_id": image} for image in images]})
        objects.append({"object_id": patient, "series": series})
    for name, content in {
        "objects.json": objects,
        "annotation.json": annotations,
        "labels.json": [{"id": key, "name": value} for key, value in NAMED.items()],
    }.items():
        (folder / name).write_text(json.dumps(content))


def bronchi(root: Path) -> None:
    group(
        root / "Lung_cancer",
        {"Surname": {"v1": ["i3", "i1"], "v2": ["i2"]}},
        [
            outline("i1", ["u-1"], SQUARE),
            outline("i1", ["u-4", "u-2"], FAR),
            outline("i1", ["u-4"], [(0, 0), (7, 0), (7, 5), (0, 5)]),  # a landmark
            outline("i2", ["u-3"], SQUARE),
            outline("i3", ["u-4"], SQUARE),
        ],
    )
    group(root / "Non_lung_cancer", {"q": {"v1": ["i4", "i5"]}}, [outline("i4", ["u-2"], SQUARE)])


def larynx(root: Path, classes: int = 8) -> None:
    for number in range(classes):
        picture(root / f"class {number}" / "a.jpg")
    picture(root / "class 0" / "b.jpg")


BUILD: dict[str, Callable[[Path], None]] = {"bm-broncholc": bronchi, "laryngoscope8": larynx}


def edit(root: Path, name: str, change: Callable[[Any], Any]) -> None:
    path = root / "Lung_cancer" / name
    content = json.loads(path.read_text())
    changed = change(content)
    path.write_text(json.dumps(content if changed is None else changed))


def test_outlines_of_lesions_become_masks(tmp_path: Path) -> None:
    bronchi(tmp_path)
    items = load_dataset("bm-broncholc", tmp_path, complete=False, unlabelled="drop")
    assert [item["id"] for item in items] == ["i1", "i2", "i4"]
    assert [item["lesions"] for item in items] == [["Mucosal erythema", "Tumor"], ["Anthracosis"], ["Mucosal erythema"]]
    expected = np.zeros((6, 8), int)
    expected[2:5, 1:4] = 1
    image, label = read_pair(items[1])
    assert image.shape == (3, 6, 8)
    assert label.dtype == torch.int64
    assert label.tolist() == expected.tolist()
    expected[0:2, 6:8] = 1  # the second lesion, cut at the border; the landmark around both is none
    assert read_pair(items[0])[1].tolist() == expected.tolist()
    assert [item["diagnosis"] for item in items] == ["lung cancer", "lung cancer", "no lung cancer"]
    assert {item["site"] for item in items} == {"bm-broncholc"}
    assert read_pair(items[1], size=(12, 16))[1].sum() == 36


def test_an_image_without_the_outline_of_a_lesion_has_no_mask(tmp_path: Path) -> None:
    bronchi(tmp_path)
    with pytest.raises(DatasetError, match="2 of 5 images have no mask, the first is number 2") as caught:
        load_dataset("bm-broncholc", tmp_path, complete=False)
    assert "that they show none is not published" in str(caught.value)
    kept = load_dataset("bm-broncholc", tmp_path, complete=False, unlabelled="keep")
    assert [item["id"] for item in kept if "label" not in item] == ["i3", "i5"]
    assert [item["lesions"] for item in kept if "label" not in item] == [[], []]
    edit(tmp_path, "annotation.json", lambda content: content.append(outline("i3", ["u-1"], [])))
    kept = load_dataset("bm-broncholc", tmp_path, complete=False, unlabelled="keep")
    assert ("label" in kept[2], kept[2]["lesions"]) == (False, ["Tumor"])  # named, not outlined


def test_a_patient_stays_together(tmp_path: Path) -> None:
    patients = {f"p{n}": {"v1": [f"i{n}a", f"i{n}b"], "v2": [f"i{n}c"]} for n in range(8)}
    images = [image for videos in patients.values() for series in videos.values() for image in series]
    group(tmp_path / "Lung_cancer", patients, [outline(image, ["u-1"], SQUARE) for image in images])
    items = load_dataset("bm-broncholc", tmp_path, complete=False)
    assert {item["id"]: (item["patient"], item["sequence"]) for item in items}["i3c"] == ("p3", "p3/v2")
    parts = split_by_group(items, (0.5, 0.5))
    first, second = ({item["patient"] for item in part} for part in parts)
    assert first.isdisjoint(second)
    assert len(first | second) == 8
    assert len(first) == len(second) == 4


def test_videos_for_series_and_a_folder_of_its_own(tmp_path: Path) -> None:
    bronchi(tmp_path / "BM-BronchoLC")

    def renamed(content: list[dict]) -> None:
        for patient in content:
            patient["videos"] = patient.pop("series")

    edit(tmp_path / "BM-BronchoLC", "objects.json", renamed)
    assert len(load_dataset("bm-broncholc", tmp_path, complete=False, unlabelled="keep")) == 5


@pytest.mark.parametrize(("name", "there", "published"), [("bm-broncholc", 5, 2921), ("laryngoscope8", 9, 3057)])
def test_another_count_than_the_published_one(
    name: str, there: int, published: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    BUILD[name](tmp_path)
    with pytest.raises(DatasetError, match=f"there are {there} images where {published} are published"):
        load_dataset(name, tmp_path, unlabelled="keep")
    monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], count=there))
    assert len(load_dataset(name, tmp_path, unlabelled="keep")) == there


def test_pictures_that_are_not_listed_and_lists_without_picture(tmp_path: Path) -> None:
    bronchi(tmp_path)
    stray = tmp_path / "Lung_cancer" / "imgs" / "Surname" / "v1" / "more.png"
    picture(stray)
    with pytest.raises(DatasetError, match=r"1 pictures are not in 'Lung_cancer/objects\.json'"):
        load_dataset("bm-broncholc", tmp_path)
    assert len(load_dataset("bm-broncholc", tmp_path, complete=False, unlabelled="keep")) == 5
    (stray.parent / "i1.png").unlink()
    with pytest.raises(DatasetError, match="1 of 3 images that its list names are not there, the first is") as caught:
        load_dataset("bm-broncholc", tmp_path, complete=False)
    assert "Surname" not in str(caught.value)


def test_one_image_in_both_groups(tmp_path: Path) -> None:
    bronchi(tmp_path)
    group(tmp_path / "Non_lung_cancer", {"q": {"v1": ["i1"]}}, [])
    with pytest.raises(DatasetError, match="1 of 4 images have the id of another one"):
        load_dataset("bm-broncholc", tmp_path, complete=False)


@pytest.mark.parametrize("missing", ["imgs", "objects.json", "annotation.json", "labels.json"])
def test_a_part_of_a_group_is_missing(missing: str, tmp_path: Path) -> None:
    bronchi(tmp_path)
    (tmp_path / "Lung_cancer" / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match=rf"the (folder|file) '.*{missing}' is missing") as caught:
        load_dataset("bm-broncholc", tmp_path, complete=False)
    assert "red and blue swapped" in str(caught.value)


def test_both_groups_belong_to_the_whole(tmp_path: Path) -> None:
    bronchi(tmp_path)
    (tmp_path / "Non_lung_cancer").rename(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match="the folder 'Non_lung_cancer' is missing"):
        load_dataset("bm-broncholc", tmp_path)
    assert len(load_dataset("bm-broncholc", tmp_path, complete=False, unlabelled="keep")) == 3
    (tmp_path / "Lung_cancer").rename(tmp_path / "elsewhere too")
    with pytest.raises(DatasetError, match="the folder 'Lung_cancer' is missing"):
        load_dataset("bm-broncholc", tmp_path, complete=False)


def set_to(number: int, **fields: Any) -> Callable[[Any], None]:
    return lambda content: content[number].update(fields)


def without(number: int, field: str) -> Callable[[Any], None]:
    return lambda content: content[number].pop(field) and None


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "annotation.json",
            set_to(1, label_ids=["u-9"]),
            "entry 1 of .* has a label id that labels.json does not name",
        ),
        ("annotation.json", set_to(1, label_ids=[7]), "entry 1 of .* has a label id that labels.json does not name"),
        ("annotation.json", set_to(3, label_ids=["u-5"]), "entry 3 of .* is labelled 'Group', which is neither"),
        ("annotation.json", set_to(2, object_id="i99"), "entry 2 of .* is of an image that objects.json does not list"),
        ("annotation.json", without(0, "data"), "entry 0 of .* has no 'data' that is a list"),
        ("annotation.json", without(0, "label_ids"), "entry 0 of .* has no 'label_ids' that is a list"),
        ("annotation.json", set_to(0, data=[{"x": 1, "y": 1}] * 2), "entry 0 of .* by 2 points; three are the fewest"),
        ("annotation.json", set_to(0, data=[{"x": 1, "y": "1"}] * 3), "entry 0 of .* has no 'y' that is a number"),
        ("annotation.json", set_to(0, data=[[1, 1]] * 3), "entry 0 of .* holds a list where a dictionary is expected"),
        ("annotation.json", lambda content: {"all": content}, "holds a dict; a list is expected"),
        ("labels.json", without(1, "name"), "entry 1 of .* has no 'name' that is a text"),
        ("labels.json", set_to(1, id="u-1"), "entry 1 of .* has the id of another one"),
        ("objects.json", without(0, "series"), "entry 0 of .* has no 'series' or 'videos' that is a list"),
        ("objects.json", set_to(0, object_id="../Surname"), "entry 0 of .* has an 'object_id' that cannot be the name"),
        ("objects.json", set_to(0, object_id=""), "entry 0 of .* has an 'object_id' that cannot be the name"),
        ("objects.json", set_to(0, series=[{"object_id": "v1"}]), "entry 0 of .* has no 'images' that is a list"),
    ],
)
def test_json_that_is_not_as_described(name: str, change: Callable[[Any], Any], message: str, tmp_path: Path) -> None:
    bronchi(tmp_path)
    edit(tmp_path, name, change)
    with pytest.raises(DatasetError, match=message) as caught:
        load_dataset("bm-broncholc", tmp_path, complete=False, unlabelled="keep")
    assert "Surname" not in str(caught.value)
    assert f"Lung_cancer/{name}" in str(caught.value)


def test_json_that_is_none(tmp_path: Path) -> None:
    bronchi(tmp_path)
    (tmp_path / "Lung_cancer" / "labels.json").write_text("[{")
    with pytest.raises(DatasetError, match=r"'Lung_cancer/labels\.json' is not JSON"):
        load_dataset("bm-broncholc", tmp_path, complete=False)


def test_an_outline_beside_its_picture_is_found_when_it_is_read(tmp_path: Path) -> None:
    bronchi(tmp_path)
    edit(tmp_path, "annotation.json", lambda content: content.append(outline("i2", ["u-1"], [(8, 0), (9, 0), (9, 5)])))
    items = load_dataset("bm-broncholc", tmp_path, complete=False, unlabelled="drop")
    with pytest.raises(ReadError, match="item 1: outline 1 of its label lies outside its picture of 6 rows and 8 col"):
        read_pair(items[1])


def test_laryngoscope8_has_classes_and_no_masks(tmp_path: Path) -> None:
    larynx(tmp_path / "Laryngoscope8")
    for unlabelled, start in (("error", "9 of 9 images have no mask"), ("drop", "none of its 9 images has a mask")):
        with pytest.raises(DatasetError, match=start) as caught:
            load_dataset("laryngoscope8", tmp_path, complete=False, unlabelled=unlabelled)
        message = str(caught.value)
        assert "published with a class per image and without masks" in message
        assert all(name in message for name in ("VoFoCD", "1807.06081", "BAGLS"))
    items = load_dataset("laryngoscope8", tmp_path, complete=False, unlabelled="keep")
    assert [item["id"] for item in items][:3] == ["class 0/a", "class 0/b", "class 1/a"]
    assert [item["diagnosis"] for item in items] == ["class 0", *(f"class {n}" for n in range(8))]
    assert not any("label" in item or "patient" in item for item in items)
    assert read_image(items[1]["image"]).shape == (3, 6, 8)


def test_another_number_of_classes(tmp_path: Path) -> None:
    (tmp_path / "Surname").touch()
    with pytest.raises(DatasetError, match="the folder of its classes is missing") as caught:
        load_dataset("laryngoscope8", tmp_path / "Surname")
    assert "Surname" not in str(caught.value)
    (tmp_path / "Surname").unlink()
    larynx(tmp_path, 7)
    with pytest.raises(DatasetError, match="there are 7 folders where 8 classes are published"):
        load_dataset("laryngoscope8", tmp_path, unlabelled="keep")
    assert len(load_dataset("laryngoscope8", tmp_path, complete=False, unlabelled="keep")) == 8
