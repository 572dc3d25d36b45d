# SPDX-License-Identifier: Apache-2.0
"""Where a server is, and how to sign in: credentials come from environment variables and go to that server only."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from monai_causal.extras import require

__all__ = ["Address", "Credentials", "is_address"]

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_PORTS = {"http": 80, "https": 443}


def is_address(text: str) -> bool:
    """Whether a text is meant as a server's address, and not as a folder's.

    Example:
        >>> is_address("https://pacs.example/dicom-web"), is_address("studies")
        (True, False)
    """
    return text.lower().startswith(("http://", "https://"))


@dataclass(frozen=True)
class Address:
    """Of a DICOMweb service, and which studies of it are meant.

    Args:
        base: without a slash at the end; ``/studies`` follows it.
        filters: of the search for studies, by DICOM keyword or eight-digit tag.
    """

    base: str = field(repr=False)
    filters: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str) -> Address:
        """An address with filters as its query.

        Raises:
            ValueError: it is none, it holds credentials, or a filter is no DICOM keyword.

        Example:
            >>> Address.parse("https://pacs.example/dicom-web?ModalitiesInStudy=DX").filters
            {'ModalitiesInStudy': 'DX'}
        """
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in _PORTS or not parts.hostname or port == 0:
            raise ValueError("the server's address is none: give http://HOST:PORT/PATH or https://HOST/PATH.")
        if parts.username is not None or parts.password is not None:
            raise ValueError(
                "the server's address holds credentials, which would end up in lists of processes and in logs: set the "
                "environment variables instead."
            )
        if parts.fragment:
            raise ValueError("the server's address has a part behind '#': leave it out.")
        filters: dict[str, str] = {}
        for keyword, value in parse_qsl(parts.query, keep_blank_values=True):
            if not _is_attribute(keyword):
                raise ValueError(f"{keyword!r} is no DICOM keyword or tag to search by, such as ModalitiesInStudy=DX.")
            if keyword in filters:
                raise ValueError(f"{keyword} is given twice: a search takes one value, or values joined by a comma.")
            filters[keyword] = value
        return cls(f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", filters)

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port."""
        return _origin(self.base)

    @property
    def encrypted(self) -> bool:
        """Nobody on the way can listen: the server speaks TLS, or it is this machine."""
        scheme, host, _ = self.origin
        return scheme == "https" or _is_here(host)

    def owns(self, url: str) -> bool:
        """Whether a URL leads to the same server."""
        try:
            return _origin(url) == self.origin
        except (ValueError, KeyError):
            return False


@dataclass(frozen=True)
class Credentials:
    """A bearer token, or user and password; none at all for a server that asks for none."""

    token: str | None = field(default=None, repr=False)
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, prefix: str, environment: Mapping[str, str] | None = None) -> Credentials:
        """From ``PREFIX_TOKEN``, or from ``PREFIX_USER`` and ``PREFIX_PASSWORD``.

        Args:
            prefix: of the variables' names; a source and a target each have their own, so that no secret of one server
                is ever shown to another.
            environment: by default the process's.
        """
        found = os.environ if environment is None else environment
        token, user, password = (found.get(f"{prefix}_{name}") or None for name in ("TOKEN", "USER", "PASSWORD"))
        if token and (user or password):
            raise ValueError(f"{prefix}_TOKEN and {prefix}_USER are both set: a server takes one of them.")
        if (user is None) != (password is None):
            raise ValueError(f"{prefix}_USER and {prefix}_PASSWORD belong together: only one of them is set.")
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise ValueError(f"{prefix}_TOKEN holds characters that no token has; is there a line break in it?")
        if user and ":" in user:
            raise ValueError(f"{prefix}_USER holds a colon, which basic authentication cannot tell from its own.")
        return cls(token, user, password)

    def __bool__(self) -> bool:
        return bool(self.token or self.user)

    def header(self) -> str | None:
        """The value of ``Authorization``."""
        if self.token:
            return f"Bearer {self.token}"
        if self.user is not None and self.password is not None:
            return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return None


class SignIn:
    """Signs requests to one server, and makes ``requests`` look for credentials nowhere else.

    An object of this kind in a session keeps ``requests`` from reading ``~/.netrc``.
    """

    def __init__(self, address: Address, credentials: Credentials) -> None:
        if credentials and not address.encrypted:
            raise ValueError(
                "credentials are set for a server that is reached without TLS, where anybody on the way could read "
                "them: give its https:// address, or unset them."
            )
        self._address, self._header = address, credentials.header()

    def __call__(self, request: Any) -> Any:
        request.headers.pop("Authorization", None)
        if self._header is not None and self._address.owns(request.url):
            request.headers["Authorization"] = self._header
        # dicomweb-client names the host without its port, and servers build the links to bulk data from that name.
        request.headers.pop("Host", None)
        return request


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS[parts.scheme]


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_attribute(keyword: str) -> bool:
    return bool(_TAG.fullmatch(keyword)) or require("pydicom.datadict").tag_for_keyword(keyword) is not None
