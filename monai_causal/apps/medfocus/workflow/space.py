# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: results, and beside them what a run needs to remember."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from monai_causal.apps.medfocus.workflow.audit import AuditLog
from monai_causal.apps.medfocus.workflow.commit import Store
from monai_causal.apps.medfocus.workflow.pseudonyms import Pseudonyms
from monai_causal.locks import alone_in

__all__ = ["Space", "open_space"]

REPORT = "report.json"


@dataclass(frozen=True)
class Space:
    """Where everything of a run is.

    Args:
        folder: ``workflow`` in the folder of the run: journals, audit log, report.
        store: of results: ``results`` in the folder of the run, one folder each.
        audit: the log, open.
        pseudonyms: of studies and patients.
        swept: unfinished folders of killed runs that were dropped.
    """

    folder: Path
    store: Store
    audit: AuditLog
    pseudonyms: Pseudonyms
    swept: int

    @property
    def journals(self) -> Path:
        """Folder of the studies' journals."""
        return self.folder / "journals"

    @property
    def report(self) -> Path:
        """What came of the last run."""
        return self.folder / REPORT


@contextmanager
def open_space(out: str | os.PathLike[str]) -> Iterator[Space]:
    """Open the folder of a run, alone; made if it is not there, freed of what a killed run left unfinished.

    Raises:
        ValueError: another run is at work in it, or its audit log was tampered with.
    """
    out = Path(out)
    folder = out / "workflow"
    (folder / "journals").mkdir(parents=True, exist_ok=True)
    # The objects are the patients': nobody else of this machine needs to look.
    folder.chmod(0o700)
    with alone_in(folder / "lock"):
        store = Store(out / "results", folder / "staging")
        swept = store.sweep()
        audit = AuditLog(folder / "audit.jsonl")
        try:
            yield Space(folder, store, audit, Pseudonyms.kept_in(folder / "pseudonym.key"), swept)
        finally:
            audit.close()
