# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with a study, as a code that stays and a sentence that says nothing of the patient."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.web.problems import WebError

__all__ = ["WorkflowError", "stage"]


class WorkflowError(Exception):
    """A step of a study failed.

    Args:
        code: step and problem, e.g. ``"read"``, ``"verify"``, ``"push-http-503"``.
        reason: a sentence without patient data.
        transient: another attempt later may succeed.
    """

    def __init__(self, code: str, reason: str, *, transient: bool = False) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
        self.transient = transient


@contextmanager
def stage(step: str) -> Iterator[None]:
    """Turn whatever goes wrong in the block into a :class:`WorkflowError` of this step.

    Only our own errors about DICOM files and servers keep their words; of all others the kind is told, because a
    library's words may quote a file.

    Example:
        >>> with stage("attribute"):
        ...     raise KeyError("DOE^JANE")
        Traceback (most recent call last):
        ...
        monai_causal.apps.medfocus.workflow.problems.WorkflowError: attribute: it failed (KeyError)
    """
    try:
        yield
        return
    except WorkflowError:
        raise
    except WebError as error:
        problem = WorkflowError(f"{step}-{error.code}", error.reason, transient=error.transient)
    except DicomError as error:
        problem = WorkflowError(step, error.reason)
    except OSError as error:
        # What the system says of a file names the file, and a name may be a patient's.
        said = os.strerror(error.errno) if error.errno else type(error).__name__
        problem = WorkflowError(step, f"the system says: {said}", transient=True)
    except Exception as error:
        problem = WorkflowError(step, f"it failed ({type(error).__name__})")
    raise problem from None
