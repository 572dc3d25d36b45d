# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.networks.blocks.tiny_clip import Kind, tiny_clip_folder


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Kind], Path]:
    """The folder of a tiny CLIP by its kind, each written once."""

    @cache
    def written(kind: Kind) -> Path:
        return tiny_clip_folder(tmp_path_factory.mktemp("clip"), kind)

    return written
