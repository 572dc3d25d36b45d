# SPDX-License-Identifier: Apache-2.0
"""``monai-causal dicom``: what it prints, its exit status, and that it prints nothing of the patient."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

import pydicom

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


def other(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monai_causal", "dicom", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment})


def test_verify_prints_what_is_well_and_what_is_not(tmp_path: Path) -> None:
    pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")
    from monai_causal.dicom.objects import write_results
    from tests.dicom.objects.samples import content, projection

    write_results(projection(PatientName=CANARY), content(), tmp_path, kinds=("gsps",))
    allow = str(ROOT / "tests" / "dicom" / "dciodvfy_allow.txt")
    done = other("verify", str(tmp_path), "--allow", allow, "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"], done.stderr) == (0, True, "")
    assert [one["kind"] for one in report["files"]] == ["gsps"]
    (path,) = tmp_path.iterdir()
    spoilt = pydicom.dcmread(path)
    del spoilt.ContributingEquipmentSequence[-1].DeviceUID
    pydicom.dcmwrite(path, spoilt)
    done = other("verify", str(tmp_path), "--allow", allow)
    assert done.returncode == 1
    assert "its contributing equipment does not identify the algorithm (DeviceUID)" in done.stdout
    assert CANARY not in done.stdout + done.stderr
    done = other("verify", str(tmp_path / CANARY))
    assert (done.returncode, done.stderr) == (2, "monai-causal: the file or folder is not there\n")


def test_deidentify_takes_its_secret_from_the_environment_and_warns_of_pixels(tmp_path: Path) -> None:
    folder = lay(tmp_path / "in", {"1": with_canaries(image(1))})
    arguments = ("deidentify", str(folder), "--option", "retain-modified-dates", "--json", "--out")
    names = []
    for secret, out in (("one", "1"), ("one", "2"), ("two", "3")):
        done = other(*arguments, str(tmp_path / out), MONAI_CAUSAL_DEIDENTIFY_KEY=secret)
        report = json.loads(done.stdout)
        assert (done.returncode, report["options"]) == (0, ["retain-modified-dates"])
        assert "burned into pictures" in report["uncleaned"]
        assert CANARY not in done.stdout + done.stderr
        names.append([path.name for path in (tmp_path / out).rglob("*.dcm")])
    assert names[0] == names[1] != names[2]
    done = other("deidentify", str(folder), "--out", str(tmp_path / "4"), "--option", "everything")
    assert done.returncode == 2
    assert done.stderr.startswith("monai-causal: option 'everything': give one of retain-uids")
