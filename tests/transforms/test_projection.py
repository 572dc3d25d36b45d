# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor, list_data_collate
from monai.transforms import Compose, Invertd, LoadImage, LoadImaged, Resized, Rotate90d

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.geometry import Orientation
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.projection import read_projection
from monai_causal.transforms import LoadProjection, LoadProjectiond, ProjectionReader, placement_of
from tests.dicom.encodings import radiograph, written
from tests.dicom.studies import ROOT, image, lay

# PatientOrientation that asks for each of the eight orientations.
ORIENTATIONS = {
    "IDENTITY": ["L", "F"],
    "MIRROR": ["R", "F"],
    "FLIP": ["L", "H"],
    "ROTATE_180": ["R", "H"],
    "TRANSPOSE": ["F", "L"],
    "ROTATE_270": ["F", "R"],
    "ROTATE_90": ["H", "L"],
    "ANTITRANSPOSE": ["H", "R"],
}


def test_a_radiograph_becomes_a_tensor_with_what_is_known_of_it(tmp_path: Path) -> None:
    ds = radiograph(PatientOrientation=["F", "R"], ImagerPixelSpacing=[0.2, 0.1], ImageLaterality="U")
    ds.PatientName, ds.PatientID = "CANARY", "CANARY"
    (tmp_path / "CANARY.dcm").write_bytes(written(ds))
    loaded, read = LoadProjection(image_only=False)(tmp_path / "CANARY.dcm")  # type: ignore[misc]
    projection = read_projection(tmp_path / "CANARY.dcm")
    assert isinstance(loaded, MetaTensor)
    assert loaded.dtype == torch.float32
    np.testing.assert_array_equal(loaded[0].numpy(), projection.pixels)
    assert (loaded.meta["view"], loaded.meta["laterality"], loaded.meta["orientation"]) == ("PA", "U", "ROTATE_270")
    assert loaded.meta["remarks"] == "turned anisotropic-spacing"
    assert json.loads(loaded.meta["spacing"]) == [0.1, 0.2]
    assert json.loads(loaded.meta["provenance"]) == projection.provenance.as_dict()
    assert json.loads(loaded.meta["source"]) == {
        "sha256": projection.provenance.file_sha256,
        "rows": 13,
        "columns": 11,
        "study": ds.StudyInstanceUID,
        "series": ds.SeriesInstanceUID,
        "instance": ds.SOPInstanceUID,
        "sop_class": ds.SOPClassUID,
    }
    assert read.provenance == projection.provenance
    assert "CANARY" not in repr(loaded.meta)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_the_affine_lays_each_pixel_where_it_lies_in_the_stored_picture(name: str) -> None:
    ds = radiograph(PatientOrientation=ORIENTATIONS[name], ImagerPixelSpacing=[0.2, 0.1])
    loaded = LoadProjection()(ds)
    stored = LoadProjection(upright=False)(ds)
    assert (loaded.meta["orientation"], stored.meta["orientation"]) == (name, "IDENTITY")
    # Of ITK's world for the stored picture: right is minus its column, anterior minus its row.
    for row, column in ((0, 0), (3, 7), (12, 10)):
        flags = np.zeros((13, 11))
        flags[row, column] = 1
        ((i, j),) = np.argwhere(Orientation[name].apply(flags))
        assert loaded[0, i, j] == stored[0, row, column]
        world = loaded.affine.numpy() @ [i, j, 0, 1]
        np.testing.assert_allclose(world, [-0.1 * column, -0.2 * row, 0, 1], atol=1e-12)
    assert loaded.pixdim.tolist() == pytest.approx([0.1, 0.2] if Orientation[name].transposes else [0.2, 0.1])


def test_the_affine_is_that_of_itk_for_the_same_file(tmp_path: Path) -> None:
    pytest.importorskip("itk", reason="extra 'volumes' is not installed")
    (tmp_path / "a.dcm").write_bytes(written(radiograph(PixelSpacing=[0.73, 0.61], ImagerPixelSpacing=[0.73, 0.61])))
    by_itk = LoadImage(reader="ITKReader")(tmp_path / "a.dcm")
    assert by_itk.shape == (11, 13, 1)  # columns first
    exchanged = by_itk.affine.numpy()[:, [1, 0, 2, 3]]
    np.testing.assert_array_equal(LoadProjection()(tmp_path / "a.dcm").affine.numpy(), exchanged)


def test_in_a_pipeline_the_affine_follows() -> None:
    pipeline = Compose([LoadProjectiond(["image", "gone"], allow_missing_keys=True), Resized("image", (26, 22))])
    item = pipeline({"image": written(radiograph()), "name": 3})
    assert item["name"] == 3
    assert item["image"].shape == (1, 26, 22)
    assert item["image"].pixdim.tolist() == pytest.approx([0.1, 0.1])


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_what_is_found_goes_back_through_the_pipeline_to_the_stored_pixels(name: str) -> None:
    ds = radiograph(PatientOrientation=ORIENTATIONS[name])
    pipeline = Compose([LoadProjectiond("image"), Rotate90d("image")])
    item = pipeline({"image": written(ds)})
    item["found"] = MetaTensor((item["image"] > 0.5).float()).copy_meta_from(item["image"])
    back = Invertd("found", pipeline, orig_keys="image")(item)["found"]
    stored = read_projection(ds, upright=False).pixels
    np.testing.assert_array_equal(placement_of(back).to_source(back[0].numpy()), stored > 0.5)


