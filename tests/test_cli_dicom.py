# SPDX-License-Identifier: Apache-2.0
"""``monai-causal dicom``: what it prints, its exit status, and that it prints nothing of the patient."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from monai_causal.dicom.inspection import in_words, inspect
from tests.dicom.studies import CANARY, image, lay, with_canaries
from tests.guards.checkout import ROOT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monai_causal", "dicom", "inspect", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_text_json_and_status(tmp_path: Path) -> None:
    folder = str(lay(tmp_path, {"1": image(1), "2": image(2, ViewPosition="LL")}))
    text, as_json = run(folder), run(folder, "--json")
    expected = inspect(folder)
    assert (text.returncode, text.stdout, text.stderr) == (0, in_words(expected) + "\n", "")
    assert (as_json.returncode, json.loads(as_json.stdout)) == (0, json.loads(json.dumps(expected)))


def test_a_study_without_anything_to_read_is_status_1_and_no_study_at_all_2(tmp_path: Path) -> None:
    done = run(str(lay(tmp_path, {"1": image(1), "2": image(2)})))
    assert done.returncode == 1
    assert "no time tells which is the newest" in done.stdout
    done = run(str(tmp_path / CANARY))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "monai-causal: the file or folder cannot be read: ENOENT\n"


def test_rules_from_a_file(tmp_path: Path) -> None:
    folder = lay(tmp_path / "study", {"1": image(1), "2": image(2, ViewPosition="LL")})
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"selections": [{"name": "side", "conditions": {"View": "LL"}}]}))
    assert "by the rule 'side'" in run(str(folder), "--rules", str(rules)).stdout
    rules.write_text("{}")
    done = run(str(folder), "--rules", str(rules))
    assert (done.returncode, done.stderr) == (
        2,
        "monai-causal: selection rules: a JSON object with a list 'selections' is needed.\n",
    )


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_canaries_reach_neither_stdout_nor_stderr(options: list[str], tmp_path: Path) -> None:
    whole = with_canaries(image(1))
    folder = lay(tmp_path / CANARY, {f"{CANARY}1": whole, f"{CANARY}2": b"\0" * 128 + b"DICMCANARY", CANARY: b"CANARY"})
    done = run(str(folder), *options)
    assert done.returncode == 0
    assert CANARY not in done.stdout + done.stderr
    assert CANARY in run(str(folder), *options, "--names").stdout
