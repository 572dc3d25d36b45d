# SPDX-License-Identifier: Apache-2.0
"""A folder is one run's, until its process ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from monai_causal.locks import alone_in, is_taken

HOLDER = """
import sys, time
from pathlib import Path
from monai_causal.locks import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_at_a_time(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert not is_taken(lock)
    with alone_in(lock):
        assert is_taken(lock)
        with pytest.raises(ValueError, match="another run is at work in this folder"), alone_in(lock):
            pass
        assert is_taken(lock)  # who was refused has not let go of it
    assert not is_taken(lock)
    with alone_in(lock):
        pass


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert is_taken(lock)
        holder.send_signal(signal.SIGKILL)
    assert not is_taken(lock)
