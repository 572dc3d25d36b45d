# SPDX-License-Identifier: Apache-2.0
"""A study on a server: metadata first, and no instance but the one that is chosen."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from pydicom.dataset import Dataset

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.projection import read_projection
from monai_causal.dicom.selection import SelectionError, select_projection
from monai_causal.dicom.study_survey import survey
from monai_causal.dicom.study_web import WebStudy
from tests.dicom.encodings import written
from tests.dicom.studies import CANARY, ROOT, image, report, with_canaries

STUDY = f"{ROOT}.1"


def metadata(ds: Dataset) -> dict[str, Any]:
    header = ds.to_json_dict(bulk_data_threshold=64, bulk_data_element_handler=lambda element: "http://bulk/1")
    return {tag: value for tag, value in header.items() if tag[:4] != "0002"}


class Server:
    """A stand-in for a DICOMweb client, which notes what it is asked for."""

    def __init__(self, *held: Dataset) -> None:
        self.metadata: list[Any] = [metadata(ds) for ds in held]
        self.files: dict[str, Any] = {str(ds.SOPInstanceUID): written(ds) for ds in held}
        self.asked: list[str] = []

    def retrieve_study_metadata(self, study_instance_uid: str) -> list[Mapping[str, Any]]:
        assert study_instance_uid == STUDY
        self.asked.append("metadata")
        return self.metadata

    def retrieve_instance(self, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str) -> Any:
        assert (study_instance_uid, series_instance_uid) == (STUDY, f"{ROOT}.1.1")
        self.asked.append(sop_instance_uid)
        return self.files[sop_instance_uid]


def test_only_the_chosen_instance_is_fetched() -> None:
    server = Server(report(1), image(2, ViewPosition="LL"), image(3, ViewPosition="AP"), image(4))
    selection = select_projection(WebStudy(server, STUDY))
    assert server.asked == ["metadata"]
    assert (selection.chosen.number, selection.rule) == (4, "frontal, PA")
    assert [one.code for one in selection.left_out] == ["not-image", "no-rule", "less-preferred"]
    projection = selection.read()
    assert server.asked == ["metadata", f"{ROOT}.1.1.4"]
    assert projection.provenance.file_sha256 == read_projection(written(image(4))).provenance.file_sha256


def test_a_data_set_in_place_of_a_file_will_do() -> None:
    server = Server(image(1))
    server.files[f"{ROOT}.1.1.1"] = image(1)
    assert select_projection(WebStudy(server, STUDY)).read().view == "PA"


@pytest.mark.parametrize("other", [image(2), image(1, study=2), image(1, SOPClassUID="1.2.840.10008.5.1.4.1.1.1.1")])
def test_another_instance_than_asked_for_is_refused(other: Dataset) -> None:
    server = Server(image(1))
    server.files[f"{ROOT}.1.1.1"] = written(other)
    with pytest.raises(DicomError, match=r"^file 1 \(.*\): it is another file"):
        select_projection(WebStudy(server, STUDY)).read()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}, "it belongs to another study than the one asked for"),
        ({"00080018": {"vr": "UI"}}, "its metadata lack the UID of the instance or of its series"),
        (None, r"reading its metadata failed \(TypeError\)"),
    ],
)
def test_damaged_metadata_leave_an_instance_out(damage: dict[str, Any] | None, reason: str) -> None:
    server = Server(image(1), image(2))
    server.metadata[0] = None if damage is None else {**server.metadata[0], **damage}
    found = survey(WebStudy(server, STUDY))
    assert [one.number for one in found.studies[0].instances] == [2]
    (left_out,) = found.left_out
    assert left_out.item == "instance 1"
    assert re.fullmatch(reason, left_out.reason)


@pytest.mark.parametrize("value", [{"vr": "IS", "Value": [CANARY]}, {"vr": "SQ", "Value": 3}, [CANARY], {"vr": "IS"}])
def test_an_attribute_that_cannot_be_read_counts_as_missing(value: Any) -> None:
    server = Server(image(1))
    server.metadata[0]["00200013"] = value
    assert survey(WebStudy(server, STUDY)).studies[0].instances[0].number is None


def test_what_a_server_says_in_its_errors_stays_there() -> None:
    server = Server(image(1))
    server.files.clear()
    with pytest.raises(DicomError, match=r"^asking the server for the instance failed \(KeyError\)$"):
        select_projection(WebStudy(server, STUDY)).read()
    server.metadata = None  # type: ignore[assignment]
    with pytest.raises(DicomError, match=r"^asking the server for the study failed \(TypeError\)$"):
        survey(WebStudy(server, STUDY))


def test_canaries_in_metadata_appear_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    server = Server(with_canaries(image(1)), with_canaries(image(2)))
    capfd.readouterr()  # what pydicom said while the study was made
    with pytest.raises(SelectionError) as caught:
        select_projection(WebStudy(server, STUDY))
    shown = str(caught.value) + repr(caught.value) + repr(caught.value.left_out) + "".join(capfd.readouterr())
    assert CANARY not in shown + repr(survey(WebStudy(server, STUDY)))


@pytest.fixture
def address() -> Iterator[str]:
    """A server of DICOMweb's own form on this machine, with two radiographs."""
    held = {f"{ROOT}.1.1.{number}": image(number, ViewPosition=view) for number, view in ((1, "PA"), (2, "LL"))}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.split("?")[0] == f"/studies/{STUDY}/metadata":
                kind, body = "application/dicom+json", json.dumps([metadata(ds) for ds in held.values()]).encode()
            else:
                content = written(held[self.path.rpartition("/")[2].split("?")[0]])
                kind = 'multipart/related; type="application/dicom"; boundary=edge'
                body = b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--edge--"
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_usual_client_is_such_a_client(address: str) -> None:
    api = pytest.importorskip("dicomweb_client.api", reason="extra 'dicomweb' is not installed")
    selection = select_projection(WebStudy(api.DICOMwebClient(url=address), STUDY))
    assert [one.code for one in selection.left_out] == ["no-rule"]
    assert selection.read().pixels.tobytes() == read_projection(image(1)).pixels.tobytes()
