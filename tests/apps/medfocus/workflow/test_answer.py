# SPDX-License-Identifier: Apache-2.0
"""The real thing on a phantom: MedFocus of a model known in closed form, written, read back, committed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")

import pydicom

from monai_causal.apps.medfocus.phantom_study import write_phantom_study
from monai_causal.apps.medfocus.workflow import Workflow
from monai_causal.apps.medfocus.workflow.answer import MedFocusAnswer, problems_of, weights_digest
from monai_causal.apps.medfocus.workflow.config import RunConfig
from monai_causal.apps.medfocus.workflow.outcome import Report
from monai_causal.apps.medfocus.workflow.push import FolderTarget
from monai_causal.apps.medfocus.workflow.sources import FolderSource
from monai_causal.apps.medfocus.workflow.space import open_space
from tests.apps.medfocus import scene
from tests.apps.medfocus.golden import BoxReader
from tests.apps.medfocus.workflow.stand_in import results_in, uid
from tests.dicom.objects.samples import WORDS, laid
from tests.dicom.studies import image, lay

SIZE = (128, 192)
HEART = ((64, 112), (80, 128))


class Reader(BoxReader):
    """Reads the heart's box."""

    def __init__(self) -> None:
        super().__init__(SIZE, (HEART,))
        self.network = nn.Linear(1, 1)
        with torch.no_grad():
            self.network.weight.fill_(3)
            self.network.bias.fill_(0)


def answer(config: RunConfig | None = None) -> MedFocusAnswer:
    return MedFocusAnswer(config or RunConfig(also=()), Reader(), scene.segmenter(SIZE))


def run(source: Path, out: Path, made: MedFocusAnswer) -> Report:
    with open_space(out) as space:
        return Workflow(space, FolderSource(source), FolderTarget(), made, problems_of).run()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantom_study(3, tmp_path_factory.mktemp("phantom"), SIZE)


def test_a_phantom_gets_its_result(study: Path, tmp_path: Path) -> None:
    made = answer()
    found = run(study, tmp_path / "one", made)
    assert [row.code for one in found.studies for row in one.rows if row.status == "ok"] == ["done"]
    assert found.exit_code == 0
    (folder,) = (tmp_path / "one" / "results").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [one["kind"] for one in manifest["objects"]] == ["seg", "sr", "sc", "gsps"]
    assert manifest["identity"]["model"]["weights_sha256"] == weights_digest(Reader().network)
    report = folder / manifest["objects"][1]["file"]
    assert pydicom.dcmread(report).StudyInstanceUID == pydicom.dcmread(study / "image.dcm").StudyInstanceUID
    assert b"cardiac silhouette" in report.read_bytes()
    run(study, tmp_path / "two", answer())
    assert results_in(tmp_path / "two") == results_in(tmp_path / "one")


def test_a_study_that_lies_any_of_eight_ways_gets_the_same_picture(study: Path, tmp_path: Path) -> None:
    """From the file to the objects: what people see is upright, what lies on the source is turned as the source is."""
    upright = pydicom.dcmread(study / "image.dcm")
    (tmp_path / "studies").mkdir()
    for words in WORDS:
        turned = pydicom.dcmread(study / "image.dcm")
        pixels = laid(upright.pixel_array, words)
        turned.Rows, turned.Columns = pixels.shape
        turned.PixelData, turned.PatientOrientation = pixels.tobytes(), words.split("\\")
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            turned[keyword].value = uid(f"{keyword} {words}".encode())
        turned.save_as(tmp_path / "studies" / words.replace("\\", ""))
    found = run(tmp_path / "studies", tmp_path / "out", answer(RunConfig(also=(), kinds=("seg", "sc"))))
    assert found.counts == {"ok": 8, "skipped": 0, "failed": 0}
    made: dict[str, dict[str, pydicom.Dataset]] = {}
    for path in (tmp_path / "out" / "results").glob("*/*.dcm"):
        one = pydicom.dcmread(path)
        (words,) = (words for words in WORDS if uid(f"StudyInstanceUID {words}".encode()) == one.StudyInstanceUID)
        made.setdefault(words, {})[path.name.partition("-")[0]] = one
    first = made["L\\F"]
    for words, objects in made.items():
        np.testing.assert_array_equal(objects["sc"].pixel_array, first["sc"].pixel_array)
        assert objects["sc"].PatientOrientation == ["L", "F"]
        for frame, expected in zip(objects["seg"].pixel_array, first["seg"].pixel_array, strict=True):
            np.testing.assert_array_equal(frame, laid(expected, words))
    assert len({one["seg"].pixel_array.tobytes() for one in made.values()}) == 8
    # And upright it is: of the ways to turn the phantom within its size, the picture is like the one that its file has.
    shown = first["sc"].pixel_array[2 : 5 * SIZE[0] : 5, 2 : 5 * SIZE[1] : 5, 0]
    alike = {
        words: np.corrcoef(shown.ravel(), laid(upright.pixel_array, words).reshape(-1))[0, 1]
        for words in WORDS
        if words[0] in "LR"
    }
    assert max(alike, key=lambda words: alike[words]) == "L\\F"
    assert alike["L\\F"] > 0.9


def test_another_configuration_has_other_uids(study: Path, tmp_path: Path) -> None:
    def uids(config: RunConfig) -> set[str]:
        before = {path.name for path in tmp_path.glob("results/*")}
        run(study, tmp_path, answer(config))
        (new,) = (path for path in tmp_path.glob("results/*") if path.name not in before)
        return {str(pydicom.dcmread(path).SOPInstanceUID) for path in new.glob("*.dcm")}

    first = uids(RunConfig(also=()))
    assert len(first) == 4
    assert not first & uids(RunConfig(also=(), tau=0.9))


def test_what_nobody_can_read_is_unfit(tmp_path: Path) -> None:
    studies = lay(tmp_path / "studies", {"small.dcm": image(1)})
    found = run(studies, tmp_path / "out", answer())
    assert [row.code for one in found.studies for row in one.rows] == ["unfit"]
    assert "13 x 11 pixels" in found.studies[0].rows[0].reason


def test_objects_that_are_not_ours_are_a_problem(tmp_path: Path) -> None:
    lay(tmp_path, {"1.dcm": image(1)})
    (problem,) = problems_of(tmp_path)
    assert problem.startswith("file 1 (")


def test_a_digest_is_of_names_and_values() -> None:
    first, second = nn.Linear(2, 1), nn.Linear(2, 1)
    second.load_state_dict(first.state_dict())
    assert weights_digest(first) == weights_digest(second)
    with torch.no_grad():
        second.bias.add_(1)
    assert weights_digest(first) != weights_digest(second)
    assert weights_digest(first.to(torch.bfloat16)) != weights_digest(first.float())
    assert weights_digest(nn.Sequential(first)) != weights_digest(first)
