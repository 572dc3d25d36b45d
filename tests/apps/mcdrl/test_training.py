# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from torch import nn
from torch.utils.data import DistributedSampler

from monai_causal.apps.mcdrl import training
from monai_causal.apps.mcdrl.measures import Seen, measure_image
from monai_causal.apps.mcdrl.settings import TrainConfig
from monai_causal.apps.mcdrl.training import Trained, train
from monai_causal.apps.mcdrl.views import Views
from monai_causal.losses import MCDRLLoss, PromptLoss
from monai_causal.networks.nets.mcdrl import MCDRL
from monai_causal.networks.nets.prompt_segmenter import PromptSegmenter
from tests.apps.mcdrl.scenes import discs
from tests.networks.blocks.tiny_clip import tiny_clip_folder


def network(folder: Path, **options: object) -> MCDRL:
    torch.manual_seed(1)
    return MCDRL(str(folder), depth=1, hidden=16, **options)  # type: ignore[arg-type]


def fitted(net: nn.Module, folder: Path, epochs: int, validate: bool = True, **settings: object) -> Trained:
    config = TrainConfig(epochs=epochs, batch_size=4, **{"switch_epoch": 1} | settings)  # type: ignore[arg-type]
    validation = Views(*discs(100, 4), flips=False) if validate else None
    return train(net, MCDRLLoss(), Views(*discs(0, 10), seed=5), validation, config, seed=5, folder=folder)