def test_a_place_is_known_only_for_what_was_loaded_here() -> None:
    with pytest.raises(ValueError, match="load it with LoadProjection"):
        placement_of(MetaTensor(torch.zeros(1, 2, 2)))


def test_a_batch_of_different_radiographs_can_be_made() -> None:
    files = [radiograph(), radiograph(ViewPosition=None, ImagerPixelSpacing=None)]
    load = LoadProjectiond("image", projection_postfix="projection")
    items = [load({"image": file}) for file in files]
    projections = [item.pop("image_projection") for item in items]
    batch = list_data_collate(items)["image"]
    assert batch.shape == (2, 1, 13, 11)
    assert batch.meta["view"] == ["PA", ""]
    assert [projection.view for projection in projections] == ["PA", None]


def test_without_spacing_the_affine_is_of_pixels() -> None:
    loaded = LoadProjection()(radiograph(ImagerPixelSpacing=None))
    assert loaded.affine.tolist() == [[0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert (loaded.meta["spacing"], loaded.meta["spacing_kind"]) == ("null", "none")


def test_limits_and_options_are_passed_on() -> None:
    with pytest.raises(ValueError, match=r"Limits\.pixels"):
        LoadProjection(Limits(pixels=10))(radiograph())
    stored = LoadProjectiond("image", upright=False)({"image": radiograph(PatientOrientation=["R", "F"])})["image"]
    assert stored.meta["orientation"] == "IDENTITY"


def test_of_a_study_the_frontal_image_is_loaded(tmp_path: Path) -> None:
    folder = lay(tmp_path, {"a": image(1, ViewPosition="LL"), "b": image(2), "c": image(3, study=2)})
    for source in (folder, [folder / "a", folder / "b"]):
        loaded = LoadProjection(study=f"{ROOT}.1" if source == folder else None)(source)
        assert json.loads(loaded.meta["source"])["instance"] == f"{ROOT}.1.1.2"
    lateral = {"selections": [{"conditions": {"View": "LL"}}]}
    assert LoadProjection(rules=lateral)(folder).meta["view"] == "LL"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    ds = radiograph(PhotometricInterpretation="MONOCHROME1", PatientOrientation=["R", "F"], PatientName="CANARY")
    (tmp_path / "a.dcm").write_bytes(written(ds))
    return tmp_path / "a.dcm"


@pytest.mark.parametrize("reader", ["ProjectionReader", "monai_causal.transforms.ProjectionReader", ProjectionReader()])
def test_monai_finds_the_reader(reader: Any, file: Path) -> None:
    expected = LoadProjection()(file)
    item = LoadImaged("image", reader=reader, ensure_channel_first=True)({"image": str(file)})
    np.testing.assert_array_equal(item["image"].numpy(), expected.numpy())
    np.testing.assert_array_equal(item["image"].affine.numpy(), expected.affine.numpy())
    assert {key: item["image"].meta[key] for key in expected.meta if key != "affine"} == {
        key: value for key, value in expected.meta.items() if key != "affine"
    }
    np.testing.assert_array_equal(item["image"].meta["original_affine"], expected.affine.numpy())
    assert "CANARY" not in repr(item["image"].meta)


def test_in_a_bundle_it_needs_its_name_alone(file: Path) -> None:
    load = {
        "_target_": "LoadImaged",
        "keys": "image",
        "reader": "monai_causal.transforms.ProjectionReader",
        "ensure_channel_first": True,
        "upright": False,
    }
    parser = ConfigParser({"load": load, "imports": ["$import monai_causal.transforms"]})
    parser["load"]["reader"] = "ProjectionReader"
    loaded = parser.get_parsed_content("load")({"image": str(file)})["image"]
    assert loaded.meta["orientation"] == "IDENTITY"
    np.testing.assert_array_equal(loaded[0].numpy(), read_projection(file, upright=False).pixels)


@pytest.mark.parametrize("content", [b"not DICOM", written(radiograph(SOPClassUID="1.2.840.10008.5.1.4.1.1.2"))])
def test_a_refused_file_is_handed_to_no_other_reader(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []
    for name in ("ITKReader", "PydicomReader", "NibabelReader", "PILReader", "NumpyReader"):
        monkeypatch.setattr(f"monai.data.image_reader.{name}.read", lambda *a, name=name, **k: asked.append(name))
    (tmp_path / "CANARY.dcm").write_bytes(content)
    with caplog.at_level("DEBUG"), pytest.raises(DicomError) as caught:
        LoadImage(reader="ProjectionReader")(tmp_path / "CANARY.dcm")
    assert asked == []
    assert "CANARY" not in caplog.text + str(caught.value)


def test_what_nobody_asked_to_be_read_here_is_read_as_ever(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 3), np.float32))
    loader = LoadImage()
    assert not any(isinstance(reader, ProjectionReader) for reader in loader.readers)
    assert loader(tmp_path / "a.npy").shape == (2, 3)
    assert ProjectionReader().verify_suffix("a.dcm") is False


def test_several_files_are_no_radiograph(file: Path) -> None:
    with pytest.raises(ValueError, match="2 files as one image"):
        LoadImage(reader="ProjectionReader")([file, file])


def test_a_folder_is_a_study(file: Path) -> None:
    lay(file.parent, {"b": image(1, ViewPosition="LL")})
    loaded = LoadImage(reader="ProjectionReader", study=None)(file.parent)
    np.testing.assert_array_equal(loaded.numpy(), read_projection(file).pixels)
