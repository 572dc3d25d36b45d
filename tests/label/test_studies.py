# SPDX-License-Identifier: Apache-2.0
"""A label map of a client and one of ours lie on the same voxels, whatever the file and its order of axes."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from monai_causal.apps.explain.bundles import Bundle, open_bundle
from monai_causal.label.studies import Study, open_study
from monai_causal.label.writing import extension, save_for_client
from tests.label.bundles import disc, served_picture_bundle, served_volume_bundle

ROWS, COLUMNS = 24, 40
AFFINE = np.array([[0, 1.5, 0, -20], [-2.0, 0, 0, 60], [0, 0, 3.0, 10], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = served_picture_bundle(tmp_path_factory.mktemp("flat") / "bundle", size=(COLUMNS // 2, ROWS))
    return open_bundle(folder, torch.device("cpu"))


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = served_volume_bundle(tmp_path_factory.mktemp("deep") / "bundle", (0, 0, 0), (2.0, 2.0, 3.0), (16, 16, 8))
    return open_bundle(folder, torch.device("cpu"))


@pytest.fixture
def picture(flat: Bundle, tmp_path: Path) -> Study:
    return open_study(disc(tmp_path / "image.png", (ROWS, COLUMNS), (6, 30), 4), flat, 2)


def marked(shape: tuple[int, ...]) -> torch.Tensor:
    """A map without symmetry."""
    values = torch.zeros(shape, dtype=torch.uint8)
    values[2:5, 20:30] = 1
    values[10, 3] = 2
    return values


@pytest.mark.parametrize("suffix", [".png", ".nii.gz", ".nrrd"])
def test_a_picture_goes_out_and_comes_back(suffix: str, picture: Study, tmp_path: Path) -> None:
    values = marked((ROWS, COLUMNS))
    path = Path(save_for_client(values, picture, suffix))
    try:
        assert torch.equal(picture.label_on_image(path), values.long())
        if suffix == ".png":
            assert np.array_equal(np.asarray(Image.open(path)), values.numpy())
        elif suffix == ".nii.gz":
            stored = nib.load(path)
            # columns first, and where ITK sees the pixels of a picture
            assert stored.shape == (COLUMNS, ROWS, 1)
            np.testing.assert_array_equal(stored.affine, np.diag([-1, -1, 1, 1]))
    finally:
        path.unlink()


def test_a_client_lays_nrrd_on_the_picture_as_itk_reads_it(picture: Study, tmp_path: Path) -> None:
    itk = pytest.importorskip("itk")
    path = Path(save_for_client(marked((ROWS, COLUMNS)), picture, ".nrrd"))
    try:
        label = itk.imread(str(path))
        # ITK's array of a volume is (slice, row, column)
        assert np.array_equal(itk.array_from_image(label)[0], marked((ROWS, COLUMNS)).numpy())
        assert list(label.GetOrigin()) == [0, 0, 0]
        np.testing.assert_array_equal(np.asarray(label.GetDirection()), np.eye(3))
    finally:
        path.unlink()


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_a_volume_goes_out_and_comes_back_where_it_lies(suffix: str, deep: Bundle, tmp_path: Path) -> None:
    shape = (20, 32, 9)
    noise = np.random.default_rng(0).normal(0, 50, shape).astype(np.int16)
    nib.save(nib.Nifti1Image(noise, AFFINE), tmp_path / "image.nii.gz")
    study = open_study(tmp_path / "image.nii.gz", deep, 3)
    values = torch.zeros(shape, dtype=torch.uint8)
    values[3:6, 20:25, 7] = 3
    path = Path(save_for_client(values, study, suffix))
    try:
        assert torch.equal(study.label_on_image(path), values.long())
        if suffix == ".nii.gz":
            np.testing.assert_allclose(nib.load(path).affine, AFFINE)
        else:
            itk = pytest.importorskip("itk")
            stored = itk.imread(str(path))
            world = np.asarray(stored.TransformIndexToPhysicalPoint([4, 22, 7]))
            np.testing.assert_allclose(world * (-1, -1, 1), (AFFINE @ (4, 22, 7, 1))[:3], atol=1e-4)
    finally:
        path.unlink()


@pytest.mark.parametrize("last", [(), (1,)])
def test_the_one_slice_of_a_dicom_series_becomes_a_picture(last: tuple[int, ...], flat: Bundle, tmp_path: Path) -> None:
    # as the server's conversion leaves it: columns, rows, one slice
    rows, columns = np.indices((ROWS, COLUMNS))
    shown = np.where(np.hypot(rows - 6, columns - 30) <= 4, 4000, 120).astype(np.int16)
    affine = np.diag([-0.2, -0.2, 1.0, 1.0])
    nib.save(nib.Nifti1Image(shown.T.reshape(COLUMNS, ROWS, *last), affine), tmp_path / "series.nii.gz")
    study = open_study(tmp_path / "series.nii.gz", flat, 2)
    assert study.scene.own.shape == (ROWS, COLUMNS)
    assert "black and white" in study.notes[-1]
    # the bundle has columns before rows, and half of the columns
    seen = study.scene.image[0].as_subclass(torch.Tensor).mean(0)
    assert seen.shape == (COLUMNS // 2, ROWS)
    assert seen[15, 6] > 0.9 > 0.1 > seen[5, 18]
    path = Path(save_for_client(marked((ROWS, COLUMNS)), study, ".nii.gz"))
    try:
        stored = nib.load(path)
        assert stored.shape == (COLUMNS, ROWS, 1)
        np.testing.assert_allclose(stored.affine, affine)
        assert torch.equal(study.label_on_image(path), marked((ROWS, COLUMNS)).long())
    finally:
        path.unlink()


def test_a_label_comes_to_where_the_network_sees_it(picture: Study, tmp_path: Path) -> None:
    label = np.zeros((ROWS, COLUMNS), np.uint8)
    label[4:8, 28:32] = 255
    Image.fromarray(label).save(tmp_path / "label.png")
    seen = picture.label(tmp_path / "label.png")
    assert seen.shape == (COLUMNS // 2, ROWS)
    assert seen.nonzero().tolist() == [[column, row] for column in (14, 15) for row in range(4, 8)]


def test_a_box_comes_back_to_the_image(picture: Study) -> None:
    # the network's (columns / 2, rows) to rows and columns of the picture
    assert picture.box_on_image(((14, 16), (4, 8))) == [[4, 8], [28, 32]]
    assert picture.box_on_image(((0, COLUMNS // 2), (0, ROWS))) == [[0, ROWS], [0, COLUMNS]]


def test_what_does_not_fit_is_refused(flat: Bundle, picture: Study, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a folder of DICOM files: .*CONVERT_TO_NIFTI"):
        open_study(tmp_path, flat, 2)
    with pytest.raises(ValueError, match=r"the image is a '\.txt'"):
        open_study(tmp_path / "notes.txt", flat, 2)
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 3), np.int16), np.eye(4)), tmp_path / "volume.nii.gz")
    with pytest.raises(ValueError, match=r"\(8, 8, 3\): a network for flat images needs one grey slice"):
        open_study(tmp_path / "volume.nii.gz", flat, 2)
    (tmp_path / "broken.nii").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot be read"):
        open_study(tmp_path / "broken.nii", flat, 2)
    Image.fromarray(np.zeros((ROWS, COLUMNS + 1), np.uint8)).save(tmp_path / "other.png")
    with pytest.raises(ValueError, match=r"the label is \(24, 41\), the image \(24, 40\)"):
        picture.label(tmp_path / "other.png")
    with pytest.raises(ValueError, match=r"the label is a '\.mha'"):
        picture.label(tmp_path / "label.mha")


def test_the_suffix_of_a_result() -> None:
    assert extension(None, Path("a.PNG"), False) == ".png"
    assert extension(None, Path("a.jpg"), False) == ".png"
    assert extension(None, Path("a.nii.gz"), False) == ".nii.gz"
    assert extension(".nrrd", Path("a.png"), False) == ".nrrd"
    assert extension("", Path("a.png"), True) == ".nii.gz"
    with pytest.raises(ValueError, match=r"result_extension='\.nrrd': a map of real numbers"):
        extension(".nrrd", Path("a.nii"), True)
    with pytest.raises(ValueError, match=r"result_extension='\.png': of this image"):
        extension(".png", Path("a.nii"), False)
