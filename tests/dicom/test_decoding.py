# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_causal.dicom import decoding
from monai_causal.dicom.decoders import available
from monai_causal.dicom.decoding import close_worker, decode_frames
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.safety import DicomError, OpenedFile, open_dicom
from tests.dicom.samples import (
    BIG,
    LOSSLESS,
    SYNTAXES,
    damaged,
    encapsulate,
    encoded,
    header,
    mutated,
    picture,
    pydicom,
    uids,
    written,
)

DEFLATED = Limits(deflated=True)
MISBEHAVING = Path(__file__).with_name("misbehaving_child.py")
posix = pytest.mark.skipif(os.name != "posix", reason="limits and signals are POSIX")


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("syntax", LOSSLESS)
def test_lossless_files_give_every_bit(syntax: str, frames: int) -> None:
    array = picture(frames)
    opened = open_dicom(encoded(syntax, array), DEFLATED)
    decoded = decode_frames(opened)
    assert decoded.dtype == np.uint16
    np.testing.assert_array_equal(decoded, array)
    np.testing.assert_array_equal(decode_frames(opened, frames=[frames - 1]), array[-1:])


@pytest.mark.parametrize("syntax", [uids.ExplicitVRLittleEndian, BIG, uids.RLELossless])
def test_signed_values_stay_signed(syntax: str) -> None:
    array = picture().astype(np.int16) - 2000
    decoded = decode_frames(open_dicom(encoded(syntax, array)))
    assert decoded.dtype == np.int16
    np.testing.assert_array_equal(decoded, array)


def test_bytes_in_big_endian_words_come_in_order() -> None:
    array = picture(bits=8, rows=3, columns=5)
    dataset = header(array, bits=8)
    dataset.file_meta.TransferSyntaxUID = BIG
    padded = np.frombuffer(array.tobytes() + b"\0", np.uint8)
    dataset.PixelData = padded.reshape(-1, 2)[:, ::-1].tobytes()
    dataset["PixelData"].VR = "OW"
    np.testing.assert_array_equal(decode_frames(open_dicom(written(dataset))), array)
    dataset.PixelData = padded.tobytes()
    dataset["PixelData"].VR = "OB"
    np.testing.assert_array_equal(decode_frames(open_dicom(written(dataset))), array)


@pytest.mark.parametrize("planar", [0, 1])
def test_colours_stand_last(planar: int) -> None:
    array = picture(2, bits=8, samples=3)
    dataset = header(array, bits=8, samples=3)
    if planar:
        dataset.PlanarConfiguration = 1
        dataset.PixelData = array.transpose(0, 3, 1, 2).tobytes()
    np.testing.assert_array_equal(decode_frames(open_dicom(written(dataset))), array)


def test_the_array_is_the_callers_own() -> None:
    opened = open_dicom(encoded(uids.ExplicitVRLittleEndian))
    first = decode_frames(opened)
    first[:] = 0
    np.testing.assert_array_equal(decode_frames(opened), picture())


@pytest.mark.parametrize("frames", [[], [1], [-1], [0, 1]])
def test_frames_that_are_not_there_are_refused(frames: list[int]) -> None:
    opened = open_dicom(encoded(uids.ExplicitVRLittleEndian))
    with pytest.raises(DicomError, match="it has frames 0 to 0"):
        decode_frames(opened, frames=frames)


def test_jpeg_baseline_is_close() -> None:
    decoded = decode_frames(open_dicom(encoded(uids.JPEGBaseline8Bit)))
    assert decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - picture(bits=8)).mean() < 4


def test_one_process_decodes_file_after_file_and_is_replaced_when_dead() -> None:
    opened = open_dicom(encoded(uids.RLELossless))
    decode_frames(opened)
    first = decoding._shared.process
    decode_frames(opened)
    assert decoding._shared.process is first
    assert first is not None
    first.kill()
    first.wait()
    np.testing.assert_array_equal(decode_frames(opened), picture())
    assert decoding._shared.process is not first


