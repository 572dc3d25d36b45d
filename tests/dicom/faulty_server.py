# SPDX-License-Identifier: Apache-2.0
"""A small DICOMweb server that does wrong on request: busy, silent, cut off, forgetful, stubborn.

It keeps the first of two objects with one UID, as Orthanc does. Each fault is used up by the next request of its
service.
"""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

import pydicom

from monai_causal.dicom.web.multipart import parts_of, related

BULK = b"\x00\x01" * 40
MIXED_UP = "1.2.3"


@dataclass
class FaultyServer:
    """What it holds, what it was asked, and what goes wrong next.

    Attributes:
        held: files by SOPInstanceUID.
        faults: per service (``qido``, ``metadata``, ``wado``, ``stow``, ``bulk``) what goes wrong, in order; a fault
            is the status to answer, or ``hang``, ``drop``, ``half``, ``half-open`` (half, without saying how long it
            would be), ``trickle``, ``lost-answer``, ``lost-object``, ``refuse`` or ``redirect``.
        asked: services, in order.
        requests: method, path and headers, in order.
        page: the most results that it gives at once.
        token: the ``Authorization`` that it wants.
    """

    held: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[int | str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    page: int = 1000
    ignores_offset: bool = False
    bare: bool = False
    token: str | None = None
    address: str = ""
    ended: threading.Event = field(default_factory=threading.Event)

    def add(self, *files: bytes) -> None:
        """Keep files, of new UIDs only."""
        for content in files:
            self.held.setdefault(str(header(content).SOPInstanceUID), content)

    def fault(self, service: str) -> int | str | None:
        waiting = self.faults.get(service) or []
        return waiting.pop(0) if waiting else None


@contextmanager
def faulty_server(*files: bytes, **settings: Any) -> Iterator[FaultyServer]:
    """A server on a free port of this machine, with these files."""
    state = FaultyServer(**settings)
    state.add(*files)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    state.address = f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def header(content: bytes) -> Any:
    return pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)


def _json(ds: Any) -> dict[str, Any]:
    found = ds.to_json_dict(bulk_data_threshold=64, bulk_data_element_handler=lambda element: "bulk/1")
    return {tag: value for tag, value in found.items() if tag[:4] != "0002"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Quiet: a client that was killed, or has lost patience, leaves a broken connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: FaultyServer

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        self.state.requests.append(("GET", self.path, dict(self.headers)))
        place = path.removeprefix("/dicom-web")
        if place == "/studies":
            self._answer("qido", lambda: self._found("StudyInstanceUID", query))
        elif found := re.fullmatch(r"/studies/([\d.]+)/instances", place):
            self._answer("qido", lambda: self._found("SOPInstanceUID", query, found[1]))
        elif found := re.fullmatch(r"/studies/([\d.]+)/metadata", place):
            self._answer("metadata", lambda: self._listed([_json(ds) for ds in self._headers(found[1])]))
        elif found := re.fullmatch(r"/studies/([\d.]+)/series/([\d.]+)/instances/([\d.]+)", place):
            self._answer("wado", lambda: self._instance(found[3]))
        elif place == "/bulk/1":
            self._answer("bulk", lambda: (200, *related([BULK], "application/octet-stream")))
        else:
            self._answer("other", lambda: (400, b"", ""))

    def do_POST(self) -> None:
        self.state.requests.append(("POST", self.path, dict(self.headers)))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        files = parts_of(body, self.headers["Content-Type"])
        self._answer("stow", lambda: self._store(files))

    def _headers(self, study: str) -> list[Any]:
        return [ds for content in self.state.held.values() if str((ds := header(content)).StudyInstanceUID) == study]

    def _found(self, keyword: str, query: dict[str, list[str]], study: str = "") -> tuple[int, bytes, str]:
        found: dict[str, Any] = {}
        for content in self.state.held.values():
            ds = header(content)
            uid = str(ds[keyword].value)
            wanted = query.get("Modality") or query.get("ModalitiesInStudy") or [str(ds.Modality)]
            if study in ("", str(ds.StudyInstanceUID)) and str(ds.Modality) in wanted:
                one = {"0020000D": ds.StudyInstanceUID, "0020000E": ds.SeriesInstanceUID, "00080018": ds.SOPInstanceUID}
                found[uid] = {tag: {"vr": "UI", "Value": [str(value)]} for tag, value in one.items()}
                members = self._headers(str(ds.StudyInstanceUID))
                found[uid]["00201208"] = {"vr": "IS", "Value": [len(members)]}
        first = 0 if self.state.ignores_offset else int(query.get("offset", ["0"])[0])
        count = min(int(query.get("limit", ["1000"])[0]), self.state.page)
        return self._listed(list(found.values())[first : first + count])

    def _listed(self, found: list[Any]) -> tuple[int, bytes, str]:
        if not found:
            return 204, b"", ""
        return 200, json.dumps(found).encode(), "application/dicom+json"

    def _instance(self, uid: str) -> tuple[int, bytes, str]:
        if uid not in self.state.held:
            return 404, b"", ""
        if self.state.bare:
            return 200, self.state.held[uid], "application/dicom"
        return 200, *related([self.state.held[uid]])

    def _store(self, files: list[bytes]) -> tuple[int, bytes, str]:
        self.state.add(*files)
        return 200, json.dumps({"00081190": {"vr": "UR", "Value": ["/studies"]}}).encode(), "application/dicom+json"

    def _answer(self, service: str, right: Any) -> None:
        self.state.asked.append(service)
        fault = self.state.fault(service)
        if self.state.token is not None and self.headers.get("Authorization") != self.state.token:
            self._send(401, b"", "")
        elif fault is None:
            self._send(*right())
        elif isinstance(fault, int):
            self._send(fault, b"PATIENT^CANARY in a message", "text/plain", {"Retry-After": "0"})
        elif fault == "refuse":
            item = {"00081155": {"vr": "UI", "Value": [MIXED_UP]}, "00081197": {"vr": "US", "Value": [0xA900]}}
            said = {"00081198": {"vr": "SQ", "Value": [item]}}
            self._send(409, json.dumps(said).encode(), "application/dicom+json")
        elif fault == "redirect":
            self._send(302, b"", "", {"Location": f"http://127.0.0.1:9{self.path}"})
        elif fault == "lost-object":
            self._send(200, b"{}", "application/dicom+json")
        elif fault == "hang":
            self.state.ended.wait(20)
            self.close_connection = True
        elif fault == "drop":
            self._drop()
        elif fault == "lost-answer":
            right()
            self._drop()
        else:
            self._partly(str(fault), *right())

    def _partly(self, fault: str, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if fault != "half-open":
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if fault == "trickle":
            for place in range(len(body)):
                self.wfile.write(body[place : place + 1])
                if self.state.ended.wait(0.05):
                    break
        else:
            self.wfile.write(body[: len(body) // 2])
        self._drop()

    def _drop(self) -> None:
        self.close_connection = True
        self.wfile.flush()

    def _send(self, status: int, body: bytes, kind: str, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(more or {})}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
