# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.inspection import in_words, inspect
from monai_causal.dicom.selection import SelectionError, select_projection
from monai_causal.dicom.selection_rules import SelectionRules
from monai_causal.dicom.series import checked_series
from monai_causal.dicom.study_survey import survey
from tests.dicom.encodings import written
from tests.dicom.studies import CANARY, ROOT, ct_slice, image, lay, report, with_canaries
from tests.dicom.test_dicomdir import directory


def digest_of(folder: Path, index: int) -> str:
    return next(one.digest[:12] for study in survey(folder).studies for one in study.instances if one.index == index)


def test_a_study_in_words(tmp_path: Path) -> None:
    files = {
        "1": image(1, BurnedInAnnotation="YES", PatientOrientation=["R", "F"], PhotometricInterpretation="MONOCHROME1"),
        "2": image(2, ViewPosition="LL"),
        "3": report(3),
        "4": b"not DICOM",
        "5": b"nor this",
    }
    folder = lay(tmp_path, files)
    found = inspect(folder)
    study = survey(folder).studies[0]
    names = {index: f"file {index} ({digest_of(folder, index)}" for index in (1, 2, 3)}
    assert found["readable"] is True
    assert (
        in_words(found)
        == f"""\
5 files: 3 DICOM objects in 1 study

Study 1 ({study.digest})
  Series 1 ({study.series[0].digest}): CR, 2 x Computed Radiography Image Storage
    {names[1]}, instance number 1), view PA, 13 x 11, Explicit VR Little Endian
    {names[2]}, instance number 2), view LL, 13 x 11, Explicit VR Little Endian
  Series 2 ({study.series[1].digest}): SR, 1 x Comprehensive SR Storage
    {names[3]}, instance number 3), Explicit VR Little Endian
  Would be read: {names[1]}), by the rule 'frontal, PA'
    13 x 11, 0.2 x 0.2 mm (detector), view PA, turned upright (mirror), grey by window, inverted, decoded by pydicom
    remark: The picture was turned or mirrored to stand upright; to_source maps back.
    remark: The file says that text is burned into the pixels; it may identify the patient.
  Not read
    {names[2]}): no rule is met; its view is LL
    {names[3]}): it is no image: Comprehensive SR Storage

Not read, and in no study
  file 4, file 5: it is no DICOM file"""
    )


def test_a_tie_is_shown_and_counts_as_unreadable(tmp_path: Path) -> None:
    found = inspect(lay(tmp_path, {"1": image(1), "2": image(2), "3": image(1, study=2)}))
    assert found["readable"] is False
    first, second = found["studies"]
    assert first["reads"] is None
    assert first["why_not"].startswith("2 images meet the rule 'frontal, PA' and no time tells")
    assert second["reads"]["file"] == 3
    assert f"  No radiograph would be read: {first['why_not']}" in in_words(found).splitlines()


def test_what_is_chosen_but_cannot_be_decoded_is_told(tmp_path: Path) -> None:
    ds = image(1, PhotometricInterpretation="PALETTE COLOR")
    found = inspect(lay(tmp_path, {"1": ds}))
    assert found["readable"] is False
    assert found["studies"][0]["why_not"].startswith(
        f"file 1 ({digest_of(tmp_path, 1)}, instance number 1) was chosen, but"
    )


def test_a_series_of_slices_is_a_volume(tmp_path: Path) -> None:
    found = inspect(lay(tmp_path, {str(number): ct_slice(number, 2.0 * number) for number in range(12)}))
    assert found["readable"] is True
    (series,) = found["studies"][0]["series"]
    assert series["volume"]["shape"] == [5, 4, 12]
    assert in_words(found).splitlines()[3:] == [
        f"  Series 1 ({series['digest']}): CT, 12 x CT Image Storage",
        "    would be read as a volume of 5 x 4 x 12 voxels, 0.61 x 0.73 x 2 mm (SafeSeriesReader)",
    ]


def test_a_series_with_a_gap_is_no_volume(tmp_path: Path) -> None:
    found = inspect(lay(tmp_path, {str(number): ct_slice(number, 2.0 * number) for number in (0, 1, 3, 4)}))
    assert found["readable"] is False
    assert "    is no volume: its slices are 2 mm apart, but 4 mm between file 2 (" in in_words(found)


def test_many_files_are_counted(tmp_path: Path) -> None:
    lay(tmp_path, {f"{number:02d}": image(number, ViewPosition="LL") for number in range(1, 11)})
    words = in_words(inspect(tmp_path))
    assert "    and 2 more (--json lists all)" in words
    assert " and 2 more: no rule is met; its view is LL" in words


