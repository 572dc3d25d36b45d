# SPDX-License-Identifier: Apache-2.0
"""Messages of several parts: whole, or refused."""

from __future__ import annotations

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from monai_causal.dicom.web.multipart import parts_of, related
from monai_causal.dicom.web.problems import WebError

KIND = 'multipart/related; type="application/dicom"; boundary="b-1"'


@pytest.mark.parametrize("parts", [[b""], [b"\r\n--\r\n"], [bytes(range(256)), b"--b-1", b"\r\n\r\n"], [b"x\r\n"] * 3])
def test_what_is_put_together_comes_apart(parts: list[bytes]) -> None:
    assert parts_of(*related(parts)) == parts


def test_a_part_that_holds_the_mark_gets_another_one() -> None:
    _, kind = related([b"one"])
    mark = kind.partition('boundary="')[2].encode().rstrip(b'"')
    again = [b"one", b"\r\n--" + mark + b"--\r\n"]
    body, other = related(again)
    assert parts_of(body, other) == again


@pytest.mark.parametrize(
    "body",
    [
        b"--b-1\r\nContent-Type: a\r\n\r\none\r\n--b-1\r\nContent-Type: a\r\nX: y\r\n\r\ntwo\r\n--b-1--",
        b"\r\n--b-1\r\n\r\none\r\n--b-1  \r\n\r\ntwo\r\n--b-1--\r\nepilogue",
        b"a preamble\r\n--b-1\r\n\r\none\r\n--b-1\r\n\r\ntwo\r\n--b-1--\r\n",
    ],
)
@pytest.mark.parametrize("kind", [KIND, "Multipart/Related; BOUNDARY=b-1", "multipart/related;boundary=b-1;type=x"])
def test_all_forms_that_servers_send(body: bytes, kind: str) -> None:
    assert parts_of(body, kind) == [b"one", b"two"]


def test_every_shorter_message_is_cut_off() -> None:
    whole = b"--b-1\r\nContent-Type: a\r\n\r\none\r\n--b-1--"
    for length in range(len(whole)):
        with pytest.raises(WebError) as caught:
            parts_of(whole[:length], KIND)
        assert (caught.value.code, caught.value.transient) == ("cut-off", True)


def test_a_message_without_boundary() -> None:
    with pytest.raises(WebError) as caught:
        parts_of(b"--", "multipart/related")
    assert caught.value.code == "not-multipart"
