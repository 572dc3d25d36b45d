# SPDX-License-Identifier: Apache-2.0
"""A study is done when it has come to rest, again when it changes, and later when what failed may pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")
pytest.importorskip("dicomweb_client", reason="extra 'dicomweb' is not installed")

from monai_causal.apps.medfocus.workflow import Workflow
from monai_causal.apps.medfocus.workflow.outcome import Report
from monai_causal.apps.medfocus.workflow.problems import WorkflowError
from monai_causal.apps.medfocus.workflow.push import FolderTarget
from monai_causal.apps.medfocus.workflow.sources import FolderSource, Source, WebSource
from monai_causal.apps.medfocus.workflow.space import open_space
from monai_causal.apps.medfocus.workflow.watch import Rest, watch
from monai_causal.dicom.web.client import DicomWeb
from monai_causal.dicom.web.patience import Patience
from monai_causal.dicom.web.problems import WebError
from tests.apps.medfocus.workflow.stand_in import StandIn
from tests.dicom.encodings import written
from tests.dicom.faulty_server import faulty_server
from tests.dicom.studies import image, lay


class Days:
    """A clock that goes on by ten seconds a look, and does something at some of them."""

    def __init__(self, looks: int, **at: Callable[[], object]) -> None:
        self.time, self.look, self.looks = 0.0, 0, looks
        self.at = {int(name.removeprefix("look")): act for name, act in at.items()}

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> bool:
        if seconds:
            self.time += seconds
            self.look += 1
            self.at.get(self.look, lambda: None)()
        return self.look >= self.looks


def watched(source: Source, out: Path, answer: StandIn, days: Days, stable: float = 30) -> Report:
    with open_space(out) as space:
        flow = Workflow(space, source, FolderTarget(), answer, lambda folder: [])
        return watch(flow, Rest(stable, days.now), 10, days.wait)


def test_a_study_is_done_once_when_it_rests(tmp_path: Path) -> None:
    lay(tmp_path / "in", {"1.dcm": image(1)})
    when: list[float] = []
    days = Days(12)
    answer = StandIn(before=lambda _: when.append(days.time))
    found = watched(FolderSource(tmp_path / "in"), tmp_path / "out", answer, days)
    assert (when, found.counts) == ([30.0], {"ok": 1, "skipped": 0, "failed": 0})


def test_each_new_image_begins_the_waiting_anew(tmp_path: Path) -> None:
    folder = lay(tmp_path / "in", {"1.dcm": image(1, ViewPosition="LL"), "other.dcm": image(1, study=2)})
    done: list[tuple[float, Any]] = []
    days = Days(
        14,
        look2=lambda: lay(folder, {"2.dcm": image(2, ViewPosition="AP")}),
        look9=lambda: lay(folder, {"3.dcm": image(3)}),  # a better one, after the study was done
    )
    answer = StandIn(before=lambda source: done.append((days.time, str(source.dataset.ViewPosition))))
    found = watched(FolderSource(folder), tmp_path / "out", answer, days)
    assert done == [(30.0, "PA"), (50.0, "AP"), (120.0, "PA")]
    assert len(found.studies) == 2


def test_a_file_that_is_still_being_written_is_waited_for(tmp_path: Path) -> None:
    content = written(image(1))
    folder = lay(tmp_path / "in", {"1.dcm": content[:-9], "2.dcm": content[:-5]})
    days = Days(9, look2=lambda: lay(folder, {"1.dcm": content}))
    found = watched(FolderSource(folder), tmp_path / "out", StandIn(), days)
    assert found.counts == {"ok": 1, "skipped": 0, "failed": 1}  # the second one never became whole


def test_what_may_pass_is_tried_again_at_growing_distances(tmp_path: Path) -> None:
    folder = lay(tmp_path / "in", {"1.dcm": image(1)})
    when: list[float] = []
    days = Days(60)

    def before(_: Any) -> None:
        when.append(days.time)
        if len(when) < 4:
            raise WorkflowError("attribute", "no room", transient=True)

    found = watched(FolderSource(folder), tmp_path / "out", StandIn(before=before), days)
    assert (when, found.exit_code) == ([30.0, 90.0, 210.0, 450.0], 0)


def test_what_will_not_pass_is_not_tried_again(tmp_path: Path) -> None:
    folder = lay(tmp_path / "in", {"1.dcm": image(1)})
    when: list[float] = []
    days = Days(60)

    def before(_: Any) -> None:
        when.append(days.time)
        raise WorkflowError("unfit", "blank")

    found = watched(FolderSource(folder), tmp_path / "out", StandIn(before=before), days)
    assert (when, found.exit_code) == ([30.0], 1)


def test_a_server_is_watched_through_its_troubles(tmp_path: Path) -> None:
    with faulty_server(written(image(1))) as server:
        source = WebSource(DicomWeb(server.address, patience=Patience(attempts=2, first=0.001)))
        days = Days(
            14,
            look2=lambda: server.faults.update(qido=[503, 503]),
            look5=lambda: server.add(written(image(1, study=2))),
        )
        found = watched(source, tmp_path / "out", StandIn(), days)
        assert found.counts == {"ok": 2, "skipped": 0, "failed": 0}
        server.faults["qido"] = [403]
        with pytest.raises(WebError) as caught:
            watched(source, tmp_path / "out", StandIn(), Days(3))
        assert caught.value.code == "unauthorized"


def test_it_stops_between_studies(tmp_path: Path) -> None:
    folder = lay(tmp_path / "in", {f"{number}.dcm": image(1, study=number) for number in (1, 2, 3)})
    days = Days(60)
    answer = StandIn(before=lambda _: setattr(days, "looks", 0))
    assert watched(FolderSource(folder), tmp_path / "out", answer, days).counts["ok"] == 1
