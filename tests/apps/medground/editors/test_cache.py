# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np

from monai_causal.apps.medground.editors.cache import EditCache

IMAGE = np.arange(64, dtype=np.uint8).reshape(8, 8)


def test_an_edit_is_made_once_for_all_that_it_depends_on(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> np.ndarray:
        made.append(1)
        return IMAGE[::-1]

    for _ in range(2):
        cache = EditCache(tmp_path / "edits")
        assert np.array_equal(cache(IMAGE, {"prompt": "No nodule", "seed": 0}, make), IMAGE[::-1])
    assert len(made) == 1
    cache(IMAGE, {"prompt": "No nodule", "seed": 1}, make)
    cache(IMAGE + np.uint8(1), {"prompt": "No nodule", "seed": 0}, make)
    cache(IMAGE.reshape(4, 16), {"prompt": "No nodule", "seed": 0}, make)
    assert len(made) == 4
