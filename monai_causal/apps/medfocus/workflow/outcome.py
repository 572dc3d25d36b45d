# SPDX-License-Identifier: Apache-2.0
"""What came of each instance, of each study, and of a run: ok, skipped or failed, with a code, and an exit status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from monai_causal.apps.medfocus.workflow.problems import WorkflowError
from monai_causal.dicom.study import Instance, LeftOut

__all__ = ["REPORT_SCHEMA", "InstanceOutcome", "Report", "StudyOutcome", "in_words", "summed_up"]

REPORT_SCHEMA = "monai_causal/medfocus-run-report/1"
Status = Literal["ok", "skipped", "failed"]

# What a study was left out for that is nobody's choice: the file itself cannot be read.
_FAILURES = ("refused", "missing", "leaves-folder", "other-object", "no-uid")
_SHOWN = 12
_LISTED = 20


@dataclass(frozen=True)
class InstanceOutcome:
    """One file or instance.

    Args:
        item: how messages name it: a number and a digest.
        status: what came of it.
        code: why; stable. ``done`` for ok.
        reason: in words.
    """

    item: str
    status: Status
    code: str
    reason: str

    @classmethod
    def of_left_out(cls, gone: LeftOut) -> InstanceOutcome:
        """Of what was not chosen."""
        return cls(gone.item, "failed" if gone.code in _FAILURES else "skipped", gone.code, gone.reason)

    @classmethod
    def of_tied(cls, instance: Instance, count: int) -> InstanceOutcome:
        """Of one of several equally good images."""
        return cls(instance.item, "failed", "tie", f"{count} images are equally good, and nothing says which is meant")


@dataclass(frozen=True)
class StudyOutcome:
    """One study, or the files that belong to none.

    Args:
        study: its pseudonym; empty for files that belong to none.
        instances: all of it that was looked at.
        result: name of the result's folder, where there is one.
        problem: what went wrong with the study as a whole, or None.
        again: what went wrong may pass.
    """

    study: str
    instances: tuple[InstanceOutcome, ...] = ()
    result: str | None = None
    problem: InstanceOutcome | None = None
    again: bool = False

    @property
    def rows(self) -> tuple[InstanceOutcome, ...]:
        """All instances, and the study where that is what failed."""
        return self.instances if self.problem is None else (*self.instances, self.problem)

    def failed(self, error: WorkflowError, item: str | None = None) -> StudyOutcome:
        """The same with what went wrong: with an instance, or with the study."""
        row = InstanceOutcome(item or "study", "failed", error.code, error.reason)
        if item is None:
            return replace(self, problem=row, again=error.transient)
        return replace(self, instances=(*self.instances, row), again=error.transient)


@dataclass(frozen=True)
class Report:
    """What came of a run.

    Args:
        studies: in the order in which they were done.
        stopped: the run was asked to stop before it had done all.
    """

    studies: tuple[StudyOutcome, ...]
    stopped: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """Instances by status."""
        counted = Counter(row.status for study in self.studies for row in study.rows)
        return {status: counted[status] for status in ("ok", "skipped", "failed")}

    @property
    def exit_code(self) -> int:
        """0: nothing failed; 1: something did, or the run was stopped. (2 is a run that could not be made at all.)"""
        return int(bool(self.counts["failed"]) or self.stopped)

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "schema": REPORT_SCHEMA,
            "exit_code": self.exit_code,
            "stopped": self.stopped,
            "counts": self.counts,
            "studies": [
                {"study": one.study, "result": one.result, "rows": [asdict(row) for row in one.rows]}
                for one in self.studies
            ],
        }


def in_words(report: Report) -> str:
    """A report for people: how many, and what failed."""
    lines = [", ".join(f"{count} {status}" for status, count in report.counts.items())]
    failed = [(study.study, row) for study in report.studies for row in study.rows if row.status == "failed"]
    for study, row in failed[:_LISTED]:
        where = f"study {study[:_SHOWN]}, " if study else ""
        lines.append(f"failed: {where}{row.item}: {row.code}: {row.reason}")
    if len(failed) > _LISTED:
        lines.append(f"and {len(failed) - _LISTED} more failed")
    if report.stopped:
        lines.append("stopped before the end; the same command goes on")
    return "\n".join(lines)


def summed_up(studies: Sequence[StudyOutcome], stopped: bool = False) -> Report:
    """A report of the last outcome of each study: a watch may have tried one more than once."""
    last: dict[str, StudyOutcome] = {}
    unassigned = [one for one in studies if not one.study]
    for one in studies:
        if one.study:
            last.pop(one.study, None)
            last[one.study] = one
    return Report((*unassigned, *last.values()), stopped)
