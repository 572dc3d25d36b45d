# SPDX-License-Identifier: Apache-2.0
"""The paper's runs as one configuration: what each needs, what each costs in passes, and the commands that do it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monai_causal.apps.medfocus.baselines.registry import METHODS
from monai_causal.apps.medground.records import MODES
from monai_causal.apps.study.configuration import configured, listed, need, need_distinct, read_content

__all__ = ["SCHEMA", "PaperConfig", "commands", "in_words", "read_paper"]

SCHEMA = "monai_causal/medground-paper/1"


@dataclass(frozen=True)
class DataSet:
    """One of the data sets.

    Args:
        name: as records call it.
        source: of ``medground build``.
        data: where its annotations lie.
        images: where its images lie, if that is another place.
        needs: what has to be agreed to, and where.
        published: samples that passed the paper's filter in direct mode, over all models.
    """

    name: str
    source: str
    data: str
    needs: str
    published: int
    images: str | None = None


@dataclass(frozen=True)
class Model:
    """One of the models.

    Args:
        name: as the published records call it.
        repository: of the hub.
        parameters: in billions, as its name says.
        needs: what has to be agreed to, and where.
        published: samples that passed the paper's filter in direct mode, over all data sets.
        revision: the commit to pin, 40 hexadecimal digits; to be filled in by whoever fetches the model.
    """

    name: str
    repository: str
    parameters: float
    needs: str
    published: int
    revision: str | None = None


@dataclass(frozen=True)
class Editor:
    """How counterfactual images are made."""

    name: str
    steps: int
    guidance: float
    skip: float
    resolution: int
    needs: str


@dataclass(frozen=True)
class PaperConfig:
    """All runs of the paper.

    Args:
        datasets: three.
        models: six.
        modes: two.
        methods: by id.
        forwards: of each method per sample, where they do not depend on the model.
        editor: of the counterfactual images.
        negatives: share of questions about what is not there; the paper has none.
    """

    datasets: tuple[DataSet, ...]
    models: tuple[Model, ...]
    modes: tuple[str, ...]
    methods: tuple[str, ...]
    forwards: dict[str, Any]
    editor: Editor
    negatives: float = 0.0

    def __post_init__(self) -> None:
        need_distinct("datasets", [one.name for one in self.datasets])
        need_distinct("models", [one.name for one in self.models])
        need_distinct("methods", self.methods)
        for name in self.methods:
            need(name in METHODS, "methods", name, f"no such method; known are {listed(METHODS)}")
        for mode in self.modes:
            need(mode in MODES, "modes", mode, f"one of {', '.join(MODES)}")
        for name in self.forwards:
            need(name in self.methods, "forwards", name, "it is not among the methods")


def read_paper(path: str | os.PathLike[str]) -> PaperConfig:
    """The configuration, checked: the first thing that is wrong is said, with its key."""
    return configured(PaperConfig, read_content(path), SCHEMA)


def commands(config: PaperConfig, out: str = "medground") -> list[str]:
    """What to run, benchmark by benchmark, and the report at the end."""
    lines, folders = [], []
    mode = config.modes[0] if len(config.modes) == 1 else "both"
    for data in config.datasets:
        for model in config.models:
            folder = f"{out}/{data.name}-{model.name}"
            folders.append(folder)
            vlm = f"{model.repository}@{model.revision or 'REVISION'}"
            build = ["monai-causal", "medground", "build", "--source", data.source, "--data", data.data]
            build += ["--images", data.images] if data.images else []
            build += ["--vlm", vlm, "--editor", config.editor.name, "--editor-folder", config.editor.name]
            build += ["--resolution", str(config.editor.resolution), "--negatives", f"{config.negatives:g}"]
            lines.append(shlex.join([*build, "--mode", mode, "--out", folder]))
            evaluate = ["monai-causal", "medground", "evaluate", folder, "--methods", ",".join(config.methods)]
            lines.append(
                shlex.join([*evaluate, "--detector", "DETECTOR"] if "prompt-phrases" in config.methods else evaluate)
            )
    lines.append(shlex.join(["monai-causal", "medground", "report", *folders, "--out", f"{out}/report"]))
    return lines


def in_words(config: PaperConfig, out: str = "medground") -> str:
    """What has to be there, what it costs, and the commands."""
    taken = round(config.editor.steps * (1 - config.editor.skip))
    counted: Mapping[str, Any] = config.forwards
    needed = [(one.name, one.needs) for one in config.datasets] + [(one.name, one.needs) for one in config.models]
    needed.append((config.editor.name, config.editor.needs))
    lines = ["Needed:", *(f"- {name}: {what}" for name, what in needed)]
    lines += [
        "",
        f"An edit takes {taken} passes of the editor's network into noise and {2 * taken} back; a sample that passes "
        "the filter takes 3 edits and 4 answers.",
        f"A sample takes {sum(counted.values())} pictures through the model in each mode for the methods that are "
        f"counted ({', '.join(f'{name} {count}' for name, count in counted.items())}).",
        f"Published in direct mode: {sum(one.published for one in config.datasets)} samples "
        f"({', '.join(f'{one.name} {one.published}' for one in config.datasets)}).",
        "",
        *commands(config, out),
    ]
    return "\n".join(lines)
