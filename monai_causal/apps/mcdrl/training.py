# SPDX-License-Identifier: Apache-2.0
"""Training with MONAI's engines, such that an interrupted run ends with the same weights as one that was not.

Everything that is drawn belongs to (seed, epoch, index): the order of the images (MONAI's workflow tells the epoch to
a distributed sampler) and their mirrorings. After every epoch the network, the optimiser, its schedule and the best
epoch so far are kept, and a run that finds them goes on from there.

Under ``torchrun`` each process takes its share of every batch; the gradients and the losses are averaged, so both are
those of one process with the whole batch. Where the images cannot be shared evenly the first ones of an epoch are seen
twice in it.
"""

from __future__ import annotations

import logging
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import (
    CheckpointLoader,
    CheckpointSaver,
    IgniteMetricHandler,
    StatsHandler,
    TensorBoardStatsHandler,
    ValidationHandler,
    from_engine,
)
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler
from tqdm.auto import tqdm

from monai_causal.apps.mcdrl.handlers import ImageDice, Progress, StepSchedule, SwitchIntervention
from monai_causal.apps.mcdrl.settings import TrainConfig
from monai_causal.apps.mcdrl.views import Views, prepare_batch
from monai_causal.extras import require
from monai_causal.networks.nets.mcdrl import MCDRL

if TYPE_CHECKING:
    from ignite.engine import Engine

__all__ = ["Trained", "train"]

Events, idist = require("ignite.engine").Events, require("ignite.distributed")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """How a training went.

    Attributes:
        epochs: how many were run; fewer than asked for if it was stopped early.
        best_epoch: whose weights were taken, counted from 1; None: the last one's, since nothing was validated.
        best_dice: of the validation.
        losses: of every epoch, the mean over its batches and all processes.
    """

    epochs: int
    best_epoch: int | None
    best_dice: float | None
    losses: tuple[float, ...]


def train(
    network: nn.Module,
    loss: Callable[[Any, Tensor], Tensor],
    sources: Views,
    validation: Views | None,
    config: TrainConfig,
    *,
    seed: int,
    folder: Path,
    device: str | torch.device = "cpu",
    curves: Path | None = None,
    attach: Callable[[Engine, torch.optim.Optimizer], None] | None = None,
) -> Trained:
    """Train; the network is left in evaluation mode with the weights that were chosen.

    Args:
        network: with ``parameter_groups`` if its parts learn at different rates; if its encoder is frozen
            (``tune``), what that sees is computed once.
        loss: of the network's output in training mode and the labels.
        sources: to learn from.
        validation: to choose the epoch by; None: the last epoch is taken.
        config: the settings.
        seed: of the order of the images.
        folder: for what is needed to go on after an interruption.
        device: where to.
        curves: folder for TensorBoard, if the settings ask for it; None: inside ``folder``.
        attach: gets the trainer and its optimiser before they start, for handlers of one's own.
    """
    config, device = config.resolved(), torch.device(device)
    rank, processes = _place()
    if config.batch_size % processes:
        raise ValueError(f"batch_size={config.batch_size}: {processes} processes cannot share it evenly.")
    folder.mkdir(parents=True, exist_ok=True)
    network.to(device)
    if getattr(network, "tune", None) == "frozen":
        for views in filter(None, (sources, validation)):
            views.remember(network, device)
    optimiser = torch.optim.AdamW(_groups(network, config), lr=config.rate, weight_decay=config.weight_decay)
    sampler: DistributedSampler[Any] = DistributedSampler(sources, processes, rank, seed=seed)
    loader = DataLoader(sources, config.batch_size // processes, sampler=sampler)
    schedule = _schedule(optimiser, config, config.epochs * math.ceil(len(loader) / config.accumulate))
    wrapped = DistributedDataParallel(network, find_unused_parameters=True) if processes > 1 else network
    trainer = SupervisedTrainer(
        device=device,
        max_epochs=config.epochs,
        train_data_loader=loader,
        network=wrapped,
        optimizer=optimiser,
        loss_function=loss,
        prepare_batch=prepare_batch(sources),
        decollate=False,
        amp=config.amp and device.type == "cuda",
        accumulation_steps=config.accumulate,
        optim_set_to_none=True,
    )
    best = folder / "best.pt"
    progress = Progress(trainer, network, best if rank == 0 else None, config.patience)
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda engine: setattr(sources, "epoch", engine.state.epoch))
    if isinstance(network, MCDRL):
        SwitchIntervention(network, config.switch_epoch).attach(trainer)
    StepSchedule(schedule, len(loader), config.accumulate).attach(trainer)
    if attach is not None:
        attach(trainer, optimiser)
    if validation is not None:
        evaluator = _evaluator(network, validation, config, device)
        progress.attach(evaluator)
        ValidationHandler(config.validate_every, evaluator).attach(trainer)
    kept: dict[str, Any] = {
        "network": network, "optimiser": optimiser, "schedule": schedule, "trainer": trainer, "progress": progress,
    }  # fmt: skip
    if trainer.scaler is not None:
        # Of mixed precision: begun anew it would overflow again, and leave steps out.
        kept["scaler"] = trainer.scaler
    if rank == 0:
        # After the validation, so that what is kept of an epoch knows how good it was.
        CheckpointSaver(str(folder), kept, file_prefix="going_on", save_interval=1, n_saved=2).attach(trainer)
        _report(trainer, config, curves or folder / "tensorboard")
    newest = _newest_whole(folder)
    if newest is not None:
        CheckpointLoader(str(newest), kept, map_location=cast(Any, device))(trainer)
        logger.info("going on after epoch %d", trainer.state.epoch)
    if not progress.stopped and trainer.state.epoch < config.epochs:
        trainer.run()
    if processes > 1:
        idist.barrier()
    if progress.best_epoch is not None:
        network.load_state_dict(torch.load(best, map_location=device, weights_only=True))
    sources.observed = None  # large, and of no use any more
    network.eval()
    return Trained(len(progress.losses), progress.best_epoch, progress.best, tuple(progress.losses))


