# SPDX-License-Identifier: Apache-2.0
"""Rendered phantoms kept on disk, so that a training renders each of them once and goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

__all__ = ["rendered_on_disk"]

FLUSHED = 100


def rendered_on_disk(
    folder: Path,
    name: str,
    count: int,
    kinds: Mapping[str, tuple[Any, tuple[int, ...]]],
    render: Callable[[int], Mapping[str, Any]],
) -> dict[str, np.memmap[Any, Any]]:
    """Arrays on disk with one row per phantom; rows that are there already are not rendered again.

    Args:
        folder: for the files, made if it is not there.
        name: what they begin with: whatever the rows depend on.
        count: of rows.
        kinds: per array the kind of its numbers and the shape of a row.
        render: from a row's number to its content, by array.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        part: opened(folder / f"{name}-{part}.npy", np.dtype(kind), (count, *shape))
        for part, (kind, shape) in kinds.items()
    }
    done = folder / f"{name}-done.txt"
    start = int(done.read_text(encoding="utf-8")) if done.exists() else 0
    for index in tqdm(range(start, count), desc="phantoms", disable=None, leave=False):
        for part, row in render(index).items():
            arrays[part][index] = row
        if (index + 1) % FLUSHED == 0 or index + 1 == count:
            for array in arrays.values():
                array.flush()
            done.write_text(str(index + 1), encoding="utf-8")
    return arrays


def opened(path: Path, kind: np.dtype[Any], shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """An array on disk, made where it is not there."""
    if not path.exists():
        return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)
    found = np.lib.format.open_memmap(path, mode="r+")
    if found.shape != shape or found.dtype != kind:
        raise ValueError(f"{path.name} holds {found.shape} {found.dtype}, not {shape} {kind}: remove it.")
    return found
