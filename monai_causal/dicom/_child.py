# SPDX-License-Identifier: Apache-2.0
"""The process that decodes: it gets pixel data and numbers, never a header, and may die without harm.

Started by file name (:mod:`~monai_causal.dicom.decoding`), so that it imports numpy, pydicom and the decoders and
nothing else. What goes through the pipes is JSON with a length before it, then plain bytes: no pickle, since a decoder
that was taken over must not be able to make its parent run anything.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

READY = b"R"


def decode(request: dict[str, Any], data: bytes) -> list[Any]:
    """Decode the frames asked for; one array for each."""
    from pydicom.pixels import get_decoder

    options = request["options"]
    decoder = get_decoder(request["syntax"])
    frames = decoder.iter_array(data, indices=request["frames"], raw=True, decoding_plugin=request["plugin"], **options)
    return [frame for frame, _ in frames]


def preload() -> None:
    """Import what decodes before the memory is limited, so that the limit is about the picture."""
    import pydicom.pixels  # noqa: F401


def limit_process(memory_bytes: int) -> None:
    """Limit memory to ``memory_bytes`` above what is in use; no files, no core dump, which would hold the picture."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock is the only limit
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":  # elsewhere address space is not counted, or the limit not kept
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory_bytes, used + memory_bytes))


def limit_time(seconds: float) -> None:
    """End this process when it has used so many more seconds of processor time."""
    try:
        import resource
    except ImportError:
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime + seconds) + 1, hard))


def serve(source: BinaryIO, target: BinaryIO, decode: Callable[[dict[str, Any], bytes], list[Any]]) -> None:
    """Answer requests until the parent closes the pipe."""
    target.write(READY)
    target.flush()
    while head := source.read(4):
        request = json.loads(source.read(int.from_bytes(head, "little")))
        data = source.read(request["bytes"])
        limit_time(request["seconds"])
        try:
            frames = decode(request, data)
            answer = {"dtype": frames[0].dtype.str, "shape": [len(frames), *frames[0].shape]}
            if any(frame.dtype != frames[0].dtype or frame.shape != frames[0].shape for frame in frames):
                raise ValueError("frames differ")
        except BaseException as error:  # decoders in Rust panic with one, others call exit
            frames, answer = [], {"error": type(error).__name__}
        del data
        text = json.dumps(answer).encode()
        target.write(len(text).to_bytes(4, "little") + text)
        for frame in frames:
            target.write(frame.tobytes())
        target.flush()
        del frames


def main(decode: Callable[[dict[str, Any], bytes], list[Any]] = decode, preload: Callable[[], None] = preload) -> None:
    # Decoders print. The pipes are ours alone: whatever is written to 1 or 2 from here on goes nowhere.
    source, target = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    preload()
    limit_process(int(sys.argv[1]))
    serve(source, target, decode)


if __name__ == "__main__":
    # Run by file name, this file's folder stands first in the search path, and its modules are not for the top level.
    sys.path.pop(0)
    main()
