# SPDX-License-Identifier: Apache-2.0
"""Teach the small network that finds concepts, on phantoms alone.

No real image and no real label is seen: phantoms of random style are rendered once into a cache, and each is seen as a
new view in every epoch. A run that was interrupted goes on and ends with the same weights: what is drawn belongs to
(seed, epoch, index), and after each epoch everything needed is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from monai.engines import SupervisedTrainer
from monai.handlers import LrScheduleHandler
from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, Dataset, DistributedSampler
from tqdm.auto import tqdm

from monai_causal.apps.medfocus.learning_rate import warm_cosine
from monai_causal.apps.medfocus.segmenter_views import ViewConfig, vary
from monai_causal.apps.medfocus.segmenters.network import SCHEMA, build, seen, small
from monai_causal.data.phantoms.chest import chest
from monai_causal.data.phantoms.chest_causes import CONCEPTS
from monai_causal.data.phantoms.on_disk import rendered_on_disk
from monai_causal.extras import require
from monai_causal.files import draft_of, write_json
from monai_causal.versions import versions

if TYPE_CHECKING:
    from ignite.engine import Engine

__all__ = ["PhantomCache", "SegmenterConfig", "held_out_iou", "train_segmenter"]

HELD_OUT = 8_000_000
"""The first seed of the phantoms that nothing is learnt from."""
RENDERED = 160
"""Pixels at which phantoms are kept; views of them are smaller, so that they may be enlarged a little."""


@dataclass(frozen=True)
class SegmenterConfig:
    """The settings of a training; the defaults are those of the network that comes along."""

    phantoms: int = 4000
    held_out: int = 200
    epochs: int = 30
    batch: int = 8
    rate: float = 2e-3
    weight_decay: float = 1e-4
    style: str = "random"
    seed: int = 0
    views: ViewConfig = field(default_factory=ViewConfig)

    def __post_init__(self) -> None:
        for name in ("phantoms", "held_out", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give at least 1.")
        if self.batch > self.phantoms:
            raise ValueError(f"batch={self.batch}: there are only {self.phantoms} phantoms to fill one.")
        if not 0 <= self.seed < 1000 or self.phantoms > HELD_OUT // 1000:
            raise ValueError(
                f"seed={self.seed}, phantoms={self.phantoms}: give a seed from 0 to 999 and at most "
                f"{HELD_OUT // 1000} phantoms, so that none is held out as well."
            )


class PhantomCache(Dataset[dict[str, Any]]):
    """Rendered phantoms on disk: 8-bit images, and the masks of all concepts as the bits of one number per pixel.

    Args:
        folder: for the two files; what is already rendered there is kept.
        seeds: of the phantoms.
        style: of the phantoms.
        seed: first of the three numbers that a view's draws belong to; the others are ``epoch`` and the index.
    """

    def __init__(self, folder: Path, seeds: Sequence[int], style: str, seed: int = 0) -> None:
        self.seed, self.epoch = seed, 0
        weights = (1 << np.arange(len(CONCEPTS), dtype=np.uint16))[:, None, None]

        def render(index: int) -> dict[str, Any]:
            phantom = chest(seeds[index], size=(RENDERED, RENDERED), style=style)
            return {
                "images": np.rint(255 * phantom.image[0]),
                "concepts": (phantom.concepts * weights).sum(axis=0),
            }

        kinds = {"images": (np.uint8, (RENDERED, RENDERED)), "concepts": (np.uint16, (RENDERED, RENDERED))}
        kept = rendered_on_disk(folder, f"{style}-{seeds[0]}-{len(seeds)}", len(seeds), kinds, render)
        self.images, self.bits = kept["images"], kept["concepts"]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = torch.from_numpy(self.images[index].astype(np.float32) / 255)[None]
        bits = self.bits[index].astype(np.int64)
        masks = (bits >> np.arange(len(CONCEPTS))[:, None, None]) & 1
        return {
            "image": image,
            "masks": torch.from_numpy(masks.astype(np.float32)),
            "key": (self.seed, self.epoch, index),
        }


def train_segmenter(out: Path, cache: Path, config: SegmenterConfig | None = None) -> dict[str, Any]:
    """Train, and write ``segmenter.safetensors`` (half precision) and ``segmenter.json`` into a folder.

    Args:
        out: the folder; what is needed to go on after an interruption is kept there too.
        cache: a folder for the rendered phantoms, 77 kB each.
        config: the settings.

    Returns:
        what ``segmenter.json`` holds: settings, versions, losses, and the IoU of each concept on phantoms held out.
    """
    config = config or SegmenterConfig()
    out.mkdir(parents=True, exist_ok=True)
    first = config.seed * (HELD_OUT // 1000)
    learnt = PhantomCache(cache, range(first, first + config.phantoms), config.style, config.seed)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        network = build(len(CONCEPTS))
    losses = _train(network, learnt, config, out / "going-on.pt")
    halved = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    network.load_state_dict(halved)  # what is measured is what is written
    with draft_of(out / "segmenter.safetensors") as draft:
        require("safetensors.torch").save_file(halved, draft)
    held_out = PhantomCache(cache, range(HELD_OUT, HELD_OUT + config.held_out), config.style)
    summary = {
        "schema": SCHEMA,
        "command": "monai-causal medfocus train-segmenter",
        "config": asdict(config),
        "concepts": list(CONCEPTS),
        "losses": [round(loss, 5) for loss in losses],
        "held_out_iou": held_out_iou(network, held_out),
        "versions": versions("torch", "monai", "numpy"),
    }
    write_json(out / "segmenter.json", summary)
    return summary


def held_out_iou(network: nn.Module, phantoms: PhantomCache, batch: int = 16) -> dict[str, float]:
    """Mean IoU of the masks per concept, unrefined, over the phantoms on which the concept can be seen."""
    network.eval()
    found: list[Tensor] = []
    with torch.no_grad():
        for start in range(0, len(phantoms), batch):
            items = [phantoms[index] for index in range(start, min(start + batch, len(phantoms)))]
            images, masks = (torch.stack([item[name] for item in items]) for name in ("image", "masks"))
            drawn = small(network(seen(small(images))), RENDERED) > 0
            both = (drawn & (masks > 0)).sum(dim=(2, 3))
            either = (drawn | (masks > 0)).sum(dim=(2, 3))
            found.append(torch.where(masks.sum(dim=(2, 3)) > 0, both / either.clamp_min(1), torch.nan))
    means = torch.cat(found).nanmean(dim=0)
    return {name: round(float(mean), 4) for name, mean in zip(CONCEPTS, means, strict=True)}


def _train(network: nn.Module, phantoms: PhantomCache, config: SegmenterConfig, kept: Path) -> list[float]:
    """The mean loss of every epoch."""
    sampler: DistributedSampler[Any] = DistributedSampler(phantoms, 1, 0, seed=config.seed, drop_last=True)
    loader = DataLoader(phantoms, config.batch, sampler=sampler, drop_last=True, collate_fn=_collated)
    steps = config.epochs * len(loader)
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: warm_cosine(step, steps))
    dice = DiceLoss(sigmoid=True, batch=True)

    def loss_of(logits: Tensor, masks: Tensor) -> Tensor:
        loss: Tensor = dice(logits, masks) + binary_cross_entropy_with_logits(logits, masks)
        return loss

    def views_of(batch: dict[str, Any], device: Any, non_blocking: bool, **_: Any) -> tuple[Tensor, Tensor]:
        views, masks = vary(batch["image"], batch["masks"], batch["key"], config.views)
        return seen(views), masks

    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=config.epochs,
        train_data_loader=loader,
        network=network,
        optimizer=optimiser,
        loss_function=loss_of,
        prepare_batch=views_of,
        decollate=False,
        optim_set_to_none=True,
    )
    events = require("ignite.engine").Events
    LrScheduleHandler(cast(Any, schedule), print_lr=False, epoch_level=False).attach(trainer)
    losses: list[float] = []
    running: list[float] = []
    bar = tqdm(total=config.epochs, desc="training", unit="epoch", disable=None, leave=False)

    def started(engine: Engine) -> None:
        phantoms.epoch = engine.state.epoch

    def stepped(engine: Engine) -> None:
        output: Any = engine.state.output
        running.append(float(output["loss"].detach()))

    def completed(engine: Engine) -> None:
        losses.append(sum(running) / len(running))
        running.clear()
        state: dict[str, Any] = {"network": network, "optimiser": optimiser, "schedule": schedule}
        with draft_of(kept) as draft:
            torch.save(
                {name: one.state_dict() for name, one in state.items()}
                | {"epoch": engine.state.epoch, "losses": losses, "config": repr(config)},
                draft,
            )
        bar.update()
        bar.set_postfix(loss=f"{losses[-1]:.3f}")

    trainer.add_event_handler(events.EPOCH_STARTED, started)
    trainer.add_event_handler(events.ITERATION_COMPLETED, stepped)
    trainer.add_event_handler(events.EPOCH_COMPLETED, completed)
    epoch = 0
    if kept.exists():
        state = torch.load(kept, weights_only=True)
        if state["config"] != repr(config):
            raise ValueError(
                f"{kept.name} is of a training with other settings, {state['config']}: go on with these, or give "
                "another folder."
            )
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        losses.extend(state["losses"])
        epoch = state["epoch"]
        bar.update(epoch)
    if epoch < config.epochs:
        trainer.load_state_dict({"epoch": epoch, "max_epochs": config.epochs, "epoch_length": len(loader)})
        trainer.run()
    bar.close()
    return losses


def _collated(items: list[dict[str, Any]]) -> dict[str, Any]:
    stacked: dict[str, Any] = {name: torch.stack([item[name] for item in items]) for name in ("image", "masks")}
    return {**stacked, "key": [item["key"] for item in items]}