class KilledError(Exception):
    """What a kill is in these tests."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip_folder(tmp_path_factory.mktemp("clip"))


@pytest.mark.parametrize("tune", ["frozen", "full"])
def test_an_interrupted_training_ends_with_the_same_weights(
    clip: Path, tmp_path: Path, tune: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = network(clip, tune=tune)
    expected = fitted(whole, tmp_path / "whole", 5)

    interrupted = network(clip, tune=tune)
    run = Engine._fire_event

    def killed(engine: Engine, event: object, *arguments: object, **options: object) -> None:
        if str(event) == "Events.ITERATION_STARTED" and engine.state.max_epochs == 5 and engine.state.iteration == 8:
            raise KilledError  # in the third epoch of three batches each
        run(engine, event, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_fire_event", killed)
        with pytest.raises(KilledError):
            fitted(interrupted, tmp_path / "cut", 5)
    newest = max((tmp_path / "cut").glob("going_on*"), key=lambda file: int(file.stem.rpartition("=")[2]))
    if tune == "full":  # a kill while it was being written: it goes on from the epoch before
        newest.write_bytes(newest.read_bytes()[:1000])
    again = network(clip, tune=tune)
    assert fitted(again, tmp_path / "cut", 5) == expected
    assert len(expected.losses) == 5
    for name, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_the_best_epoch_is_taken_and_a_finished_training_is_not_run_again(clip: Path, tmp_path: Path) -> None:
    net = network(clip)
    trained = fitted(net, tmp_path, 6, rate=0.02)
    assert trained.best_epoch is not None
    again = network(clip)
    assert fitted(again, tmp_path, 6, rate=0.02) == trained
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    for name, value in net.state_dict().items():
        assert torch.equal(best[name], value)
        assert torch.equal(again.state_dict()[name], value)


def test_patience_stops_and_what_was_stopped_stays_so(clip: Path, tmp_path: Path) -> None:
    net = network(clip)
    # at this rate nothing is learnt, and nothing is switched on: no validation is better than the first
    trained = fitted(net, tmp_path, 8, rate=1e-12, switch_epoch=0, patience=2)
    assert (trained.epochs, trained.best_epoch) == (3, 1)
    assert fitted(network(clip), tmp_path, 8, rate=1e-12, switch_epoch=0, patience=2) == trained


def test_without_validation_the_last_epoch_is_taken(clip: Path, tmp_path: Path) -> None:
    trained = fitted(network(clip), tmp_path, 2, validate=False)
    assert trained.best_epoch is None
    assert not (tmp_path / "best.pt").exists()


def test_the_intervention_is_switched_on_after_its_epoch(clip: Path, tmp_path: Path) -> None:
    net = network(clip)
    seen: list[tuple[int, bool]] = []
    inner = MCDRLLoss()

    def watched(output: object, labels: torch.Tensor) -> torch.Tensor:
        seen.append((len(seen) // 3 + 1, bool(output.intervening)))  # type: ignore[attr-defined]
        return inner(output, labels)  # type: ignore[arg-type]

    config = TrainConfig(epochs=3, batch_size=4, switch_epoch=1)
    train(net, watched, Views(*discs(0, 10)), None, config, seed=0, folder=tmp_path)
    assert seen == [(epoch, epoch > 1) for epoch in (1, 2, 3) for _ in range(3)]
    assert bool(net.intervening)


def test_training_learns(clip: Path, tmp_path: Path) -> None:
    trained = fitted(network(clip), tmp_path, 12, validate=False, rate=0.01)
    assert trained.losses[-1] < 0.75 * trained.losses[0]


@pytest.mark.filterwarnings("error:Detected call of `lr_scheduler.step:UserWarning")
@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_accumulated_batches_are_one_large_batch(clip: Path, tmp_path: Path, schedule: str) -> None:
    """Weights, losses and rates: the schedule goes with the steps of the optimiser, not with the batches."""
    images, labels = discs(0, 24)
    ends: list[dict[str, torch.Tensor]] = []
    losses = []
    for batch_size, accumulate in ((12, 1), (4, 3)):
        config = TrainConfig(
            epochs=3, batch_size=batch_size, accumulate=accumulate, switch_epoch=1, rate=0.01,
            schedule=schedule,  # type: ignore[arg-type]
        )  # fmt: skip
        net = network(clip).double()
        folder = tmp_path / str(accumulate)
        trained = train(net, MCDRLLoss(), Views(images.double(), labels, seed=5), None, config, seed=5, folder=folder)
        ends.append(net.state_dict())
        losses.append(trained.losses)
    assert losses[1] == pytest.approx(losses[0], rel=1e-9)
    start = network(clip).double().state_dict()
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-6, atol=1e-9)
    assert (ends[0]["head.answer.bias"] - start["head.answer.bias"]).abs().max() > 1e-3


@pytest.mark.parametrize(("classes", "loudest"), [(("polyp",), 0), (("polyp", "tumour"), 2)])
def test_an_epoch_is_chosen_by_what_is_reported(
    clip: Path, tmp_path: Path, classes: tuple[str, ...], loudest: int
) -> None:
    net = network(clip, classes=classes)
    with torch.no_grad():
        net.head.answer.bias[loudest] += 1.0  # of several, answers with a class that no label holds
    images, labels = discs(100, 5)  # the fourth has no lesion
    config = TrainConfig(epochs=1, batch_size=4, rate=1e-12, weight_decay=0.0)
    trained = train(
        net, MCDRLLoss(), Views(*discs(0, 8)), Views(images, labels, flips=False), config, seed=0, folder=tmp_path
    )
    with torch.no_grad():
        answers = net(images)
    rows = [measure_image(Seen(one, None, None), label[0]) for one, label in zip(answers, labels, strict=True)]
    assert len({row["dice"] for row in rows}) > 1
    assert trained.best_dice == pytest.approx(sum(row["dice"] for row in rows) / 5, abs=1e-7)


@pytest.mark.parametrize("method", ["stylip", "biomedcoop"])
def test_what_a_frozen_encoder_sees_is_computed_once(
    clip: Path, tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the prompt learners too: four mirrorings of the sources, and the validation as it is."""
    losses = []
    for remembered in (True, False):
        torch.manual_seed(1)
        net = PromptSegmenter(str(clip), method=method, hidden=16)  # type: ignore[arg-type]
        seen: list[int] = []
        net.encoder.register_forward_hook(lambda _, given, __, seen=seen: seen.append(len(given[0])))
        if not remembered:
            monkeypatch.setattr(Views, "remember", lambda *_: None)
        config = TrainConfig(epochs=2, batch_size=4)
        validation = Views(*discs(100, 3), flips=False)
        folder = tmp_path / str(remembered)
        trained = train(net, PromptLoss(), Views(*discs(0, 6)), validation, config, seed=0, folder=folder)
        assert sum(seen) == (4 * 6 + 3 if remembered else 2 * (6 + 3))
        losses.append(trained.losses)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_curves_are_where_they_are_asked_for(clip: Path, tmp_path: Path) -> None:
    config = TrainConfig(epochs=1, batch_size=4, tensorboard=True)
    train(
        network(clip), MCDRLLoss(), Views(*discs(0, 4)), None, config, seed=0, folder=tmp_path / "run",
        curves=tmp_path / "curves",
    )  # fmt: skip
    assert list((tmp_path / "curves").glob("events*"))
    assert not (tmp_path / "run" / "tensorboard").exists()


