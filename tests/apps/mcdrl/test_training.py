# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from torch import nn

from monai_causal.apps.mcdrl.settings import TrainConfig
from monai_causal.apps.mcdrl.training import Trained, train
from monai_causal.apps.mcdrl.views import Views
from monai_causal.losses import MCDRLLoss
from monai_causal.networks.nets.mcdrl import MCDRL
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


def test_accumulated_batches_make_fewer_and_other_steps(clip: Path, tmp_path: Path) -> None:
    ends = []
    for number, accumulate in enumerate((1, 3)):
        net = network(clip)
        fitted(net, tmp_path / str(number), 1, validate=False, accumulate=accumulate, schedule="constant")
        ends.append(net.head.answer.bias.detach().clone())
    assert not torch.equal(*ends)


def test_a_validation_counts_every_class_that_the_network_knows(clip: Path, tmp_path: Path) -> None:
    net = network(clip, classes=("polyp", "tumour"))
    images, labels = discs(100, 3)  # the third class is in no label
    config = TrainConfig(epochs=1, batch_size=4, rate=1e-12)
    trained = train(
        net, MCDRLLoss(), Views(*discs(0, 8)), Views(images, labels, flips=False), config, seed=0, folder=tmp_path
    )
    with torch.no_grad():
        answer = net(images).argmax(dim=1)
    dice = []
    for image, label in zip(answer, labels[:, 0], strict=True):
        for one in (1, 2):
            size = int((image == one).sum() + (label == one).sum())
            dice.append(2 * int(((image == one) & (label == one)).sum()) / size if size else 1.0)
    assert trained.best_dice == pytest.approx(sum(dice) / len(dice), abs=1e-6)


WORKER = """
import os, sys
import torch
from pathlib import Path
from torch import distributed
distributed.init_process_group("gloo")
torch.set_num_threads(1)
from tests.apps.mcdrl.test_training import ddp_losses
losses = ddp_losses(Path(sys.argv[1]), Path(sys.argv[2]))
if distributed.get_rank() == 0:
    Path(sys.argv[3]).write_text(" ".join(map(repr, losses)))
distributed.destroy_process_group()
"""


def ddp_losses(clip: Path, folder: Path) -> list[float]:
    """Of three epochs; the loss that a process sees is of its share, so the mean over processes is taken."""
    net = network(clip, tune="lora")
    config = TrainConfig(epochs=3, batch_size=4, switch_epoch=1)
    trained = train(net, MCDRLLoss(), Views(*discs(0, 8), seed=5), None, config, seed=5, folder=folder)
    losses = torch.tensor(trained.losses, dtype=torch.float64)
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(losses)
        losses /= torch.distributed.get_world_size()
    return losses.tolist()


def test_two_processes_give_the_losses_of_one(clip: Path, tmp_path: Path) -> None:
    script, out = tmp_path / "worker.py", tmp_path / "losses.txt"
    script.write_text(WORKER)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run(
        [*command, str(script), str(clip), str(tmp_path / "two"), str(out)],
        env=environment,
        check=True,
        capture_output=True,
        timeout=300,
    )
    together = [float(one) for one in out.read_text().split()]
    assert together == pytest.approx(ddp_losses(clip, tmp_path / "one"), rel=1e-5)
