# SPDX-License-Identifier: Apache-2.0
"""Stored pixel values of a checked file; compressed ones are decoded in another process.

Decoders are compiled code fed with bytes from outside: they may crash, hang, or take all memory. One child process
decodes for this process, file after file, within the limits, and is replaced when it dies. It is given the pixel data
and the numbers that describe them, and nothing else of the file.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_causal.dicom.decoders import decoder_for
from monai_causal.dicom.errors import DicomError, guarded
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.safety import EXPLICIT_BIG, NATIVE, OpenedFile, PixelFormat, check_declared, syntax_name

__all__ = ["close_worker", "decode_frames"]

_CHILD = Path(__file__).with_name("_child.py")
_START_SECONDS = 120.0  # imports only, before any file is looked at; slow where the disk is
_DTYPES = {f"{order}{kind}" for order in "<|" for kind in ("u1", "i1", "u2", "i2", "u4", "i4")}
_NAME = re.compile(r"[A-Za-z_]{1,64}")
_LONGEST_ANSWER = 4096
_OTHER_PICTURE = "the decoder gave another picture than the header declares"


def decode_frames(opened: OpenedFile, limits: Limits | None = None, frames: Sequence[int] | None = None) -> np.ndarray:
    """Stored values: no lookup table, window or colour conversion is applied.

    Args:
        opened: what :func:`~monai_causal.dicom.safety.open_dicom` returned.
        limits: ``pixels``, ``frames``, ``seconds`` and ``memory_bytes`` apply.
        frames: which frames, from 0; all by default. ``Limits.frames`` and ``Limits.pixels`` are about the whole file.

    Returns:
        ``(frames, rows, columns)``, or ``(frames, rows, columns, samples)`` for more than one sample; an array of its
        own, in the machine's byte order, signed where the header says so.

    Raises:
        DicomError: no pixel data, no decoder, or the decoder failed, crashed, or exceeded a limit.
    """
    limits = limits or Limits()
    with guarded("decoding it", item=opened.item):
        pixels = opened.pixels
        if pixels is None or opened._value is None:
            raise DicomError("it has no pixel data of whole numbers")
        check_declared(pixels, limits)
        wanted = list(range(pixels.frames)) if frames is None else [int(index) for index in frames]
        if not wanted or not all(0 <= index < pixels.frames for index in wanted):
            raise DicomError(f"frames {wanted[:8]} are asked for; it has frames 0 to {pixels.frames - 1}")
        if opened.transfer_syntax in NATIVE:
            return _native(opened, pixels, wanted)
        return _decoded(opened, pixels, wanted, limits)


def _native(opened: OpenedFile, pixels: PixelFormat, wanted: list[int]) -> np.ndarray:
    """Uncompressed values, in this process: a copy of bytes whose number has been checked runs no decoder."""
    value = opened._value
    assert value is not None
    size = pixels.bits_allocated // 8
    per_frame = pixels.rows * pixels.columns * pixels.samples
    big = opened.transfer_syntax == EXPLICIT_BIG
    raw = np.frombuffer(opened._data, np.uint8, count=value.stop - value.start, offset=value.start)
    if big and size == 1 and value.representation == "OW":
        # Bytes in 16-bit words are swapped in pairs (PS3.5, section 8.2); an odd byte has its pair in the padding.
        raw = raw.reshape(-1, 2)[:, ::-1].reshape(-1)
    kind = np.dtype(f"{'>' if big else '<'}{'i' if pixels.signed else 'u'}{size}")
    stored = raw[: pixels.frames * per_frame * size].view(kind)
    result = np.empty((len(wanted), *_shape(pixels)), kind.newbyteorder("="))
    for place, index in enumerate(wanted):
        frame = stored[index * per_frame : (index + 1) * per_frame]
        if pixels.samples > 1 and pixels.planar:
            frame = frame.reshape(pixels.samples, pixels.rows, pixels.columns).transpose(1, 2, 0)
        result[place] = frame.reshape(_shape(pixels))
    return result


def _decoded(opened: OpenedFile, pixels: PixelFormat, wanted: list[int], limits: Limits) -> np.ndarray:
    value = opened._value
    assert value is not None
    syntax = opened.transfer_syntax
    request = {
        "syntax": syntax,
        "plugin": decoder_for(syntax, pixels.bits_stored).name,
        "frames": wanted,
        "bytes": value.stop - value.start,
        "seconds": limits.seconds,
        "options": {
            "rows": pixels.rows,
            "columns": pixels.columns,
            "number_of_frames": pixels.frames,
            "samples_per_pixel": pixels.samples,
            "bits_allocated": pixels.bits_allocated,
            "bits_stored": pixels.bits_stored,
            "pixel_representation": int(pixels.signed),
            # What the colours mean is the caller's matter; a decoder only asks whether there are any.
            "photometric_interpretation": pixels.photometric or ("MONOCHROME2" if pixels.samples == 1 else "RGB"),
            "planar_configuration": int(pixels.planar),
            "pixel_keyword": "PixelData",
        },
    }
    data = memoryview(opened._data)[value.start : value.stop]
    return _shared.decode(request, data, (len(wanted), *_shape(pixels)), limits)


def _shape(pixels: PixelFormat) -> tuple[int, ...]:
    shape = (pixels.rows, pixels.columns)
    return shape if pixels.samples == 1 else (*shape, pixels.samples)


class _Worker:
    """A child process that decodes one file after the other; started when first needed, again after it has died."""

    def __init__(self, script: Path = _CHILD) -> None:
        self.script = script
        self.lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.memory_bytes = 0

    def decode(
        self, request: dict[str, Any], data: bytes | memoryview, shape: tuple[int, ...], limits: Limits
    ) -> np.ndarray:
        """Send one request; the answer is an array of this shape or a :class:`DicomError`."""
        with self.lock:
            process = self._running(limits.memory_bytes)
            clock = _Clock(process, limits.seconds)
            try:
                with clock:
                    answer = _exchange(process, request, data, shape)
            except (OSError, EOFError):
                reason = self._how_it_ended(process, clock, limits)
            except BaseException:  # an interrupt between question and answer: the next answer would not be its own
                self._stop()
                raise
            else:
                if clock.expired or answer is _OTHER_PICTURE:  # killed, or with a picture still in its pipe
                    self._stop()
                if isinstance(answer, np.ndarray):
                    return answer
                reason = answer
        name = syntax_name(request["syntax"])
        raise DicomError(f"its pixel data cannot be decoded ({name}, by {request['plugin']}): {reason}")

    def close(self) -> None:
        """End the child; the next request starts another."""
        with self.lock:
            self._stop()

    def forget(self) -> None:
        """After a fork: the child belongs to the other process, and so does its lock."""
        self.lock = threading.Lock()
        process, self.process = self.process, None
        if process is not None:
            process.returncode = 0  # not ours to wait for
            _close_pipes(process)

    def _running(self, memory_bytes: int) -> subprocess.Popen[bytes]:
        if self.process is not None and (self.process.poll() is not None or self.memory_bytes != memory_bytes):
            self._stop()
        if self.process is None:
            self.process = self._started(memory_bytes)
            self.memory_bytes = memory_bytes
        return self.process

    def _started(self, memory_bytes: int) -> subprocess.Popen[bytes]:
        # One thread: each thread of a numerical library takes address space, and the picture is small.
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPJ_NUM_THREADS"), "1")
        process = subprocess.Popen(
            [sys.executable, str(self.script), str(memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **threads},
            start_new_session=True,  # Ctrl-C in a terminal is for the parent, which ends the child
        )
        try:
            with _Clock(process, _START_SECONDS):
                assert process.stdout is not None
                ready = process.stdout.read(1)
        except BaseException:
            _end(process)
            raise
        if not ready:
            _end(process)
            raise DicomError("the process that decodes does not start; is pydicom complete (monai-causal doctor)?")
        return process

    def _how_it_ended(self, process: subprocess.Popen[bytes], clock: _Clock, limits: Limits) -> str:
        # A pipe breaks a moment before the process is gone; one that closed its pipe and lives on is ended.
        try:
            status = process.wait(1.0)
        except subprocess.TimeoutExpired:
            status = 1
        self._stop()
        if clock.expired:
            return f"it took more than {limits.seconds:g} s (Limits.seconds)"
        if os.name == "posix" and status == -signal.SIGXCPU:
            return f"it took more than {limits.seconds:g} s of processor time (Limits.seconds)"
        if status < 0:
            try:
                return f"the decoder crashed ({signal.Signals(-status).name})"
            except ValueError:
                return f"the decoder crashed (signal {-status})"
        return "the decoder ended its process"

    def _stop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            _end(process)


class _Clock:
    """Kills a process when time is up. A thread, because pipes cannot be waited for with a limit on every system."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.process = process
        self.expired = False
        self.timer = threading.Timer(seconds, self._expire)
        self.timer.daemon = True

    def _expire(self) -> None:
        self.expired = True
        self.process.kill()

    def __enter__(self) -> _Clock:
        self.timer.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.timer.cancel()
        self.timer.join()


