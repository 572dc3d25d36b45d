# SPDX-License-Identifier: Apache-2.0
"""Handlers for MONAI's engines: the progressive switch of MCDRL, the best epoch so far."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from monai_causal.extras import require
from monai_causal.files import draft_of
from monai_causal.networks.nets.mcdrl import MCDRL

if TYPE_CHECKING:
    from ignite.engine import Engine

__all__ = ["Progress", "SwitchIntervention"]

Events = require("ignite.engine").Events


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
        self.losses.append(self._sum / self._count)
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
