# SPDX-License-Identifier: Apache-2.0
"""The regions table map by map: memory holds one piece of the table, however many items there are."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_causal.extras import require

__all__ = ["Block", "Kind", "blocks"]

_PIECE = 50_000
_COLUMNS = ("item", "model", "method", "question", "name", "offset", "effect", "unit", "relevant")


class Kind(NamedTuple):
    """What maps have in common that may be compared: who was asked, how, and what about."""

    model: str
    method: str
    question: str
    unit: str


@dataclass(frozen=True, eq=False)
class Block:
    """The regions of one map.

    Args:
        item: its number.
        kind: of the map.
        effects: after - before, 0 where the method calls a region irrelevant: as the map shows it.
        keys: what the regions of two items have in common: the anatomy's name, or the place relative to the RoI's
            centre, in voxels; None where there is neither.
    """

    item: int
    kind: Kind
    effects: NDArray[np.float64]
    keys: tuple[Hashable, ...] | None


def blocks(tables: Path) -> Iterator[Block]:
    """Every map in the order of the items."""
    parquet = require("pyarrow.parquet")
    with parquet.ParquetFile(tables / "regions.parquet") as file:
        waiting: list[tuple[tuple[int, Kind], dict[str, list[object]]]] = []
        for batch in file.iter_batches(batch_size=_PIECE, columns=list(_COLUMNS)):
            columns = batch.to_pydict()
            for row in range(batch.num_rows):
                of_map = (
                    columns["item"][row],
                    Kind(
                        columns["model"][row],
                        columns["method"][row],
                        columns["question"][row] or "",
                        columns["unit"][row],
                    ),
                )
                if not waiting or waiting[-1][0] != of_map:
                    yield from (_block(*one) for one in waiting)
                    waiting = [(of_map, {name: [] for name in ("effect", "relevant", "name", "offset")})]
                for name, values in waiting[-1][1].items():
                    values.append(columns[name][row])
        yield from (_block(*one) for one in waiting)


def _block(of_map: tuple[int, Kind], columns: dict[str, list[object]]) -> Block:
    effects = np.array(columns["effect"], dtype=np.float64)
    effects[[one is False for one in columns["relevant"]]] = 0.0
    names, offsets = columns["name"], columns["offset"]
    if all(one is not None for one in names):
        return Block(*of_map, effects, tuple(names))
    if all(one is not None for one in offsets):
        return Block(*of_map, effects, tuple(map(tuple, _cells(np.array(offsets, dtype=np.float64)).tolist())))
    return Block(*of_map, effects, None)


def _cells(offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Offsets ``(regions, axes)`` as the middles of cells that are the same for all items: RoIs lie on no common grid,
    and are aligned to within half a region."""
    steps = np.array([_step(np.unique(axis)) for axis in offsets.T])
    cells: NDArray[np.float64] = (np.floor(offsets / steps) + 0.5) * steps
    return cells


def _step(sorted_offsets: NDArray[np.float64]) -> float:
    # The last regions of an image may be cut short: the most are not.
    return float(np.median(np.diff(sorted_offsets))) if len(sorted_offsets) > 1 else 1.0
