# SPDX-License-Identifier: Apache-2.0
"""What conftest.py promises: no network, one thread per worker, no window, real data or a skip that says why."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import matplotlib
import pytest
import torch

from tests.conftest import DATA_VARIABLE, find_real_data


@pytest.mark.parametrize("address", ["192.0.2.1", "8.8.8.8"])
@pytest.mark.parametrize("method", ["connect", "connect_ex"])
def test_an_outside_address_is_refused(address: str, method: str) -> None:
    with socket.socket() as outside, pytest.raises(PermissionError, match=f"tried to reach '{address}'"):
        getattr(outside, method)((address, 80))


@pytest.mark.parametrize("host", ["example.org", b"example.org"])
def test_an_outside_name_is_not_looked_up(host: str | bytes) -> None:
    with pytest.raises(PermissionError, match=r"tried to reach 'example\.org'"):
        socket.getaddrinfo(host, 443)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_within_reach(host: str) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with socket.create_connection((host, server.getsockname()[1])) as client:
            assert client.getpeername() == server.getsockname()


def test_a_unix_socket_is_within_reach() -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        left.sendall(b"x")
        assert right.recv(1) == b"x"


def test_a_worker_has_one_thread() -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("runs in a worker of pytest-xdist only (`make test` has two)")
    assert torch.get_num_threads() == 1
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_pictures_need_no_window() -> None:
    assert matplotlib.get_backend().lower() == "agg"


def test_real_data_is_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert find_real_data() == tmp_path
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "absent"))
    with pytest.raises(pytest.skip.Exception, match=rf"real data is absent: \${DATA_VARIABLE} names no folder"):
        find_real_data()
