# SPDX-License-Identifier: Apache-2.0
"""What ITK makes of a series, to the bit, from files that were checked first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.data import ITKReader
from monai.transforms import LoadImage, LoadImaged

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")
pytest.importorskip("itk", reason="extra 'volumes' is not installed")

from monai_causal.dicom.errors import DicomError
from monai_causal.transforms import SafeSeriesReader
from tests.dicom.encodings import written
from tests.dicom.studies import ROOT, ct_slice, image, lay


def stack(folder: Path, count: int = 3, **values: Any) -> Path:
    return lay(folder, {f"CANARY{place}": ct_slice(place, -2.0 * place, **values) for place in range(1, count + 1)})


def assert_as_itk(folder: Path) -> None:
    itk = ITKReader()
    expected, meta = itk.get_data(itk.read(str(folder)))
    values, own = SafeSeriesReader().get_data((str(folder),))
    assert values.dtype == expected.dtype
    np.testing.assert_array_equal(values, expected)
    for key in ("affine", "original_affine", "spacing", "spatial_shape", "original_channel_dim"):
        np.testing.assert_array_equal(own[key], meta[key])
    assert own["space"] == meta["space"]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"RescaleSlope": "0.37", "RescaleIntercept": "-12.5"},
        {"SliceThickness": "5", "SpacingBetweenSlices": "2"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "Modality": "MR"},
    ],
)
def test_array_and_geometry_are_those_of_itk(values: dict[str, Any], tmp_path: Path) -> None:
    assert_as_itk(stack(tmp_path, **values))


def test_one_slice_is_a_volume_too(tmp_path: Path) -> None:
    assert_as_itk(stack(tmp_path, 1))


@pytest.mark.real
def test_the_real_series(real_data: Path) -> None:
    assert_as_itk(real_data / "volumes" / "ct_dicom_series")


@pytest.mark.parametrize("reader", ["SafeSeriesReader", "monai_causal.transforms.SafeSeriesReader"])
def test_monai_finds_the_reader(reader: str, tmp_path: Path) -> None:
    loaded = LoadImaged("image", reader=reader, ensure_channel_first=True)({"image": stack(tmp_path)})["image"]
    assert loaded.shape == (1, 5, 4, 3)
    assert loaded[0, :, 0, 0].tolist() == [-724, -723, -722, -721, -720]  # slice 3 is the lowest
    source = json.loads(loaded.meta["source"])
    assert source["instances"] == [f"{ROOT}.7.1.{number}" for number in (3, 2, 1)]
    assert source["frame_of_reference"] == f"{ROOT}.7.2"
    assert loaded.meta["remarks"] == ""
    assert not any("|" in key for key in loaded.meta)  # attributes of the header, as ITK names them


def test_files_may_be_given_in_place_of_a_folder(tmp_path: Path) -> None:
    folder = stack(tmp_path)
    named = LoadImage(reader="SafeSeriesReader")([folder / "CANARY3", folder / "CANARY2"])
    whole = LoadImage(reader="SafeSeriesReader")(folder)
    np.testing.assert_array_equal(named.numpy(), whole.numpy()[..., :2])
    # ITK takes the step from the first and the last slice, which here are others.
    np.testing.assert_allclose(named.affine.numpy(), whole.affine.numpy(), atol=1e-12)


@pytest.mark.parametrize(
    "tampered",  # one whose pixel data are cut off, one with a path for a UID
    [
        written(ct_slice(2, -4.0))[:-5],
        written(image(2)).replace(b"1.2.826.0.1.3680043.10.9.1.1.2", b"../../../../../../../etc/passwd"[1:]),
    ],
)
def test_tampered_files_are_refused_before_itk_is_called(
    tampered: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[Any] = []
    for name in ("ITKReader", "PydicomReader", "NibabelReader", "PILReader", "NumpyReader"):
        monkeypatch.setattr(f"monai.data.image_reader.{name}.read", lambda *a, **k: asked.append(a))
    lay(stack(tmp_path), {"CANARY2": tampered})
    missing = r"slices may be missing; file 2 \([0-9a-f]{12}\): "
    with caplog.at_level("DEBUG"), pytest.raises(DicomError, match=missing) as caught:
        LoadImage(reader="SafeSeriesReader")(tmp_path)
    assert asked == []
    assert "CANARY" not in caplog.text + str(caught.value)


def test_several_series_are_refused_where_itk_takes_one(tmp_path: Path) -> None:
    lay(stack(tmp_path), {"other": ct_slice(1, 0.0, SeriesInstanceUID=f"{ROOT}.7.9")})
    with pytest.raises(DicomError, match="2 of 2 series"):
        LoadImage(reader="SafeSeriesReader")(tmp_path)
    assert LoadImage(reader="SafeSeriesReader", series=f"{ROOT}.7.9")(tmp_path).shape == (5, 4, 1)


def test_an_irregular_series_is_marked(tmp_path: Path) -> None:
    (stack(tmp_path, 4) / "CANARY2").unlink()
    with pytest.raises(DicomError, match="a slice is missing"):
        LoadImage(reader="SafeSeriesReader")(tmp_path)
    loaded = LoadImage(reader="SafeSeriesReader", irregular=True)(tmp_path)
    assert (loaded.shape, loaded.meta["remarks"]) == ((5, 4, 3), "irregular-slices")


def test_no_file_is_taken_because_of_its_name() -> None:
    assert SafeSeriesReader().verify_suffix("a.dcm") is False
