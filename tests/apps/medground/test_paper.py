# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_causal.apps.medground.paper import commands, in_words, read_paper
from monai_causal.apps.study.configuration import ConfigError, configured
from tests.guards.checkout import ROOT

CONFIG = read_paper(ROOT / "configs" / "medground_paper.yaml")


def test_it_holds_the_papers_runs() -> None:
    assert {one.name: one.published for one in CONFIG.datasets} == {
        "imagenome": 804,
        "vindr_cxr": 433,
        "padchest_gr": 643,
    }
    assert sum(one.published for one in CONFIG.models) == 1880
    assert (len(CONFIG.models), len(CONFIG.modes), len(CONFIG.methods)) == (6, 2, 12)
    assert (CONFIG.editor.steps, CONFIG.editor.guidance, CONFIG.editor.skip, CONFIG.editor.resolution) == (
        200,
        7.5,
        0.3,
        224,
    )


def test_every_benchmark_is_built_and_evaluated_and_all_are_reported() -> None:
    lines = commands(CONFIG)
    assert len(lines) == 2 * 18 + 1
    assert lines[-1].count("medground/") == 18 + 1
    assert "An edit takes 140 passes" in in_words(CONFIG)


def test_an_unknown_method_is_refused() -> None:
    content = {"methods": ["magic"], "datasets": [], "models": [], "modes": [], "forwards": {}, "editor": {}}
    with pytest.raises(ConfigError):
        configured(type(CONFIG), content, "monai_causal/medground-paper/1")
