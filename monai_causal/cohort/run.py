# SPDX-License-Identifier: Apache-2.0
"""Begin a cohort, or go on with it."""

from __future__ import annotations

import importlib.metadata
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from monai_causal.cohort.config import CohortConfig, DicomwebItems
from monai_causal.cohort.driver import Driver
from monai_causal.cohort.engines.base import Engine
from monai_causal.cohort.inputs import input_of, mark_of
from monai_causal.cohort.items import Item, list_items
from monai_causal.cohort.journal import Journal
from monai_causal.cohort.messages import Order
from monai_causal.cohort.outputs import Store, read_record
from monai_causal.cohort.progress import Progress
from monai_causal.locks import alone_in
from monai_causal.versions import versions

__all__ = ["JOURNAL", "LOCK", "damaged_items", "make_engine", "retry_items", "run_cohort"]

FOLDER = "cohort"
JOURNAL = f"{FOLDER}/journal.sqlite"
LOCK = f"{FOLDER}/lock"
_LIBRARIES = ("torch", "monai", "numpy", "scipy", "transformers")


def run_cohort(
    config: CohortConfig,
    out: Path,
    engine: str = "local",
    address: str | None = None,
) -> dict[str, int]:
    """Do what is left of a cohort, and return how many items are in which state.

    It may be killed at any point; the same call goes on.

    Args:
        config: of the cohort.
        out: folder; made if it is not there.
        engine: ``"local"``, or ``"ray"`` (extra ``ray``).
        address: of a Ray cluster that runs already; None starts Ray on this machine, for this run alone.

    Raises:
        ValueError: something else was begun in the folder, its inputs have changed, or the job cannot begin.
        DiskFullError: there is no room; nothing that was done is lost.
    """
    made = make_engine(engine, config, address)
    out = out.resolve()
    (out / FOLDER).mkdir(parents=True, exist_ok=True)
    # The listing names files, and these may name patients: nobody else of this machine needs to look.
    (out / FOLDER).chmod(0o700)
    with alone_in(out / LOCK), Journal(out / JOURNAL) as journal, _ended_by_signal():
        _begin(journal, config)
        store = Store(out)
        store.begin()
        order = Order(config.job.name, config.job.settings, str(store.staging), config.run.threads)
        counts = journal.counts()
        ended = counts["done"] + counts["failed"]
        with Progress(sum(counts.values()), ended, counts["failed"], config.title) as progress:
            driver = Driver(
                journal,
                store,
                made,
                order,
                batch=config.batch,
                attempts=config.run.attempts,
                progress=progress,
            )
            try:
                driver.run()
            finally:
                store.end()
        return journal.counts()


def make_engine(name: str, config: CohortConfig, address: str | None = None) -> Engine:
    """An engine by its name.

    Raises:
        MissingExtraError: Ray is not installed.
        ValueError: there is no such engine.
    """
    if name == "ray":
        from monai_causal.cohort.engines.ray import RayEngine

        return RayEngine(config.run, address)
    if name != "local":
        raise ValueError(f"engine={name!r}: choose local or ray.")
    if address is not None:
        raise ValueError("an address is Ray's: say --engine ray, or leave it out.")
    from monai_causal.cohort.engines.local import LocalEngine

    return LocalEngine(config.run)


def retry_items(out: Path, *, failed: bool = False, damaged: bool = False, items: Sequence[int] = ()) -> int:
    """Let items be done again by the next run, and say how many that are.

    Args:
        out: of the cohort.
        failed: those that failed.
        damaged: those whose outputs are not what was written.
        items: those of these numbers.
    """
    if not (failed or damaged or items):
        raise ValueError("which items? Say --failed, --damaged or --item NUMBER.")
    if not (out / JOURNAL).is_file():
        raise ValueError("this folder holds no cohort: 'monai-causal cohort run' begins one.")
    with alone_in(out / LOCK), Journal(out / JOURNAL) as journal:
        total = journal.total()
        for number in items:
            if not 0 <= number < total:
                raise ValueError(f"item {number}: this cohort has items 0 to {total - 1}.")
        count = journal.again() if failed else 0
        store = Store(out.resolve())
        more = [*items, *(damaged_items(journal, store) if damaged else ())]
        for number in more:
            store.withdraw(number)
        return count + journal.again(dict.fromkeys(more))


def damaged_items(journal: Journal, store: Store) -> list[int]:
    """Items that are done, but whose records are gone or changed."""
    return [
        row.number
        for row in journal.rows()
        if row.state == "done" and read_record(store.place(row.number), row.output or "") is None
    ]


def _begin(journal: Journal, config: CohortConfig) -> None:
    """List the items, or check that they are those of then."""
    listed = journal.begin({"config": config.record(), "versions": _made_with()})
    # What a server has now is another listing: a cohort goes on with what it found when it began.
    asked_once = isinstance(config.items, DicomwebItems)
    if not listed:
        count = journal.enlist(list_items(config.items))
        if count == 0:
            raise ValueError("items: the listing is empty: there is nothing to do.")
    elif not asked_once:
        journal.compare(list_items(config.items))
        _check_inputs(journal)
    journal.put_back()


def _check_inputs(journal: Journal) -> None:
    """What done items were made of must still be there as it was: cheaply by their marks, by content where in doubt."""
    for item, mark, digest in journal.made_of():
        now = _mark(item)
        if now == mark:
            continue
        if now is None or input_of(item).digest != digest:
            raise ValueError(
                f"{item.name} was changed since it was done: its results and those to come would be of two kinds. Put "
                "the files back, let it be done again by 'monai-causal cohort retry --item "
                f"{item.number}', or write to another folder."
            )
        journal.mark(item.number, now)


def _mark(item: Item) -> str | None:
    try:
        return mark_of(item)
    except OSError:  # it is not there any more
        return None


def _made_with() -> dict[str, str]:
    installed = []
    for name in _LIBRARIES:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        installed.append(name)
    return versions(*installed)


@contextmanager
def _ended_by_signal() -> Iterator[None]:
    """A polite request to end (SIGTERM) stops the run as Ctrl-C does, and what was begun is put back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before: Any = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
