# SPDX-License-Identifier: Apache-2.0
"""MedFocus over a cohort, with a model whose reasons are known on paper."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("transformers", reason="extra 'cxr' is not installed")

from monai_causal.apps.medfocus.result import read_result
from monai_causal.cohort.items import Item
from monai_causal.cohort.jobs import medfocus
from tests.apps.medfocus import scene
from tests.apps.medfocus.golden import BoxReader
from tests.cohort.jobs.workers import measure


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> medfocus.AttributeAnswers:
    """Its model reads the heart's box alone; it is loaded once."""
    loads: list[str] = []

    def load(name: str, **options: Any) -> BoxReader:
        loads.append(name)
        return BoxReader(scene.SIZE, (scene.BOXES["cardiac silhouette"],))

    monkeypatch.setattr(medfocus, "load_vlm", load)
    made = medfocus.AttributeAnswers({"vlm": "golden", "findings": ("cardiomegaly",)})
    made.medfocus.segmenter = scene.segmenter()
    assert loads == ["golden"]
    return made


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{seed}.png" for seed in range(2)]
    for seed, path in enumerate(paths):
        Image.fromarray(np.rint(65535 * scene.picture(seed=seed).numpy()).astype(np.uint16)).save(path)
    return paths


def record_of(job: medfocus.AttributeAnswers, tmp_path: Path, content: dict[str, Any]) -> tuple[dict[str, Any], Path]:
    folder = tmp_path / "out"
    folder.mkdir(exist_ok=True)
    (record,) = job.run([job.read(Item(0, content), tmp_path)], [folder])
    return {"measures": record.measures, "regions": record.regions, "facts": record.facts}, folder


def test_effects_are_the_drops_known_on_paper_with_the_sign_of_all_tables(
    job: medfocus.AttributeAnswers, pictures: list[Path], tmp_path: Path
) -> None:
    for seed, path in enumerate(pictures):
        record, folder = record_of(job, tmp_path, {"image": str(path), "expected": "no"})
        rows, columns = scene.BOXES["cardiac silhouette"]
        drop = 3 * float(scene.picture(seed=seed)[slice(*rows), slice(*columns)].mean())
        effects = {row["name"]: row["effect"] for row in record["regions"]}
        assert effects.pop("cardiac silhouette") == pytest.approx(-drop, abs=1e-3)
        assert all(abs(effect) < 1e-3 for effect in effects.values())
        boxes = {row["name"]: row["box"] for row in record["regions"]}
        assert boxes["cardiac silhouette"] == "32:56 40:64"
        assert measure(record, "concept") == "cardiac silhouette"
        assert (measure(record, "answer"), measure(record, "right")) == ("yes", 0.0)
        assert read_result(folder / "1.json").as_dict()["concept"] == "cardiac silhouette"
        json.dumps(record["facts"])


def test_an_items_own_question_goes_before_those_of_all(
    job: medfocus.AttributeAnswers, pictures: list[Path], tmp_path: Path
) -> None:
    own, _ = record_of(job, tmp_path, {"image": str(pictures[0]), "question": "Is there a tube?", "expected": "Yes"})
    assert {row["question"] for row in own["measures"]} == {"Is there a tube?"}
    assert measure(own, "right") == 1.0
    common, _ = record_of(job, tmp_path, {"image": str(pictures[0])})
    assert {row["question"] for row in common["measures"]} == {"Is there evidence of cardiomegaly in the image?"}
    assert not [row for row in common["measures"] if row["name"] == "right"]


def test_what_is_expected_must_be_an_answer(job: medfocus.AttributeAnswers, pictures: list[Path]) -> None:
    with pytest.raises(ValueError, match="expected: say yes or no"):
        job.read(Item(0, {"image": str(pictures[0]), "expected": "maybe"}), Path())


def test_a_dicom_study_is_read_as_its_radiograph(job: medfocus.AttributeAnswers, tmp_path: Path) -> None:
    pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")
    from monai_causal.apps.medfocus.phantom_study import write_phantom_study

    study = write_phantom_study(5, tmp_path / "study", (64, 96), "dx")
    sample = job.read(Item(0, {"study": str(study)}), tmp_path)
    assert sample.image.pixels.shape == (64, 96)
