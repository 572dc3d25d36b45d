# SPDX-License-Identifier: Apache-2.0
"""What can be done with an item. A job is imported by the workers alone, where its network lives."""

from __future__ import annotations

import importlib

from monai_causal.apps.study.configuration import ConfigError
from monai_causal.cohort.jobs.base import Job
from monai_causal.cohort.registry import entry_of

__all__ = ["load_job"]


def load_job(name: str) -> type[Job]:
    """The class of a job, imported.

    Raises:
        ConfigError: there is no such module or class, or it is no job.
    """
    module, _, kind = entry_of(name).place.partition(":")
    try:
        found = getattr(importlib.import_module(module), kind)
    except (ModuleNotFoundError, AttributeError) as error:
        # What fails inside a module that is there stays visible.
        if isinstance(error, ModuleNotFoundError) and not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ConfigError(f"job.name: {name!r}: there is no such class: {error}.") from None
    if not (isinstance(found, type) and issubclass(found, Job)):
        raise ConfigError(f"job.name: {name!r} is no monai_causal.cohort.jobs.base.Job.")
    return found
