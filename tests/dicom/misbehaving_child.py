# SPDX-License-Identifier: Apache-2.0
"""The decoding process with decoders that do what decoders must not; the first bytes of the pixel data say what."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

CHILD = Path(__file__).resolve().parents[2] / "monai_causal" / "dicom" / "_child.py"


class PanicException(BaseException):
    """What decoders in Rust raise."""


def decode(request: dict[str, Any], data: bytes) -> list[Any]:
    shape = (request["options"]["rows"], request["options"]["columns"])
    match data:
        case b"hang":
            time.sleep(600)
        case b"spin":
            while True:
                pass
        case b"eat":
            return [np.ones(2**30, np.float64)]
        case b"abort":
            os.abort()
        case b"segv":
            os.kill(os.getpid(), signal.SIGSEGV)
        case b"kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case b"leave":
            os._exit(0)
        case b"exit":
            sys.exit("DOE^JANE")
        case b"panic":
            raise PanicException("DOE^JANE")
        case b"lie":
            raise type("DOE JANE", (Exception,), {})
        case b"print":
            sys.stdout.write("DOE^JANE")
            sys.stdout.flush()
            os.write(1, b"DOE^JANE")
            os.write(2, b"DOE^JANE")
        case b"shape":
            return [np.zeros((2, 2), np.uint8)]
        case b"object":
            return [np.zeros(shape, np.float64)]
        case b"differ":
            return [np.zeros(shape, np.uint8), np.zeros(shape, np.uint16)]
        case b"none":
            return []
        case b"pid":
            return [np.full(shape, os.getpid(), np.uint32)]
        case b"write":
            Path(request["syntax"]).write_bytes(b"DOE^JANE")
    return [np.full(shape, 7, np.uint8)]


if __name__ == "__main__":
    sys.path.pop(0)
    spec = importlib.util.spec_from_file_location("child", CHILD)
    assert spec is not None
    assert spec.loader is not None
    child = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(child)
    child.main(decode, lambda: None)