class Scaler:
    """A stand-in for that of mixed precision, which needs a GPU: it has a state that every training changes."""

    def __init__(self) -> None:
        self.scale = 2.0

    def state_dict(self) -> dict[str, float]:
        return {"scale": self.scale}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.scale = state["scale"]


def test_the_scale_of_mixed_precision_goes_on_too(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scalers: list[Scaler] = []
    begun = training.SupervisedTrainer.__init__

    def with_scaler(self: training.SupervisedTrainer, *given: object, **options: object) -> None:
        begun(self, *given, **options)  # type: ignore[arg-type]
        scalers.append(Scaler())
        self.scaler = scalers[-1]  # type: ignore[assignment]
        self.add_event_handler("EPOCH_STARTED", lambda: setattr(scalers[-1], "scale", scalers[-1].scale + 1))

    monkeypatch.setattr(training.SupervisedTrainer, "__init__", with_scaler)
    fitted(network(clip), tmp_path, 2, validate=False)
    fitted(network(clip), tmp_path, 3, validate=False)
    assert [one.scale for one in scalers] == [4.0, 5.0]  # two epochs, and a third one that goes on from there


WORKER = """
import json, os, sys
import torch
from pathlib import Path
from torch import distributed
distributed.init_process_group("gloo")
torch.set_num_threads(1)
from tests.apps.mcdrl.test_training import ddp_training
found = ddp_training(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "validate")
Path(f"{sys.argv[5]}-{distributed.get_rank()}").write_text(json.dumps(found))
distributed.destroy_process_group()
"""


def ddp_training(clip: Path, folder: Path, count: int, validate: bool) -> list[Any]:
    """Losses of three epochs, which epoch was best and how good it was, and a weight."""
    net = network(clip, tune="lora")
    config = TrainConfig(epochs=3, batch_size=4, switch_epoch=1, rate=0.01)
    validation = Views(*discs(100, 5), flips=False) if validate else None
    sources = Views(*discs(0, count), seed=5)
    trained = train(net, MCDRLLoss(), sources, validation, config, seed=5, folder=folder)
    return [list(trained.losses), trained.best_epoch, trained.best_dice, net.head.answer.bias.tolist()]


class Padded(DistributedSampler[Any]):
    """The order of two processes, in one: the first image of an epoch again at its end, to make their number even."""

    def __iter__(self) -> Iterator[Any]:
        order = list(super().__iter__())
        return iter(order + order[: len(order) % 2])

    def __len__(self) -> int:
        return super().__len__() + super().__len__() % 2


@pytest.mark.slow
@pytest.mark.parametrize(("count", "validate"), [(8, False), (9, True)])
def test_two_processes_give_the_training_of_one(
    clip: Path, tmp_path: Path, count: int, validate: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft", reason="the extra 'clip' is not installed")
    script, out = tmp_path / "worker.py", tmp_path / "found"
    script.write_text(WORKER)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    given = [str(clip), str(tmp_path / "two"), str(count), "validate" if validate else "not", str(out)]
    subprocess.run(
        [*command, str(script), *given], env=environment, check=True, capture_output=True, timeout=900
    )  # fmt: skip
    first, second = (json.loads(Path(f"{out}-{rank}").read_text()) for rank in (0, 1))
    assert first == second  # each process knows the whole
    monkeypatch.setattr(training, "DistributedSampler", Padded)
    losses, best_epoch, best_dice, weights = ddp_training(clip, tmp_path / "one", count, validate)
    assert first[0] == pytest.approx(losses, rel=1e-5)
    assert first[1] == best_epoch
    assert (first[1] is not None) == validate
    assert first[2] == (pytest.approx(best_dice, abs=1e-3) if validate else None)
    assert first[3] == pytest.approx(weights, rel=1e-4)
