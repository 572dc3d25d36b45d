# SPDX-License-Identifier: Apache-2.0
"""Jobs with faults, for workers that import no deep learning library."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_causal.cohort.items import Item
from monai_causal.cohort.jobs.base import Record
from monai_causal.cohort.jobs.trivial import Trivial

HEAVY = {"torch", "monai"}


class Faulty(Trivial):
    """A trivial job in which the items of these values misbehave.

    Settings: ``crash``, ``hang``, ``stop`` (SIGSTOP), ``unreadable``, ``wrong`` (lists of values); ``most`` (items that
    memory holds at once), ``large`` (a value that memory never holds), ``once`` (a folder: each fault happens once
    only), ``full`` (a file: the disk is full while it is there), ``log`` (a file that gets a letter per run).
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__({})
        self.asked = settings
        if settings.get("unfit"):
            raise ValueError("the network has no weights")
        if heavy := HEAVY & set(sys.modules):
            raise ValueError(f"imported {heavy}")

    def read(self, item: Item, scratch: Path) -> Any:
        if self.fault("unreadable", item):
            raise ValueError("the image cannot be read")
        return item

    def run(self, samples: Sequence[Any], folders: Sequence[Path]) -> Sequence[Record]:
        values = [item.content["value"] for item in samples]
        if len(samples) > self.asked.get("most", len(samples)):
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if self.asked.get("large") in values:
            raise MemoryError("this item is too large")
        if "full" in self.asked and Path(self.asked["full"]).exists() and 7 in values:
            raise OSError(errno.ENOSPC, "No space left on device", "secret-name.png")
        for item in samples:
            if self.fault("crash", item):
                os.kill(os.getpid(), signal.SIGSEGV)
            if self.fault("hang", item):
                time.sleep(600)
            if self.fault("stop", item):
                os.kill(os.getpid(), signal.SIGSTOP)
            if self.fault("wrong", item):
                raise ZeroDivisionError("no map without an object")
            if "log" in self.asked:
                with open(self.asked["log"], "a") as file:
                    file.write("x")
        for item, folder in zip(samples, folders, strict=True):
            (folder / "note.txt").write_text(f"about {item.content['value']}")
        return super().run(samples, folders)

    def fault(self, kind: str, item: Item) -> bool:
        value = item.content["value"]
        if value not in self.asked.get(kind, ()):
            return False
        if "once" in self.asked:
            mark = Path(self.asked["once"]) / f"{kind}-{value}"
            if mark.exists():
                return False
            mark.touch()
        return True


class NoJob:
    """A class that is no job."""