@pytest.mark.parametrize(
    "syntax", [uids.RLELossless, uids.JPEG2000Lossless, uids.JPEGLSLossless, uids.JPEGBaseline8Bit]
)
def test_a_stream_that_is_none_is_refused_without_its_words(syntax: str) -> None:
    dataset = header(picture(bits=8), bits=8)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([b"DOE^JANE" * 20])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    with pytest.raises(DicomError, match=rf"cannot be decoded .*{syntax}.*Error in the decoder") as caught:
        decode_frames(open_dicom(written(dataset)))
    assert "DOE" not in str(caught.value)


def test_a_stream_larger_than_its_header_says_is_refused() -> None:
    large = pydicom.dcmread(io.BytesIO(encoded(uids.JPEG2000Lossless)))
    large.Rows, large.Columns = 20, 16
    with pytest.raises(DicomError, match="cannot be decoded"):
        decode_frames(open_dicom(written(large)))


def test_a_missing_decoder_is_named() -> None:
    if uids.JPEGLosslessSV1 in available():
        pytest.skip("a decoder for lossless JPEG is installed")
    dataset = header(picture())
    dataset.file_meta.TransferSyntaxUID = uids.JPEGLosslessSV1
    dataset.PixelData = encapsulate([b"\xff\xd8"])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    opened = open_dicom(written(dataset))
    with pytest.raises(DicomError, match=r"4\.70\): decompress the file first .*jpeg-gpl") as caught:
        decode_frames(opened)
    assert str(caught.value).startswith(opened.item)


@pytest.mark.real
def test_real_radiographs_decode_as_pydicom_decodes_them(real_data: Path) -> None:
    files = sorted((real_data / "cxr_dicom").glob("*.dcm"))
    assert len(files) == 4
    for path in files:
        np.testing.assert_array_equal(decode_frames(open_dicom(path))[0], pydicom.dcmread(path).pixel_array)


@pytest.fixture(scope="module")
def worker() -> Iterator[decoding._Worker]:
    worker = decoding._Worker(MISBEHAVING)
    yield worker
    worker.close()


def ask(
    worker: decoding._Worker, what: bytes, seconds: float = 60.0, memory: int = 2**28, **request: Any
) -> np.ndarray:
    full = {"syntax": "1.2.840.10008.1.2.5", "plugin": "none", "bytes": len(what), "seconds": seconds}
    full["options"] = {"rows": 3, "columns": 4}
    return worker.decode(full | request, what, (1, 3, 4), Limits(seconds=seconds, memory_bytes=memory))


@posix
@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (b"abort", r"the decoder crashed \(SIGABRT\)"),
        (b"segv", r"the decoder crashed \(SIGSEGV\)"),
        (b"kill", r"the decoder crashed \(SIGKILL\)"),
        (b"leave", "the decoder ended its process"),
        (b"exit", "SystemExit in the decoder"),
        (b"panic", "PanicException in the decoder"),
        (b"lie", "an exception in the decoder"),
        (b"eat", "MemoryError in the decoder"),
        (b"shape", "the decoder gave another picture than the header declares"),
        (b"object", "the decoder gave another picture than the header declares"),
        (b"differ", "ValueError in the decoder"),
        (b"none", "IndexError in the decoder"),
    ],
)
def test_a_decoder_that_misbehaves_ends_in_our_error(worker: decoding._Worker, what: bytes, reason: str) -> None:
    if what == b"eat" and sys.platform != "linux":
        pytest.skip("memory is limited on Linux only")
    with pytest.raises(DicomError, match=rf"RLE Lossless \(1.2.840.10008.1.2.5\), by none\): {reason}") as caught:
        ask(worker, what)
    assert "DOE" not in str(caught.value)
    np.testing.assert_array_equal(ask(worker, b"well"), np.full((1, 3, 4), 7))


@posix
@pytest.mark.parametrize("what", [b"hang", b"spin"])
def test_a_decoder_that_does_not_come_back_is_ended(worker: decoding._Worker, what: bytes) -> None:
    ask(worker, b"well")
    child = worker.process
    assert child is not None
    with pytest.raises(DicomError, match=r"it took more than 0\.5 s"):
        ask(worker, what, seconds=0.5)
    assert child.returncode is not None
    assert child.returncode < 0


