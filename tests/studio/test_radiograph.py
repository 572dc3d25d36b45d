# SPDX-License-Identifier: Apache-2.0
"""Asking about a radiograph: the answer is the command's, anatomy is found once, what is saved makes a report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_causal.apps.medfocus.attribute_case import Case, attribute_case
from monai_causal.report import write_report
from monai_causal.studio.radiograph import QUESTIONS, RadiographSession
from tests.guards.checkout import ROOT
from tests.report.reading import Reading

SAMPLE = ROOT / "bundles" / "medfocus_cxr" / "sample"


@pytest.fixture(scope="module")
def session() -> RadiographSession:
    return RadiographSession(SAMPLE)


def test_the_answer_is_the_commands_own(session: RadiographSession, tmp_path: Path) -> None:
    (mine,) = session.ask(QUESTIONS[0])
    folder = session.save(mine, tmp_path / "kept")
    attribute_case(Case(study=SAMPLE, out=tmp_path / "command", findings=["cardiomegaly"]))
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "command").iterdir())
    for name in ("image.png", "1.png"):
        assert (folder / name).read_bytes() == (tmp_path / "command" / name).read_bytes()
    ours, theirs = (json.loads((where / "1.json").read_text()) for where in (folder, tmp_path / "command"))
    assert ours.pop("runtime").keys() == theirs.pop("runtime").keys()
    assert ours == theirs
    page = Reading(write_report(tmp_path / "kept"))
    assert QUESTIONS[0] in page.text
    assert "The image itself was not given" not in page.text


def test_anatomy_is_found_once_however_much_is_asked(
    session: RadiographSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(session.ask(QUESTIONS[0]))
    monkeypatch.setattr(session, "_segmenter", None)
    (second,) = session.ask(QUESTIONS[1], "mean", "mask")
    assert (second.question, second.masking, second.by) == (QUESTIONS[1], "mean", "mask")


def test_the_picture_is_what_the_model_is_shown(session: RadiographSession) -> None:
    assert session.picture.shape == (1, 224, 224)
    assert session.picture.min() >= 0
    assert np.ptp(session.picture) > 0.5


def test_a_picture_is_asked_about_as_well(tmp_path: Path, session: RadiographSession) -> None:
    Image.fromarray(np.rint(255 * session.picture[0]).astype(np.uint8)).save(tmp_path / "film.png")
    (found,) = RadiographSession(tmp_path / "film.png").ask(QUESTIONS[0])
    (own,) = session.ask(QUESTIONS[0])
    assert found.answer.text == own.answer.text


def test_an_empty_question_is_refused(session: RadiographSession) -> None:
    with pytest.raises(ValueError, match="no question"):
        list(session.ask("  "))
