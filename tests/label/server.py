# SPDX-License-Identifier: Apache-2.0
"""A real MONAI Label server on loopback, and its own client, both in ``.venv-label``."""

from __future__ import annotations

import json
import os
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

from tests.conftest import ROOT

VENV = ROOT / ".venv-label"
UP = 600  # seconds; a quiet machine needs ten
DRIVER = Path(__file__).with_name("client_driver.py")


def need_label_environment() -> None:
    """Skip where ``make label`` has not made the environment."""
    if not (VENV / ".installed").is_file():
        pytest.skip("MONAI Label's environment is absent: make label")


def environment(home: Path, **more: str) -> dict[str, str]:
    """Of a process in ``.venv-label`` that reaches nothing but this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MONAI_", "PYTHON", "VIRTUAL"))}
    nowhere = "http://127.0.0.1:9"
    return kept | {
        "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "http_proxy": nowhere,
        "https_proxy": nowhere,
        "no_proxy": "127.0.0.1,localhost",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        **more,
    }


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Label:
    """A server that is up, and what its client answers.

    Attributes:
        url: of the server.
        log: what it writes.
        driver: the client's process.
    """

    url: str
    log: Path
    driver: subprocess.Popen[str]

    def __call__(self, method: str, *arguments: Any, **named: Any) -> Any:
        """A call of the client; its error fails the test, with the end of the server's log."""
        assert self.driver.stdin is not None
        assert self.driver.stdout is not None
        self.driver.stdin.write(json.dumps([method, arguments, named]) + "\n")
        self.driver.stdin.flush()
        answer = json.loads(self.driver.stdout.readline())
        assert "error" not in answer, f"{method}: {answer['error']}\n{self.tail()}"
        return answer["result"]

    def get(self, path: str) -> Any:
        """What the client has no call for."""
        with urllib.request.urlopen(f"{self.url}{path}") as answer:
            return json.load(answer)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-6000:]

    def wait_for(self, task: str, seconds: float = 900) -> dict[str, Any]:
        """The last background task of a kind, when it has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found: dict[str, Any] = self.get(f"/{task}/")
            if found["status"] not in ("SUBMITTED", "RUNNING"):
                assert found["status"] == "DONE", f"{task}: {found}\n{self.tail()}"
                return found
            time.sleep(1)
        raise AssertionError(f"{task} did not end in {seconds} s\n{self.tail()}")


@contextmanager
def served(app: Path, studies: str, home: Path, *options: str, **settings: str) -> Iterator[Label]:
    """A server of an app, up and with its client; both end with the block."""
    home.mkdir(parents=True, exist_ok=True)
    port, log = free_port(), home / "server.log"
    command = ["monailabel", "start_server", "--app", str(app), "--studies", studies, "--host", "127.0.0.1"]
    env = environment(home, **settings)
    with log.open("w") as written:
        server = subprocess.Popen(
            [str(VENV / "bin" / command[0]), *command[1:], "--port", str(port), *options],
            stdout=written,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=home,
        )
    url = f"http://127.0.0.1:{port}"
    driver = None
    try:
        _wait_until_up(server, url, log)
        (home / "results").mkdir(exist_ok=True)
        driver = subprocess.Popen(
            [str(VENV / "bin" / "python"), str(DRIVER), url, str(home / "results")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            cwd=home,
        )
        yield Label(url, log, driver)
    finally:
        for process in (driver, server):
            if process is not None:
                process.terminate()
                process.wait(60)


def _wait_until_up(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + UP
    while time.monotonic() < until:
        if server.poll() is not None:
            raise AssertionError(f"the server ended with status {server.returncode}:\n{log.read_text()[-4000:]}")
        try:
            with urllib.request.urlopen(f"{url}/info/", timeout=30):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.5)
    raise AssertionError(f"the server was not up after {UP} s:\n{log.read_text()[-4000:]}")
