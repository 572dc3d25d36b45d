# SPDX-License-Identifier: Apache-2.0
"""Train one of the study's networks, resumable after every epoch, on one device or under ``torchrun``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from monai.losses import DiceCELoss
from torch import Tensor, distributed, nn
from tqdm.auto import tqdm

from monai_causal.apps.mcdrl import training as trainer
from monai_causal.apps.mcdrl.settings import TrainConfig
from monai_causal.apps.mcdrl.views import Views
from monai_causal.apps.pdcr_study.images import parts_of
from monai_causal.apps.pdcr_study.training_config import CourseConfig, TrainingConfig
from monai_causal.apps.study.configuration import ConfigError
from monai_causal.apps.study.training import weights_digest
from monai_causal.data.datasets import read_pair, split_by_group
from monai_causal.extras import require
from monai_causal.files import draft_of, write_json
from monai_causal.intervene.scores import output_tensor
from monai_causal.networks.nets import build_network
from monai_causal.versions import versions

if TYPE_CHECKING:
    from ignite.engine import Engine

__all__ = ["CHECKPOINT", "EightBitViews", "in_words", "segmentation_loss", "train_network"]

CHECKPOINT = "network.pt"
SCHEMA = "monai_causal/pdcr-network/1"


class EightBitViews(Views):
    """Images kept as a file would hold them, a byte per pixel: the study has 8,000 of 256x256."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = super().__getitem__(index)
        return {"image": item["image"].float() / 255, "label": item["label"].long()}


def train_network(config: TrainingConfig, out: Path) -> Path:
    """Train, or go on, and return the checkpoint: the network's weights under ``"network"`` beside the configuration.

    Args:
        config: the settings.
        out: folder; made if it is not there. A training that was begun there goes on; it must be this one.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _processes() as (rank, own_device):
        device = torch.device(config.device or own_device)
        _begin(out / "training.json", config, rank)
        course = config.train
        sources, validation = _views(config)
        several = config.data.classes > 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(course.seed)
            network = build_network(
                config.network.build,
                sources.images.shape[1],
                config.data.classes + 1 if several else 1,
                **config.network.options,
            )
        if distributed.is_initialized() and device.type == "cuda":
            # Each process has a part of the batch; statistics are of all of it, as on one device.
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        trained = trainer.train(
            network,
            segmentation_loss(several),
            sources,
            validation,
            _settings(course),
            seed=course.seed,
            folder=out / "unfinished",
            device=device,
            curves=out / "tensorboard",
            attach=lambda engine, optimiser: _attach(engine, optimiser, course),
        )
        if rank == 0:
            content = {
                "schema": SCHEMA,
                "config": json.dumps(config.record()),
                "network": network.cpu().state_dict(),
            }
            with draft_of(out / CHECKPOINT) as draft:
                torch.save(content, draft)
            about = {
                "schema": SCHEMA,
                "weights": weights_digest(network),
                "epochs": trained.epochs,
                "best_epoch": trained.best_epoch,
                "best_dice": trained.best_dice,
                "losses": list(trained.losses),
                "versions": versions("torch", "monai", "numpy"),
            }
            write_json(out / "trained.json", about)
    return out / CHECKPOINT


def segmentation_loss(several: bool) -> Callable[[Any, Tensor], Tensor]:
    """Dice and cross-entropy of logits. For one channel the latter is binary: over a softmax of one it would be 0.

    Args:
        several: one channel per class and one for the background; otherwise one, for labels above 0.
    """
    function = DiceCELoss(to_onehot_y=True, softmax=True) if several else DiceCELoss(sigmoid=True)

    def loss(output: Any, labels: Tensor) -> Tensor:
        found: Tensor = function(output_tensor(output), labels if several else (labels > 0).float())
        return found

    return loss


def in_words(out: Path) -> str:
    """What came of it, for people."""
    found = json.loads((out / "trained.json").read_text(encoding="utf-8"))
    chosen = "the last epoch's weights"
    if found["best_epoch"] is not None:
        chosen = f"the weights of epoch {found['best_epoch']} (validation Dice {found['best_dice']:.4f})"
    return f"{found['epochs']} epochs; {out / CHECKPOINT} holds {chosen}. In a study: checkpoint: {out / CHECKPOINT}"


@contextmanager
def _processes() -> Iterator[tuple[int, str]]:
    """This process's number and device; under ``torchrun`` it meets the others."""
    cuda = torch.cuda.is_available()
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield 0, "cuda" if cuda else "cpu"
        return
    local = int(os.environ["LOCAL_RANK"])
    if cuda:
        torch.cuda.set_device(local)
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield distributed.get_rank(), f"cuda:{local}" if cuda else "cpu"
    finally:
        distributed.destroy_process_group()


def _begin(file: Path, config: TrainingConfig, rank: int) -> None:
    """Write the configuration down, or see that it is the one that was begun with."""
    record = config.record()
    if rank == 0 and not file.exists():
        write_json(file, record)
    if distributed.is_initialized():
        distributed.barrier()
    if json.loads(file.read_text(encoding="utf-8")) != record:
        raise ConfigError(f"{file.parent.name} holds a training with another configuration: write to another folder.")


def _views(config: TrainingConfig) -> tuple[EightBitViews, EightBitViews | None]:
    course, (*_, items) = config.train, parts_of(config.data)
    validating: list[dict[str, Any]] = []
    if course.validation:
        items, validating = split_by_group(items, (1 - course.validation, course.validation), course.seed)
        if not validating:
            raise ConfigError(f"train.validation: {course.validation!r}: no image is left for it; give more, or 0.")
    sources = _read(items, config, flips=course.flips)
    return sources, _read(validating, config, flips=False) if validating else None


def _read(items: list[dict[str, Any]], config: TrainingConfig, *, flips: bool) -> EightBitViews:
    images, labels = [], []
    for item in tqdm(items, desc="images", disable=None, leave=False):
        image, label = read_pair(item, config.data.image_size, window=config.data.window)
        images.append((image * 255).round().to(torch.uint8))
        labels.append(label[None].to(torch.uint8))
    sizes = {tuple(image.shape) for image in images}
    if len(sizes) > 1:
        raise ConfigError(f"data.image_size: None: images differ in size, {min(sizes)} and {max(sizes)}; give one.")
    return EightBitViews(torch.stack(images), torch.stack(labels), flips=flips, seed=config.train.seed)


def _settings(course: CourseConfig) -> TrainConfig:
    """As the trainer takes them."""
    return TrainConfig(
        epochs=course.epochs,
        batch_size=course.batch_size,
        rate=course.rate,
        weight_decay=course.weight_decay,
        accumulate=course.accumulate,
        amp=course.amp,
        validate_every=course.validate_every,
        tensorboard=course.tensorboard,
    )


def _attach(engine: Engine, optimiser: torch.optim.Optimizer, course: CourseConfig) -> None:
    """Gradients are clipped, and what is dropped belongs to (seed, epoch): an interrupted training drops the same."""

    def clip(optimiser: torch.optim.Optimizer, *_: Any) -> None:
        parameters = [one for group in optimiser.param_groups for one in group["params"]]
        nn.utils.clip_grad_norm_(parameters, course.clip)

    def seed(engine: Engine) -> None:
        torch.manual_seed(course.seed * 1_000_003 + engine.state.epoch)

    optimiser.register_step_pre_hook(clip)
    engine.add_event_handler(require("ignite.engine").Events.EPOCH_STARTED, seed)