def _exchange(
    process: subprocess.Popen[bytes], request: dict[str, Any], data: bytes | memoryview, shape: tuple[int, ...]
) -> np.ndarray | str:
    """Ask, and read an answer that is believed in nothing: an array of the shape asked for, or why there is none."""
    assert process.stdin is not None
    assert process.stdout is not None
    head = json.dumps(request).encode()
    process.stdin.write(len(head).to_bytes(4, "little") + head)
    process.stdin.write(data)
    process.stdin.flush()
    length = int.from_bytes(_exactly(process, 4), "little")
    if length > _LONGEST_ANSWER:
        raise EOFError
    try:
        answer = json.loads(_exactly(process, length))
    except ValueError:
        raise EOFError from None
    if not isinstance(answer, dict):
        raise EOFError
    if "error" in answer:
        name = str(answer["error"])
        # Its words may quote the file; its kind may not, if it is a name at all.
        return f"{name if _NAME.fullmatch(name) else 'an exception'} in the decoder"
    if answer.get("shape") != list(shape) or answer.get("dtype") not in _DTYPES:
        return _OTHER_PICTURE
    result = np.empty(shape, np.dtype(answer["dtype"]))
    rest = result.data.cast("B")
    while rest:
        count = process.stdout.readinto(rest)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        rest = rest[count:]
    return result.astype(result.dtype.newbyteorder("="), copy=False)


def _exactly(process: subprocess.Popen[bytes], count: int) -> bytes:
    assert process.stdout is not None
    data = process.stdout.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    _close_pipes(process)


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        try:
            if pipe is not None:
                pipe.close()
        except OSError:  # what was left to write has nobody to read it
            pass


def close_worker() -> None:
    """End the decoding process, which otherwise lives as long as this one; the next compressed file starts it again."""
    _shared.close()


_shared = _Worker()
atexit.register(close_worker)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared.forget)
