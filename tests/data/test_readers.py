# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image
from scipy.io import savemat
from torch import Tensor

from monai_causal.data.readers import ReadError, read_image, read_label, read_pair, target_class

AFFINE = np.array([[-2.0, 0, 0, 10], [0, 1.5, 0, 20], [0, 0, 3, -5], [0, 0, 0, 1]])


@pytest.fixture
def colours() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)


def save(array: np.ndarray, path: Path, palette: bool = False, **options: int) -> str:
    picture = Image.fromarray(array)
    if palette:
        picture = picture.convert("L")
        picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [7] * 759)
    picture.save(path, **options)
    return str(path)


def hat(image: np.ndarray, side: int, axis: int) -> np.ndarray:
    """Antialiased linear interpolation along one axis, by its definition: a hat as wide as a new voxel, normalised."""
    old = image.shape[axis]
    scale = old / side
    centres = (np.arange(side) + 0.5) * scale - 0.5
    weights = np.clip(1 - np.abs(np.arange(old) - centres[:, None]) / max(scale, 1), 0, None)
    weights /= weights.sum(1, keepdims=True)
    return np.moveaxis(np.tensordot(weights, image, (1, axis)), 0, axis)


def test_a_picture_is_channels_rows_columns(tmp_path: Path, colours: np.ndarray) -> None:
    image = read_image(save(colours, tmp_path / "a.png"))
    assert image.dtype == torch.float32
    assert torch.equal(image, torch.from_numpy(colours).permute(2, 0, 1) / 255)


def test_grey_is_one_channel_and_colour_three_whatever_the_mode(tmp_path: Path, colours: np.ndarray) -> None:
    grey = colours[..., 0]
    assert torch.equal(read_image(save(grey, tmp_path / "l.png"))[0], torch.from_numpy(grey) / 255)
    deep = grey.astype(np.uint16) * 256 + 3
    expected = torch.from_numpy(deep.astype(np.float32) / np.float32(65535))
    torch.testing.assert_close(read_image(save(deep, tmp_path / "deep.png"))[0], expected)
    assert torch.equal(read_image(save(grey > 99, tmp_path / "one.png"))[0], torch.from_numpy(grey > 99).float())
    alpha = np.dstack([colours, np.full((6, 10), 7, np.uint8)])
    assert torch.equal(read_image(save(alpha, tmp_path / "rgba.png")), torch.from_numpy(colours).permute(2, 0, 1) / 255)
    palette = read_image(save(np.array([[0, 1], [2, 1]], np.uint8), tmp_path / "p.png", palette=True))
    assert (palette[:, 0, 1] * 255).tolist() == [128, 0, 0]
    assert read_image(save(colours, tmp_path / "A.JPG")).shape == (3, 6, 10)


@pytest.mark.parametrize("size", [(4, 5), (12, 20), (3, 25), 6])
def test_a_picture_is_resized_with_antialiasing(tmp_path: Path, colours: np.ndarray, size: int | tuple) -> None:
    image = read_image(save(colours, tmp_path / "a.png"), size)
    rows, columns = (size, size) if isinstance(size, int) else size
    expected = hat(hat(colours.transpose(2, 0, 1) / 255, rows, 1), columns, 2)
    np.testing.assert_allclose(image.numpy(), expected, rtol=0, atol=2e-6)


def test_a_volume_keeps_its_axes_and_its_affine(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(0, 300, (5, 6, 7)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, AFFINE), tmp_path / "a.nii.gz")
    image = read_image(str(tmp_path / "a.nii.gz"), window=(-100, 300))
    assert isinstance(image, MetaTensor)
    np.testing.assert_allclose(image[0].numpy(), np.clip((values + 100) / 400, 0, 1), atol=1e-6)
    np.testing.assert_allclose(image.affine.numpy(), AFFINE)
    whole = read_image(str(tmp_path / "a.nii.gz"))
    np.testing.assert_allclose(whole[0].numpy(), (values - values.min()) / np.ptp(values), atol=1e-6)


def test_a_resized_volume_lies_where_it_lay(tmp_path: Path) -> None:
    values = np.random.default_rng(1).random((6, 9, 8)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, AFFINE), tmp_path / "a.nii")
    image = read_image(tmp_path / "a.nii", (3, 9, 16), window=(0, 1))
    expected = hat(hat(values, 3, 0), 16, 2)
    np.testing.assert_allclose(image[0].numpy(), expected, rtol=0, atol=2e-6)
    corner = np.array([-0.5, -0.5, -0.5, 1])  # the outer corner of the first voxel, and of the last one
    np.testing.assert_allclose(image.affine.numpy() @ corner, AFFINE @ corner)
    np.testing.assert_allclose(image.affine.numpy() @ [2.5, 8.5, 15.5, 1], AFFINE @ [5.5, 8.5, 7.5, 1])


