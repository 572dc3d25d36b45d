# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.transforms import LoadImaged
from PIL import Image
from scipy.io import savemat

from monai_causal.data.datasets import (
    DATASETS,
    DatasetError,
    load_dataset,
    read_pair,
    sites_of,
    split_by_group,
    target_class,
)
from tests.data.datasets import test_airways, test_colon
from tests.data.datasets.trees import mask, picture


def ham10000(root: Path) -> None:
    rows = ["lesion_id,image_id,dx,dx_type,age,sex,localization,dataset"]
    for number, (part, lesion) in enumerate([(2, "HAM_2"), (1, "HAM_1"), (1, "HAM_2"), (2, "HAM_3")]):
        name = f"ISIC_002430{9 - number}"
        picture(root / f"HAM10000_images_part_{part}" / f"{name}.jpg")
        mask(root / "HAM10000_segmentations_lesion_tschandl" / f"{name}_segmentation.png")
        rows.append(f"{lesion},{name},nv,histo,50.0,male,back,vidir_modern")
    (root / "HAM10000_metadata").write_text("\n".join(rows))


def isic(root: Path) -> None:
    for word, name in (("Training", "ISIC_0000007"), ("Training", "ISIC_0000003"), ("Test", "ISIC_0000005")):
        picture(root / f"ISIC2018_Task1-2_{word}_Input" / f"{name}.jpg")
        mask(root / f"ISIC2018_Task1_{word}_GroundTruth" / f"{name}_segmentation.png")
        (root / f"ISIC2018_Task1-2_{word}_Input" / "ATTRIBUTION.txt").touch()


def fives(root: Path) -> None:
    for part, name in (("train", "2_D"), ("train", "1_A"), ("test", "1_A"), ("test", "3_N")):
        for kind, write in (("Original", picture), ("Ground truth", mask)):
            write(root / part / kind / f"{name}.png")
    (root / "train" / "Original" / "._1_A.png").write_bytes(b"what macOS leaves behind")


def polypgen(root: Path) -> None:
    for centre, names in {"C2": ["b", "a"], "C6": ["a"]}.items():
        for name in names:
            picture(root / f"data_{centre}" / f"images_{centre}" / f"{name}.jpg")
            mask(root / f"data_{centre}" / f"masks_{centre}" / f"{name}_mask.jpg")


def kvasir_seg(root: Path) -> None:
    for name in ("cju2", "cju1"):
        picture(root / "Kvasir-SEG" / "images" / f"{name}.jpg")
        mask(root / "Kvasir-SEG" / "masks" / f"{name}.jpg")


def classes(path: Path) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((6, 8), np.uint8)
    values[1:5, 2:6] = 15
    values[0] = 7
    values[5] = 255
    return values


def voc2012(root: Path) -> None:
    root = root / "VOCdevkit" / "VOC2012"
    lists = {"train": ["2007_000042", "2007_000032"], "val": ["2007_000033"]}
    for name in [*chain(*lists.values()), "2007_000001"]:  # one picture of another task
        picture(root / "JPEGImages" / f"{name}.jpg")
    for name in chain(*lists.values()):
        path = root / "SegmentationClass" / f"{name}.png"
        palette = Image.fromarray(classes(path))
        palette.putpalette(list(range(256)) * 3)
        palette.save(path)
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    for name, ids in {**lists, "trainval": list(chain(*lists.values()))}.items():
        (root / "ImageSets" / "Segmentation" / f"{name}.txt").write_text("\n".join(ids) + "\n")


def sbd(root: Path) -> None:
    root = root / "benchmark_RELEASE" / "dataset"
    lists = {"train": ["2008_000007", "2008_000002"], "val": ["2008_000003"]}
    for name in chain(*lists.values()):
        picture(root / "img" / f"{name}.jpg")
        path = root / "cls" / f"{name}.mat"
        savemat(path, {"GTcls": {"Segmentation": classes(path) % 255, "CategoriesPresent": [7, 15]}})
    for name, ids in lists.items():
        (root / f"{name}.txt").write_text("\n".join(ids) + "\n")


def decathlon(root: Path) -> None:
    for name in ("b", "a"):
        picture(root / "imagesTr" / f"{name}.png")
        mask(root / "labelsTr" / f"{name}.png")
    picture(root / "imagesTs" / "c.png")
    training = [{"image": f"./imagesTr/{n}.png", "label": f"./labelsTr/{n}.png", "patient": f"P{n}"} for n in "ba"]
    content = {"name": "made up", "labels": {"1": "x"}, "training": training, "test": ["./imagesTs/c.png"]}
    (root / "dataset.json").write_text(json.dumps(content))


