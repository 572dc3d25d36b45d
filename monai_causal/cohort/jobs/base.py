# SPDX-License-Identifier: Apache-2.0
"""What a job is: it loads its network once, reads items, and answers about those of one shape together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_causal.cohort.items import Item

__all__ = ["Job", "Record"]


@dataclass(frozen=True)
class Record:
    """What is said of one item, for the tables.

    Args:
        facts: of the item itself, such as its shape: name to text or number.
        measures: rows ``{model, method, question, name, value, unit}``.
        regions: rows ``{model, method, question, region, name, box, offset, effect, unit, standard_error, low, high,
            p_value, draws, relevant}``; :data:`monai_causal.cohort.schema.REGIONS` says what they mean.
        notes: what did not go the straight way.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    measures: Sequence[Mapping[str, Any]] = ()
    regions: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()


class Job(ABC):
    """Made once per worker: what is dear is loaded here.

    Args:
        settings: ``job.settings`` of the configuration.

    Raises:
        ValueError: the settings cannot be used. It ends the run: all workers would say the same.
    """

    @abstractmethod
    def __init__(self, settings: Mapping[str, Any]) -> None: ...

    def read(self, item: Item, scratch: Path) -> Any:
        """Whatever :meth:`run` needs of an item; an error here fails the item alone.

        Args:
            item: its files are on this machine.
            scratch: a folder for files that are needed until the item is done; those of its task share it, so names
                begin with the item's.
        """
        return item

    def together(self, sample: Any) -> Hashable | None:
        """What samples must share to be run at once, such as their shape; None: each is run by itself."""
        return None

    @abstractmethod
    def run(self, samples: Sequence[Any], folders: Sequence[Path]) -> Sequence[Record]:
        """Answer about samples that share what :meth:`together` says.

        Args:
            samples: of :meth:`read`.
            folders: an empty folder for the files of each.
        """
