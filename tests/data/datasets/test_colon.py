# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_causal.data.datasets import DATASETS, DatasetError, load_dataset, read_pair, sites_of, split_by_group
from monai_causal.data.readers import ReadError
from tests.data.datasets.trees import mask, picture


def cvc(root: Path, suffix: str = "tif", names: tuple[str, ...] = ("1", "2", "10")) -> None:
    for name in names:
        picture(root / "Original" / f"{name}.{suffix}")
        mask(root / "Ground Truth" / f"{name}.{suffix}")


def etis(root: Path) -> None:
    for name in ("1", "2", "10"):
        picture(root / "images" / f"{name}.png")
        mask(root / "masks" / f"p{name}.{'bmp' if name == '2' else 'png'}")


def polypdb(root: Path) -> None:
    for technique, names in {"LCI": ("a b",), "NBI": ("x",), "WLI": ("PKHL 1 (2)", "x")}.items():
        for name in names:
            picture(root / technique / "images" / f"{name}.jpg")
            mask(root / technique / "masks" / f"{name}.png")


TREES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "cvc-clinicdb": (cvc, ["1", "10", "2"]),
    "etis-larib": (etis, ["1", "10", "2"]),
    "polypdb": (polypdb, ["LCI/a b", "NBI/x", "WLI/PKHL 1 (2)", "WLI/x"]),
}
NAMES = tuple(TREES)
PUBLISHED = {"cvc-clinicdb": 612, "etis-larib": 196, "polypdb": 3934}


@pytest.fixture(params=NAMES)
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, list[str]]:
    build, ids = TREES[request.param]
    build(tmp_path)
    return request.param, tmp_path, ids


def test_items_lie_with_their_own_masks(tree: tuple[str, Path, list[str]]) -> None:
    name, root, ids = tree
    items = load_dataset(name, root, complete=False)
    assert [item["id"] for item in items] == ids
    expected = np.zeros((6, 8), int)
    expected[2:4, 3:7] = 1
    for item in items:
        image, label = read_pair(item)
        assert image.shape == (3, 6, 8)
        assert label.tolist() == expected.tolist()
        stem = item["id"].rpartition("/")[2]
        assert Path(item["image"]).stem == stem
        assert Path(item["label"]).stem in (stem, f"p{stem}")
        assert Path(item["label"]).parent.parent == Path(item["image"]).parent.parent


def test_another_count_than_the_published_one_is_an_error(
    tree: tuple[str, Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, root, ids = tree
    with pytest.raises(
        DatasetError, match=rf"there are {len(ids)} images where {PUBLISHED[name]} are published"
    ) as one:
        load_dataset(name, root)
    assert "complete=False accepts" in str(one.value)
    assert DATASETS[name].page in str(one.value)
    assert DATASETS[name].note in str(one.value)
    monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], count=len(ids)))
    assert len(load_dataset(name, root)) == len(ids)
    monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], count=len(ids) - 1))  # more than were published
    with pytest.raises(DatasetError, match="are published"):
        load_dataset(name, root)


def test_missing_and_stray_masks(tree: tuple[str, Path, list[str]]) -> None:
    name, root, ids = tree
    items = load_dataset(name, root, complete=False)
    Path(items[0]["label"]).unlink()
    with pytest.raises(DatasetError, match=rf"1 of {len(ids)} images have no mask, the first is number 0") as caught:
        load_dataset(name, root, complete=False)
    assert ("Known: one LCI image is published without its mask" in str(caught.value)) == (name == "polypdb")
    assert [item["id"] for item in load_dataset(name, root, complete=False, unlabelled="drop")] == ids[1:]
    kept = load_dataset(name, root, complete=False, unlabelled="keep")
    assert [item["id"] for item in kept if "label" not in item] == ids[:1]
    Path(items[-1]["image"]).unlink()
    with pytest.raises(DatasetError, match=r"1 of \d masks have no image, the first is number"):
        load_dataset(name, root, complete=False, unlabelled="keep")


def test_the_missing_mask_of_polypdb_does_not_change_its_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    polypdb(tmp_path)
    (tmp_path / "LCI" / "masks" / "a b.png").unlink()
    monkeypatch.setitem(DATASETS, "polypdb", replace(DATASETS["polypdb"], count=4))
    assert len(load_dataset("polypdb", tmp_path, unlabelled="drop")) == 3