def test_channels_of_a_volume_are_scaled_one_by_one(tmp_path: Path) -> None:
    values = np.stack([np.arange(24.0).reshape(2, 3, 4), np.full((2, 3, 4), 5.0)], axis=-1).astype(np.float32)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii")
    image = read_image(tmp_path / "a.nii")
    np.testing.assert_allclose(image[0].numpy(), values[..., 0] / 23, atol=1e-6)
    assert not image[1].any()  # a constant channel
    both = read_image([tmp_path / "a.nii", tmp_path / "a.nii"])
    assert torch.equal(both.as_tensor(), torch.cat([image, image]).as_tensor())


@pytest.mark.parametrize("label_type", ["binary", "auto"])
def test_masks_of_255_become_classes(tmp_path: Path, label_type: str) -> None:
    mask = np.zeros((4, 5), np.uint8)
    mask[1:3, 2:] = 255
    expected = torch.from_numpy(mask > 0).long()
    stored = {"grey": mask, "colour": np.dstack([mask] * 3), "one": mask > 0}
    for name, array in stored.items():
        assert torch.equal(read_label(save(array, tmp_path / f"{name}.png"), label_type=label_type), expected)
    assert not read_label(save(0 * mask, tmp_path / "empty.png"), label_type=label_type).any()


def test_masks_of_1_are_classes_and_a_jpeg_of_1_is_noise(tmp_path: Path) -> None:
    mask = np.array([[0, 1], [1, 0]], np.uint8)
    for label_type in ("binary", "indices", "auto"):
        assert read_label(save(mask, tmp_path / "a.png"), label_type=label_type).tolist() == mask.tolist()
    assert not read_label(save(np.full((8, 8), 1, np.uint8), tmp_path / "a.jpg"), label_type="binary").any()


def test_a_jpeg_mask_is_cut_at_the_middle(tmp_path: Path) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[5:20, 7:25] = 255
    path = save(mask, tmp_path / "a.jpg", quality=60)
    assert len(np.unique(np.asarray(Image.open(path)))) > 2
    for label_type in ("auto", "binary"):
        assert torch.equal(read_label(path, label_type=label_type), torch.from_numpy(mask > 0).long())


def test_a_palette_gives_indices_and_255_stays(tmp_path: Path) -> None:
    indices = np.array([[0, 1, 2], [2, 255, 1]], np.uint8)
    path = save(indices, tmp_path / "a.png", palette=True)
    assert Image.open(path).mode == "P"
    assert read_label(path, label_type="indices").tolist() == indices.tolist()
    assert read_label(path).tolist() == indices.tolist()
    assert read_label(path, classes=[2]).tolist() == [[0, 0, 1], [1, 255, 0]]
    assert read_label(path, classes=[2, 1]).tolist() == [[0, 2, 1], [1, 255, 2]]
    foreground = save(np.minimum(indices, 1), tmp_path / "b.png", palette=True)  # its red is dark
    assert read_label(foreground, label_type="binary").tolist() == [[0, 1, 1], [1, 1, 1]]


def test_a_label_is_resized_by_the_nearest_centre() -> None:
    label = np.array([[0, 1, 2, 3, 4, 255]])
    assert read_label(label, (1, 3)).tolist() == [[1, 3, 255]]
    assert read_label(label, (2, 12))[1].tolist() == np.repeat(label[0], 2).tolist()
    assert read_label(np.arange(8).reshape(2, 2, 2), (2, 2, 1)).flatten().tolist() == [1, 3, 5, 7]


def test_a_mat_file_of_sbd(tmp_path: Path) -> None:
    segmentation = np.array([[0, 15], [20, 0]], np.uint8)
    content = {"GTcls": {"Segmentation": segmentation, "CategoriesPresent": [15, 20], "Boundaries": np.zeros((20, 1))}}
    savemat(tmp_path / "a.mat", content)
    assert read_label(tmp_path / "a.mat").tolist() == segmentation.tolist()
    savemat(tmp_path / "b.mat", {"GTinst": {"Segmentation": segmentation}})
    with pytest.raises(ReadError, match=r"item 4: its \.mat file holds no GTcls\.Segmentation"):
        read_label(tmp_path / "b.mat", name="item 4")


def test_a_pair(tmp_path: Path, colours: np.ndarray) -> None:
    mask = (colours[..., 0] > 99).astype(np.uint8)
    item = {
        "image": save(colours, tmp_path / "a.png"),
        "label": save(255 * mask, tmp_path / "m.png"),
        "label_type": "binary",
        "index": 0,
    }
    image, label = read_pair(item)
    assert (image.shape, label.shape, label.dtype) == ((3, 6, 10), (6, 10), torch.int64)
    assert torch.equal(label, torch.from_numpy(mask).long())
    image, label = read_pair(item, size=224)
    assert (image.shape, label.shape) == ((3, 224, 224), (224, 224))
    assert torch.equal(read_pair(item, classes=[2])[1], torch.zeros(6, 10, dtype=torch.int64))