@posix
def test_processor_time_is_limited_too(worker: decoding._Worker) -> None:
    """The child's own limit ends it, where the parent's clock would not for long."""
    with pytest.raises(DicomError, match="s of processor time"):
        worker.decode(
            {
                "syntax": "1.2.840.10008.1.2.5",
                "plugin": "none",
                "bytes": 4,
                "seconds": 0.1,
                "options": {"rows": 3, "columns": 4},
            },
            b"spin",
            (1, 3, 4),
            Limits(seconds=300, memory_bytes=2**28),
        )


@posix
def test_what_a_decoder_prints_goes_nowhere(worker: decoding._Worker, capfd: pytest.CaptureFixture[str]) -> None:
    np.testing.assert_array_equal(ask(worker, b"print"), np.full((1, 3, 4), 7))
    assert capfd.readouterr() == ("", "")


@posix
def test_a_decoder_writes_no_file(worker: decoding._Worker, tmp_path: Path) -> None:
    path = tmp_path / "left"
    with pytest.raises(DicomError):
        ask(worker, b"write", syntax=str(path))
    assert not path.exists() or path.read_bytes() == b""


@posix
def test_after_a_fork_each_process_has_its_own_child(worker: decoding._Worker) -> None:
    mine = int(ask(worker, b"pid")[0, 0, 0])
    read, write = os.pipe()
    os.register_at_fork(after_in_child=worker.forget)
    pid = os.fork()
    if pid == 0:
        try:
            other = int(ask(worker, b"pid")[0, 0, 0])
            os.write(write, str(other).encode())
            worker.close()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    other = int(os.read(read, 20))
    os.close(read)
    assert other != mine
    assert int(ask(worker, b"pid")[0, 0, 0]) == mine


@posix
def test_an_interrupt_leaves_no_answer_behind(worker: decoding._Worker) -> None:
    ask(worker, b"well")
    child = worker.process

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            ask(worker, b"hang")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert child is not None
    assert child.poll() is not None
    np.testing.assert_array_equal(ask(worker, b"well"), np.full((1, 3, 4), 7))


def outcome(content: bytes, limits: Limits) -> str:
    try:
        opened = open_dicom(content, limits)
    except DicomError:
        return "refused"
    return _outcome_of_decoding(opened, limits)


def _outcome_of_decoding(opened: OpenedFile, limits: Limits) -> str:
    try:
        array = decode_frames(opened, limits)
    except DicomError as error:
        return "undecodable" if str(error).startswith(opened.item) else "unnamed"
    assert opened.pixels is not None
    assert array.shape[:3] == (opened.pixels.frames, opened.pixels.rows, opened.pixels.columns)
    return "picture"


def mutants(count: int) -> dict[str, int]:
    """Read so many mutated files, in turn of each transfer syntax; anything but a picture or our error fails."""
    generator = random.Random(20)
    bases = [encoded(syntax) for syntax in SYNTAXES]
    limits = Limits(deflated=True, seconds=60.0, memory_bytes=2**28, inflated_bytes=2**24, pixels=2**22)
    outcomes = {"refused": 0, "undecodable": 0, "picture": 0}
    for index in range(count):
        change = damaged if index // len(bases) % 2 else mutated
        outcomes[outcome(change(bases[index % len(bases)], generator), limits)] += 1
    return outcomes


def test_some_hundred_mutated_files_end_in_a_picture_or_our_error() -> None:
    outcomes = mutants(320)
    assert min(outcomes.values()) > 10, outcomes


@pytest.mark.slow
def test_ten_thousand_mutated_files_end_in_a_picture_or_our_error() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    outcomes = mutants(int(os.environ.get("MONAI_CAUSAL_MUTANTS", "10000")))
    assert min(outcomes.values()) > 10, outcomes
    close_worker()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    sys.stdout.write(f"{outcomes}, {time.monotonic() - started:.0f} s, parent +{grown} KiB, child {child} KiB\n")
    # ru_maxrss is in KiB on Linux and in bytes on macOS, where this bound is the looser one
    assert grown < 300 * 2**10 * (1 if sys.platform == "linux" else 2**10)
