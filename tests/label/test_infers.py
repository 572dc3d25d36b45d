# SPDX-License-Identifier: Apache-2.0
"""The tasks as a server calls them: a planted cause is shown where it lies, as bands, as numbers and as a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from monai_causal.label.explaining import ROI_VALUE, ROWS
from monai_causal.label.infers import IMAGE_ID, ExplanationTask, SegmentationTask
from monai_causal.label.served import ServedBundle
from tests.apps.explain.bundles import planted
from tests.label.bundles import disc, served_picture_bundle, served_volume_bundle

ROWS_, COLUMNS = 48, 80
CAUSE, RADIUS, SHIFT = (14, 24), 6.0, 20  # the answer lies 20 columns to the right of the disc


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedBundle:
    # The network has half of the columns, first.
    return ServedBundle(
        served_picture_bundle(tmp_path_factory.mktemp("served") / "reads_left", (SHIFT // 2, 0), (COLUMNS // 2, ROWS_))
    )


@pytest.fixture
def images(tmp_path: Path) -> dict[str, Path]:
    return {
        "explained": disc(tmp_path / "explained.png", (ROWS_, COLUMNS), CAUSE, RADIUS),
        "dark": disc(tmp_path / "dark.png", (ROWS_, COLUMNS), CAUSE, 0.0, seed=1),
    }


def task(served: ServedBundle, kind: Any, images: dict[str, Path], label: Path | None = None) -> ExplanationTask:
    def fetch(path: Path) -> Callable[[], str]:
        return lambda: str(path)

    return ExplanationTask(
        served,
        kind,
        lambda: {name: fetch(path) for name, path in images.items()},
        lambda image_id: None if label is None else str(label),
    )


def request(images: dict[str, Path], **asked: Any) -> dict[str, Any]:
    return {"model": "x", "image": str(images["explained"]), IMAGE_ID: "explained", "device": "cuda", **asked}


def read(path: str) -> np.ndarray:
    """A result, in array order; the server removes the file."""
    try:
        if path.endswith(".png"):
            return np.asarray(Image.open(path))
        return np.asarray(nib.load(path).dataobj)[..., 0].T
    finally:
        Path(path).unlink()


def centre(where: np.ndarray) -> np.ndarray:
    return np.argwhere(where).mean(0)


def test_a_segmentation_is_the_network_s_own_answer(served: ServedBundle, images: dict[str, Path]) -> None:
    segmentation = SegmentationTask(served)
    assert segmentation.info()["labels"] == {"disc": 1}
    assert (segmentation.type, segmentation.dimension, segmentation.is_valid()) == ("segmentation", 2, True)
    assert segmentation.get_path() == str(served.weights)
    path, params = segmentation(request(images))
    answer = read(path)
    assert answer.shape == (ROWS_, COLUMNS)
    np.testing.assert_allclose(centre(answer == 1), (CAUSE[0], CAUSE[1] + SHIFT), atol=1)
    assert params["voxels"] == {"disc": int((answer == 1).sum())}
    assert params["label_names"] == {"disc": 1}
    json.dumps(params, allow_nan=False)


def test_bands_and_table_show_the_cause(served: ServedBundle, images: dict[str, Path]) -> None:
    bands = task(served, "bands", images)
    assert bands.type == "segmentation"
    assert bands.info()["config"]["method"][0] == "pdcr"
    path, params = bands(request(images, roi="4:24,34:54", patch_size=4, result_extension=".nii.gz"))
    values = read(path)
    supports = (values >= 1) & (values <= 3)
    np.testing.assert_allclose(centre(supports), CAUSE, atol=3)
    # the RoI is marked, and nothing of it was intervened on
    assert np.argwhere(values == ROI_VALUE).min(0).tolist() == [4, 34]
    assert np.argwhere(values == ROI_VALUE).max(0).tolist() == [23, 53]
    assert params["label_names"] == bands.labels
    assert {band["value"]: band["voxels"] for band in params["bands"]} == {
        value: int((values == value).sum()) for value in range(1, 7)
    }
    strongest = params["effects"][0]
    assert strongest["value"] < 0
    assert strongest["relevant"]
    (top, bottom), (left, right) = strongest["box"]
    assert top <= CAUSE[0] + RADIUS
    assert bottom > CAUSE[0] - RADIUS
    assert left <= CAUSE[1] + RADIUS
    assert right > CAUSE[1] - RADIUS
    assert (bottom - top, right - left) == (4, 8)  # 4 of the network's columns are 8 of the picture's
    assert params["roi"]["box"] == [[4, 24], [34, 54]]
    assert params["replaced_by"]["kind"] == "patches of 1 other images"
    assert params["class"] == "disc"
    assert params["spatial_shape"] == [ROWS_, COLUMNS]
    assert len(params["effects"]) == min(ROWS, params["findings"]["regions"])
    assert params["effects_left_out"] == max(0, params["findings"]["regions"] - ROWS)
    assert params["schema"] == "monai_causal/label-explanation/1"
    json.dumps(params, allow_nan=False)


def test_the_map_holds_the_table_s_numbers(served: ServedBundle, images: dict[str, Path]) -> None:
    numbers = task(served, "map", images)
    assert (numbers.type, numbers.labels) == ("others", {})
    path, params = numbers(request(images, roi="4:24,34:54", patch_size=4))
    heat = read(path)
    assert heat.dtype == np.float32
    for row in params["effects"][:20]:
        inside = heat[tuple(slice(*span) for span in row["box"])]
        np.testing.assert_allclose(inside, row["value"] if row["relevant"] else 0.0, rtol=1e-5)
    with pytest.raises(ValueError, match="a map of real numbers"):
        numbers(request(images, result_extension=".png"))


def test_without_other_images_the_surroundings_go_on(served: ServedBundle, images: dict[str, Path]) -> None:
    alone = task(served, "bands", {"explained": images["explained"]})
    asked = request(images, roi="4:24,34:54", patch_size=8)
    path, params = alone(asked)
    assert (read(path) > 0).any()
    assert params["replaced_by"]["kind"] == ("the smooth continuation of their surroundings, for want of other images")
    with pytest.raises(ValueError, match="the datastore holds no other image"):
        alone(asked | {"rule": "exhaustive"})


def test_another_method_is_asked_by_its_name(served: ServedBundle, images: dict[str, Path]) -> None:
    path, params = task(served, "map", images)(request(images, method="ria", cells=10))
    heat = read(path)
    place = np.unravel_index(heat.argmax(), heat.shape)
    np.testing.assert_allclose(place, CAUSE, atol=8)
    assert (params["method"], params["unit"]) == ("ria", "evidence")
    assert [band["value"] for band in params["bands"]] == [1, 2, 3]


def test_the_last_label_says_where_and_with_what(served: ServedBundle, images: dict[str, Path], tmp_path: Path) -> None:
    marked = np.zeros((ROWS_, COLUMNS), np.uint8)
    marked[8:20, 38:50] = 255
    Image.fromarray(marked).save(tmp_path / "label.png")
    bands = task(served, "bands", images, tmp_path / "label.png")
    path, params = bands(request(images, roi="label", patch_size=4))
    read(path)
    assert params["roi"]["box"] == [[8, 20], [38, 50]]
    assert params["findings"]["baseline"] == 100  # the network's own answer is what it is compared with
    path, params = bands(request(images, roi="label", compare_with="label", patch_size=4))
    read(path)
    assert 50 < params["findings"]["baseline"] < 100
    # a label that comes with the request goes before the one that was saved
    marked[:] = 0
    marked[10:18, 40:48] = 1
    Image.fromarray(marked).save(tmp_path / "sent.png")
    path, params = bands(request(images, roi="label", patch_size=4, label=str(tmp_path / "sent.png")))
    read(path)
    assert params["roi"]["box"] == [[10, 18], [40, 48]]
    with pytest.raises(ValueError, match="the image has no label yet"):
        task(served, "bands", images)(request(images, roi="label"))


def test_a_volume_is_answered_and_explained_where_it_lies(tmp_path: Path) -> None:
    affine = np.array([[0, 1.5, 0, -20], [-2.0, 0, 0, 60], [0, 0, 3.0, 10], [0, 0, 0, 1]])
    shape = (40, 44, 20)
    grid = np.stack(np.indices(shape), -1)
    inside = np.linalg.norm((grid - (14, 12, 6)) * (2.0, 1.5, 3.0), axis=-1) <= 8.0
    values = np.where(inside, 150, -40) + np.random.default_rng(0).normal(0, 4, shape)
    nib.save(nib.Nifti1Image(values.astype(np.int16), affine), tmp_path / "volume.nii.gz")
    served = ServedBundle(served_volume_bundle(tmp_path / "reads_right", (12, 0, 0), (2.0, 2.0, 3.0), (24, 24, 16)))
    asked = {"image": str(tmp_path / "volume.nii.gz"), IMAGE_ID: "volume", "device": "cpu"}
    path, _ = SegmentationTask(served)(asked)
    answer = nib.load(path)
    np.testing.assert_allclose(answer.affine, affine)
    # 24 mm are 16 voxels of the second stored axis; windows in which the cause lies outside cut a part off
    np.testing.assert_allclose(centre(np.asarray(answer.dataobj) == 1), (14, 28, 6), atol=2)
    assert answer.dataobj[14, 28, 6] == 1
    Path(path).unlink()
    alone = {"volume": tmp_path / "volume.nii.gz"}
    path, params = task(served, "bands", alone)(
        asked | {"roi": [[8, 20], [22, 34], [3, 9]], "patch_size": 8, "donors": "surroundings"}
    )
    bands = nib.load(path)
    assert bands.shape == shape
    np.testing.assert_allclose(bands.affine, affine)
    found = np.asarray(bands.dataobj)
    assert 1 <= found[14, 12, 6] <= 3
    assert params["findings"]["run"]["execution"] == "windows"
    Path(path).unlink()


def test_weights_that_change_are_read_again(tmp_path: Path, images: dict[str, Path]) -> None:
    served = ServedBundle(served_picture_bundle(tmp_path / "bundle", (0, 0), (COLUMNS // 2, ROWS_)))
    segmentation = SegmentationTask(served)
    answer = read(segmentation(request(images))[0])
    np.testing.assert_allclose(centre(answer == 1), CAUSE, atol=1)
    assert served.open(torch.device("cpu")) is served.open(torch.device("cpu"))
    network = planted((0, 0), 3)
    with torch.no_grad():
        network.bias.fill_(0.0)
        network.weight.fill_(0.0)
    torch.save(network.state_dict(), served.weights)
    assert not read(segmentation(request(images))[0]).any()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"device": "tpu"}, "device='tpu': here are"),
        ({"image": ""}, "the request has no image of the datastore"),
        ({"class": "polyp"}, "class='polyp': reads_left answers disc"),
        ({"roi": "0:20,60:90"}, "the RoI leaves the image"),
    ],
)
def test_bad_requests_are_refused(
    asked: dict[str, Any], said: str, served: ServedBundle, images: dict[str, Path]
) -> None:
    with pytest.raises(ValueError, match=said):
        task(served, "bands", images)(request(images, **asked))