def test_a_pair_of_volumes(tmp_path: Path) -> None:
    labels = np.arange(24.0).reshape(2, 3, 4, 1)
    nib.save(nib.Nifti1Image(labels.astype(np.float32)[..., 0], AFFINE), tmp_path / "i.nii.gz")
    nib.save(nib.Nifti1Image(labels, AFFINE), tmp_path / "l.nii.gz")
    image, label = read_pair({"image": str(tmp_path / "i.nii.gz"), "label": str(tmp_path / "l.nii.gz")})
    assert image.shape == (1, 2, 3, 4)
    assert label.tolist() == labels[..., 0].tolist()
    nib.save(nib.Nifti1Image(labels + 0.5, AFFINE), tmp_path / "f.nii.gz")
    with pytest.raises(ReadError, match=r"holds fractions such as 0\.5"):
        read_label(tmp_path / "f.nii.gz")


@pytest.mark.parametrize(
    ("label", "ignore", "expected"),
    [
        ([[0, 0, 0], [5, 5, 9]], 255, 5),
        ([[9, 5, 0], [5, 9, 0]], 255, 5),  # a tie
        ([[255, 255, 255], [0, 1, 0]], 255, 1),
        ([[255, 255, 255], [0, 1, 0]], None, 255),
        ([[2, 2, 2], [7, 7, 1]], 2, 7),
    ],
)
def test_the_target_is_the_most_frequent_foreground_class(label: list, ignore: int | None, expected: int) -> None:
    assert target_class(torch.tensor(label), ignore) == expected
    assert target_class(np.array(label), ignore) == expected


def test_a_label_without_foreground_has_no_target() -> None:
    with pytest.raises(ValueError, match="the label has no foreground"):
        target_class(torch.tensor([[0, 255], [255, 0]]))


def test_errors_name_the_item_and_never_the_file(tmp_path: Path, colours: np.ndarray) -> None:
    secret = "Surname_Firstname"
    (tmp_path / f"{secret}.png").write_bytes(b"no picture")
    (tmp_path / f"{secret}.nii.gz").write_bytes(b"no volume")
    (tmp_path / f"{secret}.mat").write_bytes(b"no matrix")
    good = save(colours, tmp_path / "a.png")
    small = save(colours[:3, :, 0], tmp_path / "m.png")
    bad = [{"image": str(tmp_path / f"{secret}{suffix}"), "label": good} for suffix in (".png", ".nii.gz", ".txt")]
    bad += [{"image": str(tmp_path / secret / "absent.png"), "label": good}]
    bad += [{"image": good, "label": str(tmp_path / f"{secret}{suffix}")} for suffix in (".png", ".nii.gz", ".mat")]
    bad += [{"image": good, "label": small}, {"image": good}, {"image": good, "label": good, "label_type": "indices"}]
    for item in bad:
        with pytest.raises(ReadError, match="item 7") as caught:
            read_pair({**item, "index": 7})
        assert secret not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (4, 4, 4)}, r"size=\(4, 4, 4\): give one number above 0, or one for each of 2 axes"),
        ({"size": 0}, r"size=0: give one number"),
    ],
)
def test_bad_sizes(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_image(torch.zeros(1, 8, 8), **options)


def test_a_window_has_a_width(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(ValueError, match=r"window=\(3, 3\): give \(low, high\)"):
        read_image(tmp_path / "a.nii", window=(3, 3))
    nib.save(nib.Nifti1Image(np.full((2, 2, 2), np.nan, np.float32), np.eye(4)), tmp_path / "b.nii")
    with pytest.raises(ReadError, match=r"image 3 holds NaN"):
        read_image(tmp_path / "b.nii", name="image 3")


@pytest.mark.real
def test_a_ct_and_its_organs(real_data: Path) -> None:
    folder = real_data / "volumes"
    item = {"image": str(folder / "example_ct_sm.nii.gz"), "label": str(folder / "example_seg.nii.gz")}
    image, label = read_pair(item, window=(-1000, 1000))
    source = nib.load(item["image"])
    expected = np.clip((source.get_fdata() + 1000) / 2000, 0, 1)
    np.testing.assert_allclose(image[0].numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(image.affine.numpy(), source.affine)
    organ = target_class(label)
    half, small = read_pair(item, size=[side // 2 for side in label.shape], classes=[organ], window=(-1000, 1000))
    assert set(small.unique().tolist()) == {0, 1}
    assert float(small.float().mean()) == pytest.approx(float((label == organ).float().mean()), rel=0.05)
    assert centre_of(half.affine, small == 1) == pytest.approx(centre_of(image.affine, label == organ), abs=3)  # mm


def centre_of(affine: Tensor, mask: Tensor) -> list[float]:
    """The centre of a mask in the scanner's millimetres."""
    middle = torch.cat([mask.nonzero().double().mean(0), torch.ones(1)])
    return (affine.double() @ middle)[:3].tolist()
