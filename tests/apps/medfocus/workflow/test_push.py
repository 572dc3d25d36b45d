# SPDX-License-Identifier: Apache-2.0
"""To a server that fails in every way: each result arrives once, or its study is reported failed with the reason."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")
pytest.importorskip("dicomweb_client", reason="extra 'dicomweb' is not installed")

from monai_causal.apps.medfocus.workflow.config import RunConfig
from monai_causal.apps.medfocus.workflow.outcome import Report, in_words
from monai_causal.apps.medfocus.workflow.push import uids_of
from monai_causal.apps.medfocus.workflow.run import run_medfocus
from monai_causal.apps.study.lines import read_lines
from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.web.patience import Patience
from tests.apps.medfocus.workflow.stand_in import StandIn
from tests.dicom.encodings import written
from tests.dicom.faulty_server import FaultyServer, faulty_server
from tests.dicom.studies import CANARY, ROOT, image, lay, with_canaries

QUICK = Patience(attempts=3, first=0.001)
# Only where a server is silent on purpose: a busy machine may be as slow as that without any fault.
SHORT = Patience(attempts=3, first=0.001, read=1.5)
STUDIES = {f"{number}.dcm": image(1, study=number) for number in (1, 2)}


def push(source: Path | str, server: FaultyServer, work: Path, answer: StandIn | None = None) -> Report:
    silent = any("hang" in faults for faults in server.faults.values())
    config = RunConfig(patience=SHORT if silent else QUICK)
    made = answer or StandIn()
    return run_medfocus(
        str(source), server.address, config, work=work, answerer=lambda config: (made, lambda folder: [])
    )


def codes(found: Report) -> list[str]:
    return [row.code for study in found.studies for row in study.rows]


def committed(work: Path) -> dict[str, bytes]:
    return {uids_of(path.read_bytes())[2]: path.read_bytes() for path in (work / "results").glob("*/*.dcm")}


@pytest.mark.parametrize(
    "faults",
    [
        {},
        {"stow": [503, 503]},
        {"stow": ["hang"]},
        {"stow": ["drop", "drop"]},
        {"stow": ["lost-answer", "lost-answer"]},
        {"stow": ["lost-answer", 409]},
        {"stow": ["half"]},
        {"stow": ["lost-object", "lost-object"]},
        {"wado": ["half", "hang"]},
        {"wado": [503, "half-open"]},
    ],
    ids=str,
)
def test_what_passes_keeps_nothing_from_arriving(faults: dict[str, list[Any]], tmp_path: Path) -> None:
    studies = lay(tmp_path / "studies", STUDIES)
    with faulty_server() as server:
        server.faults.update({service: list(each) for service, each in faults.items()})
        assert (push(studies, server, tmp_path / "work").exit_code, len(server.held)) == (0, 4)
        assert server.held == committed(tmp_path / "work")
        audit = read_lines(tmp_path / "work" / "workflow" / "audit.jsonl")
        pushed = [line for line in audit if line["event"] == "pushed"]
        assert len({line["object"] for line in pushed}) == len(pushed) == 4


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        ({"stow": [503] * 3}, "push-http-503"),
        ({"stow": ["hang"] * 3}, "push-timeout"),
        ({"stow": ["drop"] * 3}, "push-unreachable"),
        ({"wado": ["half"] * 3}, "push-cut-off"),
        ({"stow": ["refuse"]}, "push-refused"),
        ({"stow": [413]}, "push-http-413"),
        ({"stow": [403]}, "push-unauthorized"),
        ({"stow": ["lost-object"] * 3}, "push-lost"),
    ],
)
def test_what_lasts_fails_one_study_and_the_next_run_mends_it(
    faults: dict[str, list[Any]], code: str, tmp_path: Path
) -> None:
    studies = lay(tmp_path / "studies", STUDIES)
    with faulty_server() as server:
        server.faults.update(faults)
        found = push(studies, server, tmp_path / "work")
        assert (codes(found), found.exit_code) == ([code, "done"], 1)
        assert len(committed(tmp_path / "work")) == 4  # the result itself is kept
        answer = StandIn()
        assert codes(push(studies, server, tmp_path / "work", answer)) == ["done", "done"]
        assert (answer.asked, server.held) == ([], committed(tmp_path / "work"))


def test_a_success_that_kept_an_older_object_is_a_failure(tmp_path: Path) -> None:
    studies = lay(tmp_path / "studies", STUDIES)
    with faulty_server() as server:
        push(studies, server, tmp_path / "first")
        uid, older = next(iter(server.held.items()))
        ds = image(1, study=int(uids_of(older)[0].rpartition(".")[2]))
        ds.SOPInstanceUID, ds.SeriesInstanceUID = uid, uids_of(older)[1]
        server.held[uid] = written(ds)
        found = push(studies, server, tmp_path / "second")
        assert sorted(codes(found)) == ["done", "push-kept-another"]


def test_a_second_push_sends_nothing(tmp_path: Path) -> None:
    studies = lay(tmp_path / "studies", STUDIES)
    with faulty_server() as server:
        push(studies, server, tmp_path / "work")
        before = dict(server.held)
        server.asked.clear()
        assert push(studies, server, tmp_path / "work").exit_code == 0
        assert (server.asked, server.held) == ([], before)
        push(studies, server, tmp_path / "elsewhere")  # a run that knows nothing of the first one
        assert server.held == before


def test_another_server_gets_everything_too(tmp_path: Path) -> None:
    studies = lay(tmp_path / "studies", STUDIES)
    with faulty_server() as one, faulty_server() as other:
        answer = StandIn()
        push(studies, one, tmp_path / "work", answer)
        push(studies, other, tmp_path / "work", answer)
        assert one.held == other.held == committed(tmp_path / "work")
        assert len(answer.asked) == 2


def test_what_could_not_be_sent_is_sent_though_its_source_is_gone(tmp_path: Path) -> None:
    studies = lay(tmp_path / "studies", STUDIES)
    with faulty_server() as server:
        server.faults["stow"] = [403]
        assert codes(push(studies, server, tmp_path / "work")) == ["push-unauthorized", "done"]
        (studies / "1.dcm").unlink()
        found = push(studies, server, tmp_path / "work")
        assert codes(found) == ["done", "done"]
        assert found.studies[1].instances[0].item == "a result of an earlier run"
        assert server.held == committed(tmp_path / "work")
        assert codes(push(studies, server, tmp_path / "work")) == ["done"]


@pytest.mark.parametrize(
    ("faults", "found"),
    [
        ({"wado": [503, "half", 503]}, ["read-http-503", "done"]),
        ({"metadata": ["drop"] * 3}, ["list-unreachable", "done"]),
        ({"wado": [404]}, ["read-not-found", "done"]),
        ({"wado": ["half"], "metadata": [503]}, ["done", "done"]),
    ],
)
def test_a_source_that_fails_does_so_by_study(faults: dict[str, list[Any]], found: list[str], tmp_path: Path) -> None:
    with faulty_server(*(written(ds) for ds in STUDIES.values())) as source, faulty_server() as target:
        source.faults.update(faults)
        assert codes(push(source.address, target, tmp_path / "work")) == found
        again = push(source.address, target, tmp_path / "work")
        assert (again.exit_code, len(target.held)) == (0, 4)


def test_results_may_go_where_the_studies_come_from(tmp_path: Path) -> None:
    with faulty_server(*(written(ds) for ds in STUDIES.values())) as server:
        for _ in range(2):  # the second time they lie in the studies themselves
            assert push(server.address, server, tmp_path / "work").exit_code == 0
            assert len(server.held) == 2 + 4


def test_nothing_of_the_patient_is_kept_but_in_the_objects(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    planted = with_canaries(image(1))
    planted.Modality, planted.ImageType = "CR", ["ORIGINAL", "PRIMARY"]
    with faulty_server(written(planted), written(image(1, study=2))) as source, faulty_server() as target:
        source.faults = {"wado": [503, 404]}  # its messages hold a name
        target.faults = {"stow": [503, "refuse"], "wado": [503]}
        found = push(f"{source.address}?PatientName={CANARY}", target, tmp_path / "work")
        assert found.exit_code == 1
        said = caplog.text + in_words(found) + repr(found) + "".join(capsys.readouterr())
    for path in (tmp_path / "work").rglob("*"):
        said += path.relative_to(tmp_path).as_posix()
        if path.is_file() and path.suffix != ".dcm":
            said += path.read_text(errors="replace")
    assert not [word for word in (CANARY, ROOT, "19870613", "127.0.0.1") if word in said]


def test_an_object_without_uids_cannot_be_sent() -> None:
    ds = image(1)
    ds.StudyInstanceUID = ""
    with pytest.raises(DicomError, match="lacks a UID"):
        uids_of(written(ds))
    assert uids_of(written(image(1))) == (f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1")
