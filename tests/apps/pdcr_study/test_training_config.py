# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monai_causal.apps.pdcr_study.config import read_config
from monai_causal.apps.pdcr_study.training_config import CourseConfig, as_training, read_training
from monai_causal.apps.study.configuration import ConfigError

CONFIGS = Path(__file__).parents[3] / "configs"


def content(**changes: Any) -> dict[str, Any]:
    data = {"name": "phantom", "parts": {"explain": 1, "donors": 2, "train": 8}}
    return {"data": data, "network": {"build": "u-kan"}} | changes


def test_the_defaults_are_the_studys() -> None:
    course = as_training(content()).train
    assert (course.epochs, course.batch_size, course.rate, course.weight_decay, course.clip) == (100, 32, 1e-3, 0.01, 1)


@pytest.mark.parametrize("name", ["phantom", "ham10000", "fives"])
def test_the_configurations_that_come_along(name: str) -> None:
    training = read_training(CONFIGS / f"pdcr_train_{name}.yaml")
    assert training.data.name == name
    if name != "phantom":
        assert {**vars(training.train), "amp": False} == vars(CourseConfig())


def test_training_and_study_take_the_same_parts_of_ham10000() -> None:
    training, study = (read_training, read_config)
    assert (
        training(CONFIGS / "pdcr_train_ham10000.yaml").data.parts
        == study(CONFIGS / "pdcr_study_ham10000.yaml").data.parts
    )


def test_a_record_names_no_folder() -> None:
    training = as_training(content(data={**content()["data"], "root": "/somewhere/private"}, device="cuda:1"))
    assert "private" not in json.dumps(training.record())
    assert as_training({**training.record(), "device": None}).network == training.network


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": {"build": "resnet"}}, "network.build: 'resnet': choose one of unet, segnet"),
        ({"train": {"epochs": 0}}, "train.epochs: 0: give at least 1"),
        ({"train": {"batch_size": 1}}, "train.batch_size: 1: batch norm needs at least two images"),
        ({"train": {"clip": 0.0}}, r"train.clip: 0.0: give a number above 0"),
        ({"train": {"validation": 1.0}}, r"train.validation: 1.0: give a share from 0 to below 1"),
        ({"train": {"momentum": 0.9}}, "train.momentum: 0.9: no such key"),
        ({"data": {"name": "phantom", "parts": {"explain": 1, "donors": 2}}}, "data.parts.train: 0: train on at least"),
    ],
)
def test_what_cannot_be_run(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        as_training(content(**changes))
