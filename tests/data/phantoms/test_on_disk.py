# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_causal.data.phantoms import on_disk
from monai_causal.data.phantoms.on_disk import rendered_on_disk

KINDS = {"squares": (np.int32, ()), "rows": (np.uint8, (2,))}


def render(index: int) -> dict[str, Any]:
    return {"squares": index * index, "rows": [index, index + 1]}


def test_rows_are_rendered_once_and_an_interruption_loses_nothing_that_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_disk, "FLUSHED", 2)
    asked: list[int] = []

    def breaking(index: int) -> dict[str, Any]:
        asked.append(index)
        if asked.count(3) == 1 and index == 3:
            raise KeyboardInterrupt
        return render(index)

    with pytest.raises(KeyboardInterrupt):
        rendered_on_disk(tmp_path / "new", "some", 5, KINDS, breaking)
    found = rendered_on_disk(tmp_path / "new", "some", 5, KINDS, breaking)
    assert asked == [0, 1, 2, 3, 2, 3, 4]
    assert found["squares"].tolist() == [0, 1, 4, 9, 16]
    assert found["rows"][4].tolist() == [4, 5]
    rendered_on_disk(tmp_path / "new", "some", 5, KINDS, breaking)
    assert len(asked) == 7


def test_a_file_of_something_else_is_not_written_over(tmp_path: Path) -> None:
    rendered_on_disk(tmp_path, "some", 2, KINDS, render)
    with pytest.raises(ValueError, match=r"some-rows.npy holds \(2, 2\) uint8, not \(2, 3\) uint8: remove it"):
        rendered_on_disk(tmp_path, "some", 2, {**KINDS, "rows": (np.uint8, (3,))}, render)
