# SPDX-License-Identifier: Apache-2.0
"""What a run asks of which model, and how patient it is; read from YAML or JSON, or all defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from monai_causal.apps.study.configuration import configured, need, need_distinct, read_content
from monai_causal.dicom.selection_rules import SelectionRules
from monai_causal.dicom.web.patience import Patience

__all__ = ["SCHEMA", "RunConfig", "read_run_config"]

SCHEMA = "monai_causal/medfocus-run/1"

Masking = Literal["zero", "mean", "blur", "inpaint"]
Kind = Literal["seg", "sr", "sc", "gsps"]


@dataclass(frozen=True)
class RunConfig:
    """Configuration of a run.

    Args:
        vlm: the model: a name of one that comes along, a folder, or a repository of the hub with its revision.
        findings: each becomes a question in the published words.
        questions: further ones, as they are.
        mode: how the model is told to answer.
        masking: with what a concept is replaced.
        also: further maskings under which the winner should stay the winner.
        by: replace the ``box`` or the ``mask`` of a concept.
        tau: no concept is named where the answer stays at least this probable, of what it was.
        kinds: of objects to write.
        rules: selection rules, as :class:`~monai_causal.dicom.selection_rules.SelectionRules` reads them; by default a
            frontal chest radiograph, PA before AP.
        for_processing: take also a DX for processing.
        stable: seconds without a change after which a watched study is complete.
        every: seconds between two looks of a watch.
        page: results asked for at once in a search.
        patience: timeouts and attempts with servers.

    Example:
        >>> RunConfig(findings=("pleural effusion",)).asked
        ('Is there evidence of pleural effusion in the image?',)
    """

    vlm: str = "demo"
    findings: tuple[str, ...] = ("cardiomegaly",)
    questions: tuple[str, ...] = ()
    mode: Literal["direct", "reasoning"] = "direct"
    masking: Masking = "zero"
    also: tuple[Masking, ...] = ("mean", "blur")
    by: Literal["box", "mask"] = "box"
    tau: float = 0.75
    kinds: tuple[Kind, ...] = ("seg", "sr", "sc", "gsps")
    rules: dict[str, Any] | None = None
    for_processing: bool = False
    stable: float = 60.0
    every: float = 10.0
    page: int = 200
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        need(bool(self.asked), "findings", self.findings, "ask at least one question, by findings or questions")
        need_distinct("findings and questions", self.asked)
        need(all(one.strip() for one in self.asked), "questions", self.questions, "a question has words")
        need(0 < self.tau <= 1, "tau", self.tau, "give a relative probability above 0 and at most 1, such as 0.75")
        need(bool(self.kinds), "kinds", self.kinds, "write at least one kind of object")
        need_distinct("kinds", self.kinds)
        for name in ("stable", "every"):
            need(getattr(self, name) > 0, name, getattr(self, name), "give seconds above zero")
        need(self.page > 0, "page", self.page, "ask for at least one result at once")

    @property
    def asked(self) -> tuple[str, ...]:
        """All questions."""
        return (*(f"Is there evidence of {finding} in the image?" for finding in self.findings), *self.questions)

    @property
    def selection(self) -> SelectionRules | None:
        """The rules, checked."""
        return None if self.rules is None else SelectionRules.from_json(self.rules)

    @property
    def deciding(self) -> Mapping[str, Any]:
        """What of it decides the answer: all but how to wait, where to look, and where the model lies, whose own digest
        says which it is."""
        idle = ("stable", "every", "page", "patience", "rules", "for_processing", "findings", "questions", "vlm")
        kept = {name: value for name, value in asdict(self).items() if name not in idle}
        return {**kept, "also": list(self.also), "kinds": list(self.kinds), "questions": list(self.asked)}


def read_run_config(path: str | os.PathLike[str] | None) -> RunConfig:
    """A configuration from a YAML or JSON file, checked; all defaults where there is none."""
    config = RunConfig() if path is None else configured(RunConfig, read_content(path), SCHEMA)
    _ = config.selection  # wrong rules are told now, and not by the first study
    return config
