# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import Dataset, MetaTensor
from PIL import Image
from torch import Tensor

from monai_causal.data.banks import SCHEMA, DonorBank, image_digest, phantom_bank
from monai_causal.data.datasets import load_dataset
from monai_causal.data.phantoms import shapes
from monai_causal.data.readers import read_image
from monai_causal.intervene import DonorPatchFill, Evaluator, MaskedMeanProbability, grid_regions


def numbered(*size: int, channels: int = 1, start: int = 0) -> Tensor:
    """An image whose every voxel says where it is."""
    count = channels * int(np.prod(size))
    return torch.arange(start, start + count, dtype=torch.float32).reshape(channels, *size)


@pytest.fixture
def items() -> list[dict]:
    """Six images of four patients; image 5 is a copy of image 0 under another name."""
    patients = ["P0", "P1", "P1", "P2", "P3", "P3"]
    images = [numbered(20, 24, channels=3, start=10_000 * number) for number in range(5)]
    return [
        {"image": image, "id": f"img{number}", "patient": patient}
        for number, (image, patient) in enumerate(zip([*images, images[0]], patients, strict=True))
    ]


def ids(bank: DonorBank) -> set[str | None]:
    return {image.id for image in bank.images}


@pytest.mark.parametrize("size", [(20, 27), (10, 13, 12)])
@pytest.mark.parametrize("grid", [False, True])
def test_donors_are_cut_where_the_bank_says(size: tuple[int, ...], grid: bool) -> None:
    patch = (4, 5, 3)[: len(size)]
    images = [numbered(*size, channels=2, start=start) for start in (0, 50_000)]
    bank = DonorBank.cut([("a", images[0]), ("b", images[1])], patch, per_image=7, grid=grid)
    assert bank.patches.shape == (14, 2, *patch)
    assert (bank.patch_size, bank.channels, len(bank)) == (patch, 2, 14)
    for number, donor in enumerate(bank):
        window = tuple(slice(c, c + p) for c, p in zip(bank.corners[number].tolist(), patch, strict=True))
        assert torch.equal(donor, images[number // 7][(slice(None), *window)])
        assert torch.equal(donor, bank[number])
        assert bank.origin(number).id == "ab"[number // 7]
        if grid:
            assert not (bank.corners[number] % torch.tensor(patch)).any()
    assert len({tuple(corner) for corner in bank.corners[:7].tolist()}) == 7


@pytest.mark.parametrize(("grid", "places"), [(True, 5 * 4), (False, 17 * 13)])
def test_an_image_gives_every_place_once_at_most(grid: bool, places: int) -> None:
    image = numbered(20, 16)
    bank = DonorBank.cut([("a", image)], 4, per_image=10_000, grid=grid)
    assert len(bank) == len({tuple(corner) for corner in bank.corners.tolist()}) == places
    assert bank.corners.min() == 0
    assert bank.corners.amax(0).tolist() == [16, 12]


def test_places_are_drawn_evenly() -> None:
    bank = DonorBank.cut(((str(number), numbered(6, 6)) for number in range(600)), 4, per_image=1)
    counts = torch.bincount(bank.corners[:, 0] * 3 + bank.corners[:, 1], minlength=9)
    assert ((counts - 600 / 9) ** 2 / (600 / 9)).sum() < 26  # chi-squared, 8 degrees of freedom, p = .001


def test_what_an_image_gives_belongs_to_seed_and_id(items: list[dict]) -> None:
    bank = DonorBank.cut(items, 4, per_image=5, seed=3)
    turned = DonorBank.cut(items[::-1], 4, per_image=5, seed=3)
    for number in range(6):
        mine = slice(5 * number, 5 * number + 5)
        theirs = slice(5 * (5 - number), 5 * (5 - number) + 5)
        assert torch.equal(bank.patches[mine], turned.patches[theirs])
    assert not torch.equal(bank.corners, DonorBank.cut(items, 4, per_image=5, seed=4).corners)
    assert not torch.equal(bank.corners[:5], bank.corners[25:])  # the same pixels under another id
    longer = DonorBank.cut(items, 4, per_image=9, seed=3)
    assert torch.equal(longer.patches[:5], bank.patches[:5])


def test_the_same_places_everywhere() -> None:
    """As first drawn: a bank of the same seed is the same on every machine and with every version of numpy."""
    bank = DonorBank.cut([("a", numbered(64, 64))], 8, per_image=4, seed=1)
    assert bank.corners.tolist() == [[2, 45], [40, 26], [44, 31], [12, 41]]


def test_images_without_id_are_drawn_for_by_their_content(items: list[dict]) -> None:
    bare = [{"image": item["image"]} for item in items]
    first, second = (DonorBank.cut(order, 4, per_image=3) for order in (bare, bare[::-1]))
    assert torch.equal(first.patches[:3], second.patches[15:])
    assert torch.equal(first.patches[:3], first.patches[15:])  # image 5 is image 0
    assert first.images[0].id is None


def test_without_an_image_goes_its_patient_and_its_copies(items: list[dict]) -> None:
    bank = DonorBank.cut(items, 4, per_image=3)
    assert ids(bank.without(image_id="img3")) == {"img0", "img1", "img2", "img4", "img5"}
    assert ids(bank.without(image_id="img1")) == {"img0", "img3", "img4", "img5"}
    assert ids(bank.without(patient="P1")) == {"img0", "img3", "img4", "img5"}
    # img5 has the content of img0, and P3 is the patient of img5 and img4
    assert ids(bank.without(image_id="img0")) == {"img1", "img2", "img3"}
    assert ids(bank.without(image=items[0]["image"])) == {"img1", "img2", "img3"}
    assert ids(bank.without(image=items[3]["image"][None].double())) == {"img0", "img1", "img2", "img4", "img5"}
    assert ids(bank.without(image_id="img3", patient="P1")) == {"img0", "img4", "img5"}
    assert bank.without(image_id="another", patient="P9", image=torch.zeros(3, 20, 24)) is bank
    left = bank.without(image_id="img1")
    assert len(left) == 12
    for number in range(12):
        assert left.origin(number).id == f"img{(0, 3, 4, 5)[number // 3]}"
        assert torch.equal(left[number], bank[(0, 9, 12, 15)[number // 3] + number % 3])


def test_nothing_left_is_an_error() -> None:
    bank = DonorBank.cut([("a", numbered(8, 8))], 4)
    with pytest.raises(ValueError, match=r"nothing is left of a bank of 25 donors from 1 images"):
        bank.without(image_id="a")


def test_a_patient_cannot_be_left_out_where_patients_are_unknown(items: list[dict]) -> None:
    del items[2]["patient"]
    bank = DonorBank.cut(items, 4, per_image=2)
    with pytest.raises(ValueError, match="1 of the bank's 6 images have no known patient, the first is number 2"):
        bank.without(patient="P0")
    assert ids(bank.without(image_id="img3")) == {"img0", "img1", "img2", "img4", "img5"}


def test_excluded_images_give_no_donor_and_do_not_change_the_others(items: list[dict]) -> None:
    whole = DonorBank.cut(items, 4, per_image=3)
    bank = DonorBank.cut(items, 4, per_image=3, exclude=["img1", "absent"])
    assert torch.equal(bank.patches, whole.without(image_id="img1").patches)
    assert torch.equal(DonorBank.cut(items, 4, per_image=3, exclude=["img1"], limit=5).patches, bank.patches[:5])


def test_a_limit_keeps_the_first_and_reads_no_further(items: list[dict]) -> None:
    seen = []

    def read() -> object:
        for item in items:
            seen.append(item["id"])
            yield item

    bank = DonorBank.cut(read(), 4, per_image=3, limit=5)
    assert torch.equal(bank.patches, DonorBank.cut(items, 4, per_image=3).patches[:5])
    assert ids(bank) == {"img0", "img1"}
    assert "img3" not in seen


def test_a_digest_tells_content_and_shape_and_not_the_type() -> None:
    image = torch.rand(1, 4, 6)
    assert image_digest(image) == image_digest(MetaTensor(image)) == image_digest(image.numpy().astype(np.float64))
    assert image_digest(image) != image_digest(image.reshape(1, 6, 4))
    assert image_digest(image) != image_digest(image + 1e-6)
    assert image_digest(image) == hashlib.sha256(b"(1, 4, 6)" + image.numpy().tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("keep_ids", [True, False])
def test_a_saved_bank_comes_back_byte_for_byte(items: list[dict], keep_ids: bool, tmp_path: Path) -> None:
    bank = DonorBank.cut(items, (4, 5), per_image=3, seed=8, grid=True, source="made up")
    first = bank.save(tmp_path / "a.npz", keep_ids=keep_ids)
    loaded = DonorBank.load(first)
    for name in ("patches", "origins", "corners"):
        assert getattr(loaded, name).numpy().tobytes() == getattr(bank, name).numpy().tobytes()
    assert (loaded.seed, loaded.grid, loaded.source, loaded.named) == (8, True, "made up", keep_ids)
    assert loaded.versions == bank.versions
    assert [image.digest for image in loaded.images] == [image.digest for image in bank.images]
    assert (loaded.images == bank.images) == keep_ids
    second = loaded.save(tmp_path / "b", keep_ids=keep_ids)
    assert second.read_bytes() == first.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b"]


def test_names_are_not_written_unless_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "Ward_7"
    folder.mkdir()
    for name in ("Surname_A", "Surname_B", "Other_A"):
        Image.fromarray(np.random.default_rng(len(name)).integers(0, 256, (9, 9), dtype=np.uint8)).save(
            folder / f"{name}.png"
        )
    bank = DonorBank.from_folder(folder, 4, per_image=2, patient_of=lambda name: name.partition("_")[0])
    assert [image.patient for image in bank.images] == ["Other", "Surname", "Surname"]
    path = bank.save(tmp_path / "bank.npz")
    with np.load(path, allow_pickle=False) as archive:
        text = str(archive["provenance"])
    assert not any(word in text for word in ("Surname", "Other", "Ward", str(tmp_path)))
    provenance = json.loads(text)
    assert provenance["schema"] == SCHEMA
    assert [image["patient"] for image in provenance["images"]] == ["0", "1", "1"]
    loaded = DonorBank.load(path)
    explained = read_image(folder / "Surname_B.png")
    assert [image.index for image in loaded.without(image=explained).images] == [0]  # and with it its patient
    for names in ({"image_id": "Surname_B"}, {"patient": "Surname"}):
        with pytest.raises(ValueError, match="this bank holds no names of images and patients"):
            loaded.without(**names)
    with pytest.raises(ValueError, match="it has none to keep"):
        loaded.save(tmp_path / "again.npz", keep_ids=True)
    named = DonorBank.load(bank.save(tmp_path / "named.npz", keep_ids=True))
    assert ids(named.without(image_id="Surname_B")) == {"Other_A"}


def test_a_folder_of_pictures_is_read_in_order_and_resized(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 12, 10, 3), dtype=np.uint8)
    for name, picture in zip("ba", pixels, strict=True):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    (tmp_path / "notes.txt").touch()
    bank = DonorBank.from_folder(tmp_path, 5, size=(10, 5), grid=True)
    assert [image.id for image in bank.images] == ["a", "b"]
    expected = read_image(tmp_path / "a.png", (10, 5))
    assert {image_digest(donor) for donor in bank.patches[:2]} == {
        image_digest(expected[:, :5]),
        image_digest(expected[:, 5:]),
    }
    assert "2 files" in bank.source


def test_a_folder_of_volumes(tmp_path: Path) -> None:
    values = np.arange(6 * 7 * 8, dtype=np.float32).reshape(6, 7, 8)
    for name in ("P1", "P2"):
        nib.save(nib.Nifti1Image(values, np.diag([-1, 2, 3, 1])), tmp_path / f"{name}.nii.gz")
    bank = DonorBank.from_folder(tmp_path, (2, 3, 4), window=(0, 500), per_image=6)
    assert ids(bank) == {"P1", "P2"}
    for number, (x, y, z) in enumerate(bank.corners.tolist()):
        np.testing.assert_allclose(bank[number][0], values[x : x + 2, y : y + 3, z : z + 4] / 500, atol=1e-6)
    with pytest.raises(ValueError, match="nothing is left"):
        bank.without(image_id="P1")  # P2 is its copy


def test_a_monai_dataset(items: list[dict]) -> None:
    turned = [{"scan": MetaTensor(item["image"]), "name": item["id"], "subject": item["patient"]} for item in items]
    dataset = Dataset(turned, transform=lambda item: {**item, "scan": item["scan"] * 2})
    bank = DonorBank.from_dataset(dataset, 4, key="scan", id_key="name", patient_key="subject", per_image=3)
    assert torch.equal(bank.patches, 2 * DonorBank.cut(items, 4, per_image=3).patches)
    assert not isinstance(bank[0], MetaTensor)
    assert ids(bank.without(patient="P1")) == {"img0", "img3", "img4", "img5"}


def test_a_decathlon_list(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        picture = np.random.default_rng(ord(name)).integers(0, 256, (9, 9), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    training = [{"image": f"{name}.png", "patient": f"P{name}"} for name in "ba"]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": training, "validation": [{"image": "c.png"}]}))
    bank = DonorBank.from_decathlon(tmp_path / "dataset.json", 4, per_image=5)
    assert [(image.id, image.patient) for image in bank.images] == [("a", "Pa"), ("b", "Pb")]
    assert torch.equal(bank.patches, DonorBank.from_folder(tmp_path, 4, per_image=5).patches[:10])
    other = DonorBank.from_decathlon(tmp_path / "dataset.json", 4, section="validation", per_image=5)
    assert ids(other) == {"c"}
    assert "'validation'" in other.source


def test_a_bank_fills_regions() -> None:
    phantom = shapes(3, size=(48, 48))
    image = torch.from_numpy(phantom.image)[None]
    bank = phantom_bank(count=60)
    network = torch.nn.Conv2d(1, 1, 1)
    torch.nn.init.ones_(network.weight)
    score = MaskedMeanProbability(torch.from_numpy(phantom.labels > 0), class_idx=0)
    effects = Evaluator(network)(image, grid_regions((48, 48), 8), DonorPatchFill(bank), score, draws=2)
    inside = torch.from_numpy(phantom.labels > 0).reshape(6, 8, 6, 8).any(3).any(1).flatten()
    assert effects.values[inside].abs().min() > 1e-6
    assert effects.values[~inside].abs().max() < 1e-7


@pytest.mark.parametrize("patch_size", [8, (6, 4), (4, 5, 6)])
def test_the_phantoms_bank(patch_size: int | tuple[int, ...]) -> None:
    bank = phantom_bank(2, 60, patch_size)
    sides = (8, 8) if patch_size == 8 else patch_size
    assert bank.patches.shape == (60, 1, *sides)
    assert len(bank.images) == 3
    assert torch.equal(bank.patches, phantom_bank(2, 60, patch_size).patches)
    other = phantom_bank(3, 60, patch_size)
    assert {image.digest for image in bank.images}.isdisjoint(image.digest for image in other.images)
    first = int(bank.images[0].id.partition("-")[2])
    size = (128, 128) if len(sides) == 2 else (48, 48, 48)
    window = tuple(slice(c, c + p) for c, p in zip(bank.corners[0].tolist(), sides, strict=True))
    assert torch.equal(bank[0], torch.from_numpy(shapes(first, size=size).image)[(slice(None), *window)])
    held = {item["id"] for item in load_dataset("phantom", count=8, size=(24, 24))}
    assert held.isdisjoint(ids(phantom_bank(0, 200, patch_size)))


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"image": torch.zeros(3, 9, 9)}, r"image 1 \(digest \w{16}\) has 3 channels in 2-D, but .* 1 channel in 2-D"),
        ({"image": torch.zeros(1, 9, 9, 9)}, "has 1 channel in 3-D, but those before it 1 channel in 2-D"),
        (
            {"image": torch.zeros(1, 9, 9), "modality": "CT"},
            "modality 'CT', but .* a bank holds images of one modality",
        ),
        ({"image": torch.zeros(1, 9, 3)}, r"of size \(9, 3\) is smaller than the patch \(4, 4\)"),
        ({"image": torch.full((1, 9, 9), torch.nan)}, "image 1 .* holds NaN"),
        ({"image": torch.zeros(9, 9)}, r"item 1: its image has shape \(9, 9\)"),
        ({"label": torch.zeros(9, 9), "id": "x"}, "item 1 has no 'image'; it has label, id"),
    ],
)
def test_what_does_not_belong_in_one_bank(second: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DonorBank.cut([{"image": numbered(9, 9)}, second], 4)


def test_more_errors(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"item 0: its image is a str, not a tensor"):
        DonorBank.cut([("a", "Surname.png")], 4)
    with pytest.raises(ValueError, match="a bank needs at least one image"):
        DonorBank.cut([], 4)
    with pytest.raises(ValueError, match=r"patch_size=\(4, 4, 4\): give one number above 0, or one for each of 2 axes"):
        DonorBank.cut([("a", numbered(9, 9))], (4, 4, 4))
    with pytest.raises(ValueError, match="per_image=0, limit=None: a bank has at least one donor"):
        DonorBank.cut([("a", numbered(9, 9))], 4, per_image=0)
    with pytest.raises(ValueError, match=r"patch_size=\(4, 4, 4, 4\): phantoms have two or three axes"):
        phantom_bank(patch_size=(4, 4, 4, 4))
    with pytest.raises(ValueError, match="the donors' folder is not there"):
        DonorBank.from_folder(tmp_path / "absent", 4)
    with pytest.raises(ValueError, match="the donors' folder holds no image"):
        DonorBank.from_folder(tmp_path, 4)
    (tmp_path / "Surname.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"image 0 cannot be read \(UnidentifiedImageError\)") as caught:
        DonorBank.from_folder(tmp_path, 4)
    assert "Surname" not in str(caught.value)


def test_a_bank_is_checked_against_the_image(items: list[dict]) -> None:
    bank = DonorBank.cut([{**item, "modality": "endoscopy"} for item in items], 4, per_image=1)
    bank.check(torch.zeros(3, 9, 9), modality="endoscopy")
    bank.check(torch.zeros(2, 3, 9, 9))
    for wrong in (torch.zeros(1, 9, 9), torch.zeros(1, 1, 9, 9), torch.zeros(1, 3, 9, 9, 9)):
        with pytest.raises(ValueError, match=r"3 channels in 2-D cannot serve an image of \d channels? in \d-D"):
            bank.check(wrong)
    with pytest.raises(ValueError, match="of modality 'endoscopy' cannot serve an image of modality 'CT'"):
        bank.check(torch.zeros(3, 9, 9), modality="CT")


def rewritten(path: Path, change: Callable[[dict, dict], None]) -> Path:
    """The bank's file after a change of its arrays and of its provenance."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive)
    provenance = json.loads(str(arrays.pop("provenance")))
    change(arrays, provenance)
    np.savez(path, provenance=np.array(json.dumps(provenance)), **arrays)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda a, p: p.update(schema="another/1"),
            r"bank\.npz has schema 'another/1', but 'monai_causal/donor-bank/1'",
        ),
        (lambda a, p: p.pop("schema"), r"bank\.npz is no donor bank \(KeyError\)"),
        (lambda a, p: a.pop("origins"), r"bank\.npz is no donor bank \(KeyError\)"),
        (lambda a, p: p.pop("seed"), r"provenance of the bank is not whole \('seed'\)"),
        (lambda a, p: p.update(donors=7), r"its patches are \(4, 1, 4, 4\), its provenance says \(7, 1, 4, 4\)"),
        (lambda a, p: a.update(corners=a["corners"][:2]), r"bank\.npz: a bank of patches .* one corner per donor"),
        (lambda a, p: p.update(images=p["images"][:1]), "a donor's origin is not one of the bank's 1 images"),
        (lambda a, p: a.update(patches=a["patches"].astype(float)), "'patches': 'float64'"),
        (lambda a, p: a.update(patches=np.array([{}], dtype=object)), r"is no donor bank \(ValueError\)"),
    ],
)
def test_a_file_that_is_no_bank(change: Callable[[dict, dict], None], message: str, tmp_path: Path) -> None:
    items = [(name, numbered(9, 9, start=start)) for name, start in (("a", 0), ("b", 100))]
    path = DonorBank.cut(items, 4, per_image=2).save(tmp_path / "bank.npz")
    DonorBank.load(rewritten(path, lambda arrays, provenance: None))
    with pytest.raises(ValueError, match=message) as caught:
        DonorBank.load(rewritten(path, change))
    assert str(tmp_path) not in str(caught.value)


def test_other_files_are_no_banks(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^absent\.npz: there is no such donor bank"):
        DonorBank.load(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("nothing")
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "empty.npz").touch()
    for name in ("text.npz", "one.npy", "empty.npz"):
        with pytest.raises(ValueError, match=rf"{name} is no donor bank"):
            DonorBank.load(tmp_path / name)


@pytest.mark.real
def test_a_bank_of_endoscopy(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "endoscopy" / "C2" / "images"
    bank = DonorBank.from_folder(folder, 8, size=256, per_image=100, grid=True, limit=1000)
    assert bank.patches.shape == (1000, 3, 8, 8)
    explained = sorted(folder.iterdir())[4]
    left = bank.without(image=read_image(explained, 256))
    assert len(left) == 900
    assert explained.stem not in ids(left)
    loaded = DonorBank.load(bank.save(tmp_path / "bank.npz"))
    assert torch.equal(loaded.without(image=read_image(explained, 256)).patches, left.patches)
    assert explained.stem.encode() not in (tmp_path / "bank.npz").read_bytes()
    whole = read_image(explained, 256)
    for number in range(400, 500):
        row, column = bank.corners[number].tolist()
        assert torch.equal(bank[number], whole[:, row : row + 8, column : column + 8])
