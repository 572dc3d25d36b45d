# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from pydicom.dataset import Dataset

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.projection import read_projection
from monai_causal.dicom.selection import SelectionError, choose, select_projection
from monai_causal.dicom.study_survey import survey
from tests.dicom.encodings import written
from tests.dicom.studies import ROOT, SECONDARY, ct_slice, image, lay, report

PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"


def chosen(folder: Path, **options: Any) -> int | None:
    return select_projection(folder, **options).chosen.number


def at(moment: str) -> dict[str, str]:
    return {"AcquisitionDate": moment[:8], "AcquisitionTime": moment[8:]}


def test_the_frontal_image_is_read_and_every_other_file_has_its_reason(tmp_path: Path) -> None:
    files: dict[str, Dataset | bytes] = {
        "01": report(1),
        "02": image(2, ViewPosition="LL"),
        "03": image(3, ViewPosition="AP"),
        "04": image(4, **at("20200101120000")),
        "05": image(5, **at("20200101120001")),
        "06": image(6, SOPClassUID=PROCESSING),
        "07": image(7, ViewPosition=None),
        "08": ct_slice(8, 0.0),
        "09": image(9, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
        "10": image(10, NumberOfFrames=1, SOPClassUID=SECONDARY, Modality="US"),
        "11": b"not DICOM",
        "12": image(12, SOPClassUID=SECONDARY, **at("20200101130000")),
        "13": image(13, ImageType=["DERIVED", "SECONDARY"], **at("20200101130000")),
    }
    files["05b"] = written(files["05"])  # type: ignore[arg-type]
    selection = select_projection(lay(tmp_path, files))
    assert (selection.chosen.number, selection.rule) == (5, "frontal, PA")
    reasons = {one.item.split(" (")[0]: (one.code, one.reason) for one in selection.left_out}
    assert reasons.pop("file 6")[0] == "copy"
    assert reasons == {
        "file 1": ("not-image", "it is no image: Comprehensive SR Storage"),
        "file 2": ("no-rule", "no rule is met; its view is LL"),
        "file 3": ("less-preferred", "rule 'frontal, AP' comes after the rule that was met"),
        "file 4": ("older", "it is older than the image that was chosen"),
        "file 7": ("for-processing", "it is a DX image for processing, not for presentation"),
        "file 8": ("less-preferred", "rule 'view unsaid' comes after the rule that was met"),
        "file 9": ("not-radiograph", "it is no projection radiograph: CT Image Storage"),
        "file 10": ("no-rule", "no rule is met; its view is PA"),
        "file 11": ("secondary-modality", "it is a secondary capture of something else than a radiograph"),
        "file 12": ("not-dicom", "it is no DICOM file"),
        "file 13": ("secondary", "it is a secondary image beside a primary one"),
        "file 14": ("secondary", "it is a secondary image beside a primary one"),
    }
    record = json.loads(json.dumps(selection.as_dict()))
    assert record["chosen"]["digest"] == selection.chosen.digest
    assert len(record["left_out"]) == 13


def test_what_is_chosen_is_what_read_projection_reads(tmp_path: Path) -> None:
    ds = image(2, PatientOrientation=["R", "F"])
    selection = select_projection(lay(tmp_path, {"a": image(1, ViewPosition="LL"), "b": ds}))
    projection, expected = selection.read(), read_projection(ds)
    assert projection.pixels.tobytes() == expected.pixels.tobytes()
    assert projection.provenance.file_sha256 == selection.chosen.digest
    assert selection.read(upright=False).orientation.name == "IDENTITY"


def test_among_equals_the_newest_is_taken_by_the_surest_time_that_all_have(tmp_path: Path) -> None:
    files = {
        "a": image(1, AcquisitionDateTime="20200101120000", **at("20200101120000")),
        "b": image(2, **at("20200101120000.5"), ContentDate="20200101", ContentTime="09"),
        "c": image(3, **at("20200101120000.5"), ContentDate="20200101", ContentTime="0901"),
    }
    assert chosen(lay(tmp_path, files)) == 3


@pytest.mark.parametrize(
    ("first", "second", "newest"),
    [
        ("20200101120000+0200", "20200101110000+0000", 2),
        ("20200101120000-0100", "20200101123000+0000", 1),
        ("20200101235959.9", "20200102000000", 2),
        ("20200101000060", "20200101000058", 1),
    ],
)
def test_times_are_compared_as_times(first: str, second: str, newest: int, tmp_path: Path) -> None:
    files = {"a": image(1, AcquisitionDateTime=first), "b": image(2, AcquisitionDateTime=second)}
    assert chosen(lay(tmp_path, files)) == newest


@pytest.mark.parametrize(
    "values",
    [
        ({}, {}),
        (at("20200101120000"), {}),
        (at("20200101120000"), at("20200101120000")),
        (at("20200101"), at("20200102")),
        (at("20201301120000"), at("20200102120000")),
    ],
)
def test_a_tie_is_refused_with_the_candidates(values: tuple[dict[str, str], dict[str, str]], tmp_path: Path) -> None:
    files = {"CANARY1": image(1, **values[0]), "CANARY2": image(2, **values[1]), "c": image(3, ViewPosition="AP")}
    del files["CANARY2"].InstanceNumber
    for ds in files.values():
        ds.PatientName = "CANARY"
    with pytest.raises(SelectionError) as caught:
        select_projection(lay(tmp_path, files))
    first, second = (one.digest[:12] for one in survey(tmp_path).studies[0].instances[:2])
    named = (f"file 1 ({first}, instance number 1)", f"file 2 ({second})")
    assert caught.value.candidates == named
    assert str(caught.value) == (
        "2 images meet the rule 'frontal, PA' and no time tells which is the newest: "
        f"{named[0]}, {named[1]}; give the file that is meant"
    )
    assert [one.code for one in caught.value.left_out] == ["less-preferred"]
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.candidates, again.left_out) == (str(caught.value), named, caught.value.left_out)


