# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from ignite.engine import Engine
from typer.testing import CliRunner

from monai_causal.apps.explain.weights import load_weights
from monai_causal.apps.pdcr_study.images import parts_of
from monai_causal.apps.pdcr_study.training import CHECKPOINT, EightBitViews, in_words, segmentation_loss, train_network
from monai_causal.apps.pdcr_study.training_config import TrainingConfig, as_training
from monai_causal.apps.study.configuration import ConfigError
from monai_causal.cli import app
from monai_causal.networks.catalogue import CATALOGUE
from monai_causal.networks.nets import build_network

TINY = {"width": 8, "depths": [1], "heads": [2], "window": 4, "drop_path": 0.3}


def training(**course: Any) -> TrainingConfig:
    data = {"name": "phantom", "options": {"size": [32, 32]}, "parts": {"train": 10, "explain": 2, "donors": 3}}
    # Blocks are dropped at random, so that a training which goes on has to drop the same ones.
    network = {"build": "swin-unet", "options": {**TINY, "depths": [2]}}
    settings = {"epochs": 3, "batch_size": 4, "validation": 0.2, **course}
    return as_training({"data": data, "network": network, "train": settings})


def weights(out: Path) -> dict[str, torch.Tensor]:
    held: dict[str, torch.Tensor] = torch.load(out / CHECKPOINT, weights_only=True)["network"]
    return held


class KilledError(Exception):
    """What a kill is in these tests."""


def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_network(training(), tmp_path / "whole")
    run = Engine._fire_event

    def killed(engine: Engine, event: object, *arguments: object, **options: object) -> None:
        if str(event) == "Events.ITERATION_STARTED" and engine.state.max_epochs == 3 and engine.state.iteration == 5:
            raise KilledError  # in the third epoch of two batches each
        run(engine, event, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_fire_event", killed)
        with pytest.raises(KilledError):
            train_network(training(), tmp_path / "cut")
    torch.manual_seed(99)  # whatever else has drawn in between
    train_network(training(), tmp_path / "cut")
    expected, found = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    told = [json.loads((tmp_path / name / "trained.json").read_text()) for name in ("whole", "cut")]
    assert told[0] == told[1]
    assert len(told[0]["losses"]) == 3
    assert str(told[0]["best_epoch"]) in in_words(tmp_path / "cut")
    assert list((tmp_path / "whole" / "tensorboard").glob("events*"))


def test_the_checkpoint_holds_the_configuration_and_is_loaded_strictly(tmp_path: Path) -> None:
    config = training(epochs=1, validation=0.0, tensorboard=False)
    file = train_network(config, tmp_path)
    assert json.loads(torch.load(file, weights_only=True)["config"]) == config.record()
    network = build_network("swin-unet", 1, 1, **config.network.options)
    load_weights(network, file)
    assert all(torch.equal(value, weights(tmp_path)[name]) for name, value in network.state_dict().items())
    with pytest.raises(ValueError, match="belongs to another network"):
        load_weights(build_network("swin-unet", 1, 2, **config.network.options), file)
    with pytest.raises(ConfigError, match="holds a training with another configuration"):
        train_network(training(epochs=2, validation=0.0, tensorboard=False), tmp_path)


def test_gradients_are_clipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    norms = []
    step = torch.optim.AdamW.step

    def watched(optimiser: torch.optim.AdamW, *arguments: Any, **options: Any) -> Any:
        result = step(optimiser, *arguments, **options)
        gradients = [one.grad for group in optimiser.param_groups for one in group["params"] if one.grad is not None]
        norms.append(float(torch.stack([one.norm() for one in gradients]).norm()))
        return result

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    train_network(training(epochs=1, clip=0.001, tensorboard=False), tmp_path)
    assert len(norms) == 2
    assert norms == pytest.approx([0.001, 0.001], rel=1e-3)


def test_the_loss_of_one_channel_is_dice_and_a_cross_entropy_that_is_not_nothing() -> None:
    logits, labels = torch.randn(2, 1, 8, 8), torch.randint(0, 3, (2, 1, 8, 8))
    truth = (labels > 0).float()
    probability = logits.sigmoid()
    both = (probability * truth).sum((1, 2, 3))
    dice = 1 - (2 * both + 1e-5) / (probability.sum((1, 2, 3)) + truth.sum((1, 2, 3)) + 1e-5)
    entropy = F.binary_cross_entropy_with_logits(logits, truth)
    assert entropy > 0.3
    torch.testing.assert_close(segmentation_loss(several=False)(logits, labels), dice.mean() + entropy)


def test_the_loss_of_classes() -> None:
    logits, labels = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 1, 8, 8))
    probability, truth = logits.softmax(1), F.one_hot(labels[:, 0], 3).movedim(-1, 1).float()
    both = (probability * truth).sum((2, 3))
    dice = 1 - (2 * both + 1e-5) / (probability.sum((2, 3)) + truth.sum((2, 3)) + 1e-5)
    expected = dice.mean() + F.cross_entropy(logits, labels[:, 0])
    torch.testing.assert_close(segmentation_loss(several=True)(logits, labels), expected)


def test_a_byte_per_pixel_is_what_a_file_holds() -> None:
    images = torch.randint(0, 256, (3, 1, 4, 4), dtype=torch.uint8)
    item = EightBitViews(images, torch.ones(3, 1, 4, 4, dtype=torch.uint8), flips=False)[2]
    assert torch.equal(item["image"], images[2].float() / 255)
    assert item["label"].dtype == torch.int64


def test_parts_that_nobody_needs_may_be_empty() -> None:
    config = training()
    explained, giving, taught = parts_of(config.data)
    assert [len(part) for part in (explained, giving, taught)] == [2, 3, 10]
    assert len({item["id"] for item in explained + giving + taught}) == 15
    alone = as_training({"data": {"name": "phantom", "parts": {"train": 4, "explain": 0, "donors": 0}},
                         "network": {"build": "unet"}})  # fmt: skip
    assert [len(part) for part in parts_of(alone.data)] == [0, 0, 4]


def test_the_commands(tmp_path: Path) -> None:
    listed = CliRunner().invoke(app, ["networks"])
    assert listed.exit_code == 0
    assert all(name in listed.output for name in CATALOGUE)
    file = tmp_path / "training.json"
    content = training(epochs=1, validation=0.0, tensorboard=False).record()
    file.write_text(json.dumps(content))
    done = CliRunner().invoke(app, ["pdcr-study", "train", "--config", str(file), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "1 epochs; " in done.output
    assert (tmp_path / "out" / CHECKPOINT).exists()


@pytest.mark.slow
def test_torchrun_shares_every_batch(tmp_path: Path) -> None:
    """Without anything drawn in the network two processes come to the weights of one, but for round-off."""
    data = {"name": "phantom", "options": {"size": [32, 32]}, "parts": {"train": 8, "explain": 0, "donors": 0}}
    network = {"build": "swin-unet", "options": {**TINY, "drop_path": 0.0}}
    course = {"epochs": 2, "batch_size": 8, "validation": 0.0, "tensorboard": False}
    content = {"data": data, "network": network, "train": course, "device": "cpu"}
    file = tmp_path / "training.json"
    file.write_text(json.dumps(content))
    train_network(as_training(content), tmp_path / "one")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    given = ["monai_causal", "pdcr-study", "train", "--config", str(file), "--out", str(tmp_path / "two")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, *given], env=environment, check=True, capture_output=True, timeout=900)
    expected, found = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4, msg=name)