TREES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "ham10000": (ham10000, [f"ISIC_002430{number}" for number in (6, 7, 8, 9)]),
    "isic": (isic, ["ISIC_0000003", "ISIC_0000005", "ISIC_0000007"]),
    "fives": (fives, ["test/1_A", "test/3_N", "train/1_A", "train/2_D"]),
    "polypgen": (polypgen, ["C2/a", "C2/b", "C6/a"]),
    "kvasir-seg": (kvasir_seg, ["cju1", "cju2"]),
    "voc2012": (voc2012, ["2007_000032", "2007_000033", "2007_000042"]),
    "sbd": (sbd, ["2008_000002", "2008_000003", "2008_000007"]),
    "decathlon": (decathlon, ["a", "b"]),
}


@pytest.fixture(params=TREES)
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, list[str]]:
    build, ids = TREES[request.param]
    build(tmp_path)
    return request.param, tmp_path, ids


def test_every_data_set_is_tested() -> None:
    assert set(TREES) | set(test_airways.NAMES) | set(test_colon.NAMES) | {"phantom"} == set(DATASETS)


def test_a_published_layout_gives_items_in_the_order_of_their_ids(tree: tuple[str, Path, list[str]]) -> None:
    name, root, ids = tree
    items = load_dataset(name, root)
    assert [item["id"] for item in items] == ids
    assert [item["index"] for item in items] == list(range(len(ids)))
    assert {item["dataset"] for item in items} == {name}
    assert load_dataset(name, str(root)) == items
    for item in items:
        image, label = read_pair(item)
        assert (image.shape, label.shape) == ((3, 6, 8), (6, 8))
        stem = item["id"].rpartition("/")[2]
        assert stem in Path(item["image"]).name
        assert stem in Path(item["label"]).name
        expected = np.zeros((6, 8), np.int64)
        if name in ("voc2012", "sbd"):
            expected = classes(Path(item["label"])).astype(np.int64)
            expected[5] = 255 if name == "voc2012" else 0
            assert target_class(label) == 15
        else:
            expected[2:4, 3:7] = 1
        assert label.tolist() == expected.tolist()
    assert LoadImaged("image")(dict(items[0]))["image"].shape == (8, 6, 3)  # MONAI's own order of axes, columns first