def test_a_mask_of_another_size(tree: tuple[str, Path, list[str]]) -> None:
    name, root, _ = tree
    item = load_dataset(name, root, complete=False)[1]
    mask(Path(item["label"]), (6, 9))
    with pytest.raises(ReadError, match=r"item 1: the image is \(6, 8\) and its label \(6, 9\)"):
        read_pair(load_dataset(name, root, complete=False)[1])


def test_the_folder_of_a_name_and_the_mirrors_of_cvc_clinicdb(tmp_path: Path) -> None:
    polypdb(tmp_path / "PolypDB")
    assert len(load_dataset("polypdb", tmp_path, complete=False)) == 4
    etis(tmp_path / "ETIS-Larib")
    assert len(load_dataset("etis-larib", tmp_path, complete=False)) == 3
    cvc(tmp_path / "CVC-ClinicDB" / "PNG", "png")
    (tmp_path / "CVC-ClinicDB" / "PNG" / "Ground Truth").rename(tmp_path / "CVC-ClinicDB" / "PNG" / "GroundTruth")
    items = load_dataset("cvc-clinicdb", tmp_path, complete=False)
    assert {Path(item["image"]).suffix for item in items} == {".png"}
    cvc(tmp_path / "CVC-ClinicDB" / "TIF")
    items = load_dataset("cvc-clinicdb", tmp_path, complete=False)  # the original before its copy
    assert {Path(item["image"]).suffix for item in items} == {".tif"}


def test_the_archive_of_etis_larib_and_two_names_of_one_frame(tmp_path: Path) -> None:
    for name in ("p1", "p2", "polyp"):
        picture(tmp_path / "ETIS-LaribPolypDB" / f"{name}.bmp")
        mask(tmp_path / "Ground Truth" / f"{name}.tif")
    items = load_dataset("etis-larib", tmp_path, complete=False)
    assert [item["id"] for item in items] == ["1", "2", "polyp"]
    picture(tmp_path / "ETIS-LaribPolypDB" / "1.png")
    with pytest.raises(DatasetError, match="1 pictures of one folder have the name of another one"):
        load_dataset("etis-larib", tmp_path, complete=False)


def test_without_metadata_the_sequences_are_unknown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cvc(tmp_path)
    with caplog.at_level(logging.WARNING):
        items = load_dataset("cvc-clinicdb", tmp_path, complete=False)
    assert "no metadata.csv tells which frames are of one sequence" in caplog.text
    assert str(tmp_path) not in caplog.text
    assert not any("sequence" in item or "patient" in item for item in items)
    assert {item["site"] for item in items} == {"cvc-clinicdb"}
    with pytest.raises(DatasetError, match=r"no metadata\.csv tells .* with the columns frame_id and sequence_id"):
        load_dataset("cvc-clinicdb", tmp_path, complete=False, sequences="error")
    with pytest.raises(ValueError, match="sequences='guess': choose 'unknown' or 'error'"):
        load_dataset("cvc-clinicdb", tmp_path, complete=False, sequences="guess")


@pytest.mark.parametrize("column", ["frame_id", "png_image_path"])
@pytest.mark.parametrize("name", ["cvc-clinicdb", "etis-larib"])
def test_frames_of_a_sequence_stay_together(
    name: str, column: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [str(number) for number in range(1, 25)]
    cvc(tmp_path, "png", tuple(names))
    rows = [f"{(int(n) - 1) // 4},{n if column == 'frame_id' else f'PNG/Original/{n}.png'}" for n in names]
    (tmp_path / "metadata.csv").write_text("\n".join([f"sequence_id,{column}", *rows]))
    items = load_dataset(name, tmp_path, complete=False, sequences="error")
    assert not caplog.text
    assert {int(item["id"]): item["sequence"] for item in items} == {
        number: f"{name}/{(number - 1) // 4}" for number in range(1, 25)
    }
    for key in ("patient", "sequence"):
        parts = split_by_group(items, (0.5, 0.5), key=key)
        first, second = ({item["sequence"] for item in part} for part in parts)
        assert first.isdisjoint(second)
        assert len(first | second) == 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("frame_id,sequence_id\n1,1\n2,1\n", r"1 of 3 frames have no sequence in metadata\.csv, the first is number 1"),
        ("frame_id,sequence_id\n1,1\n2,1\n10,\n", "1 of 3 frames have no sequence"),
        ("frame_id,sequence_id\n1,1\n2,1\n10,2\n2,2\n", r"row 3 of metadata\.csv gives a second sequence to a frame"),
        ("frame_id,video\n1,1\n", r"has no columns frame_id \(or png_image_path\) and sequence_id"),
        ("sequence_id\n1\n", "has no columns frame_id"),
        ("", "has no columns frame_id"),
    ],
)
def test_bad_metadata(content: str, message: str, tmp_path: Path) -> None:
    cvc(tmp_path)
    (tmp_path / "metadata.csv").write_text(content)
    with pytest.raises(DatasetError, match=message):
        load_dataset("cvc-clinicdb", tmp_path, complete=False)


