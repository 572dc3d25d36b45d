# SPDX-License-Identifier: Apache-2.0
"""Decoders as they would be with other packages installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

from monai_causal.dicom import decoders
from tests.dicom.samples import uids

__all__ = ["BASE", "only"]

BASE = ("pillow", "pyjpegls", "pylibjpeg-openjpeg")
"""What the extra ``dicom`` brings."""


@contextmanager
def only(packages: Sequence[str] = BASE) -> Iterator[None]:
    """As if of all decoders those of these packages alone were installed."""
    plugins = decoders._plugins

    def seen(uid: str) -> tuple[str, ...]:
        keyword = uids.UID(uid).keyword
        return tuple(name for name in plugins(uid) if decoders._package(name, keyword) in (None, *packages))

    with mock.patch.object(decoders, "_plugins", seen):
        yield
