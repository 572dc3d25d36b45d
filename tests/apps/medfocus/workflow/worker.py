# SPDX-License-Identifier: Apache-2.0
"""A process that runs the workflow with the stand-in, and dies where it is told to.

``python -m tests.apps.medfocus.workflow.worker`` reads one request per line, forks for each, and answers with the
child's status and the seconds that it took: libraries are read once. A request is JSON: ``source``, ``target``,
``work`` or null; ``steps``, a file for the number of steps that were taken; and ``die`` or ``after``: at which step the
child kills itself, or after how many seconds it is killed. A step is the moment before or after a call that leaves a
trace on disk or on a server. The worker imports neither torch nor MONAI.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import signal
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any


def without_its_face(name: str) -> None:
    """Make a package importable without its ``__init__``, which would read torch."""
    spec = importlib.util.find_spec(name.rpartition(".")[0])
    assert spec is not None
    assert spec.submodule_search_locations
    package = types.ModuleType(name)
    package.__path__ = [str(Path(spec.submodule_search_locations[0]) / name.rpartition(".")[2])]
    sys.modules[name] = package


class Steps:
    """Counts steps, and ends the process at one of them as a power cut would."""

    def __init__(self, die: int) -> None:
        self.count, self.die = 0, die

    def step(self) -> None:
        self.count += 1
        if self.count == self.die:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def watching(*arguments: Any, **named: Any) -> Any:
            self.step()
            found = call(*arguments, **named)
            self.step()
            return found

        return watching


def work(request: dict[str, Any]) -> int:
    """Run the workflow; the number of steps that it took goes to the file ``steps``, its exit code is returned."""
    from monai_causal.apps.medfocus.workflow.config import RunConfig
    from monai_causal.apps.medfocus.workflow.run import run_medfocus
    from monai_causal.dicom.web.client import DicomWeb
    from monai_causal.dicom.web.patience import Patience
    from tests.apps.medfocus.workflow.stand_in import StandIn

    steps = Steps(int(request.get("die") or 0))
    os.fsync, os.replace = steps.watched(os.fsync), steps.watched(os.replace)
    shutil.rmtree = steps.watched(shutil.rmtree)  # type: ignore[assignment]
    DicomWeb.store = steps.watched(DicomWeb.store)  # type: ignore[method-assign]
    report = run_medfocus(
        request["source"],
        request["target"],
        RunConfig(patience=Patience(attempts=4, first=0.001)),
        work=None if request["work"] is None else Path(request["work"]),
        answerer=lambda config: (StandIn(config.deciding, before=lambda source: steps.step()), lambda folder: []),
    )
    Path(request["steps"]).write_text(str(steps.count), encoding="utf-8")
    return report.exit_code


def main() -> None:
    """Serve requests until there are no more."""
    without_its_face("monai_causal.apps.medfocus")
    for name in (
        "monai_causal.apps.medfocus.workflow.run",
        "tests.apps.medfocus.workflow.stand_in",
        "dicomweb_client.web",
    ):
        importlib.import_module(name)
    assert not {"torch", "monai"} & set(sys.modules), "the worker is to be light"
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 99
            try:
                code = work(json.loads(line))
            finally:
                sys.stderr.flush()
                os._exit(code)
        status, seconds = awaited(child, json.loads(line).get("after"))
        print(status, seconds, flush=True)  # noqa: T201


def awaited(child: int, after: float | None) -> tuple[int, float]:
    """How a child ended, and when; it is killed after so many seconds."""
    started = time.perf_counter()
    while after is not None and (left := started + after - time.perf_counter()) > 0:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            break
        time.sleep(min(left, 0.001))
    else:
        if after is not None:
            os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), time.perf_counter() - started


if __name__ == "__main__":
    main()
