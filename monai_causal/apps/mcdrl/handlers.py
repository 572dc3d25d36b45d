# SPDX-License-Identifier: Apache-2.0
"""Handlers for MONAI's engines: the progressive switch of MCDRL, the schedule, a validation's Dice, the best epoch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from monai.metrics import CumulativeIterationMetric
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from monai_causal.apps.mcdrl.measures import dice_of
from monai_causal.extras import require
from monai_causal.files import draft_of
from monai_causal.networks.nets.mcdrl import MCDRL

if TYPE_CHECKING:
    from ignite.engine import Engine

__all__ = ["ImageDice", "Progress", "StepSchedule", "SwitchIntervention"]

Events, idist = require("ignite.engine").Events, require("ignite.distributed")


class ImageDice(CumulativeIterationMetric):
    """A validation's Dice: :func:`~monai_causal.apps.mcdrl.measures.dice_of` each image, and the mean."""

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **_: Any) -> Tensor:
        assert y is not None
        found = [[dice_of(logits, label[0])] for logits, label in zip(y_pred, y, strict=True)]
        return torch.tensor(found, dtype=torch.float64, device=y_pred.device)

    def aggregate(self) -> float:
        """Over all images that were seen."""
        return float(cast(Tensor, self.get_buffer()).double().mean())


class StepSchedule:
    """One step of the schedule for every step of the optimiser, of which there are fewer where batches are accumulated.

    Args:
        schedule: of the rates.
        batches: of an epoch; the last of them always ends in a step.
        accumulate: batches per step.
    """

    def __init__(self, schedule: LRScheduler, batches: int, accumulate: int = 1) -> None:
        self.schedule, self.batches, self.accumulate = schedule, batches, accumulate

    def attach(self, engine: Engine) -> None:
        """To a trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        done = (engine.state.iteration - 1) % self.batches + 1
        if done % self.accumulate == 0 or done == self.batches:
            self.schedule.step()


class SwitchIntervention:
    """The progressive strategy: the intervention of an MCDRL is switched on after some epochs.

    The switch is a part of the network's state, so that a checkpoint remembers it.

    Args:
        network: the network; if it is wrapped for several devices, what is inside.
        epoch: the last one without; the paper has 10 of 50.
    """

    def __init__(self, network: MCDRL, epoch: int = 10) -> None:
        self.network, self.epoch = network, epoch

    def attach(self, engine: Engine) -> None:
        """To a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        self.network.switch_intervention(engine.state.epoch > self.epoch)


class Progress:
    """What a training has come to: the loss of every epoch, the best validation, and when to stop.

    Of several processes each sees its share of the batches; the loss is the mean over all of them.

    Args:
        trainer: it is stopped after ``patience`` validations without a better one.
        network: the weights of the best epoch are written.
        file: where to, or None: not by this process.
        patience: None: it is never stopped.
    """

    def __init__(self, trainer: Engine, network: nn.Module, file: Path | None, patience: int | None = None) -> None:
        self.trainer, self.network, self.file, self.patience = trainer, network, file, patience
        self.losses: list[float] = []
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.worse = 0
        self.stopped = False
        self._sum, self._count = 0.0, 0
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._iteration)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._epoch)

    def attach(self, evaluator: Engine) -> None:
        """To what validates."""
        evaluator.add_event_handler(Events.COMPLETED, self._validated)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on."""
        names = ("losses", "best", "best_epoch", "worse", "stopped")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for name, value in state.items():
            setattr(self, name, value)

    def _iteration(self, engine: Engine) -> None:
        output: Any = engine.state.output
        self._sum += float(output["loss"].detach())
        self._count += 1

    def _epoch(self, engine: Engine) -> None:
        total, count = self._sum, self._count
        if idist.get_world_size() > 1:
            # As a tensor: ignite's own reduction of a number is in single precision.
            both = torch.tensor([total, count], dtype=torch.float64, device=idist.device())
            total, count = idist.all_reduce(both).tolist()
        self.losses.append(total / count)
        self._sum, self._count = 0.0, 0

    def _validated(self, evaluator: Engine) -> None:
        (score,) = evaluator.state.metrics.values()
        if self.best is None or score > self.best:
            self.best, self.best_epoch, self.worse = float(score), self.trainer.state.epoch, 0
            if self.file is not None:
                with draft_of(self.file) as draft:
                    torch.save(self.network.state_dict(), draft)
            return
        self.worse += 1
        if self.patience is not None and self.worse >= self.patience:
            self.stopped = True
            self.trainer.terminate()
