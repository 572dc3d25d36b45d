# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from pydicom.uid import JPEGLSLossless, RLELossless  # noqa: E402

from monai_causal.dicom.errors import DicomError  # noqa: E402
from monai_causal.dicom.series import checked_series  # noqa: E402
from monai_causal.dicom.study_survey import survey  # noqa: E402
from tests.dicom.encodings import written  # noqa: E402
from tests.dicom.studies import CANARY, ROOT, ct_slice, image, lay, with_canaries  # noqa: E402


def stack(folder: Path, count: int = 3) -> Path:
    """Slices whose file names and numbers run against their positions."""
    return lay(folder, {f"{CANARY}{place}": ct_slice(place, -2.0 * place) for place in range(1, count + 1)})


def test_each_slice_is_written_anew_with_its_pixels_and_geometry(tmp_path: Path) -> None:
    with checked_series(stack(tmp_path)) as checked:
        copies = [pydicom.dcmread(path) for path in sorted(checked.folder.iterdir())]
        kept = checked.folder
    assert not kept.exists()
    assert [ds.InstanceNumber for ds in copies] == [3, 2, 1]
    for number, ds in zip((3, 2, 1), copies, strict=True):
        source = ct_slice(number, -2.0 * number)
        np.testing.assert_array_equal(ds.pixel_array, np.frombuffer(source.PixelData, np.int16).reshape(4, 5))
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleIntercept"):
            assert ds[keyword].value == source[keyword].value
    assert checked.instances == tuple(f"{ROOT}.7.1.{number}" for number in (3, 2, 1))
    assert (checked.study, checked.series, checked.frame_of_reference) == (f"{ROOT}.7", f"{ROOT}.7.1", f"{ROOT}.7.2")
    digests = [hashlib.sha256(written(ct_slice(number, -2.0 * number))).hexdigest() for number in (3, 2, 1)]
    assert checked.digest == hashlib.sha256("".join(digests).encode()).hexdigest()


def test_the_copies_hold_nothing_of_the_patient_and_no_uid_from_outside(tmp_path: Path) -> None:
    lay(tmp_path, {f"{CANARY}{number}": with_canaries(ct_slice(number, 2.0 * number)) for number in range(2)})
    with checked_series(tmp_path) as checked:
        for path in checked.folder.iterdir():
            content = path.read_bytes()
            assert CANARY not in path.name
            assert CANARY.encode() not in content.replace(b"CANARYMOD", b"")
            assert ROOT.encode() not in content
    assert CANARY not in repr(checked)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_slices_are_decoded_before(syntax: str, tmp_path: Path) -> None:
    for number in range(2):
        ds = ct_slice(number, 2.0 * number)
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        ds.compress(syntax, generate_instance_uid=False)
        ds.save_as(tmp_path / str(number), enforce_file_format=True)
    with checked_series(tmp_path) as checked:
        copies = [pydicom.dcmread(path) for path in sorted(checked.folder.iterdir())]
    assert checked.transfer_syntaxes == (syntax,)
    for number, ds in enumerate(copies):
        assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
        expected = np.frombuffer(ct_slice(number, 0.0).PixelData, np.int16).reshape(4, 5)
        np.testing.assert_array_equal(ds.pixel_array, expected)


def test_a_refused_file_refuses_the_series(tmp_path: Path) -> None:
    stack(tmp_path)
    whole = written(ct_slice(9, 2.0))
    lay(tmp_path, {"tampered": whole[:-3]})
    problem = (
        r"^1 files cannot be read, so that slices may be missing; file 4 \([0-9a-f]{12}\): its pixel data are cut off"
    )
    with pytest.raises(DicomError, match=problem), checked_series(tmp_path):
        pass


def test_other_files_are_left_out_with_reasons(tmp_path: Path) -> None:
    stack(tmp_path)
    scout = ct_slice(8, 0.0)
    del scout.ImagePositionPatient
    lay(tmp_path, {"README": b"x", "scout": scout, "twice": ct_slice(1, -2.0)})
    with checked_series(tmp_path) as checked:
        assert {one.code for one in checked.left_out} == {"not-dicom", "no-slice", "copy"}
        assert checked.grid.shape == (5, 4, 3)


def test_of_several_series_one_must_be_named(tmp_path: Path) -> None:
    stack(tmp_path)
    others = {f"b{number}": ct_slice(number, float(number), SeriesInstanceUID=f"{ROOT}.7.5") for number in range(2)}
    lay(tmp_path, {**others, "radiograph": image(1)})
    first, second = (series.digest for series in survey(tmp_path).studies[0].series)
    with (
        pytest.raises(
            DicomError, match=f"2 of 2 series of slices are meant; give series= with one of: {first}, {second}"
        ),
        checked_series(tmp_path),
    ):
        pass
    for name in (second, f"{ROOT}.7.5"):
        with checked_series(tmp_path, series=name) as checked:
            assert checked.grid.shape == (5, 4, 2)
    with pytest.raises(DicomError, match="0 of 2 series"), checked_series(tmp_path, series="other"):
        pass


def test_a_missing_slice_refuses_the_series_unless_it_is_allowed(tmp_path: Path) -> None:
    (stack(tmp_path, 5) / f"{CANARY}2").unlink()
    with pytest.raises(DicomError, match="a slice is missing") as caught, checked_series(tmp_path):
        pass
    assert CANARY not in str(caught.value)
    with checked_series(tmp_path, irregular=True) as checked:
        assert not checked.grid.regular


def test_where_there_are_no_slices_it_is_told(tmp_path: Path) -> None:
    lay(tmp_path, {"a": image(1)})
    with pytest.raises(DicomError, match="of 1 files none is a slice"), checked_series(tmp_path):
        pass


@pytest.mark.parametrize(
    ("change", "problem"),
    [("colour", "it is no grey image"), ("table", "lookup table, which a volume's reader ignores")],
)
def test_what_a_volume_cannot_hold_is_refused(change: str, problem: str, tmp_path: Path) -> None:
    ds = ct_slice(1, 0.0)
    if change == "colour":
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
        ds.PixelData = bytes(60)
    else:
        ds.ModalityLUTSequence = [pydicom.Dataset()]
    with pytest.raises(DicomError, match=rf"^file 1 \(.*\): .*{problem}"), checked_series(lay(tmp_path, {"a": ds})):
        pass