def test_polypdb_tells_the_technique_and_by_centre_the_site(tmp_path: Path) -> None:
    polypdb(tmp_path / "lit")
    items = load_dataset("polypdb", tmp_path / "lit", complete=False)
    assert [item["technique"] for item in items] == ["LCI", "NBI", "WLI", "WLI"]
    with pytest.raises(DatasetError, match="of the data set 'polypdb', has no 'site'"):
        sites_of(items)
    for centre, techniques in {"Simula": ("NBI", "WLI"), "Vietnam": ("LCI",)}.items():
        for technique in techniques:
            for name in ("a", "b c"):
                picture(tmp_path / "by" / centre / technique / "images" / f"{name}.jpg")
                mask(tmp_path / "by" / centre / technique / "annotations" / f"{name}.png")
    for name in ("a", "b"):
        picture(tmp_path / "by" / "Karolinska" / "images" / f"{name}.jpg")
        mask(tmp_path / "by" / "Karolinska" / "masks" / f"{name}.jpg")
    items = load_dataset("polypdb", tmp_path / "by", complete=False)
    assert {site: len(its) for site, its in sites_of(items).items()} == {"BKAI": 2, "Karolinska": 2, "Simula": 4}
    assert [item["id"] for item in items][:3] == ["BKAI/LCI/a", "BKAI/LCI/b c", "Karolinska/a"]
    assert {item["site"]: item.get("technique") for item in items if item["site"] != "Simula"} == {
        "BKAI": "LCI",
        "Karolinska": None,
    }
    (tmp_path / "none").mkdir()
    with pytest.raises(
        DatasetError, match=r"neither a folder of a technique \(BLI, FICE, LCI, NBI, WLI\) nor one of a"
    ):
        load_dataset("polypdb", tmp_path / "none")


def test_the_same_centre_under_two_names_is_a_duplicate(tmp_path: Path) -> None:
    for centre in ("BKAI", "Vietnam"):
        picture(tmp_path / centre / "WLI" / "images" / "a.jpg")
        mask(tmp_path / centre / "WLI" / "masks" / "a.png")
    with pytest.raises(DatasetError, match="1 of 2 images have the id of another one"):
        load_dataset("polypdb", tmp_path, complete=False)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_folder_and_no_split(name: str, tmp_path: Path) -> None:
    empty = tmp_path / "Surname"
    empty.mkdir()
    with pytest.raises(DatasetError) as caught:
        load_dataset(name, empty)
    assert DATASETS[name].tree in str(caught.value)
    assert "Surname" not in str(caught.value)
    with pytest.raises(DatasetError, match="it has none: use split_by_group"):
        load_dataset(name, empty, "train")


def test_a_jpeg_mask_is_cut_at_its_middle(tmp_path: Path) -> None:
    picture(tmp_path / "WLI" / "images" / "a.jpg", (16, 16))
    (tmp_path / "WLI" / "masks").mkdir()
    values = np.full((16, 16), 3, np.uint8)
    values[:, 8:] = 251
    Image.fromarray(values).save(tmp_path / "WLI" / "masks" / "a.jpg", quality=95)
    (item,) = load_dataset("polypdb", tmp_path, complete=False)
    assert read_pair(item)[1].sum(0).tolist() == [0] * 8 + [16] * 8
