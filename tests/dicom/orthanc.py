# SPDX-License-Identifier: Apache-2.0
"""A real Orthanc for the tests: on a free port of this machine, with a folder of its own, and gone afterwards."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

USER, PASSWORD = "reader", "only-for-this-test"
_PLUGINS = ("/usr/share/orthanc/plugins", "/usr/lib/orthanc", "/usr/local/share/orthanc/plugins")
_SECONDS = 60


@dataclass(frozen=True)
class Orthanc:
    """Where it is. ``address`` is of DICOMweb."""

    root: str

    @property
    def address(self) -> str:
        return f"{self.root}/dicom-web"

    def rest(self, path: str) -> Any:
        """What Orthanc's own interface says."""
        token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(f"{self.root}{path}", headers={"Authorization": f"Basic {token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())


@contextmanager
def running_orthanc(folder: Path) -> Iterator[Orthanc]:
    """Start it, wait for it, stop it; the test is skipped where it is not installed."""
    program, plugin = _found()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": port,
        "HttpBindAddresses": ["127.0.0.1"],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomServerEnabled": False,
        "Plugins": [str(plugin)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
    }
    (folder / "orthanc.json").write_text(json.dumps(config), encoding="utf-8")
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log, cwd=folder)
        try:
            yield _awaited(process, Orthanc(f"http://127.0.0.1:{port}"), folder / "orthanc.log")
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _found() -> tuple[str, Path]:
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    plugins = [path for folder in _PLUGINS for path in sorted(Path(folder).glob("libOrthancDicomWeb.so*"))]
    if program is None or not plugins:
        missing = "orthanc" if program is None else "orthanc-dicomweb"
        pytest.skip(
            f"Orthanc is absent: install the Debian packages orthanc and orthanc-dicomweb ({missing} is missing)"
        )
    return program, plugins[0]


def _awaited(process: subprocess.Popen[bytes], orthanc: Orthanc, log: Path) -> Orthanc:
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            orthanc.rest("/system")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
        else:
            return orthanc
    raise RuntimeError(f"Orthanc does not start (status {process.poll()}): {log.read_text(errors='replace')[-2000:]}")
