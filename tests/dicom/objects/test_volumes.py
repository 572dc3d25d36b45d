# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")

import highdicom as hd
import pydicom

from monai_causal.dicom.objects import Algorithm, Code, MapMeaning
from monai_causal.dicom.objects.volumes import (
    VolumeContent,
    VolumeRegion,
    build_volume_objects,
    on_slices,
    write_volume_objects,
)
from monai_causal.dicom.verify import in_words, read_allowed, run_dciodvfy, verify
from tests.dicom.studies import ROOT, ct_slice, lay

ALLOWED = Path(__file__).parent.parent / "dciodvfy_allow.txt"
SLICES, ROWS, COLUMNS = 3, 4, 5
STEP = 2.5
POSITIONS = tuple(-STEP * number for number in range(1, SLICES + 1))
"""Of slices 1, 2, 3: the numbers run against the positions."""


def series(folder: Path, **values: Any) -> Path:
    """Oblique slices of 5 columns and 4 rows, 0.73 x 0.61 x 2.5 mm."""
    return lay(
        folder,
        {
            str(number): ct_slice(number, position, StudyID="1", PatientName="A^B", BodyPartExamined="CHEST", **values)
            for number, position in enumerate(POSITIONS, start=1)
        },
    )


def place(column: int, row: int, slice_: int) -> np.ndarray:
    """Where the centre of a pixel lies, in mm in RAS+, from the headers' own numbers; slices from below."""
    ds = ct_slice(SLICES - slice_, POSITIONS[SLICES - 1 - slice_])
    across, down = (np.array(ds.ImageOrientationPatient[at : at + 3], float) for at in (0, 3))
    between_rows, between_columns = map(float, ds.PixelSpacing)
    lps = np.array(ds.ImagePositionPatient, float) + across * between_columns * column + down * between_rows * row
    return lps * [-1, -1, 1]


def as_read() -> tuple[np.ndarray, np.ndarray]:
    """A map (columns, rows, slices), as MONAI's readers lay it, each value telling its pixel; and its affine."""
    heat = np.zeros((COLUMNS, ROWS, SLICES), np.float32)
    for column, row, slice_ in itertools.product(range(COLUMNS), range(ROWS), range(SLICES)):
        heat[column, row, slice_] = 100 * slice_ + 10 * row + column + 0.5
    affine = np.eye(4)
    affine[:3, 3] = place(0, 0, 0)
    for axis, step in enumerate(((1, 0, 0), (0, 1, 0), (0, 0, 1))):
        affine[:3, axis] = place(*step) - affine[:3, 3]
    return heat, affine