def test_rules_and_limits_are_passed_on(tmp_path: Path) -> None:
    folder = lay(tmp_path, {"1": image(1), "2": image(2, ViewPosition="LL")})
    rules = SelectionRules.from_json({"selections": [{"name": "side", "conditions": {"View": "LL"}}]})
    found = inspect(folder, rules=rules)
    assert (found["studies"][0]["rule"], found["studies"][0]["reads"]["file"]) == ("side", 2)


def test_names_are_told_when_asked_for(tmp_path: Path) -> None:
    found = inspect(lay(tmp_path, {"inner/a.dcm": image(1), "b.txt": b"x"}), names=True)
    words = in_words(found)
    assert str(Path("inner/a.dcm")) in words
    assert "file 1 b.txt: it is no DICOM file" in words
    assert found["studies"][0]["series"][0]["instances"][0]["uid"] == f"{ROOT}.1.1.1"


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A folder with canaries in the names and in every text attribute, of files that are read, refused and tied."""
    folder = tmp_path / f"{CANARY}^JANE"
    tied = [with_canaries(image(number, study=4)) for number in (1, 2)]
    for ds in tied:
        ds.Modality = "CR"
    broken = written(with_canaries(image(3)))
    damaged = with_canaries(image(5))
    damaged.add_new(0x00181405, "IS", "1")
    wrong = written(damaged).replace(b"\x18\x00\x05\x14IS\x02\x001 ", b"\x18\x00\x05\x14IS\x02\x00CA")
    unread = with_canaries(image(6, study=6, ViewPosition="PA"))
    unread.PhotometricInterpretation = f"{CANARY}PHOTO"
    unread.ViewPosition = "PA"
    return lay(
        folder,
        {
            f"{CANARY}/{CANARY}1": with_canaries(image(1)),
            f"{CANARY}2": with_canaries(report(2)),
            f"{CANARY}3": broken[:-7],
            f"{CANARY}3b": b"\0" * 128 + b"DICM" + b"CANARY" * 9,
            f"{CANARY}4a": tied[0],
            f"{CANARY}4b": tied[1],
            f"{CANARY}5": wrong,
            f"{CANARY}6": unread,
            f"{CANARY}7": f"{CANARY} in a note".encode(),
            f"{CANARY}8": with_canaries(ct_slice(1, 0.0)),
            f"{CANARY}9": with_canaries(ct_slice(2, 0.0)),
            f"{CANARY}10": image(8, study=8, ViewPosition=f"{CANARY}"),
            f"{CANARY}11": image(9, study=9, SOPClassUID=f"1.2.3.{ord('C')}"),
            "DICOMDIR": directory([f"{CANARY}2"], [f"{CANARY}GONE"], ["..", CANARY]),
        },
    )


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_canaries_appear_nowhere(
    planted: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    shown = []
    with caplog.at_level(logging.DEBUG):
        for source in (planted, planted / "DICOMDIR"):
            found = inspect(source)
            shown += [in_words(found), json.dumps(found), repr(survey(source))]
        for path in (planted, planted / "DICOMDIR", [planted / f"{CANARY}4a", planted / f"{CANARY}4b"]):
            with pytest.raises(SelectionError) as caught:
                select_projection(path)
            shown += [str(caught.value), repr(caught.value), repr(caught.value.left_out)]
            shown += [json.dumps([one[:3] for one in caught.value.left_out])]
        selection = select_projection([planted / CANARY / f"{CANARY}1", planted / f"{CANARY}3"])
        shown += [repr(selection), json.dumps(selection.as_dict()), repr(selection.read())]
        with pytest.raises(DicomError) as refused, checked_series(planted / f"{CANARY}8", series="other"):
            pass
        shown += [str(refused.value)]
        with pytest.raises(DicomError) as refused, checked_series(planted):
            pass
        shown += [str(refused.value)]
    shown += [*capfd.readouterr(), caplog.text]
    assert [text for text in shown if CANARY in text] == []
    assert len(found["left_out"]) == 2
    # The canaries were there to be found.
    assert CANARY in json.dumps(inspect(planted, names=True))


@pytest.mark.real
def test_the_real_files(real_data: Path) -> None:
    found = inspect(real_data / "cxr_dicom")
    reads = [study["reads"] for study in found["studies"]]
    assert [one and (one["rows"], one["columns"], one["inverted"]) for one in reads] == [
        None,
        (1955, 1841, True),
        (169, 211, True),
    ]
    volume = inspect(real_data / "volumes" / "ct_dicom_series")["studies"][0]["series"][0]["volume"]
    assert (volume["shape"], volume["spacing"]) == ([512, 512, 20], [0.9765625, 0.9765625, 2.0])