def test_a_missing_folder_gives_the_page_and_the_tree(tree: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    name, _, _ = tree
    empty = tmp_path / "Surname"
    empty.mkdir()
    for root in (empty, empty / "absent", None):
        with pytest.raises(DatasetError) as caught:
            load_dataset(name, root)
        message = str(caught.value)
        assert DATASETS[name].page in message
        assert DATASETS[name].tree in message
        assert "Surname" not in message


@pytest.mark.parametrize("name", sorted(set(TREES) - {"voc2012", "sbd"}))
def test_an_image_without_mask_is_an_error_unless_asked_for(name: str, tmp_path: Path) -> None:
    build, ids = TREES[name]
    build(tmp_path)
    items = load_dataset(name, tmp_path)
    if name == "decathlon":
        content = json.loads((tmp_path / "dataset.json").read_text())
        del content["training"][0]["label"]
        (tmp_path / "dataset.json").write_text(json.dumps(content))
    else:
        Path(items[-1]["label"]).unlink()
    with pytest.raises(
        DatasetError, match=rf"1 of {len(ids)} images have no mask, the first is number {len(ids) - 1}"
    ) as caught:
        load_dataset(name, tmp_path)
    assert Path(items[-1]["image"]).name not in str(caught.value)
    assert [item["id"] for item in load_dataset(name, tmp_path, unlabelled="drop")] != ids
    kept = load_dataset(name, tmp_path, unlabelled="keep")
    assert [item["id"] for item in kept] == ids
    (bare,) = (item for item in kept if "label" not in item)
    with pytest.raises(ValueError, match=rf"item {bare['index']} has no label"):
        read_pair(bare)
    with pytest.raises(ValueError, match="unlabelled='skip': choose"):
        load_dataset(name, tmp_path, unlabelled="skip")


@pytest.mark.parametrize("name", sorted(set(TREES) - {"voc2012", "sbd", "decathlon"}))
def test_a_mask_without_image_is_an_error(name: str, tmp_path: Path) -> None:
    build, _ = TREES[name]
    build(tmp_path)
    Path(load_dataset(name, tmp_path)[0]["image"]).unlink()
    with pytest.raises(DatasetError, match=r"1 of \d masks have no image, the first is number 0"):
        load_dataset(name, tmp_path, unlabelled="keep")


@pytest.mark.parametrize("name", ["voc2012", "sbd", "decathlon"])
@pytest.mark.parametrize("key", ["image", "label"])
def test_a_listed_file_that_is_absent_is_an_error(name: str, key: str, tmp_path: Path) -> None:
    TREES[name][0](tmp_path)
    path = Path(load_dataset(name, tmp_path)[1][key])
    path.unlink()
    first = f"the first is number {0 if name == 'decathlon' else 1}"  # the decathlon's own list is b, a
    with pytest.raises(DatasetError, match=rf"1 of \d {key}s that its list names are not there, {first}") as caught:
        load_dataset(name, tmp_path)
    assert path.name not in str(caught.value)


def test_ham10000_knows_lesions_and_both_forms_of_the_metadata(tmp_path: Path) -> None:
    ham10000(tmp_path)
    items = load_dataset("ham10000", tmp_path)
    assert [item["patient"] for item in items] == ["HAM_3", "HAM_2", "HAM_1", "HAM_2"]
    assert {item["diagnosis"] for item in items} == {"nv"}
    metadata = tmp_path / "HAM10000_metadata"
    (tmp_path / "HAM10000_metadata.tab").write_text(metadata.read_text().replace(",", "\t"))
    metadata.unlink()
    assert load_dataset("ham10000", tmp_path) == items
    lines = (tmp_path / "HAM10000_metadata.tab").read_text().splitlines()
    (tmp_path / "HAM10000_metadata.tab").write_text("\n".join(lines[:-1]))
    with pytest.raises(DatasetError, match="1 images are not in the metadata, the first is number 0"):
        load_dataset("ham10000", tmp_path)
    (tmp_path / "HAM10000_metadata.tab").write_text("a,b\n")
    with pytest.raises(DatasetError, match="has no columns lesion_id, image_id and dx"):
        load_dataset("ham10000", tmp_path)
    (tmp_path / "HAM10000_metadata.tab").unlink()
    with pytest.raises(DatasetError, match="'HAM10000_metadata' is missing"):
        load_dataset("ham10000", tmp_path)


def test_an_image_in_both_parts_of_ham10000(tmp_path: Path) -> None:
    ham10000(tmp_path)
    picture(tmp_path / "HAM10000_images_part_1" / "ISIC_0024309.jpg")
    with pytest.raises(DatasetError, match="1 images are in both parts"):
        load_dataset("ham10000", tmp_path)


@pytest.mark.parametrize(
    ("name", "split", "ids"),
    [
        ("fives", "train", ["train/1_A", "train/2_D"]),
        ("fives", "test", ["test/1_A", "test/3_N"]),
        ("isic", "train", ["ISIC_0000003", "ISIC_0000007"]),
        ("isic", "test", ["ISIC_0000005"]),
        ("voc2012", "train", ["2007_000032", "2007_000042"]),
        ("voc2012", "val", ["2007_000033"]),
        ("sbd", "train", ["2008_000002", "2008_000007"]),
        ("sbd", "val", ["2008_000003"]),
    ],
)
def test_published_splits(name: str, split: str, ids: list[str], tmp_path: Path) -> None:
    TREES[name][0](tmp_path)
    assert [item["id"] for item in load_dataset(name, tmp_path, split)] == ids


def test_splits_and_options_that_are_not_there(tmp_path: Path) -> None:
    kvasir_seg(tmp_path)
    with pytest.raises(DatasetError, match=r"Kvasir-SEG has no split 'train'; it has none: use split_by_group"):
        load_dataset("kvasir-seg", tmp_path, "train")
    with pytest.raises(DatasetError, match=r"FIVES has no split 'val'; it has train, test"):
        load_dataset("fives", tmp_path, "val")
    with pytest.raises(DatasetError, match=r"Kvasir-SEG has no option 'centres'; it has none"):
        load_dataset("kvasir-seg", tmp_path, centres=["C1"])
    with pytest.raises(DatasetError, match=r"no data set 'coco'; those known by name: ham10000, isic"):
        load_dataset("coco", tmp_path)
    sbd(tmp_path)
    with pytest.raises(DatasetError, match=r"the file 'train_noval\.txt' is missing"):
        load_dataset("sbd", tmp_path, "train_noval")
    isic(tmp_path)
    with pytest.raises(DatasetError, match=r"'ISIC2018_Task1-2_Validation_Input' is missing"):
        load_dataset("isic", tmp_path, "val")


def test_fives_tells_the_diagnosis_and_may_lie_in_its_archives_folder(tmp_path: Path) -> None:
    fives(tmp_path / "FIVES A Fundus Image Dataset for AI-based Vessel Segmentation")
    items = load_dataset("fives", tmp_path)
    assert [item["diagnosis"].split()[0] for item in items] == ["age-related", "normal", "age-related", "diabetic"]


def test_polypgen_in_its_archive_and_in_the_simple_layout(tmp_path: Path) -> None:
    polypgen(tmp_path / "PolypGen2021_MultiCenterData_v3")
    items = load_dataset("polypgen", tmp_path)
    assert [item["centre"] for item in items] == ["C2", "C2", "C6"]
    assert [item["id"] for item in load_dataset("polypgen", tmp_path, centres=["C6"])] == ["C6/a"]
    with pytest.raises(DatasetError, match="the folder 'data_C3' is missing"):
        load_dataset("polypgen", tmp_path, centres=["C3"])
    with pytest.raises(DatasetError, match="no centre 'C9'"):
        load_dataset("polypgen", tmp_path, centres=["C9"])
    picture(tmp_path / "simple" / "C3" / "images" / "x.jpg")
    mask(tmp_path / "simple" / "C3" / "masks" / "x.png")
    (item,) = load_dataset("polypgen", tmp_path / "simple")
    assert (item["id"], item["centre"]) == ("C3/x", "C3")
    assert read_pair(item)[1].sum() == 8


def test_a_decathlon_list(tmp_path: Path) -> None:
    decathlon(tmp_path)
    items = load_dataset("decathlon", tmp_path / "dataset.json")
    assert items == load_dataset("decathlon", tmp_path)
    assert [item["patient"] for item in items] == ["Pa", "Pb"]
    (bare,) = load_dataset("decathlon", tmp_path, "test", unlabelled="keep")
    assert (bare["id"], "label" in bare) == ("c", False)
    with pytest.raises(DatasetError, match="no section 'validation'; it has training, test"):
        load_dataset("decathlon", tmp_path, "validation")
    (tmp_path / "lists").mkdir()
    moved = (tmp_path / "dataset.json").rename(tmp_path / "lists" / "one.json")
    assert load_dataset("decathlon", moved, base_dir=tmp_path) == items


def test_a_decathlon_list_with_one_name_in_many_folders(tmp_path: Path) -> None:
    entries = []
    for patient in ("P2", "P1"):
        for kind, write in (("image", picture), ("label", mask)):
            write(tmp_path / patient / f"{kind}.png")
        entries.append({"image": f"{patient}/image.png", "label": f"{patient}/label.png"})
    (tmp_path / "dataset.json").write_text(json.dumps({"training": entries}))
    assert [item["id"] for item in load_dataset("decathlon", tmp_path)] == ["P1/image", "P2/image"]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": entries + entries[:1]}))
    with pytest.raises(DatasetError, match="1 of 3 images have the id of another one"):
        load_dataset("decathlon", tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "its list is not JSON"),
        ("[]", "no section 'training'; it has none"),
        ('{"training": ["a.png"]}', "section 'training' does not hold dictionaries"),
        ('{"training": [{"label": "a.png"}]}', "entry 0 of section 'training' has no 'image'"),
        ('{"training": []}', "there is not one image in it"),
    ],
)
def test_bad_decathlon_lists(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(DatasetError, match=message):
        load_dataset("decathlon", tmp_path)


def test_two_pictures_of_one_name(tmp_path: Path) -> None:
    kvasir_seg(tmp_path)
    picture(tmp_path / "Kvasir-SEG" / "images" / "cju1.png")
    with pytest.raises(DatasetError, match="1 pictures of one folder have the name of another one"):
        load_dataset("kvasir-seg", tmp_path)


def test_phantoms_are_their_seeds() -> None:
    items = load_dataset("phantom", count=12, seed=3, size=(32, 40))
    assert [item["id"] for item in items] == [f"shapes-{seed}" for seed in range(3, 15)]
    image, label = read_pair(items[1])
    assert (image.shape, label.shape) == ((1, 32, 40), (32, 40))
    assert set(label.unique().tolist()) < {0, 1, 2}
    again = load_dataset("phantom", count=1, seed=4, size=(32, 40))[0]
    assert torch.equal(image, read_pair(again)[0])
    parts = [{item["id"] for item in load_dataset("phantom", None, part, count=5, size=(24, 24))} for part in TRAINING]
    assert len(set.union(*parts)) == 15


TRAINING = ("train", "val", "test")


def test_a_decathlon_list_keeps_site_sequence_and_patient(tmp_path: Path) -> None:
    told = [{"site": site, "sequence": f"v{site}", "patient": f"p{site}"} for site in (3, "B")]
    for name in ("x", "y"):
        picture(tmp_path / f"{name}.png")
        mask(tmp_path / f"{name}_mask.png")
    training = [{"image": f"{n}.png", "label": f"{n}_mask.png", **more} for n, more in zip("xy", told, strict=True)]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": training}))
    items = load_dataset("decathlon", tmp_path)
    assert [{key: item[key] for key in told[0]} for item in items] == told


def test_a_mask_of_kvasir_seg_is_cut_at_the_middle_of_its_jpeg(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.jpg", (16, 24))
    mask(tmp_path / "masks" / "a.jpg", (16, 24))
    values = np.zeros((16, 24), np.uint8)
    values[:, 8:16], values[:, 16:] = 120, 250  # flat blocks of 8x8 survive JPEG
    Image.fromarray(values).save(tmp_path / "masks" / "a.jpg", quality=95)
    (item,) = load_dataset("kvasir-seg", tmp_path)
    label = read_pair(item)[1]
    assert (label[:, 16:] == 1).all()
    assert (label[:, :16] == 0).all()
    assert item["site"] == "kvasir-seg"


def test_polypgen_tells_a_sequence_only_where_a_name_begins_with_its_number(tmp_path: Path) -> None:
    names = {
        "104OLCV1_100H0002": "C1/104",
        "104OLCV1_100S0009": "C1/104",
        "10_endocv2021_positive_950": "C1/10",
        "EndoCV2021_001000": None,
        "C3_EndoCV2021_0010": None,
        "100H0050": None,
        "x104OLCV1_100H0002": None,
    }
    for name in names:
        picture(tmp_path / "C1" / "images" / f"{name}.jpg")
        mask(tmp_path / "C1" / "masks" / f"{name}.png")
    items = load_dataset("polypgen", tmp_path)
    assert {item["id"].removeprefix("C1/"): item.get("sequence") for item in items} == names
    assert all(item["site"] == item["centre"] == "C1" and "patient" not in item for item in items)


@pytest.mark.real
def test_endoscopy_of_four_hospitals(real_data: Path) -> None:
    items = load_dataset("polypgen", real_data / "endoscopy")
    assert Counter(item["centre"] for item in items) == dict.fromkeys(("C1", "C2", "C3", "C4"), 40)
    assert Counter(item["site"] for item in items if "sequence" in item) == {"C1": 40, "C2": 40}
    assert {len(group) for group in sites_of(items).values()} == {40}
    for item in items:
        assert item["site"] == item["centre"] == item["id"].partition("/")[0]
        assert item.get("sequence", item["id"]).startswith(item["site"])
    parts = split_by_group(items, (0.7, 0.3), key="sequence")
    assert not set.intersection(*({item["sequence"] for item in part if "sequence" in item} for part in parts))
    known = {}
    for line in (real_data / "endoscopy" / "index.csv").read_text().splitlines()[1:]:
        centre, name, _, _, fraction, *_ = line.split(",")
        known[f"{centre}/{name}"] = float(fraction)
    for item in items[::8]:
        image, label = read_pair(item)
        with Image.open(item["image"]) as source:
            assert image.shape == (3, source.height, source.width)
        assert set(label.unique().tolist()) <= {0, 1}
        assert label.float().mean() == pytest.approx(known[item["id"]], abs=0.004)
        small, mask = read_pair(item, size=64)
        assert mask.float().mean() == pytest.approx(float(label.float().mean()), abs=0.02)
        torch.testing.assert_close(small.mean((1, 2)), image.mean((1, 2)), rtol=0, atol=0.01)


@pytest.mark.real
def test_skin_with_masks_for_two(real_data: Path) -> None:
    with pytest.raises(DatasetError, match="40 of 42 images have no mask"):
        load_dataset("isic", real_data / "skin")
    assert len(load_dataset("isic", real_data / "skin", unlabelled="keep")) == 42
    pair = load_dataset("isic", real_data / "skin", unlabelled="drop")
    assert [item["id"] for item in pair] == ["ISIC_0000000", "ISIC_0000050"]
    for item in pair:
        image, label = read_pair(item, size=(96, 128))
        lesion, skin = image[:, label == 1].mean(), image[:, label == 0].mean()
        assert lesion < skin - 0.05  # a lesion is darker: mask and image lie on each other
