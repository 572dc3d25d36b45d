# SPDX-License-Identifier: Apache-2.0
"""From studies to results that a hospital can keep: select, read, attribute, write, verify, commit, push.

One study after another, each with a journal. Whatever happens to one study, the others are done. A run that was killed
anywhere goes on when it is started again: what was committed is not computed again, what has arrived is not sent again.
What answers is given by the caller; :mod:`~monai_causal.apps.medfocus.workflow.answer` has the real one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from tqdm.auto import tqdm

from monai_causal.apps.medfocus.workflow.commit import Kept, digest_of, key_of
from monai_causal.apps.medfocus.workflow.journal import StudyJournal, journals
from monai_causal.apps.medfocus.workflow.outcome import InstanceOutcome, Report, StudyOutcome
from monai_causal.apps.medfocus.workflow.problems import WorkflowError, stage
from monai_causal.apps.medfocus.workflow.push import Target, uids_of
from monai_causal.apps.medfocus.workflow.sources import Found, Listing, Source
from monai_causal.apps.medfocus.workflow.space import Space
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.safety import OpenedFile
from monai_causal.dicom.selection import choose
from monai_causal.dicom.selection_rules import SelectionRules
from monai_causal.dicom.study import Instance
from monai_causal.files import write_json

__all__ = ["Answer", "Verify", "Workflow", "Written"]

logger = logging.getLogger(__name__)

_ARRIVED = "its result is where it was to go"


class Written(Protocol):
    """An object that was written; :class:`monai_causal.dicom.objects.WrittenObject` is one."""

    @property
    def kind(self) -> str:
        """Such as ``"seg"``."""

    @property
    def path(self) -> Path:
        """Of the file."""

    @property
    def sop_instance_uid(self) -> str:
        """Which object it is."""

    @property
    def sha256(self) -> str:
        """Of the file."""


class Answer(Protocol):
    """What makes results of a radiograph."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """All that decides the answer beside the file: configuration, models by digest, versions. JSON."""

    def __call__(self, source: OpenedFile, folder: Path) -> Sequence[Written]:
        """Write the objects of the answer about a file into a folder.

        Raises:
            WorkflowError: of the step that failed; :func:`~monai_causal.apps.medfocus.workflow.problems.stage` helps.
        """


Verify = Callable[[Path], Sequence[str]]
"""Checks the objects in a folder, and says what is wrong with them."""


class Workflow:
    """Does studies.

    Args:
        space: the folder of the run.
        source: where studies come from.
        target: where results go.
        answer: makes them.
        verify: checks them before they are committed.
        rules: which image of a study is wanted; by default a frontal chest radiograph, PA before AP.
        for_processing: take also a DX for processing.
        limits: what each file may ask for.
    """

    def __init__(
        self,
        space: Space,
        source: Source,
        target: Target,
        answer: Answer,
        verify: Verify,
        *,
        rules: SelectionRules | None = None,
        for_processing: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self.space, self.source, self.target, self.answer, self.verify = space, source, target, answer, verify
        self.rules, self.for_processing, self.limits = rules, for_processing, limits

    def run(self, stop: Callable[[], bool] = lambda: False) -> Report:
        """Do every study that the source has now, and send what earlier runs left unsent.

        Args:
            stop: asked between studies.

        Raises:
            DicomError: the source cannot be listed.
        """
        listing = self.source.listing()
        done = [self.unassigned(listing)] if listing.refused else []
        for found in tqdm(listing.studies, desc="studies", disable=None):
            if stop():
                break
            done.append(self.study(found))
        done += self.outstanding({one.study for one in done}, stop)
        return self.reported(Report(tuple(done), stop()))

    def begin(self) -> None:
        """Note in the audit log what is about to be done."""
        self.space.audit.note(
            "run-begins",
            source=self.source.kind,
            target=self.target.kind,
            identity=dict(self.answer.identity),
            swept=self.space.swept,
        )

    def reported(self, report: Report) -> Report:
        """Keep a report, and note the end of the run."""
        write_json(self.space.report, report.as_dict())
        self.space.audit.note("run-ends", exit_code=report.exit_code, stopped=report.stopped, **report.counts)
        return report

    def unassigned(self, listing: Listing) -> StudyOutcome:
        """What comes of files that belong to no study."""
        return StudyOutcome("", tuple(InstanceOutcome.of_left_out(gone) for _, gone in listing.refused))

    def study(self, found: Found) -> StudyOutcome:
        """Do one study; whatever goes wrong with it is in the outcome."""
        outcome = StudyOutcome(self.space.pseudonyms.of("study", found.uid))
        try:
            with stage("journal"):
                journal = StudyJournal(self.space.journals, outcome.study)
            with journal, stage("journal"):
                outcome = self._study(found, outcome, journal)
                journal.note("ended", rows=[vars(row) for row in outcome.rows])
        except WorkflowError as error:
            outcome = outcome.failed(error)
        self._tell(outcome)
        return outcome

    def outstanding(self, done: Collection[str], stop: Callable[[], bool] = lambda: False) -> list[StudyOutcome]:
        """Send what earlier runs committed and could not send, of studies other than those just done."""
        sent = []
        for study in journals(self.space.journals):
            if study in done or stop():
                continue
            outcome = StudyOutcome(study)
            try:
                with stage("journal"):
                    journal = StudyJournal(self.space.journals, study)
                with journal:
                    if journal.result is None or journal.delivered(self.target.name, journal.result):
                        continue
                    with stage("result"):
                        objects = self.space.store.objects(journal.result)
                    if objects is None:  # taken away by whoever keeps the folder
                        continue
                    self._deliver(journal.result, objects, journal)
                    row = InstanceOutcome("a result of an earlier run", "ok", "done", _ARRIVED)
                    outcome = replace(outcome, instances=(row,), result=journal.result)
            except WorkflowError as error:
                outcome = outcome.failed(error)
            self._tell(outcome)
            sent.append(outcome)
        return sent

    def _study(self, found: Found, outcome: StudyOutcome, journal: StudyJournal) -> StudyOutcome:
        try:
            with stage("list"):
                survey = found.look()
                choices = [choose(one, self.rules, for_processing=self.for_processing) for one in survey.studies]
        except WorkflowError as error:
            return outcome.failed(error)
        rows = [InstanceOutcome.of_left_out(gone) for gone in survey.left_out]
        for choice in choices:
            rows += [InstanceOutcome.of_left_out(gone) for gone in choice.left_out]
            rows += [InstanceOutcome.of_tied(one, len(choice.tied)) for one in choice.tied]
        outcome = replace(outcome, instances=tuple(rows))
        journal.note("selected", signature=found.signature, rows=[vars(row) for row in rows])
        for chosen in (choice.chosen for choice in choices if choice.chosen is not None):
            try:
                result = self._chosen(chosen, journal)
            except WorkflowError as error:
                outcome = outcome.failed(error, chosen.item)
            else:
                row = InstanceOutcome(chosen.item, "ok", "done", _ARRIVED)
                outcome = replace(outcome, instances=(*outcome.instances, row), result=result)
        return outcome

    def _chosen(self, chosen: Instance, journal: StudyJournal) -> str:
        """From an image to a result that has arrived; the result's name."""
        with stage("read"):
            opened = chosen.open(self.limits)
        key = key_of(opened.digest, self.answer.identity)
        result, objects = self._committed(key, journal)
        if objects is None:
            result, objects = self._made(opened, key, journal)
        self._deliver(result, objects, journal)
        return result

    def _deliver(self, result: str, objects: Sequence[Kept], journal: StudyJournal) -> None:
        self.target.push(self.space.store.results / result, objects, journal)
        if not journal.delivered(self.target.name, result):
            journal.note("delivered", result=result, to=self.target.name)

    def _committed(self, key: str, journal: StudyJournal) -> tuple[str, list[Kept] | None]:
        """What an earlier run committed under this key; a damaged result is set aside, to be made again."""
        name = self.space.store.name_of(key)
        try:
            objects = self.space.store.objects(name)
        except ValueError as error:
            aside = self.space.store.set_aside(name)
            self.space.audit.note("damaged", study=journal.study, result=name, set_aside=aside, reason=str(error))
            logger.warning("result %s: %s; it is set aside as %s and made again", name[:12], error, aside)
            return name, None
        if objects is not None and journal.result != name:
            journal.note("committed", result=name, objects=[vars(one) for one in objects])
        return name, objects

    def _made(self, opened: OpenedFile, key: str, journal: StudyJournal) -> tuple[str, list[Kept]]:
        """Attribute, write, verify, commit."""
        with self.space.store.draft() as draft:
            with stage("attribute"):
                written = self.answer(opened, draft)
            with stage("verify"):
                objects = self._verified(opened, draft, written)
            with stage("commit"):
                more = {"source_sha256": opened.digest, "identity": dict(self.answer.identity)}
                name = self.space.store.commit(draft, key, objects, more)
                journal.note("committed", result=name, objects=[vars(one) for one in objects])
                self.space.audit.note(
                    "committed",
                    study=journal.study,
                    patient=self.space.pseudonyms.of("patient", str(opened.dataset.get("PatientID") or "")),
                    source_sha256=opened.digest,
                    result=name,
                    objects=[vars(one) for one in objects],
                )
        return name, objects

    def _verified(self, opened: OpenedFile, draft: Path, written: Sequence[Written]) -> list[Kept]:
        """Every object is the file that it is said to be, belongs to the study, and stands the checks."""
        study = str(opened.dataset.get("StudyInstanceUID") or "")
        objects = []
        for one in written:
            kept = Kept(one.kind, one.path.relative_to(draft).as_posix(), digest_of(one.path))
            its_study, _, instance = uids_of(one.path.read_bytes())
            if kept.sha256 != one.sha256 or instance != one.sop_instance_uid or its_study != study:
                raise WorkflowError(
                    "verify", f"the {one.kind} on disk is not the object that was written, or of its study"
                )
            objects.append(kept)
        if not objects:
            raise WorkflowError("verify", "nothing was written")
        problems = self.verify(draft)
        if problems:
            # What they say is not repeated: a validator quotes values.
            raise WorkflowError(
                "verify", f"{len(problems)} things are wrong with the objects: monai-causal dicom verify"
            )
        return objects

    def _tell(self, outcome: StudyOutcome) -> None:
        """Say and note how a study ended."""
        failed = [row for row in outcome.rows if row.status == "failed"]
        for row in failed:
            logger.warning("study %s, %s: %s: %s", outcome.study[:12], row.item, row.code, row.reason)
        self.space.audit.note(
            "study-ends",
            study=outcome.study,
            result=outcome.result,
            failed=[{"item": row.item, "code": row.code} for row in failed],
        )
