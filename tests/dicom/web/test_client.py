# SPDX-License-Identifier: Apache-2.0
"""A server is asked with patience, half an answer is none, and nothing that it says is passed on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")
pytest.importorskip("dicomweb_client", reason="extra 'dicomweb' is not installed")

from monai_causal.dicom.limits import Limits
from monai_causal.dicom.selection import select_projection
from monai_causal.dicom.study_web import WebStudy
from monai_causal.dicom.web.access import Credentials
from monai_causal.dicom.web.client import DicomWeb, Stored, value_of
from monai_causal.dicom.web.patience import Patience
from monai_causal.dicom.web.problems import WebError
from tests.dicom.encodings import written
from tests.dicom.faulty_server import BULK, FaultyServer, faulty_server
from tests.dicom.studies import ROOT, image, report

STUDY, SERIES = f"{ROOT}.1", f"{ROOT}.1.1"
FIRST = f"{SERIES}.1"
QUICK = Patience(attempts=3, first=0.001)
# Only where a server is silent on purpose: a busy machine may be as slow as that without any fault.
SHORT = Patience(attempts=3, first=0.001, read=1.5, whole=2)


def client(server: FaultyServer, **settings: Any) -> DicomWeb:
    silent = any(fault in ("hang", "trickle") for faults in server.faults.values() for fault in faults)
    return DicomWeb(server.address, **{"patience": SHORT if silent else QUICK, **settings})


ASK: dict[str, Callable[[DicomWeb], Any]] = {
    "qido": lambda web: [value_of(one, "0020000D") for one in web.studies()],
    "metadata": lambda web: len(web.retrieve_study_metadata(STUDY)),
    "wado": lambda web: web.retrieve_instance(STUDY, SERIES, FIRST),
    "bulk": lambda web: web.retrieve_bulk_data("bulk/1"),
    "stow": lambda web: web.store(written(image(2)), STUDY),
}
RIGHT = {"qido": [STUDY], "metadata": 1, "wado": written(image(1)), "bulk": BULK, "stow": Stored(200)}


@pytest.mark.parametrize("service", ASK)
@pytest.mark.parametrize("fault", [503, 429, 500, "drop", "half"])
def test_a_passing_fault_is_outlived(service: str, fault: int | str) -> None:
    with faulty_server(written(image(1))) as server:
        server.faults[service] = [fault, fault]
        assert ASK[service](client(server)) == RIGHT[service]
        turns = 2 if service == "qido" else 1  # a search turns pages until one is empty
        assert server.asked == [service] * (2 + turns)


@pytest.mark.parametrize("service", ["metadata", "stow"])
def test_a_silent_server_is_left_alone_and_asked_again(service: str) -> None:
    with faulty_server(written(image(1))) as server:
        server.faults[service] = ["hang"]
        assert ASK[service](client(server)) == RIGHT[service]
        assert len(server.asked) >= 2


@pytest.mark.parametrize("service", ["qido", "metadata", "wado", "bulk"])
def test_half_an_answer_of_unsaid_length_is_none(service: str) -> None:
    with faulty_server(written(image(1))) as server:
        server.faults[service] = ["half-open"]
        assert ASK[service](client(server)) == RIGHT[service]


@pytest.mark.parametrize(
    ("fault", "code", "transient", "asked"),
    [
        (503, "http-503", True, 3),
        ("hang", "timeout", True, 3),
        ("trickle", "timeout", True, 3),
        ("drop", "unreachable", True, 3),
        ("half", "cut-off", True, 3),
        ("half-open", "cut-off", True, 3),
        (404, "not-found", False, 1),
        (403, "unauthorized", False, 1),
        (400, "http-400", False, 1),
        (507, "http-507", False, 1),
        ("redirect", "redirected", False, 1),
    ],
)
def test_a_lasting_fault_is_told_by_its_code(fault: int | str, code: str, transient: bool, asked: int) -> None:
    with faulty_server(written(image(1))) as server:
        server.faults["wado"] = [fault] * 9
        with pytest.raises(WebError) as caught:
            ASK["wado"](client(server))
        assert (caught.value.code, caught.value.transient, len(server.asked)) == (code, transient, asked)
        # Neither the server's words nor an address, which holds UIDs, come along, in no exception of the chain either.
        assert "CANARY" not in str(caught.value)
        assert ROOT not in str(caught.value)
        assert "127.0.0.1" not in str(caught.value)
        assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_server_that_is_not_there() -> None:
    with faulty_server() as server:
        gone = server.address
    with pytest.raises(WebError) as caught:
        DicomWeb(gone, patience=QUICK).studies()
    assert (caught.value.code, caught.value.transient) == ("unreachable", True)


def test_waiting_grows_and_is_as_long_as_the_server_wants() -> None:
    waited: list[float] = []
    with faulty_server(written(image(1))) as server:
        server.faults["wado"] = [503] * 3
        patience = Patience(attempts=4, first=1.0, longest=3.0)
        DicomWeb(server.address, patience=patience, sleep=waited.append).retrieve_instance(STUDY, SERIES, FIRST)
    assert [1 <= waited[0] <= 1.25, 2 <= waited[1] <= 2.5, waited[2]] == [True, True, 3.0]


@pytest.mark.parametrize("most", [1, 2, 1000])
def test_all_pages_are_turned(most: int) -> None:
    files = [written(image(1, study=number)) for number in range(1, 6)]
    with faulty_server(*files, page=most) as server:
        found = client(server, page=2).studies()
        assert [value_of(one, "0020000D") for one in found] == [f"{ROOT}.{number}" for number in range(1, 6)]


def test_a_server_that_knows_no_pages_ends_too() -> None:
    with faulty_server(*(written(image(1, study=number)) for number in (1, 2)), ignores_offset=True) as server:
        assert len(client(server).studies()) == 2
        assert server.asked == ["qido", "qido"]


def test_filters_of_the_address_narrow_the_search() -> None:
    with faulty_server(written(image(1)), written(image(1, study=2, Modality="DX"))) as server:
        web = DicomWeb(f"{server.address}/?ModalitiesInStudy=DX", patience=QUICK)
        assert [value_of(one, "0020000D") for one in web.studies()] == [f"{ROOT}.2"]


def test_instances_of_one_study_are_listed() -> None:
    with faulty_server(written(image(1)), written(image(2)), written(image(1, study=2)), page=1) as server:
        found = client(server).instances(STUDY)
        assert [value_of(one, "00080018") for one in found] == [FIRST, f"{SERIES}.2"]


def test_an_object_comes_back_as_the_bytes_that_it_is() -> None:
    odd = written(image(1)) + b""
    with faulty_server(odd, bare=True) as server:  # some servers send one object without multipart
        assert client(server).retrieve_instance(STUDY, SERIES, FIRST) == odd


def test_a_large_object_is_sent_again_whole() -> None:
    # More than dicomweb-client's chunk, of which its own second attempt would send nothing.
    large = image(3)
    large.add_new(0x00091001, "OB", b"\7" * 3_000_000)
    large.add_new(0x00090010, "LO", "LARGE")
    content = written(large)
    with faulty_server() as server:
        server.faults["stow"] = [503]
        assert client(server).store(content, STUDY) == Stored(200)
        assert server.held == {f"{SERIES}.3": content}


def test_a_refusal_says_the_servers_reason_as_a_number() -> None:
    with faulty_server() as server:
        server.faults["stow"] = ["refuse"]
        stored = client(server).store(written(image(1)), STUDY)
    assert (stored.refused, stored.said) == (True, "HTTP 409, failure reason 0xA900")


@pytest.mark.parametrize(("reasons", "for_now"), [((0xA700,), True), ((0xA701, 0xA900), False), ((), False)])
def test_want_of_room_may_pass(reasons: tuple[int, ...], for_now: bool) -> None:
    assert Stored(409, reasons).for_now is for_now


def test_an_answer_without_end_is_cut_short() -> None:
    large = image(1)
    large.PixelData = bytes(2 * 2**20 + 2)
    with faulty_server(written(large)) as server, pytest.raises(WebError) as caught:
        client(server, limits=Limits(file_bytes=1000)).retrieve_instance(STUDY, SERIES, FIRST)
    assert caught.value.code == "too-large"


def test_bulk_data_elsewhere_are_not_fetched() -> None:
    with faulty_server() as server, pytest.raises(WebError) as caught:
        client(server).retrieve_bulk_data("http://127.0.0.2/bulk/1")
    assert caught.value.code == "elsewhere"


@pytest.mark.parametrize("uid", ["../x", "1.2/3", "", "1" * 65, "1.2.3?x"])
def test_what_is_no_uid_never_becomes_an_address(uid: str) -> None:
    with faulty_server() as server:
        web = client(server)
        for ask in (
            lambda: web.retrieve_study_metadata(uid),
            lambda: web.instances(uid),
            lambda: web.retrieve_instance(STUDY, uid, FIRST),
            lambda: web.store(b"", uid),
        ):
            with pytest.raises(WebError) as caught:
                ask()
            assert caught.value.code == "no-uid"
        assert server.asked == []


def test_who_signs_in_is_let_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    with faulty_server(written(image(1)), token="Bearer abc") as server:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password else")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        with pytest.raises(WebError) as caught:
            client(server).studies()
        assert caught.value.code == "unauthorized"
        assert "Authorization" not in server.requests[0][2]  # no credentials but those of the environment variables
        assert len(client(server, credentials=Credentials(token="abc")).studies()) == 1


def test_the_port_is_part_of_the_hosts_name() -> None:
    with faulty_server(written(image(1))) as server:
        client(server).studies()
        assert server.requests[0][2]["Host"] == server.address.split("/")[2]


def test_nothing_of_it_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with faulty_server(written(image(1))) as server:
        server.faults["wado"] = [503]
        web = client(server)
        for ask in ASK.values():
            ask(web)
    said = [record for record in caplog.records if record.name.startswith(("urllib3", "dicomweb", "requests"))]
    assert said == []
    logging.getLogger("urllib3.connectionpool").warning("others are still heard")
    assert "others are still heard" in caplog.text


def test_it_serves_a_study_to_be_selected_from() -> None:
    with faulty_server(written(report(1)), written(image(2, ViewPosition="LL")), written(image(3))) as server:
        selection = select_projection(WebStudy(client(server), STUDY))
        assert (selection.chosen.number, selection.read().view) == (3, "PA")


@pytest.mark.parametrize("page", [0, -1])
def test_a_page_has_something_on_it(page: int) -> None:
    with pytest.raises(ValueError, match=rf"^page={page}: "):
        DicomWeb("http://127.0.0.1/x", page=page)
