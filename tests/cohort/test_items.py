# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monai_causal.apps.study.configuration import ConfigError
from monai_causal.cohort.config import as_config
from monai_causal.cohort.items import Item, list_items


def listed(folder: Path | None = None, **items: Any) -> list[dict[str, Any]]:
    return list(list_items(as_config({"items": items, "job": {"name": "trivial"}}, folder).items))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "images/b.png",
        "images/a.png",
        "images/deep/c.png",
        "images/.hidden",
        "labels/a.png",
        "s/1/x",
        "s/2/y",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def test_a_decathlon_list_with_whatever_its_entries_say(folder: Path) -> None:
    entries = [{"image": "images/a.png", "label": "labels/a.png", "site": "north", "age": 7}, "images/b.png"]
    (folder / "dataset.json").write_text(json.dumps({"validation": entries}))
    found = listed(folder, kind="decathlon", path=".", section="validation")
    assert found == [
        {"image": f"{folder}/images/a.png", "label": f"{folder}/labels/a.png", "site": "north", "age": 7},
        {"image": f"{folder}/images/b.png"},
    ]
    with pytest.raises(ConfigError, match=r"items\.section: 'training': the list has validation"):
        listed(folder, kind="decathlon", path=".")


def test_a_folder_of_images_with_labels(folder: Path) -> None:
    found = listed(folder, kind="folder", path="images", labels="labels", site="east")
    images = [f"{folder}/images/{name}.png" for name in "ab"]
    labels = [f"{folder}/labels/{name}.png" for name in "ab"]
    assert found == [
        {"image": image, "label": label, "site": "east"} for image, label in zip(images, labels, strict=True)
    ]
    deep = listed(folder, kind="folder", path="images", pattern="**/*.png", limit=3)
    assert [Path(one["image"]).name for one in deep] == ["a.png", "b.png", "c.png"]


def test_a_folder_of_studies(folder: Path) -> None:
    found = listed(folder, kind="folder", path="s", each="study")
    assert found == [{"study": f"{folder}/s/1"}, {"study": f"{folder}/s/2"}]


def test_a_table_whose_empty_cells_say_nothing(folder: Path) -> None:
    (folder / "list.csv").write_text("image,finding,site\nimages/a.png,nodule,\n/elsewhere/b.png,,south\n")
    assert listed(folder, kind="csv", path="list.csv") == [
        {"image": f"{folder}/images/a.png", "finding": "nodule"},
        {"image": "/elsewhere/b.png", "site": "south"},
    ]
    (folder / "list.csv").write_text("picture\na.png\n")
    with pytest.raises(ConfigError, match="the table has the columns picture: name one image or study"):
        listed(folder, kind="csv", path="list.csv")


def test_made_up_items() -> None:
    assert listed(kind="numbers", count=2) == [{"value": 0}, {"value": 1}]
    assert listed(kind="phantom", count=2, seed=5, options={"size": [48, 48]}) == [
        {"phantom": 5, "options": {"size": [48, 48]}},
        {"phantom": 6, "options": {"size": [48, 48]}},
    ]


def test_studies_of_a_server_are_named_by_their_uids(monkeypatch: pytest.MonkeyPatch) -> None:
    web = pytest.importorskip("monai_causal.dicom.web")
    pytest.importorskip("dicomweb_client", reason="extra 'dicomweb' is not installed")
    uids = ["1.2.3", "1.2.4"]
    found = [{"0020000D": {"vr": "UI", "Value": [uid]}} for uid in uids]
    monkeypatch.setattr(web.DicomWeb, "studies", lambda self: found)
    address = "http://localhost:8042/dicom-web?ModalitiesInStudy=DX"
    assert listed(kind="dicomweb", address=address, limit=1) == [
        {"address": "http://localhost:8042/dicom-web", "uid": "1.2.3"}
    ]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({"kind": "folder", "path": "none"}, "items.path: there is no such file or folder"),
        ({"kind": "decathlon", "path": "images/a.png"}, "items.path: 'a.png' is no JSON list"),
        ({"kind": "folder", "path": "images", "pattern": "*.nii"}, "finds no image in the folder"),
        ({"kind": "zip", "path": "images"}, "items.kind: 'zip': choose decathlon, folder, csv, dicomweb"),
        ({"kind": "numbers", "count": 0}, "items.count: 0: count to at least one"),
        ({"kind": "numbers", "count": 1, "path": "x"}, "items.path: 'x': no such key"),
        ({"kind": "folder", "path": "$NOT_SET_ANYWHERE/x"}, "names a variable that is not set"),
    ],
)
def test_what_cannot_be_listed_says_why(folder: Path, items: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("$", r"\$")):
        listed(folder, **items)


def test_an_item_shows_nothing_of_its_content() -> None:
    assert repr(Item(3, {"image": "/data/Jane Doe.png"})) == "Item(number=3)"
