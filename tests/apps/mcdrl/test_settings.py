# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_causal.apps.mcdrl.settings import NetworkConfig, TrainConfig
from monai_causal.apps.study.configuration import ConfigError, checked


def test_the_papers_settings_override_what_stands_beside_them() -> None:
    paper = TrainConfig(settings="paper", epochs=3, rate=1.0, batch_size=5).resolved()
    assert (paper.epochs, paper.switch_epoch, paper.batch_size) == (50, 10, 5)
    assert {paper.rate, paper.adapter_rate, paper.encoder_rate} == {0.005}
    assert (paper.lambda_causal, paper.lambda_contrast, paper.temperature) == (0.5, 0.1, 0.5)
    assert (paper.dice, paper.normalise, paper.schedule) == (0.0, False, "constant")
    assert paper.resolved() == paper


def test_sane_settings_stay_as_they_are() -> None:
    config = TrainConfig(epochs=3)
    assert config.resolved() is config


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        (TrainConfig, {"epochs": 0}, "epochs: 0: give at least 1"),
        (TrainConfig, {"rate": 0.0}, "rate: 0.0: give a number above 0"),
        (TrainConfig, {"lambda_causal": -1.0}, "lambda_causal: -1.0: give 0 or more"),
        (TrainConfig, {"patience": 0}, "patience: 0: give at least 1"),
        (TrainConfig, {"switch_epoch": -1}, "switch_epoch: -1"),
        (TrainConfig, {"settings": "best"}, "settings: 'best': choose 'sane' or 'paper'"),
        (NetworkConfig, {"alpha": 0.0}, "alpha: 0.0"),
        (NetworkConfig, {"depth": 0}, "depth: 0: give at least one layer"),
        (NetworkConfig, {"count": 0}, "count: 0: give at least one confounder"),
        (NetworkConfig, {"hidden": 20}, "hidden: 20: give a multiple of 16"),
    ],
)
def test_what_is_wrong_is_said(kind: type, content: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        checked(kind, content, "")
