# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

pytest.importorskip("transformers", reason="extra 'cxr' is not installed")
pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from monai_causal.apps.medfocus.attribute_case import Case, attribute_case, in_words, read_radiograph
from monai_causal.apps.medfocus.phantom_study import write_phantom_study
from monai_causal.apps.medfocus.result import MedFocusResult, read_result
from monai_causal.cli import app
from monai_causal.data.phantoms.chest import chest

QUESTION = "Is there evidence of left pleural effusion in the image?"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantom_study(31, tmp_path_factory.mktemp("study"), (224, 224), "cr", findings=["effusion_left"])


def test_a_study_is_answered_and_attributed_with_a_record_and_a_picture_per_question(
    study: Path, tmp_path: Path
) -> None:
    case = Case(study=study, out=tmp_path / "why", questions=[QUESTION], findings=["effusion_left", "nodule"])
    results = attribute_case(case)
    assert [one.question for one in results] == [QUESTION, "Is there evidence of a lung nodule in the image?"]
    first = results[0]
    assert isinstance(first, MedFocusResult)
    assert first.reading == "yes"
    assert first.concept in ("left lung", "left costophrenic angle", "costophrenic angles", "both lungs")
    assert first.provenance["image"]["projection"]
    assert sorted(path.name for path in (tmp_path / "why").iterdir()) == [
        "1.json",
        "1.png",
        "2.json",
        "2.png",
        "image.png",
    ]
    kept = read_result(tmp_path / "why" / "1.json")
    assert kept.as_dict() == first.as_dict()
    with Image.open(tmp_path / "why" / "1.png") as picture:
        assert np.asarray(picture).std() > 20  # neither blank nor saturated
    told = in_words(results, tmp_path / "why")
    assert first.concept in told
    assert "no diagnosis" in told


def test_a_picture_is_read_as_it_is_shown_and_so_is_dicom(study: Path, tmp_path: Path) -> None:
    pixels = np.rint(255 * chest(3, (96, 80)).image[0]).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "film.png")
    np.testing.assert_allclose(np.asarray(read_radiograph(tmp_path / "film.png")), pixels / 255, atol=1e-6)
    read = read_radiograph(study)
    assert read.view == "PA"


def test_another_method_draws_its_own_boxes(study: Path, tmp_path: Path) -> None:
    (result,) = attribute_case(Case(study=study, out=tmp_path, questions=[QUESTION], method="attention"))
    assert result.method == "attention"
    assert json.loads((tmp_path / "1.json").read_text(encoding="utf-8"))["boxes"]
    assert "attention:" in in_words([result], tmp_path)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"questions": []}, "there is no question"),
        ({"method": "magic"}, "method='magic': one of medfocus"),
        ({"vlm": "nowhere"}, "neither demo nor demo-shortcut"),
        ({"study": "not there"}, "'not there': there is no such file or folder"),
        ({"questions": ["?"] * 1 + [f"Is it {n}?" for n in range(300)]}, "301 questions at once"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_error(
    study: Path, tmp_path: Path, changes: dict[str, object], fault: str
) -> None:
    given = {"study": study, "out": tmp_path, "questions": [QUESTION], **changes}
    with pytest.raises((ValueError, FileNotFoundError), match=fault):
        attribute_case(Case(**given))  # type: ignore[arg-type]


def test_the_command_says_what_the_answer_rests_on(study: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["medfocus", "attribute", str(study), "--finding", "effusion_left", "--out", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    assert QUESTION in done.output
    assert (tmp_path / "1.png").is_file()
