# SPDX-License-Identifier: Apache-2.0
"""What was done with one study, step by step, on disk before the next step begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monai_causal.apps.study.lines import Entry, LinesFile, read_lines

__all__ = ["SCHEMA", "StudyJournal", "journals"]

SCHEMA = "monai_causal/medfocus-journal/1"


class StudyJournal:
    """The journal of one study. It names the study by its pseudonym, and files by digests.

    Args:
        folder: of all journals; there already.
        study: the pseudonym.

    Attributes:
        result: name of the last committed result; None where there is none.
    """

    def __init__(self, folder: Path, study: str) -> None:
        self.study = study
        path = folder / f"{study}.jsonl"
        lines = read_lines(path)
        for line in lines:
            if line.get("schema") != SCHEMA or line.get("study") != study:
                raise ValueError(f"journal {path.stem}: it holds lines of another kind or study; set it aside.")
        self.result: str | None = None
        self._sent: dict[tuple[str, str], str] = {}
        self._delivered: set[tuple[str, str]] = set()
        for line in lines:
            self._take(line)
        self._file = LinesFile(path)

    def note(self, step: str, **content: Any) -> None:
        """Write a step; it is on disk when this returns."""
        line = {"schema": SCHEMA, "study": self.study, "step": step, **content}
        self._file.add(line)
        self._take(line)

    def sent(self, target: str, sha256: str) -> str:
        """How far an object is on its way to a target: empty, ``"pushing"`` (it may be there), or ``"pushed"``."""
        return self._sent.get((target, sha256), "")

    def delivered(self, target: str, result: str) -> bool:
        """Whether all objects of a result have arrived."""
        return (target, result) in self._delivered

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> StudyJournal:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _take(self, line: Entry) -> None:
        step = line.get("step")
        if step == "committed":
            self.result = str(line["result"])
        elif step in ("pushing", "pushed"):
            self._sent[str(line["to"]), str(line["sha256"])] = str(step)
        elif step == "delivered":
            self._delivered.add((str(line["to"]), str(line["result"])))


def journals(folder: Path) -> Iterator[str]:
    """The pseudonyms of all studies that have a journal."""
    yield from sorted(path.stem for path in folder.glob("*.jsonl"))
