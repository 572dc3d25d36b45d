# SPDX-License-Identifier: Apache-2.0
"""The jobs by name: where the class of each is. Nothing of them is imported here."""

from __future__ import annotations

from dataclasses import dataclass

from monai_causal.apps.study.configuration import ConfigError

__all__ = ["JOBS", "JobEntry", "entry_of"]


@dataclass(frozen=True)
class JobEntry:
    """Where a job is.

    Args:
        place: ``module:Class``.
        paths: of its settings those that name a file or folder, at any depth: they start at the configuration's
            folder, and records know them by the digests of what lies there.
    """

    place: str
    paths: tuple[str, ...] = ()


JOBS: dict[str, JobEntry] = {
    "explain": JobEntry("monai_causal.cohort.jobs.explain:Explain", ("checkpoint", "bundle", "bank", "donors")),
    "segbench": JobEntry("monai_causal.cohort.jobs.segbench:SegBench", ("checkpoint", "bundle")),
    "medfocus": JobEntry("monai_causal.cohort.jobs.medfocus:AttributeAnswers", ("vlm",)),
    "medground": JobEntry("monai_causal.cohort.jobs.medground:JudgeAttributions", ("vlm",)),
    "pdcr-study": JobEntry("monai_causal.cohort.jobs.pdcr_study:PdCRStudy", ("checkpoint", "donors")),
    "trivial": JobEntry("monai_causal.cohort.jobs.trivial:Trivial"),
}
"""``trivial`` needs nothing and answers at once: it measures what a run itself costs."""


def entry_of(name: str) -> JobEntry:
    """A job by its name, or a class of one's own as ``module:Class``.

    Raises:
        ConfigError: it is neither.

    Example:
        >>> entry_of("trivial").place
        'monai_causal.cohort.jobs.trivial:Trivial'
    """
    if name in JOBS:
        return JOBS[name]
    module, colon, kind = name.partition(":")
    if colon and kind.isidentifier() and all(part.isidentifier() for part in module.split(".")):
        return JobEntry(name)
    raise ConfigError(f"job.name: {name!r}: choose {', '.join(JOBS)}, or name a class of your own as module:Class.")
