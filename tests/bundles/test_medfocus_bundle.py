# SPDX-License-Identifier: Apache-2.0
"""The bundle that says which anatomy an answer about a chest radiograph rests on."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers", reason="extra 'cxr' is not installed")
pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from monai_causal.apps.medfocus.phantom_study import write_phantom_study
from monai_causal.apps.medfocus.result import MedFocusResult, read_result
from tests.bundles.bundle import MEDFOCUS, workflow

MODELS = ("demo", "demo-shortcut")


def test_each_model_is_a_small_folder_that_transformers_saved() -> None:
    for name in MODELS:
        folder = MEDFOCUS / "models" / name
        size = sum(path.stat().st_size for path in folder.iterdir())
        assert size < 25_000_000
        assert (folder / "model.safetensors").is_file()
        card = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        assert "nothing clinical" in card["limits"]


def test_the_sample_is_the_phantom_that_it_says(tmp_path: Path) -> None:
    truth = json.loads((MEDFOCUS / "sample" / "truth.json").read_text(encoding="utf-8"))
    findings = ["cardiomegaly", "nodule"]
    write_phantom_study(21, tmp_path, (224, 224), "dx", findings=findings)
    (made,) = tmp_path.rglob("truth.json")
    assert json.loads(made.read_text(encoding="utf-8")) == truth
    assert (made.parent / "image.dcm").read_bytes() == (MEDFOCUS / "sample" / "image.dcm").read_bytes()


def test_it_runs_at_once_from_anywhere_and_a_questions_override_is_taken(tmp_path: Path) -> None:
    flow = workflow(MEDFOCUS, "inference", "infer", tmp_path / "out", device=None, findings=["cardiomegaly"])
    flow.initialize()
    flow.run()
    flow.finalize()
    result = read_result(tmp_path / "out" / "1.json")
    assert isinstance(result, MedFocusResult)
    assert result.reading == "yes"  # the sample's heart is large
    assert result.concept in ("cardiac silhouette", "mediastinum")
    assert (tmp_path / "out" / "1.png").is_file()


def commands() -> list[Any]:
    """Every command of the README, in its order."""
    text = (MEDFOCUS / "docs" / "README.md").read_text(encoding="utf-8")
    blocks = text.split("```")[1::2]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    found = [line.strip() for line in lines if line.strip().startswith(("python -m monai.bundle", "monai-causal "))]
    slow = [pytest.param(line, marks=pytest.mark.slow) for line in found if "train-demo-vlm" not in line]
    return [*slow]


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_readme_runs(command: str, tmp_path: Path) -> None:
    bundle = tmp_path / "medfocus_cxr"
    shutil.copytree(MEDFOCUS, bundle)
    write_phantom_study(5, tmp_path / "mine", (256, 256), "dx")
    words = shlex.split(command.replace("/data/study", str(tmp_path / "mine")))
    words[0:1] = [sys.executable] if words[0] == "python" else [sys.executable, "-m", "monai_causal"]
    done = subprocess.run(words, cwd=bundle, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
