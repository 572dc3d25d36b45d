# SPDX-License-Identifier: Apache-2.0
"""Results on an oblique, anisotropic series and on a turned radiograph, from the method to the stored pixels."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")

import pydicom
from monai.data import MetaTensor
from torch import Tensor, nn

from monai_causal import cli
from monai_causal.apps.explain import Request, explain
from monai_causal.apps.explain.dicom_content import radiograph_content, volume_content, written_content
from monai_causal.dicom.objects import write_results, write_volume_objects
from monai_causal.dicom.objects.volumes import build_volume_objects
from monai_causal.dicom.objects.writing import KINDS, build_objects
from monai_causal.dicom.verify import in_words, verify
from monai_causal.intervene import MeanFill
from monai_causal.intervene.regions import plain
from monai_causal.networks.nets import build_network
from monai_causal.visualize import DEA, PdCR
from monai_causal.visualize.pdcr_result import PdCRResult
from tests.dicom.objects.samples import laid, projection
from tests.dicom.objects.test_sr import evaluations, groups
from tests.dicom.objects.test_volumes import ALLOWED, frames_of
from tests.dicom.studies import ROOT, ct_slice, lay

DIGEST = "ab" * 32
SLICES, ROWS, COLUMNS = 4, 8, 12
STEP = 2.5


def series(folder: Path) -> Path:
    """Oblique slices of 12 columns and 8 rows, 0.73 x 0.61 x 2.5 mm; brighter to one corner."""
    files: dict[str, Any] = {}
    for number in range(1, SLICES + 1):
        ds = ct_slice(number, -STEP * number, BodyPartExamined="CHEST", StudyID="1", PatientName="A^B")
        cells = np.add.outer(np.arange(ROWS) * 7, np.arange(COLUMNS) * 5) + 40 * number
        ds.Rows, ds.Columns, ds.PixelData = ROWS, COLUMNS, cells.astype(np.int16).tobytes()
        files[str(number)] = ds
    return lay(folder, files)


def volume(folder: Path, turned: bool = False) -> MetaTensor:
    """The series as a MONAI pipeline may have it, ``(1, 1, columns, rows, slices)``; or its axes moved and reversed."""
    slices = sorted((pydicom.dcmread(path) for path in folder.iterdir()), key=lambda ds: -ds.InstanceNumber)
    values = np.stack([ds.pixel_array.T for ds in slices], -1).astype(np.float32)
    affine = np.eye(4)
    affine[:3, 3] = _place(0, 0, 0)
    for axis, step in enumerate(((1, 0, 0), (0, 1, 0), (0, 0, 1))):
        affine[:3, axis] = _place(*step) - affine[:3, 3]
    if turned:
        values = values[::-1].transpose(2, 0, 1).copy()
        flip = np.eye(4)
        flip[0, 0], flip[0, 3] = -1, COLUMNS - 1
        affine = (affine @ flip)[:, [2, 0, 1, 3]]
    return MetaTensor(torch.from_numpy(values)[None, None] / 200, affine=affine)


def _place(column: int, row: int, slice_: int) -> np.ndarray:
    """Where the centre of a pixel lies, in mm in RAS+, from the headers' own numbers; slices from below."""
    ds = ct_slice(SLICES - slice_, -STEP * (SLICES - slice_))
    across, down = (np.array(ds.ImageOrientationPatient[at : at + 3], float) for at in (0, 3))
    between_rows, between_columns = map(float, ds.PixelSpacing)
    lps = np.array(ds.ImagePositionPatient, float) + across * between_columns * column + down * between_rows * row
    return lps * [-1, -1, 1]


class Reader(nn.Module):
    """Answers where the mean of a neighbourhood is bright: an answer that hangs on what is around."""

    def __init__(self, axes: int = 3, dark: float = 0.5) -> None:
        super().__init__()
        self.axes = axes
        kind = nn.Conv3d if axes == 3 else nn.Conv2d
        self.conv = kind(1, 1, 3, padding=1)
        with torch.no_grad():
            self.conv.weight.fill_(1 / 3**axes)
            self.conv.bias.fill_(-dark)  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        return 8 * self.conv(x)


