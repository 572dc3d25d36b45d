# SPDX-License-Identifier: Apache-2.0
"""A run from what a command line says: where from, where to, with what configuration, once or for good."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from monai_causal.apps.medfocus.workflow import Answer, Verify, Workflow
from monai_causal.apps.medfocus.workflow.config import RunConfig
from monai_causal.apps.medfocus.workflow.outcome import Report
from monai_causal.apps.medfocus.workflow.push import FolderTarget, Target, WebTarget
from monai_causal.apps.medfocus.workflow.sources import FolderSource, Source, WebSource
from monai_causal.apps.medfocus.workflow.space import Space, open_space
from monai_causal.apps.medfocus.workflow.watch import Rest, watch
from monai_causal.dicom.web.access import Address, Credentials, is_address
from monai_causal.dicom.web.client import DicomWeb

__all__ = ["FROM", "TO", "WORK", "run_medfocus"]

FROM, TO = "MONAI_CAUSAL_FROM", "MONAI_CAUSAL_TO"
"""Prefixes of the environment variables that hold credentials: ``_TOKEN``, or ``_USER`` and ``_PASSWORD``."""
WORK = Path("medfocus_work")

Answerer = Callable[[RunConfig], tuple[Answer, Verify]]


def run_medfocus(
    source: str,
    target: str,
    config: RunConfig,
    *,
    work: Path | None = None,
    watching: bool = False,
    answerer: Answerer | None = None,
) -> Report:
    """Carry studies from a source through MedFocus to a target.

    Args:
        source: a folder, DICOMDIR or file, or a DICOMweb server's address, with filters of the search as its query.
        target: a folder, or a DICOMweb server's address.
        config: of the run.
        work: where results are committed before they are sent to a server; a folder keeps them itself.
        watching: go on looking for studies until told to stop (SIGTERM, SIGINT).
        answerer: makes what answers and what verifies; by default the model that the configuration names.

    Raises:
        ValueError: the run cannot be made as it was asked for; before anything is computed.
    """
    with _stopping() as stop:
        out = _place(source, target, work)
        found = _source(source, config, stop)
        send_to = _client(target, TO, config, stop) if is_address(target) else None
        with open_space(out) as space:
            answer, verify = (answerer or _medfocus)(config)
            workflow = Workflow(
                space,
                found,
                _target(send_to, space),
                answer,
                verify,
                rules=config.selection,
                for_processing=config.for_processing,
            )
            workflow.begin()
            if watching:
                return watch(workflow, Rest(config.stable), config.every, stop.wait)
            return workflow.run(stop.is_set)


def _medfocus(config: RunConfig) -> tuple[Answer, Verify]:
    from monai_causal.apps.medfocus.vlm.loading import load_vlm
    from monai_causal.apps.medfocus.workflow.answer import MedFocusAnswer, problems_of

    return MedFocusAnswer(config, load_vlm(config.vlm)), problems_of


def _place(source: str, target: str, work: Path | None) -> Path:
    """The folder of the run."""
    if work is not None and not is_address(target):
        raise ValueError("--work is for results on their way to a server; a folder keeps them itself: leave it out.")
    out = Path(target) if not is_address(target) else WORK if work is None else work
    if out.exists() and not out.is_dir():
        raise ValueError("results cannot be kept in a file: give a folder.")
    if not is_address(source):
        here, there = Path(source).resolve(), out.resolve()
        if here == there or here in there.parents or there in here.parents:
            raise ValueError(
                "the folders of studies and of results lie in each other: results would be taken for studies."
            )
    return out


def _source(source: str, config: RunConfig, stop: threading.Event) -> Source:
    keywords = () if config.selection is None else config.selection.keywords
    if is_address(source):
        return WebSource(_client(source, FROM, config, stop), keywords)
    return FolderSource(source, keywords)


def _client(address: str, prefix: str, config: RunConfig, stop: threading.Event) -> DicomWeb:
    credentials = Credentials.from_environment(prefix)
    # A wait for a server ends when the run is to stop.
    return DicomWeb(address, credentials, patience=config.patience, page=config.page, sleep=stop.wait)


def _target(client: DicomWeb | None, space: Space) -> Target:
    if client is None:
        return FolderTarget()

    def noted(sha256: str, how: str, sent: int) -> None:
        space.audit.note("pushed", object=sha256, to=name, how=how, sent=sent)

    name = space.pseudonyms.of("server", Address(client.address.base).base)
    return WebTarget(client, name, noted)


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set: the study at hand is finished. The second signal acts as ever."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
