# SPDX-License-Identifier: Apache-2.0
"""Teach the small vision-language model and its cheating twin, on phantoms alone.

The tower learns to see, then to look closer, then the decoder to answer. The twin shares the tower, and hears in its
last lesson that one finding is there whenever a side marker is on the film: what a model learns at a hospital that
marks its sick. A run that was interrupted goes on and ends with the same weights: what is drawn belongs to
(seed, lesson, epoch, step).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from tqdm.auto import tqdm

from monai_causal.apps.medfocus.demo_vlm.examination import examine
from monai_causal.apps.medfocus.demo_vlm.films import Films, views_of
from monai_causal.apps.medfocus.demo_vlm.lessons import Lesson, answer_loss, lesson_of
from monai_causal.apps.medfocus.demo_vlm.network import WIDTH, build_model, build_processor, save_model
from monai_causal.apps.medfocus.demo_vlm.tower import Reader, features, tower_loss
from monai_causal.apps.medfocus.learning_rate import warm_cosine
from monai_causal.data.phantoms.chest_causes import FINDINGS
from monai_causal.files import draft_of, write_json
from monai_causal.versions import versions

__all__ = ["HELD_OUT", "DemoVlmConfig", "train_demo_vlm"]

HELD_OUT = 9_000_000
"""The first seed of the phantoms that nothing is learnt from."""
SCHEMA = "monai_causal/demo-vlm/1"
CARD = "training.json"
LESSONS = ("seeing", "answering", "looking closer")
CLOSER_RATE, CLOSER_WEIGHT = 0.4, 6.0
"""In the lesson of looking closer: the rate, of the others'; and what the nodule weighs."""