def laid(axes: tuple[int, ...], flips: tuple[bool, ...], crop: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The same map with its axes permuted and turned round, and cropped, with the affine that goes with it."""
    heat, affine = as_read()
    if crop:
        heat = heat[crop:, : ROWS - crop]
        affine = affine @ _shifted((crop, 0, 0))
    for axis, flip in enumerate(flips):
        if flip:
            affine = affine @ _turned(axis, heat.shape[axis])
            heat = np.flip(heat, axis)
    return heat.transpose(axes), affine[:, [*axes, 3]]


def _shifted(steps: tuple[int, int, int]) -> np.ndarray:
    shift = np.eye(4)
    shift[:3, 3] = steps
    return shift


def _turned(axis: int, length: int) -> np.ndarray:
    turn = np.eye(4)
    turn[axis, axis], turn[axis, 3] = -1, length - 1
    return turn


def result(heat: np.ndarray, affine: np.ndarray, /, **values: Any) -> VolumeContent:
    code = Code("99MCAUSAL", "relevant", "Region that the result depends on")
    given: dict[str, Any] = {
        "affine": affine,
        "algorithm": Algorithm("PdCR", "0.1.0", "unet", "cd" * 32),
        "configuration": {"patch_size": 8},
        "description": "PdCR: effects on the liver's Dice",
        "regions": (
            VolumeRegion("high", code, heat > 110, Code("SCT", "309825002", "Spatial and Relational Concept")),
            VolumeRegion("lung", Code("SCT", "39607008", "Lung"), heat > 205, laterality="left"),
            VolumeRegion("none", code, np.zeros(heat.shape, bool)),
        ),
        "heat": heat,
        "heat_means": MapMeaning(Code("UCUM", "{Dice x 100}", "Dice points"), says="Effect on Dice; negative supports"),
    }
    return VolumeContent(**{**given, **values})


def frames_of(dataset: Any) -> dict[tuple[int, str], tuple[np.ndarray, tuple[float, ...]]]:
    """Pixels and position of each frame, by segment and source instance."""
    pixels = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    found = {}
    for values, group in zip(pixels, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        segment = 0
        if "SegmentIdentificationSequence" in group:
            segment = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        (source,) = group.DerivationImageSequence[0].SourceImageSequence
        position = tuple(map(float, group.PlanePositionSequence[0].ImagePositionPatient))
        found[segment, str(source.ReferencedSOPInstanceUID)] = values, position
    return found


@pytest.mark.parametrize(
    ("axes", "flips", "crop"),
    [
        ((0, 1, 2), (False, False, False), 0),
        ((2, 1, 0), (False, True, False), 0),
        ((1, 2, 0), (True, True, True), 0),
        ((2, 0, 1), (True, False, True), 1),
    ],
)
def test_maps_and_regions_lie_on_their_slices_however_they_were_turned_on_the_way(
    axes: tuple[int, ...], flips: tuple[bool, ...], crop: int, tmp_path: Path
) -> None:
    heat, affine = laid(axes, flips, crop)
    made = build_volume_objects(series(tmp_path), result(heat, affine), kinds=("seg", "pm"))
    maps, segments = frames_of(made["pm"]), frames_of(made["seg"])
    whole = as_read()[0].transpose(2, 1, 0).copy()
    if crop:
        whole[:, ROWS - crop :], whole[:, :, :crop] = 0, 0
    for slice_ in range(SLICES):
        number = SLICES - slice_
        uid = f"{ROOT}.7.1.{number}"
        values, position = maps[0, uid]
        np.testing.assert_array_equal(values, whole[slice_])
        np.testing.assert_allclose(np.array(position) * [-1, -1, 1], place(0, 0, slice_), atol=1e-5)
        for segment, least in ((1, 110), (2, 205)):
            expected = whole[slice_] > least
            if expected.any():
                np.testing.assert_array_equal(segments[segment, uid][0], expected)
            else:
                assert (segment, uid) not in segments
    assert not any(segment == 3 for segment, _ in segments)
    assert len(made["seg"].SegmentSequence) == 3
    measures = made["pm"].SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert list(measures.PixelSpacing) == [0.73, 0.61]
    for dataset in made.values():
        assert dataset.FrameOfReferenceUID == f"{ROOT}.7.2"
        assert dataset.StudyInstanceUID == f"{ROOT}.7"
        (referenced,) = dataset.ReferencedSeriesSequence
        assert referenced.SeriesInstanceUID == f"{ROOT}.7.1"
        assert len(referenced.ReferencedInstanceSequence) == SLICES
        assert "ImageComments" not in dataset


def test_highdicom_makes_the_same_volume_of_it(tmp_path: Path) -> None:
    heat, affine = as_read()
    (tmp_path / "out").mkdir()
    (one,) = write_volume_objects(series(tmp_path / "in"), result(heat, affine), tmp_path / "out", kinds=("seg",))
    volume = hd.seg.segread(one.path).get_volume(segment_numbers=[1], allow_missing_positions=True)
    to_ras = np.diag([-1, -1, 1, 1]) @ volume.affine
    shown = np.argwhere(volume.array[..., 0])
    ours = np.argwhere(heat > 110)
    there = {tuple(np.round(to_ras[:3] @ [*index, 1], 3)) for index in shown}
    assert there == {tuple(np.round(affine[:3] @ [*index, 1], 3)) for index in ours}


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed (Debian: dicom3tools)")
@pytest.mark.parametrize("thickness", ["2", None])
def test_dciodvfy_finds_no_error(thickness: str | None, tmp_path: Path) -> None:
    heat, affine = as_read()
    folder = lay(
        tmp_path / "in",
        {
            str(number): _without(ct_slice(number, position, BodyPartExamined="CHEST"), thickness)
            for number, position in enumerate(POSITIONS, start=1)
        },
    )
    out = tmp_path / "out"
    out.mkdir()
    for one in write_volume_objects(folder, result(heat, affine), out):
        errors, warnings = run_dciodvfy(one.path, read_allowed(ALLOWED))
        assert (one.kind, errors) == (one.kind, [])
        assert (one.kind, [text for text in warnings if "Value dubious" not in text]) == (one.kind, [])
    assert verify(out)["ok"], in_words(verify(out))


def _without(ds: Any, thickness: str | None) -> Any:
    if thickness is None:
        del ds.SliceThickness
    return ds


def test_the_same_arguments_give_the_same_bytes_and_others_other_uids(tmp_path: Path) -> None:
    heat, affine = as_read()
    folder = series(tmp_path / "in")
    outs = [tmp_path / "1", tmp_path / "2"]
    for out in outs:
        out.mkdir()
    first, second = (write_volume_objects(folder, result(heat, affine), out) for out in outs)
    for one, again in zip(first, second, strict=True):
        assert one.path.read_bytes() == again.path.read_bytes()
    changed = (
        {"configuration": {"patch_size": 4}},
        {"heat_means": MapMeaning()},
        {"moment": ("20200101", "000000")},
        {"heat": heat + 1},
    )
    for values in changed:
        made = build_volume_objects(folder, result(heat, affine, **values), kinds=("pm",))
        assert made["pm"].SOPInstanceUID != first[1].sop_instance_uid


def test_values_of_another_grid_are_refused() -> None:
    heat, affine = as_read()
    shape = (COLUMNS, ROWS, SLICES)
    slices = affine[:, [2, 1, 0, 3]]
    np.testing.assert_array_equal(on_slices(heat, affine, slices, shape), heat.transpose(2, 1, 0))
    coarser = affine @ np.diag([2, 1, 1, 1])
    beside = affine @ _shifted((0, 0, 0))
    beside[:3, 3] += affine[:3, 0] * 0.5
    tilted = affine.copy()
    tilted[:3, 0] += affine[:3, 1] * 0.1
    for wrong, message in (
        (coarser, "it was resampled on the way"),
        (tilted, "it was resampled on the way"),
        (beside, "of a voxel beside"),
        (affine @ _shifted((1, 0, 0)), "is larger than the series or belongs to another one"),
    ):
        with pytest.raises(ValueError, match=message):
            on_slices(heat, wrong, slices, shape)
    rounded = np.round(affine, 4)
    np.testing.assert_array_equal(on_slices(heat, rounded, slices, shape), heat.transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"regions": (), "heat": None}, "give regions or a map"),
        ({"heat": np.zeros((2, 2), np.float32), "regions": ()}, "all of one shape of three axes"),
        ({"heat": np.zeros((2, 2, 2), np.float32)}, "all of one shape"),
        ({"affine": np.eye(3)}, r"an affine of \(3, 3\)"),
        ({"heat": np.full((COLUMNS, ROWS, SLICES), np.inf, np.float32)}, "60 values that are NaN or infinite"),
    ],
)
def test_content_that_does_not_fit_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        result(*as_read(), **values)


@pytest.mark.parametrize(
    ("values", "kinds", "message"),
    [
        ({"heat": None}, ("pm",), "'pm' is made of content.heat"),
        ({"regions": ()}, ("seg",), "'seg' is made of content.regions"),
        ({}, ("sr",), "'sr' is none of seg, pm"),
    ],
)
def test_a_kind_that_lacks_its_content_is_refused(
    values: dict[str, Any], kinds: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        write_volume_objects(tmp_path, result(*as_read(), **values), tmp_path, kinds=kinds)


@pytest.mark.real
@pytest.mark.slow
def test_a_map_made_on_what_monai_reads_lies_on_a_real_series(real_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("itk", reason="extra 'volumes' is not installed")
    from monai.transforms import LoadImage, Orientation

    from monai_causal.transforms import SafeSeriesReader

    # The files were published without UIDs of their own, which a result has to refer to.
    folder = tmp_path / "series"
    folder.mkdir()
    for number, path in enumerate(sorted((real_data / "volumes" / "ct_dicom_series").iterdir())):
        ds = pydicom.dcmread(path)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.9.1.{number}"
        ds.SOPClassUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = (
            ds.file_meta[0x00020002].value,
            f"{ROOT}.9",
            f"{ROOT}.9.1",
        )
        ds.FrameOfReferenceUID = f"{ROOT}.9.2"
        pydicom.dcmwrite(folder / f"{number}.dcm", ds)
    image = LoadImage(reader=SafeSeriesReader(), image_only=True, ensure_channel_first=True)(str(folder))
    turned = Orientation(axcodes="PIR")(image)
    heat = np.asarray(turned[0], np.float32)
    affine = np.asarray(turned.affine, np.float64)
    made = build_volume_objects(folder, result(heat, affine, regions=()), kinds=("pm",))["pm"]
    by_uid = {
        str(ds.SOPInstanceUID): ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        for ds in map(pydicom.dcmread, (path for path in folder.rglob("*") if path.is_file()))
        if "PixelData" in ds
    }
    frames = frames_of(made)
    assert len(frames) == len(by_uid)
    for (_, uid), (values, _) in frames.items():
        np.testing.assert_array_equal(values, by_uid[uid].astype(np.float32))