def asked(image: Tensor, label: Tensor | None = None) -> PdCRResult:
    spatial = image.shape[2:]
    roi = tuple((size // 4, size // 4 + max(size // 2, 1)) for size in spatial)
    patch = tuple(max(size // 4, 1) for size in spatial)
    # Half of the region of interest is answered, by a hair: what is replaced beside it tells either way.
    seen = Reader(len(spatial), 0.0)(plain(image))[(0, 0, *(slice(*span) for span in roi))] / 8
    network = Reader(len(spatial), float(seen.median()))
    return PdCR(network, MeanFill(), patch_size=patch, rule="paper", tau=0.0).explain(image, roi=roi, label=label)


def on_slices(made: Any, segment: int = 0) -> np.ndarray:
    """The frames of an object in the order of the series' slices, from below; 0 where a segment has none."""
    found = frames_of(made)
    shape = next(iter(found.values()))[0].shape
    uids = [f"{ROOT}.7.1.{SLICES - slice_}" for slice_ in range(SLICES)]
    return np.stack([found.get((segment, uid), (np.zeros(shape), ()))[0] for uid in uids])


@pytest.mark.parametrize("turned", [False, True], ids=["as read", "turned on the way"])
def test_effects_of_pdcr_lie_on_the_pixels_that_they_were_found_at(turned: bool, tmp_path: Path) -> None:
    source = series(tmp_path)
    image = volume(source, turned)
    found = asked(image, torch.ones(1, 1, *image.shape[2:]))
    made = build_volume_objects(source, volume_content(found, "PdCR", "reader", DIGEST), kinds=("seg", "pm"))
    heat = plain(found.map)[0, 0].numpy()
    assert (heat < 0).any()
    assert (heat > 0).any()
    # Voxel by voxel, by where its centre lies in the patient: no axis is named here.
    values = {_rounded(found.affine.numpy(), index): heat[index] for index in np.ndindex(heat.shape)}  # type: ignore[union-attr]
    inside = {_rounded(found.affine.numpy(), index): bool(found.roi[index]) for index in np.ndindex(heat.shape)}  # type: ignore[union-attr]
    stored, supports, suppresses, roi = on_slices(made["pm"]), *(on_slices(made["seg"], one) for one in (1, 2, 3))
    for slice_, row, column in itertools.product(range(SLICES), range(ROWS), range(COLUMNS)):
        at = tuple(np.round(_place(column, row, slice_), 2) + 0.0)
        assert stored[slice_, row, column] == np.float32(values[at])
        assert supports[slice_, row, column] == (values[at] < 0)
        assert suppresses[slice_, row, column] == (values[at] > 0)
        assert roi[slice_, row, column] == inside[at]
    names = [one.SegmentLabel for one in made["seg"].SegmentSequence]
    assert names == ["supporting regions", "suppressing regions", "region of interest"]
    (mapping,) = made["pm"].SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    assert mapping.LUTExplanation == "Effect (after - before); negative supports"
    assert mapping.MeasurementUnitsCodeSequence[0].CodeMeaning == found.unit == "Dice points"


def _rounded(affine: np.ndarray, index: tuple[int, ...]) -> tuple[float, ...]:
    return tuple(np.round(affine[:3] @ [*index, 1], 2) + 0.0)


def test_evidence_of_dea_lies_on_its_slices_and_its_objects_are_valid(tmp_path: Path) -> None:
    source, out = series(tmp_path / "in"), tmp_path / "out"
    image = volume(source)
    mask = torch.zeros(image.shape[2:], dtype=torch.bool)
    mask[3:9, 2:6, 1:3] = True
    heat = DEA(Reader(), target_layers="conv", grid=4)(image, class_idx=None, mask=mask)
    content = volume_content(heat, "DEA", "reader", DIGEST, configuration={"grid": 4}, threshold=0.4)
    made = build_volume_objects(source, content, kinds=("seg", "pm"))
    values = plain(heat)[0, 0].detach().numpy().transpose(2, 1, 0)
    np.testing.assert_array_equal(on_slices(made["pm"]), values.astype(np.float32))
    strong = on_slices(made["seg"])  # the number of the only segment stands in what all frames share
    np.testing.assert_array_equal(strong, values >= np.float32(0.4))
    assert 0 < strong.sum() < values.size
    out.mkdir()
    first = write_volume_objects(source, content, out)
    assert verify(out, allow=ALLOWED)["ok"], in_words(verify(out, allow=ALLOWED))
    assert [one.sop_instance_uid for one in write_volume_objects(source, content, out)] == [
        one.sop_instance_uid for one in first
    ]
    other = volume_content(heat, "DEA", "reader", DIGEST, configuration={"grid": 5}, threshold=0.4)
    assert {one.sop_instance_uid for one in write_volume_objects(source, other, out)}.isdisjoint(
        one.sop_instance_uid for one in first
    )


@pytest.mark.parametrize("words", ["L\\F", "R\\H", "F\\L", "H\\R"])
def test_effects_on_a_radiograph_lie_on_the_stored_picture(words: str, tmp_path: Path) -> None:
    shown = projection(words)
    found = asked(torch.as_tensor(shown.pixels)[None, None])
    content = radiograph_content(found, "PdCR", "reader", DIGEST)
    kinds = ("seg", "sr", "gsps", "pm")
    made = build_objects(shown, content, kinds=kinds)
    heat = plain(found.map)[0, 0].numpy().astype(np.float32)
    np.testing.assert_array_equal(made["pm"].pixel_array, laid(heat, words))
    for frame, mask in zip(made["seg"].pixel_array, (heat < 0, heat > 0, found.roi.numpy()), strict=True):
        np.testing.assert_array_equal(frame.astype(bool), laid(mask, words))
    category = made["seg"].SegmentSequence[0].SegmentedPropertyCategoryCodeSequence[0]
    assert (category.CodeValue, category.CodeMeaning) == ("309825002", "Spatial and Relational Concept")
    said = dict(evaluations(made["sr"]))
    assert said["Concept that the answer rests on"] == "supporting regions"
    assert said["Answer of the model"] == f"A segmentation of {found.baseline:.4g} Dice points there"
    assert "What the answer says" not in said  # it is no sentence
    first = groups(made["sr"])[0]
    assert first["Strongest effect inside (after - before)"] == [(pytest.approx(float(heat.min())), "{Dice x 100}")]
    assert "unclear" not in made["gsps"].GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue
    write_results(shown, content, tmp_path, kinds=kinds)
    report = verify(tmp_path, allow=ALLOWED)
    assert report["ok"], in_words(report)


def test_evidence_on_a_radiograph(tmp_path: Path) -> None:
    shown = projection()
    heat = torch.zeros(1, 1, *shown.pixels.shape)
    heat[..., 10:20, 5:9] = 0.75
    picture = np.zeros((*shown.pixels.shape, 3), np.uint8)
    content = radiograph_content(heat, "RIA", "reader", DIGEST, picture=picture)
    (one,) = content.concepts
    assert (one.box, one.effect) == (((10, 20), (5, 9)), 0.75)
    write_results(shown, content, tmp_path, kinds=KINDS)
    assert verify(tmp_path, allow=ALLOWED)["ok"]
    nothing = radiograph_content(heat, "RIA", "reader", DIGEST, threshold=0.8)
    assert (nothing.chosen, nothing.concepts[0].box, nothing.concepts[0].effect) == (None, None, None)


def test_a_folder_of_the_command_becomes_objects(tmp_path: Path) -> None:
    """From the series to NIfTI with its rows reversed, as converters write it; ``explain``; and back."""
    source = series(tmp_path / "in")
    image = volume(source)
    flip = np.eye(4)
    flip[1, 1], flip[1, 3] = -1, ROWS - 1
    values = plain(image)[0, 0].numpy()[:, ::-1].copy()
    affine = image.affine.numpy() @ flip
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "volume.nii.gz")
    torch.manual_seed(0)
    network = build_network("unet", in_channels=1, out_channels=1, spatial_dims=3)
    torch.save(network.state_dict(), tmp_path / "unet.pt")
    label = np.zeros(values.shape, np.uint8)
    label[3:9, 2:6] = 1
    nib.save(nib.Nifti1Image(label, affine), tmp_path / "label.nii.gz")
    request = Request(
        tmp_path / "explained", tmp_path / "volume.nii.gz", "unet", tmp_path / "unet.pt", method="ria",
        label=tmp_path / "label.nii.gz", device="cpu", grid=(2,), window=(16, 16, 16),
    )  # fmt: skip
    explain(request)
    arguments = ["dicom", "from-explanation", tmp_path / "explained", "--series", source, "--out", tmp_path / "out"]
    done = CliRunner().invoke(cli.app, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    assert [line.partition(":")[0] for line in done.output.splitlines()] == ["seg", "pm"]
    written = {path.name[:2]: pydicom.dcmread(path) for path in (tmp_path / "out").iterdir()}
    heat = np.asarray(nib.load(tmp_path / "explained" / "map.nii.gz").dataobj, np.float32)
    np.testing.assert_array_equal(on_slices(written["pm"]), heat[:, ::-1].transpose(2, 1, 0))
    assert heat.max() == 1
    assert verify(tmp_path / "out", allow=ALLOWED)["ok"]
    # What only makes it faster or slower makes no other object.
    first = written_content(tmp_path / "explained")
    summary = json.loads((tmp_path / "explained" / "summary.json").read_text())
    summary["settings"]["batch_size"] = 3
    (tmp_path / "explained" / "summary.json").write_text(json.dumps(summary))
    assert written_content(tmp_path / "explained").digest == first.digest
    summary["settings"]["seed"] = 77
    (tmp_path / "explained" / "summary.json").write_text(json.dumps(summary))
    assert written_content(tmp_path / "explained").digest != first.digest


def test_what_does_not_lie_anywhere_or_is_no_map_is_refused(tmp_path: Path) -> None:
    flat, deep = torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 4, 4)
    named = ("PdCR", "reader", DIGEST)
    with pytest.raises(ValueError, match="has no affine"):
        volume_content(deep, *named)
    with pytest.raises(ValueError, match="has no affine"):
        volume_content(asked(torch.rand(1, 1, 8, 8, 8)), *named)
    with pytest.raises(ValueError, match="of 2 axes; a volume has three"):
        volume_content(MetaTensor(flat), *named)
    with pytest.raises(ValueError, match="of 3 axes; a radiograph has two"):
        radiograph_content(deep, *named)
    with pytest.raises(ValueError, match=r"a map of shape \(2, 1, 4, 4\)"):
        radiograph_content(flat.expand(2, 1, 4, 4), *named)
    with pytest.raises(ValueError, match="threshold=0: evidence of nothing is everywhere"):
        radiograph_content(flat, *named, threshold=0)
    with pytest.raises(ValueError, match="the folder holds no summary"):
        written_content(tmp_path)
    (tmp_path / "map.nii.gz").touch()
    (tmp_path / "summary.json").write_text('{"schema": "something/1"}')
    with pytest.raises(ValueError, match=r"summary\.json has schema 'something/1'"):
        written_content(tmp_path)