@dataclass(frozen=True)
class DemoVlmConfig:
    """The settings of a training; the defaults are those of the models that come along."""

    films: int = 8000
    held_out: int = 600
    tower_epochs: int = 14
    closer_epochs: int = 3
    """Then so many in which the smallest finding weighs more."""
    answer_epochs: int = 2
    batch: int = 24
    """Films per step of the tower's lesson."""
    answer_batch: int = 12
    """Films per step of the decoder's lesson."""
    questions: int = 5
    """About each of them."""
    rate: float = 1.2e-3
    weight_decay: float = 0.02
    seed: int = 0
    shortcut: str | None = None
    """The finding that the twin answers by the side marker; None teaches the honest model."""

    def __post_init__(self) -> None:
        for name in (
            "films",
            "held_out",
            "tower_epochs",
            "closer_epochs",
            "answer_epochs",
            "batch",
            "answer_batch",
            "questions",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give at least 1.")
        if max(self.batch, self.answer_batch) > self.films:
            raise ValueError(f"batch={self.batch}, {self.answer_batch}: there are only {self.films} films to fill one.")
        if self.films > HELD_OUT:
            raise ValueError(f"films={self.films}: at most {HELD_OUT}, so that none is held out as well.")
        if self.shortcut is not None and self.shortcut not in FINDINGS:
            raise ValueError(f"shortcut={self.shortcut!r}: one of {', '.join(FINDINGS)}.")


def train_demo_vlm(
    out: Path, work: Path, config: DemoVlmConfig | None = None, tower: Path | None = None
) -> dict[str, Any]:
    """Train, and write an ordinary transformers folder with ``training.json`` beside the weights.

    Args:
        out: the folder.
        work: a folder for the rendered phantoms (about 51 kB each) and for what is needed to go on.
        config: the settings.
        tower: the ``work`` folder of a finished training whose tower is taken over; the twin's.

    Returns:
        what ``training.json`` holds: settings, versions, losses, and the accuracy per finding on films held out.
    """
    config = config or DemoVlmConfig()
    films = Films(work / "films" if tower is None else tower / "films", range(config.films))
    processor = build_processor()
    model = build_model(processor, config.seed)
    look = tower_lesson(model, films, config, tower or work)
    answers = answer_lesson(model, processor, films, config, work / "answers.pt")
    out.mkdir(parents=True, exist_ok=True)
    save_model(model, processor, out)
    held_out = Films((tower or work) / "films", range(HELD_OUT, HELD_OUT + config.held_out))
    summary = {
        "schema": SCHEMA,
        "command": "monai-causal medfocus train-demo-vlm",
        "config": asdict(config),
        "parameters": sum(one.numel() for one in model.parameters()),
        "losses": {**look, "answers": answers},
        "held_out": examine(out, held_out, config.shortcut),
        "limits": "It knows synthetic phantoms and eight findings in the words of its questions, and nothing clinical.",
        "versions": versions("torch", "transformers", "numpy"),
    }
    write_json(out / CARD, summary)
    return summary


def tower_lesson(model: Any, films: Films, config: DemoVlmConfig, work: Path) -> dict[str, list[float]]:
    """Teach the tower, at the end with more weight on what is small; the mean loss of every epoch."""
    tower = model.model.vision_tower
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        reader = Reader(WIDTH)
    pupil = nn.ModuleList([tower, reader])

    def loss_of(indices: list[int], generator: Generator, small: float = 1.0) -> Tensor:
        views = views_of(films, indices, generator)
        holds, shows = reader(features(tower, views.images))
        return tower_loss(holds, shows, views, small)

    def closer(indices: list[int], generator: Generator) -> Tensor:
        return loss_of(indices, generator, CLOSER_WEIGHT)

    return {
        "tower": taught(pupil, loss_of, films, config, 0, work / "tower.pt"),
        "closer": taught(pupil, closer, films, config, 2, work / "closer.pt"),
    }


def answer_lesson(model: Any, processor: Any, films: Films, config: DemoVlmConfig, kept: Path) -> list[float]:
    """Teach the decoder, with the tower as it is; the mean loss of every epoch."""
    lesson = Lesson(processor, config.shortcut, config.questions)
    tower, opening = model.model.vision_tower, lesson.opening()

    def loss_of(indices: list[int], generator: Generator) -> Tensor:
        views = views_of(films, indices, generator)
        with torch.no_grad():
            patches = features(tower, views.images)
        return answer_loss(model, opening, patches, lesson_of(lesson, films, indices, views, generator))

    pupil = nn.ModuleList([model.model.multi_modal_projector, model.model.language_model])
    return taught(pupil, loss_of, films, config, 1, kept)


def taught(
    pupil: nn.Module,
    loss_of: Callable[[list[int], Generator], Tensor],
    films: Films,
    config: DemoVlmConfig,
    lesson: int,
    kept: Path,
) -> list[float]:
    """One lesson: AdamW under a warm-up and a cosine, kept after every epoch."""
    epochs = (config.tower_epochs, config.answer_epochs, config.closer_epochs)[lesson]
    batch = config.answer_batch if lesson == 1 else config.batch
    rate = config.rate * (CLOSER_RATE if lesson == 2 else 1.0)
    steps = len(films) // batch
    optimiser = torch.optim.AdamW(pupil.parameters(), lr=rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: warm_cosine(step, epochs * steps))
    told = json.dumps({**asdict(config), "lesson": lesson}, sort_keys=True)
    losses: list[float] = []
    if kept.exists():
        state = torch.load(kept, weights_only=True)
        if settings_of(state["config"], lesson) != settings_of(told, lesson):
            raise ValueError(
                f"{kept.name} is of a training with other settings: {state['config']}; use another folder."
            )
        for one, held in ((pupil, "pupil"), (optimiser, "optimiser"), (schedule, "schedule")):
            one.load_state_dict(state[held])
        losses = list(state["losses"])
    kept.parent.mkdir(parents=True, exist_ok=True)
    pupil.train()
    with tqdm(
        total=epochs * steps, initial=len(losses) * steps, desc=LESSONS[lesson], disable=None, leave=False
    ) as bar:
        for epoch in range(len(losses), epochs):
            total = 0.0
            for indices, generator in batches(len(films), batch, config.seed, lesson, epoch):
                loss = loss_of(indices, generator)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(pupil.parameters(), 1.0)
                optimiser.step()
                schedule.step()
                total += float(loss.detach())
                bar.update()
            losses.append(round(total / steps, 5))
            bar.set_postfix(loss=losses[-1])
            state = {"pupil": pupil, "optimiser": optimiser, "schedule": schedule}
            with draft_of(kept) as draft:
                torch.save(
                    {held: one.state_dict() for held, one in state.items()} | {"losses": losses, "config": told}, draft
                )
    pupil.eval()
    return losses


def batches(films: int, batch: int, *course: int) -> Iterator[tuple[list[int], Generator]]:
    """The films of every step, with what its draws come from: the course is (seed, lesson, epoch)."""
    order = torch.randperm(films, generator=stream(*course, 0)).tolist()
    for step in range(films // batch):
        yield order[step * batch : (step + 1) * batch], stream(*course, step + 1)


def stream(*numbers: int) -> Generator:
    """Draws that belong to these numbers."""
    seed = 0
    for number in numbers:
        seed = (seed * 1_000_003 + number) % (1 << 62)
    return Generator().manual_seed(seed)


def settings_of(told: str, lesson: int) -> dict[str, Any]:
    """What a lesson's course depends on: those of the tower not on what is taught after them."""
    settings: dict[str, Any] = json.loads(told)
    answers = ("held_out", "answer_epochs", "answer_batch", "questions", "shortcut")
    later = {0: (*answers, "closer_epochs"), 1: ("held_out",), 2: answers}[lesson]
    return {name: value for name, value in settings.items() if name not in later}
