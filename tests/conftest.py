# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: one thread per worker, no window, no network; and where the real data lies."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA_VARIABLE = "MONAI_CAUSAL_DATA"

os.environ["MPLBACKEND"] = "Agg"
if "PYTEST_XDIST_WORKER" in os.environ:  # child processes of a test share the worker's core
    os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session", autouse=True)
def _one_thread_per_worker() -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        import torch

        torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """Refuse connections and name look-ups that leave this machine, so that no test depends on what is out there."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded_connect(getattr(socket.socket, name)))
        patch.setattr(socket, "getaddrinfo", _guarded_look_up(socket.getaddrinfo))
        yield


def _guarded_connect(original: Any) -> Any:
    def connect(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse_unless_local(address[0])
        return original(self, address)

    return connect


def _guarded_look_up(original: Any) -> Any:
    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse_unless_local(host)
        return original(host, *args, **kwargs)

    return getaddrinfo


def _refuse_unless_local(host: Any) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost", socket.gethostname()):
        return
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        address = None
    # The unspecified address is what a server binds to: connecting to it stays on this machine.
    if address is None or not (address.is_loopback or address.is_unspecified):
        raise PermissionError(f"a test tried to reach {name!r}: tests run without a network (tests/conftest.py)")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; the test is skipped where it is absent. Mark such a test ``real``."""
    return find_real_data()


def find_real_data() -> Path:
    named = os.environ.get(DATA_VARIABLE)
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        where = (
            f"${DATA_VARIABLE} names no folder" if named else f"no ../shared/data; ${DATA_VARIABLE} may name a folder"
        )
        pytest.skip(f"real data is absent: {where}")
    return folder
