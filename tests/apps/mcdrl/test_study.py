# SPDX-License-Identifier: Apache-2.0
"""The real thing, as small as it gets: a configuration, trainings, a kill in the middle of one, a report, pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from monai_causal.apps.mcdrl import training
from monai_causal.apps.mcdrl.config import read_config
from monai_causal.apps.mcdrl.handlers import Progress
from monai_causal.apps.mcdrl.pictures import positions
from monai_causal.apps.mcdrl.plan import Run
from monai_causal.apps.mcdrl.report import report_loso
from monai_causal.apps.mcdrl.results import read_results
from monai_causal.apps.mcdrl.run import run_loso
from tests.apps.mcdrl.studies import content
from tests.apps.mcdrl.test_run import contents
from tests.networks.blocks.tiny_clip import tiny_clip_folder


class Killed(BaseException):
    """The machine went away."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration beside the CLIP that it names."""
    folder = tmp_path_factory.mktemp("study")
    clip = tiny_clip_folder(folder)
    network = {"encoder": clip.name, "depth": 1, "hidden": 16}
    train = {"epochs": 2, "batch_size": 4, "switch_epoch": 1}
    (folder / "study.yaml").write_text(
        yaml.safe_dump(content(network=network, train=train, methods=["baseline", "mcdrl"]))
    )
    return folder / "study.yaml"


@pytest.fixture(scope="module")
def whole(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    run_loso(read_config(file), folder)
    report_loso(folder)
    return folder


def test_results_are_of_trained_networks(whole: Path) -> None:
    results = read_results(whole)
    assert results.missing == []
    entry = results.entries["phantom|mcdrl|seed 0"]
    assert (entry["epochs"], entry["intervening"], len(entry["losses"])) == (2, True, 2)
    assert entry["trained_parameters"] < entry["parameters"]
    assert entry["weights"] != results.entries["phantom|mcdrl|seed 1"]["weights"]
    recall = [row["recall"] for row in results.rows[Run("phantom", "mcdrl", 0)] if row["lesion_share"] > 0]
    assert recall
    assert all(value is not None for value in recall)
    assert {row["recall"] for row in results.rows[Run("phantom", "baseline", 0)]} == {None}
    features = [row["feature"] for row in results.do_rows[Run("phantom", "mcdrl", 0)]]
    assert sum(value is not None for value in features) == 2 * 10


def test_killed_within_a_training_it_ends_with_the_same_bytes(
    file: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = []
    finished = Progress._epoch

    def until_killed(self: Progress, engine: Any) -> None:
        finished(self, engine)
        epochs.append(engine.state.epoch)
        if len(epochs) == 4:  # the second epoch of the second training
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "_epoch", until_killed)
        with pytest.raises(Killed):
            run_loso(read_config(file), tmp_path)
    assert list((tmp_path / "unfinished").glob("0001-mcdrl-0/*.pt"))
    run_loso(read_config(file), tmp_path)
    report_loso(tmp_path)
    assert contents(tmp_path) == contents(whole)


def test_the_report_has_its_pictures(whole: Path) -> None:
    report = whole / "report"
    text = (report / "report.md").read_text()
    for name in ("gallery-1.png", "gallery-2.png", "gallery-3.png", "features-1.png"):
        assert f"]({name})" in text
        pixels = np.asarray(Image.open(report / name).convert("RGB"))
        assert pixels.std() > 20  # something is drawn
    assert "| mcdrl | 0.5 | 2 | 2 |" in text  # the invariance


def test_a_finished_study_trains_nothing_again(file: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(whole)
    monkeypatch.setattr(training, "train", None)
    run_loso(read_config(file), whole)
    assert contents(whole) == before
    assert str(file.parent) not in (whole / "study.json").read_text()


def test_positions_keep_clouds_apart_and_are_the_same_again() -> None:
    generator = np.random.default_rng(0)
    centres = np.eye(8)[[0] * 15 + [1] * 15] * 10
    features = (centres + 0.1 * generator.normal(size=(30, 8))).astype(np.float32)
    found = positions(features)
    assert np.array_equal(found, positions(features))
    first, second = found[:15], found[15:]
    apart = np.linalg.norm(first.mean(0) - second.mean(0))
    assert apart > max(np.linalg.norm(cloud - cloud.mean(0), axis=1).max() for cloud in (first, second))
