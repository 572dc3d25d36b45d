# SPDX-License-Identifier: Apache-2.0
"""Whatever goes wrong in a step has a code, and no words of others."""

from __future__ import annotations

import errno

import pytest

from monai_causal.apps.medfocus.workflow.problems import WorkflowError, stage
from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.web.problems import WebError


@pytest.mark.parametrize(
    ("error", "code", "reason", "transient"),
    [
        (WorkflowError("unfit", "blank", transient=True), "unfit", "blank", True),
        (WebError("http-503", "busy", transient=True), "push-http-503", "busy", True),
        (WebError("refused", "no", transient=False), "push-refused", "no", False),
        (DicomError("it has no rows"), "push", "it has no rows", False),
        (OSError(errno.ENOSPC, "CANARY", "CANARY.dcm"), "push", "the system says: No space left on device", True),
        (OSError("CANARY"), "push", "the system says: OSError", True),
        (ValueError("CANARY"), "push", "it failed (ValueError)", False),
        (MemoryError(), "push", "it failed (MemoryError)", False),
    ],
)
def test_an_exception_becomes_a_code(error: Exception, code: str, reason: str, transient: bool) -> None:
    with pytest.raises(WorkflowError) as caught, stage("push"):
        raise error
    assert (caught.value.code, caught.value.reason, caught.value.transient) == (code, reason, transient)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_who_wants_to_end_ends(error: type[BaseException]) -> None:
    with pytest.raises(error), stage("push"):
        raise error
