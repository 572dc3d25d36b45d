# SPDX-License-Identifier: Apache-2.0
"""multipart/related as DICOMweb uses it, taken apart strictly: what does not end with its closing mark was cut off."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from monai_causal.dicom.web.problems import WebError

__all__ = ["parts_of", "related"]

_BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_MOST_PARTS = 10_000
_MOST_HEADER = 16 * 1024


def parts_of(content: bytes, content_type: str) -> list[bytes]:
    """The parts of a message, without their headers.

    Args:
        content: the body, whole.
        content_type: of the message. One that is not multipart is its own only part: some servers send a single
            object bare.

    Raises:
        WebError: ``cut-off`` where the closing mark is missing, ``not-multipart`` where the form is broken.

    Example:
        >>> parts_of(b"--x\\r\\nContent-Type: a/b\\r\\n\\r\\none\\r\\n--x--", 'multipart/related; boundary=x')
        [b'one']
    """
    if not content_type.strip().lower().startswith("multipart/"):
        return [content]
    named = _BOUNDARY.search(content_type)
    if named is None:
        raise WebError("not-multipart", "the server's multipart answer names no boundary")
    mark = b"--" + (named[1] or named[2]).encode("latin-1", "replace")
    # A mark stands at the beginning of a line; the line break before it belongs to it and not to the part.
    position = 0 if content.startswith(mark) else content.find(b"\r\n" + mark) + 2
    if position == 1:
        raise _cut_off()
    parts: list[bytes] = []
    while True:
        start = position + len(mark)
        if content[start : start + 2] == b"--":
            return parts
        line = content.find(b"\r\n", start)
        if line < 0 or content[start:line].strip():  # transport padding may follow a mark, and nothing else
            raise _cut_off()
        # A part without headers begins with an empty line.
        head = content.find(b"\r\n\r\n", line, line + _MOST_HEADER)
        end = content.find(b"\r\n" + mark, max(head, line))
        if head < 0 or end < 0:
            raise _cut_off()
        parts.append(content[head + 4 : end])
        if len(parts) > _MOST_PARTS:
            raise WebError("not-multipart", f"the server's answer has more than {_MOST_PARTS} parts")
        position = end + 2


def related(parts: Iterable[bytes], kind: str = "application/dicom") -> tuple[bytes, str]:
    """A message of these parts, and its Content-Type.

    Example:
        >>> body, content_type = related([b"one", b"two"])
        >>> parts_of(body, content_type)
        [b'one', b'two']
    """
    contents = list(parts)
    digest = hashlib.sha256()
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    boundary = f"part-{digest.hexdigest()[:40]}"
    while any(boundary.encode() in content for content in contents):
        boundary = f"part-{hashlib.sha256(boundary.encode()).hexdigest()[:40]}"
    head = f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode()
    body = b"".join(head + content + b"\r\n" for content in contents) + f"--{boundary}--\r\n".encode()
    return body, f'multipart/related; type="{kind}"; boundary="{boundary}"'


def _cut_off() -> WebError:
    return WebError("cut-off", "the server's multipart answer breaks off", transient=True)