def test_two_objects_of_one_uid_are_a_tie_not_a_copy(tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match="2 images meet"):
        select_projection(lay(tmp_path, {"a": image(1), "b": image(1, WindowWidth=12)}))


def test_an_image_made_from_another_candidate_gives_way_to_it(tmp_path: Path) -> None:
    derived = image(2, ImageType=["DERIVED", "PRIMARY"], **at("20200101120000"))
    source = Dataset()
    source.ReferencedSOPInstanceUID = f"{ROOT}.1.1.1"
    derived.SourceImageSequence = [source]
    files = {"a": derived, "b": image(1, **at("20200101110000"))}
    selection = select_projection(lay(tmp_path, files))
    assert selection.chosen.number == 1
    assert [(one.code, one.reason) for one in selection.left_out] == [
        ("derived", f"it was made from {selection.chosen.item}, which is there too")
    ]
    (tmp_path / "b").unlink()
    assert chosen(tmp_path) == 2


def test_of_an_image_without_view_a_remark_says_so(tmp_path: Path) -> None:
    unsaid = image(1, ViewPosition=None)
    selection = select_projection(lay(tmp_path, {"a": unsaid, "b": image(2, ViewPosition="LL")}))
    assert [remark.code for remark in selection.remarks] == ["view-unsaid"]
    selection = select_projection(lay(tmp_path, {"a": image(1, ViewPosition=None, SeriesDescription="thorax pa")}))
    assert (selection.rule, [remark.code for remark in selection.remarks]) == (
        "frontal, PA",
        ["view-from-description"],
    )


def test_several_studies_need_one_to_be_named(tmp_path: Path) -> None:
    folder = lay(tmp_path, {"a": image(1), "b": image(2, study=2), "c": report(1, study=3)})
    digests = [study.digest for study in survey(folder).studies]
    with pytest.raises(SelectionError, match=f"2 studies hold .* study {digests[0]}, study {digests[1]}; give study="):
        select_projection(folder)
    assert chosen(folder, study=f"{ROOT}.2") == 2
    assert chosen(folder, study=digests[0]) == 1
    with pytest.raises(SelectionError, match=f"names 0 of the 3 studies; they are: {digests[0]}"):
        select_projection(folder, study="nothing")
    (folder / "b").unlink()
    assert chosen(folder) == 1