def _place() -> tuple[int, int]:
    """This process's number, and of how many."""
    # Asked of ignite, by all processes: its first call makes a group, which would wait for those that do not call.
    return idist.get_rank(), idist.get_world_size()


def _groups(network: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    groups = getattr(network, "parameter_groups", None)
    if groups is None:
        return [{"params": [one for one in network.parameters() if one.requires_grad]}]
    found: list[dict[str, Any]] = groups(head=config.rate, adapter=config.adapter_rate, encoder=config.encoder_rate)
    return found


def _schedule(optimiser: torch.optim.Optimizer, config: TrainConfig, steps: int) -> Any:
    if config.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps)


def _evaluator(network: nn.Module, validation: Views, config: TrainConfig, device: torch.device) -> SupervisedEvaluator:
    return SupervisedEvaluator(
        device=device,
        val_data_loader=DataLoader(validation, config.batch_size),
        network=network,
        prepare_batch=prepare_batch(validation),
        key_val_metric={"dice": IgniteMetricHandler(ImageDice(), output_transform=from_engine(["pred", "label"]))},
    )


def _report(trainer: Engine, config: TrainConfig, curves: Path) -> None:
    StatsHandler(name=__name__, iteration_log=False, output_transform=lambda _: None).attach(trainer)
    if config.tensorboard:
        TensorBoardStatsHandler(
            log_dir=str(curves), output_transform=lambda output: float(output["loss"].detach())
        ).attach(trainer)
    bar = tqdm(total=config.epochs, desc="training", unit="epoch", disable=None, leave=False)
    trainer.add_event_handler(Events.STARTED, lambda engine: bar.update(engine.state.epoch))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda _: bar.update())
    trainer.add_event_handler(Events.COMPLETED, lambda _: bar.close())


def _newest_whole(folder: Path) -> Path | None:
    """What to go on from. A kill may have torn the file that was being written; the one before it is whole."""
    for file in sorted(folder.glob("going_on*_checkpoint_epoch=*.pt"), key=_epoch_of, reverse=True):
        try:
            torch.load(file, weights_only=True, mmap=True)
        except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
            logger.warning("what was kept of epoch %d is torn (%s)", _epoch_of(file), type(error).__name__)
            continue
        return file
    return None


def _epoch_of(file: Path) -> int:
    return int(file.stem.rpartition("=")[2])
