# SPDX-License-Identifier: Apache-2.0
"""The workflow and a real Orthanc: studies stowed, queried, answered, the results pushed and read back bit by bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")
pytest.importorskip("dicomweb_client", reason="extra 'dicomweb' is not installed")

import pydicom

from monai_causal.apps.medfocus.phantom_study import write_phantom_study
from monai_causal.apps.medfocus.workflow.answer import MedFocusAnswer, problems_of
from monai_causal.apps.medfocus.workflow.config import RunConfig
from monai_causal.apps.medfocus.workflow.outcome import Report
from monai_causal.apps.medfocus.workflow.push import uids_of
from monai_causal.apps.medfocus.workflow.run import run_medfocus
from monai_causal.dicom.verify import verify
from monai_causal.dicom.web.access import Credentials
from monai_causal.dicom.web.client import DicomWeb
from monai_causal.dicom.web.delivery import deliver
from monai_causal.dicom.web.problems import WebError
from tests.apps.medfocus import scene
from tests.apps.medfocus.workflow.stand_in import StandIn, uid
from tests.apps.medfocus.workflow.test_answer import SIZE, Reader
from tests.dicom.orthanc import PASSWORD, USER, Orthanc, running_orthanc

pytestmark = pytest.mark.orthanc
ANY = {"selections": [{"name": "any", "conditions": {}}]}


@pytest.fixture
def orthanc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Orthanc]:
    for prefix in ("MONAI_CAUSAL_FROM", "MONAI_CAUSAL_TO"):
        monkeypatch.setenv(f"{prefix}_USER", USER)
        monkeypatch.setenv(f"{prefix}_PASSWORD", PASSWORD)
    with running_orthanc(tmp_path) as running:
        yield running


def stow(orthanc: Orthanc, *files: Path) -> DicomWeb:
    web = DicomWeb(orthanc.address, Credentials(user=USER, password=PASSWORD))
    for path in files:
        content = path.read_bytes()
        deliver(web, content, *uids_of(content))
    return web


def run(orthanc: Orthanc, work: Path, answer: Any, problems: Any = lambda folder: [], **settings: Any) -> Report:
    config = RunConfig(**settings)
    return run_medfocus(
        orthanc.address, orthanc.address, config, work=work, answerer=lambda config: (answer(config), problems)
    )


def renamed(path: Path, to: Path) -> Path:
    """The same file with UIDs of its own."""
    ds = pydicom.dcmread(path)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        ds[keyword].value = uid(f"{keyword} {ds[keyword].value}".encode())
    ds.save_as(to)
    return to


def held(web: DicomWeb, work: Path) -> int:
    """How many objects of the results the server has as the bytes that they are; all of them."""
    files = [path.read_bytes() for path in (work / "results").glob("*/*.dcm")]
    assert [web.retrieve_instance(*uids_of(content)) for content in files] == files
    return len(files)


def contents(orthanc: Orthanc) -> tuple[Any, list[str]]:
    """How much the server holds, and every instance that it ever took."""
    changes = orthanc.rest("/changes?limit=1000")["Changes"]
    # It also notes, a minute later, that nothing more has come.
    return orthanc.rest("/statistics"), [one["ID"] for one in changes if one["ChangeType"] == "NewInstance"]


def test_a_phantom_goes_all_the_way(orthanc: Orthanc, tmp_path: Path) -> None:
    web = stow(orthanc, write_phantom_study(5, tmp_path / "phantom", SIZE) / "image.dcm")

    def answer(config: RunConfig) -> MedFocusAnswer:
        return MedFocusAnswer(config, Reader(), scene.segmenter(SIZE))

    work = tmp_path / "work"
    assert run(orthanc, work, answer, problems_of, also=()).counts == {"ok": 1, "skipped": 0, "failed": 0}
    assert held(web, work) == 4
    before = contents(orthanc)
    assert (before[0]["CountStudies"], before[0]["CountInstances"]) == (1, 5)
    # The results lie in the study now, and are no radiographs. Neither a run that goes on nor one that knows nothing of
    # the first changes anything.
    again = run(orthanc, work, answer, problems_of, also=())
    assert again.counts == {"ok": 1, "skipped": 4, "failed": 0}
    assert run(orthanc, tmp_path / "anew", answer, problems_of, also=()).exit_code == 0
    assert contents(orthanc) == before
    # Another configuration gives other objects, beside the first.
    assert run(orthanc, work, answer, problems_of, also=(), tau=0.9).exit_code == 0
    assert held(web, work) == 8
    assert orthanc.rest("/statistics")["CountInstances"] == 9


def stow_real(orthanc: Orthanc, real_data: Path, tmp_path: Path) -> tuple[DicomWeb, list[Path]]:
    """The four real files on the server."""
    files = sorted((real_data / "cxr_dicom").glob("*.dcm"))
    assert len(files) == 4
    web = stow(orthanc, *files[:1])
    # Two of the four are different pictures with the same UIDs, of which Orthanc would keep the first without a word.
    with pytest.raises(WebError, match="keeps another object"):
        stow(orthanc, files[1])
    files[1] = renamed(files[1], tmp_path / "renamed.dcm")
    stow(orthanc, *files[1:])
    return web, files


@pytest.mark.real
def test_real_files_go_all_the_way(orthanc: Orthanc, tmp_path: Path, real_data: Path) -> None:
    web, files = stow_real(orthanc, real_data, tmp_path)
    studies = orthanc.rest("/statistics")["CountStudies"]
    found = run(orthanc, tmp_path / "work", lambda config: StandIn(config.deciding), rules=ANY)
    rows = [(row.status, row.code) for study in found.studies for row in study.rows]
    assert (found.exit_code, len(found.studies), len(rows)) == (0, studies, 4), rows
    done = sum(status == "ok" for status, _ in rows)
    assert held(web, tmp_path / "work") == 2 * done
    for path in files:  # what was there before is as it was
        content = path.read_bytes()
        assert web.retrieve_instance(*uids_of(content)) == content


@pytest.mark.real
@pytest.mark.slow
def test_the_model_that_comes_along_explains_the_real_files(
    orthanc: Orthanc, tmp_path: Path, real_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As the command does it, with nothing in the place of anything."""
    web, files = stow_real(orthanc, real_data, tmp_path)
    work = tmp_path / "work"

    def command(folder: Path, **settings: Any) -> Report:
        config = RunConfig(rules=ANY, **settings)
        return run_medfocus(orthanc.address, orthanc.address, config, work=folder)

    assert command(work).counts == {"ok": 4, "skipped": 0, "failed": 0}
    assert held(web, work) == 4 * 4
    assert verify(work / "results")["ok"]
    before = contents(orthanc)
    assert command(tmp_path / "anew").counts["failed"] == 0
    assert contents(orthanc) == before
    assert command(work, tau=0.9).counts["failed"] == 0
    assert held(web, work) == orthanc.rest("/statistics")["CountInstances"] - len(files) == 2 * 4 * 4
    for path in files:
        content = path.read_bytes()
        assert web.retrieve_instance(*uids_of(content)) == content
        assert str(uids_of(content)[0]) not in caplog.text
