# SPDX-License-Identifier: Apache-2.0
"""A run's configuration: checked, and split into what decides an answer and what does not."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from monai_causal.apps.medfocus.vlm.prompts import finding_question
from monai_causal.apps.medfocus.workflow.config import SCHEMA, RunConfig, read_run_config
from monai_causal.dicom.web.patience import Patience
from tests.guards.checkout import ROOT


def test_without_a_file_the_demo_model_is_asked() -> None:
    assert read_run_config(None) == RunConfig()
    assert (RunConfig().vlm, RunConfig().asked) == ("demo", (finding_question("cardiomegaly"),))


def test_a_file_is_read(tmp_path: Path) -> None:
    rules = {"selections": [{"name": "lateral", "conditions": {"View": "^LL$", "Modality": "DX"}}]}
    content = {
        "schema": SCHEMA,
        "findings": ["nodule"],
        "questions": ["Is there a tube?"],
        "kinds": ["sr"],
        "rules": rules,
        "patience": {"attempts": 2},
    }
    (tmp_path / "run.json").write_text(json.dumps(content))
    config = read_run_config(tmp_path / "run.json")
    assert config.asked == (finding_question("nodule"), "Is there a tube?")
    assert config.patience == Patience(attempts=2)
    assert config.selection is not None
    assert config.selection.keywords == ("Modality",)


def test_the_example_names_every_setting_with_its_default() -> None:
    path = ROOT / "configs" / "medfocus_run.yaml"
    named = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(named) == {"schema", *(one.name for one in fields(RunConfig))}
    assert set(named["patience"]) == {one.name for one in fields(Patience)}
    config = read_run_config(path)
    assert replace(config, rules=None) == RunConfig()
    assert config.selection is not None
    assert [one.name for one in config.selection.rules] == ["PA", "AP"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"vlmm": "demo"}, r"^vlmm: 'demo': no such key"),
        ({"findings": []}, r"^findings: \(\): ask at least one question"),
        ({"findings": ["nodule", "nodule"]}, r"^findings and questions: "),
        ({"questions": [" "]}, r"^questions: .*a question has words"),
        ({"tau": 0}, r"^tau: 0.0: "),
        ({"kinds": []}, r"^kinds: "),
        ({"kinds": ["pm"]}, r"^kinds\[0\]: 'pm'"),
        ({"stable": 0}, r"^stable: 0.0: "),
        ({"page": 0}, r"^page: 0: "),
        ({"rules": {"selections": []}}, r"^selection rules: "),
        ({"patience": {"attempts": 0}}, r"^attempts: 0: "),
        ({"schema": "other"}, r"^schema: 'other'"),
    ],
)
def test_what_cannot_be_run_is_told(content: dict[str, Any], reason: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=reason):
        read_run_config(tmp_path / "run.json")


def test_how_to_wait_decides_no_answer() -> None:
    config = RunConfig()
    waiting = ({"stable": 1.0}, {"every": 1.0}, {"page": 1}, {"patience": Patience(first=9)})
    for idle in (*waiting, {"rules": {"x": 1}}, {"vlm": "elsewhere"}):
        assert replace(config, **idle).deciding == config.deciding
    others = ({"tau": 0.5}, {"findings": ("nodule",)}, {"also": ()}, {"by": "mask"}, {"kinds": ("sr",)})
    for other in others:
        assert replace(config, **other).deciding != config.deciding
    assert json.loads(json.dumps(config.deciding)) == config.deciding
