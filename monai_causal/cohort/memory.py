# SPDX-License-Identifier: Apache-2.0
"""When memory runs out: the batch is halved until it fits. Imports no deep learning library."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["in_halves", "ran_out_of_memory"]

Given = TypeVar("Given")
Made = TypeVar("Made")


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it was raised from, says that memory ran out.

    Example:
        >>> ran_out_of_memory(MemoryError()), ran_out_of_memory(ValueError("a"))
        (True, False)
    """
    seen: BaseException | None = error
    while seen is not None:
        # By its name: torch is not imported for the sake of jobs that do without it.
        if isinstance(seen, MemoryError) or type(seen).__name__ == "OutOfMemoryError":
            return True
        text = str(seen)
        if isinstance(seen, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text):
            return True
        seen = seen.__cause__
    return False


def in_halves(
    run: Callable[[Sequence[Given]], Sequence[Made]],
    batch: Sequence[Given],
    note: Callable[[str], None],
) -> list[Made | Exception]:
    """Run a batch; where memory runs out, its halves one after the other, down to single items.

    An error of another kind is that of the items one by one too: each says for itself what is wrong with it.

    Args:
        run: of a part of the batch.
        batch: all of it.
        note: is told of every retreat.

    Returns:
        what came of each, or its error.
    """
    try:
        return list(run(batch))
    except Exception as error:
        if len(batch) == 1:
            return [error]
        short = ran_out_of_memory(error)
    # Outside of the handler nothing holds the frames, and with them the tensors, of what failed.
    _give_back()
    if short:
        middle = len(batch) // 2
        note(f"memory ran out with {len(batch)} items at once: run with {middle}")
        parts = [batch[:middle], batch[middle:]]
    else:
        parts = [[one] for one in batch]
    return [made for part in parts for made in in_halves(run, part, note)]


def _give_back() -> None:
    """Free what is held in vain, on the device too where there is one."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