def test_where_there_is_none_the_reasons_are_told(tmp_path: Path) -> None:
    with pytest.raises(
        SelectionError, match=r"^of 2 files none .* \(it is no image: .*; no rule is met; its view is RL"
    ):
        select_projection(lay(tmp_path, {"a": report(1), "b": image(2, ViewPosition="RL")}))


def test_a_dx_for_processing_is_taken_where_it_is_allowed(tmp_path: Path) -> None:
    folder = lay(tmp_path, {"a": image(1, SOPClassUID=PROCESSING)})
    selection = select_projection(folder, for_processing=True)
    assert selection.read().pixels.shape == (13, 11)
    with pytest.raises(SelectionError, match="for processing"):
        select_projection(folder)


@pytest.mark.parametrize("modality", ["CR", "DX", "RG", "RF", "US", "OT"])
def test_secondary_captures_are_judged_as_they_are_read(modality: str, tmp_path: Path) -> None:
    ds = image(1, SOPClassUID=SECONDARY, Modality=modality)
    try:
        read_projection(ds)
    except DicomError:
        with pytest.raises(SelectionError, match="secondary capture"):
            select_projection(lay(tmp_path, {"a": ds}))
    else:
        assert chosen(lay(tmp_path, {"a": ds})) == 1


def test_what_could_not_be_read_is_not_chosen(tmp_path: Path) -> None:
    nameless, film = written(image(1)), image(2, NumberOfFrames=2)
    named = b"\x08\x00\x18\x00UI" + bytes([len(image(1).SOPInstanceUID) + 1 & ~1, 0])
    start = nameless.index(named) + len(named)
    nameless = nameless[:start] + bytes(named[-2]) + nameless[start + named[-2] :]
    film.PixelData = film.PixelData * 2
    for unreadable, problem in ((nameless, "SOPInstanceUID"), (film, "2 frames")):
        with pytest.raises(DicomError, match=problem):
            read_projection(unreadable)
    selection = select_projection(lay(tmp_path, {"a": nameless, "b": film, "c": image(3, ViewPosition="AP")}))
    assert selection.chosen.number == 3
    assert [one.code for one in selection.left_out] == ["no-uid", "frames"]


def test_a_refused_file_may_have_been_the_one(tmp_path: Path) -> None:
    selection = select_projection(lay(tmp_path, {"a": image(1), "b": written(image(2))[:-4], "c": b"not DICOM"}))
    assert selection.remarks == (
        ("refused-files", "Files that could not be read: 1; the image that is wanted may be among them."),
    )


def test_rules_may_be_given(tmp_path: Path) -> None:
    folder = lay(tmp_path, {"a": image(1), "b": image(2, ViewPosition="LL"), "c": image(3, KVP="125")})
    lateral = {"selections": [{"name": "lateral", "conditions": {"View": "^(LL|RL|LAT)$"}}]}
    assert chosen(folder, rules=lateral) == 2
    (folder / "rules.json").write_text(json.dumps({"selections": [{"conditions": {"KVP": [100, 140]}}]}))
    selection = select_projection(folder, folder / "rules.json")
    assert (selection.chosen.number, selection.rule) == (3, "selection 1")


def test_a_choice_tells_a_tie_without_raising(tmp_path: Path) -> None:
    (study,) = survey(lay(tmp_path, {"a": image(1), "b": image(2)})).studies
    choice = choose(study)
    assert choice.chosen is None
    assert [one.number for one in choice.tied] == [1, 2]
    assert choice.refusal.startswith("2 images meet the rule 'frontal, PA'")


@pytest.mark.real
def test_the_real_files(real_data: Path) -> None:
    folder = real_data / "cxr_dicom"
    with pytest.raises(SelectionError, match="3 studies hold"):
        select_projection(folder)
    studies = survey(folder).studies
    choices = [choose(study) for study in studies]
    assert [choice.rule for choice in choices] == ["frontal, PA", "frontal, PA", "view unsaid"]
    assert [len(choice.tied) for choice in choices] == [2, 0, 0]
    assert select_projection(folder, study=studies[1].uid).read().pixels.shape == (1955, 1841)
