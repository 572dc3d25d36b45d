# SPDX-License-Identifier: Apache-2.0
"""An object arrives once, or it is said why not; the server's word alone does not count."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")
pytest.importorskip("dicomweb_client", reason="extra 'dicomweb' is not installed")

from monai_causal.dicom.web.client import DicomWeb
from monai_causal.dicom.web.delivery import Delivery, deliver
from monai_causal.dicom.web.patience import Patience
from monai_causal.dicom.web.problems import WebError
from tests.dicom.encodings import written
from tests.dicom.faulty_server import FaultyServer, faulty_server
from tests.dicom.studies import ROOT, image

UIDS = (f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1")
OURS = written(image(1))
QUICK = Patience(attempts=3, first=0.001)


def send(server: FaultyServer, **more: Any) -> Delivery:
    return deliver(DicomWeb(server.address, patience=QUICK), OURS, *UIDS, **more)


def test_it_is_read_back() -> None:
    with faulty_server() as server:
        assert send(server) == Delivery("file", 1)
        assert (server.held, server.asked) == ({UIDS[2]: OURS}, ["stow", "wado"])


@pytest.mark.parametrize(
    ("faults", "sent", "posts"),
    [
        ({"stow": [503, "drop"]}, 1, 3),
        ({"stow": ["lost-answer"]}, 1, 2),  # stored, and the answer lost: sent again, kept once
        ({"stow": ["lost-answer", 409]}, 1, 2),  # and the second time refused, because it is there
        ({"stow": ["lost-object"]}, 2, 2),
        ({"wado": [503, "half"]}, 1, 1),
    ],
)
def test_it_arrives_once_through_faults(faults: dict[str, list[int | str]], sent: int, posts: int) -> None:
    with faulty_server() as server:
        server.faults.update(faults)
        assert send(server) == Delivery("file", sent)
        assert (server.held, server.asked.count("stow")) == ({UIDS[2]: OURS}, posts)


def test_what_may_be_there_is_asked_for_first() -> None:
    with faulty_server(OURS) as server:
        assert send(server, perhaps_there=True) == Delivery("file", 0)
        assert server.asked == ["wado"]
    with faulty_server() as server:
        assert send(server, perhaps_there=True) == Delivery("file", 1)


def test_a_success_that_keeps_an_older_object_is_none() -> None:
    older = written(image(1, ViewPosition="AP"))
    for perhaps_there in (True, False):
        with faulty_server(older) as server:
            with pytest.raises(WebError, match="keeps another object") as caught:
                send(server, perhaps_there=perhaps_there)
            assert (caught.value.code, caught.value.transient) == ("kept-another", False)
            assert server.held == {UIDS[2]: older}


@pytest.mark.parametrize(
    ("faults", "code", "transient", "posts"),
    [
        ({"stow": ["refuse"]}, "refused", False, 1),
        ({"stow": [409]}, "refused", False, 1),
        ({"stow": ["lost-object"] * 3}, "lost", True, 3),
        ({"stow": [503] * 3}, "http-503", True, 3),
        ({"stow": [413]}, "http-413", False, 1),
        ({"wado": ["half"] * 3}, "cut-off", True, 1),
    ],
)
def test_what_does_not_arrive_is_told(
    faults: dict[str, list[int | str]], code: str, transient: bool, posts: int
) -> None:
    with faulty_server() as server:
        server.faults.update(faults)
        with pytest.raises(WebError) as caught:
            send(server)
        assert (caught.value.code, caught.value.transient) == (code, transient)
        assert server.asked.count("stow") == posts
