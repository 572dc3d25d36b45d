# SPDX-License-Identifier: Apache-2.0
"""Addresses hold no secrets, and secrets go nowhere else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from monai_causal.dicom.web.access import Address, Credentials, SignIn, is_address


@pytest.mark.parametrize(("text", "is_one"), [("HTTPS://a/b", True), ("http:/a", False), ("a/http://b", False)])
def test_an_address_is_told_from_a_folder(text: str, is_one: bool) -> None:
    assert is_address(text) is is_one


def test_googles_address_stays_as_it_is() -> None:
    base = "https://healthcare.googleapis.com/v1/projects/p-1/locations/eu/datasets/d/dicomStores/s/dicomWeb"
    address = Address.parse(f"{base}/?StudyDate=20260101-&00080061=DX")
    assert (address.base, dict(address.filters)) == (base, {"StudyDate": "20260101-", "00080061": "DX"})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ftp://a/b", "is none"),
        ("https:///b", "is none"),
        ("https://a:99999/b", "is none"),
        ("https://me:secret@a/b", "holds credentials"),
        ("https://a/b#c", "behind '#'"),
        ("https://a/b?Modalities=DX", "'Modalities' is no DICOM keyword"),
        ("https://a/b?Modality=DX&Modality=CR", "Modality is given twice"),
    ],
)
def test_an_address_that_cannot_be_used(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        Address.parse(text)
    assert "secret" not in str(caught.value)


def test_nothing_of_an_address_or_of_credentials_is_shown() -> None:
    shown = (
        repr(Address.parse("https://hospital/b?PatientID=17"))
        + repr(Credentials("abc"))
        + repr(Credentials(user="me", password="secret"))
    )
    assert not any(word in shown for word in ("hospital", "17", "abc", "secret"))


def test_credentials_come_from_the_variables_of_their_own_prefix() -> None:
    found = {"A_TOKEN": "abc", "B_USER": "me", "B_PASSWORD": "pass", "C_TOKEN": ""}
    assert Credentials.from_environment("A", found).header() == "Bearer abc"
    assert Credentials.from_environment("B", found).header() == "Basic bWU6cGFzcw=="
    assert not Credentials.from_environment("C", found)
    assert Credentials.from_environment("C", found).header() is None


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({"A_TOKEN": "abc", "A_USER": "me", "A_PASSWORD": "p"}, "both set"),
        ({"A_USER": "me"}, "belong together"),
        ({"A_PASSWORD": "secret"}, "belong together"),
        ({"A_TOKEN": "secret\n"}, "line break"),
        ({"A_USER": "m:e", "A_PASSWORD": "secret"}, "colon"),
    ],
)
def test_credentials_that_cannot_be_used(found: dict[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        Credentials.from_environment("A", found)
    assert "secret" not in str(caught.value)


def test_credentials_are_not_sent_where_anybody_can_read_them() -> None:
    with pytest.raises(ValueError, match="without TLS"):
        SignIn(Address.parse("http://pacs.example/b"), Credentials("abc"))
    for allowed in ("https://pacs.example/b", "http://127.0.0.1:1/b", "http://localhost/b", "http://[::1]/b"):
        SignIn(Address.parse(allowed), Credentials("abc"))
    SignIn(Address.parse("http://pacs.example/b"), Credentials())


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        ("https://pacs.example/other", True),
        ("https://PACS.example:443/b", True),
        ("http://pacs.example/b", False),
        ("https://pacs.example:444/b", False),
        ("https://evil.example/b", False),
        ("https://pacs.example.evil.example/b", False),
    ],
)
def test_only_the_server_that_was_named_sees_credentials(url: str, signed: bool) -> None:
    request: Any = SimpleNamespace(url=url, headers={"Authorization": "Basic of-somebody-else", "Host": "a"})
    SignIn(Address.parse("https://pacs.example/b"), Credentials("abc"))(request)
    assert request.headers == ({"Authorization": "Bearer abc"} if signed else {})
