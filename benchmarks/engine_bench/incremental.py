# SPDX-License-Identifier: Apache-2.0
"""Incremental against dense: the PdCR study's U-Net, every block of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from engine_bench.networks import Training, colour_phantom, half_filled_box, trained_unet
from engine_bench.report import TIMES, Outcome, Part, Row, Setting, Verdict, facts, spread, timed_row
from engine_bench.timing import Contender, Place, Timing, interleaved, relative
from monai_causal.intervene import (
    CallableScore,
    DonorPatchFill,
    Effects,
    Evaluator,
    MaskedMeanProbability,
    Regions,
    RoIDice,
    Score,
    grid_regions,
)
from monai_causal.intervene.evaluator import ExecutionName

__all__ = ["PART", "Sizes", "Subject", "subject_of"]

LIMIT = 25
LOGIT_LIMIT = 1e-4
FIRST_DONOR, DONOR_IMAGES, DONORS_PER_IMAGE = 2_000_000, 20, 50
EXPLAINED = 3_000_000

Box = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Sizes:
    """Edges in pixels and counts of items."""

    roi: int
    block: int
    sampled: int
    draws: int
    training: Training

    @classmethod
    def of(cls, setting: Setting) -> Sizes:
        full = cls(32, 8, 16, 8, Training())
        toy = Training(widths=(8, 16, 16), size=64, crop=32, steps=10)
        return setting.pick(full, replace(full, roi=16, sampled=8, draws=2, training=toy))


@dataclass(frozen=True)
class Subject:
    """What is asked about."""

    network: nn.Module
    image: Tensor
    mask: Tensor
    bank: Tensor
    roi: Box
    block: int

    def blocks(self, roi: Box) -> Regions:
        """All blocks that do not touch a region of interest."""
        grid = grid_regions(tuple(self.image.shape[2:]), self.block)
        return grid.subset(~grid.touches(roi))

    def ask(self, execution: ExecutionName, regions: Regions, score: Score, draws: int = 1) -> Effects:
        """A new evaluator each time: taking the network apart is part of the cost."""
        return Evaluator(self.network, execution=execution)(
            self.image, regions, DonorPatchFill(self.bank), score, draws=draws
        )


def _plan(setting: Setting) -> str:
    sizes = Sizes.of(setting)
    size, roi, block = sizes.training.size, sizes.roi, sizes.block
    blocks = (size // block) ** 2 - (roi // block) ** 2
    training = f"{sizes.training.steps} steps on crops of phantoms"
    every = f"those {sizes.sampled} and {sizes.sampled} of the items that changed (with `--full-dense`: all {blocks})"
    if setting.full_dense:
        every = f"all {blocks}"
    return (
        f"the U-Net of the PdCR study, trained for {training}, at {size}x{size}; the region of interest is the"
        f" {roi}x{roi} box on the object's boundary (the one filled nearest to a half) of a "
        f"phantom that was not trained on; blocks of {block}x{block} are replaced by donors cut from other phantoms; "
        f"hard Dice in the RoI against the label. Incremental runs all {blocks} blocks that do not touch the RoI and "
        f"its time counts everything, taking the network apart too; dense runs {sizes.sampled} of them, evenly chosen; "
        f"both batch sizes are the engine's own choice; {setting.pick(3, 2)} rounds. Pass: incremental costs at least "
        f"{LIMIT} times less per item, the hard Dice of every item is equal, compared on {every}, and on "
        f"{sizes.sampled} items the RoI's logits differ by at most {LOGIT_LIMIT:g}. Beside it, one round each: "
        f"{sizes.draws} draws on every fourth block, and the mean probability in a RoI in the middle and in a corner."
    )


def _run(setting: Setting, place: Place) -> Outcome:
    sizes = Sizes.of(setting)
    subject = subject_of(sizes, setting, place)
    dice = RoIDice(subject.roi, subject.mask)
    blocks = subject.blocks(subject.roi)
    rows_sampled = _even(len(blocks), sizes.sampled)
    sampled = blocks.subset(rows_sampled)
    _forwards(subject, 1)  # memory that is touched for the first time costs the first one
    floor, dense, incremental = interleaved(
        [
            Contender("forwards alone", "floor", partial(_forwards, subject, len(sampled)), len(sampled), 1),
            # The first answer is one more forward: it counts as an item here, so that dense gains nothing by it.
            Contender("ours, dense", "ours", partial(subject.ask, "dense", sampled, dice), len(sampled) + 1, 1),
            Contender("ours, incremental", "ours", partial(subject.ask, "incremental", blocks, dice), len(blocks), 16),
        ],
        setting.pick(1 if place.brief else 3, 2),
        place,
        "incremental, Dice",
        warm_up=False,
    )
    found: Effects = incremental.result
    case = f"hard Dice, RoI {_text(subject.roi)}"
    logits = _logit_difference(subject, sampled)
    rows = [
        timed_row(PART.name, case, floor, place, dense),
        timed_row(PART.name, case, dense, place),
        _incremental_row(case, incremental, place, dense),
    ]
    changed = found.values[:, 0].nonzero().flatten().tolist()
    if setting.full_dense and place.final:
        compared = list(range(len(blocks)))
        (whole,) = interleaved(
            [Contender("ours, dense", "ours", partial(subject.ask, "dense", blocks, dice), len(blocks) + 1, 1)],
            1,
            place,
            "incremental, dense on all",
            warm_up=False,
        )
        rows.append(timed_row(PART.name, f"{case}, every item", whole, place))
        expected = whole.result.values
    else:
        some = [changed[row] for row in _even(len(changed), min(sizes.sampled, len(changed)))]
        compared = rows_sampled + some
        expected = dense.result.values
        if some:
            expected = torch.cat([expected, subject.ask("dense", blocks.subset(some), dice).values])
    differing = int((found.values[compared] != expected).sum())
    rows[2].facts.update(
        base_dice=found.baseline,
        dice_changed=len(changed),
        compared=f"{len(compared)}, {len(set(compared) & set(changed))} of them changed",
        differing=differing,
        logit_difference=logits,
    )
    if not place.brief:
        rows += _further_rows(subject, sizes, place, dice)
    return Outcome(rows, _verdicts(subject, place, dense, incremental, len(compared), differing, logits))


def _verdicts(
    subject: Subject, place: Place, dense: Timing, incremental: Timing, compared: int, differing: int, logits: float
) -> list[Verdict]:
    less = relative(incremental, dense, place.clock).inverse()
    millions = sum(parameter.numel() for parameter in subject.network.parameters()) / 1e6
    blocks = incremental.contender.items
    verdicts = [
        Verdict(
            f"incremental against dense, U-Net of {millions:.3g} M parameters, all {blocks} blocks: at least {LIMIT}x "
            "less time",
            str(place),
            f"{spread(less)}x less",
            less.median >= LIMIT,
        ),
        Verdict(
            f"incremental against dense: logits within {LOGIT_LIMIT:g}",
            str(place),
            f"largest difference {logits:.2g}",
            logits <= LOGIT_LIMIT,
        ),
    ]
    if place.final or differing:
        # One that differs is enough to miss it; to reach it all have to be compared.
        passed = False if differing else (True if compared == blocks else None)
        measured = f"{differing} of {compared} compared differ, of {blocks}"
        verdicts.append(
            Verdict("incremental against dense: hard Dice of every item equal", str(place), measured, passed)
        )
    return verdicts


def _further_rows(subject: Subject, sizes: Sizes, place: Place, dice: Score) -> list[Row]:
    """More draws, and other regions of interest."""
    edge, roi = subject.image.shape[-1], sizes.roi
    start = (edge - roi) // 2 // sizes.block * sizes.block
    fourth = subject.blocks(subject.roi)
    fourth = fourth.subset(range(0, len(fourth), 4))
    work: dict[str, tuple[Regions, Score, int]] = {
        f"hard Dice, RoI {_text(subject.roi)}, {sizes.draws} draws, every fourth block": (fourth, dice, sizes.draws)
    }
    for where, corner in (("in the middle", start), ("in a corner", 0)):
        box = ((corner, corner + roi),) * 2
        work[f"mean probability, RoI {where}"] = subject.blocks(box), MaskedMeanProbability(box), 1
    rows = []
    for case, (regions, score, draws) in work.items():
        sampled = regions.subset(_even(len(regions), sizes.sampled))
        dense, incremental = interleaved(
            [
                Contender("ours, dense", "ours", partial(subject.ask, "dense", sampled, score), len(sampled) + 1, 1),
                Contender(
                    "ours, incremental",
                    "ours",
                    partial(subject.ask, "incremental", regions, score, draws),
                    len(regions) * draws,
                    16,
                ),
            ],
            1,
            place,
            f"incremental, {case}",
            warm_up=False,
        )
        rows += [timed_row(PART.name, case, dense, place), _incremental_row(case, incremental, place, dense)]
    return rows


def _incremental_row(case: str, timing: Timing, place: Place, dense: Timing) -> Row:
    record = timing.result.record
    row = timed_row(PART.name, case, timing, place, dense, recomputed=record.recomputed, untouched=record.untouched)
    row.facts["times_less"] = relative(timing, dense, place.clock).inverse()
    return replace(row, batch_size=record.batch_size)


def subject_of(sizes: Sizes, setting: Setting, place: Place) -> Subject:
    network = trained_unet(sizes.training, place.device)
    image, mask = colour_phantom(EXPLAINED + setting.seed, sizes.training)
    return Subject(
        network,
        image[None].to(place.device),
        mask,
        _bank(sizes),
        half_filled_box(mask, sizes.roi, sizes.block),
        sizes.block,
    )


def _bank(sizes: Sizes) -> Tensor:
    """Patches cut at random from phantoms that are neither trained on nor explained, each in another light
    ``(donors, 3, block, block)``: a network trained briefly looks about so little that milder ones change no answer."""
    draw = np.random.default_rng(FIRST_DONOR)
    donors = []
    for number in range(DONOR_IMAGES):
        image, _ = colour_phantom(FIRST_DONOR + number, sizes.training)
        corners = draw.integers(0, sizes.training.size - sizes.block, size=(DONORS_PER_IMAGE, 2), endpoint=True)
        patches = [image[:, row : row + sizes.block, column : column + sizes.block] for row, column in corners]
        donors += [(patch * draw.uniform(0.2, 2.2)).clip(0, 1) for patch in patches]
    return torch.stack(donors)


def _forwards(subject: Subject, count: int) -> None:
    with torch.no_grad():
        for _ in range(count):
            subject.network(subject.image)


def _logit_difference(subject: Subject, regions: Regions) -> float:
    """The largest difference between the RoI's logits after each intervention, incremental against dense."""
    score = CallableScore(lambda output: output.flatten(1), box=subject.roi)
    dense, incremental = (subject.ask(execution, regions, score) for execution in ("dense", "incremental"))
    after_dense, after_incremental = (effects.before[:, None, None] + effects.data for effects in (dense, incremental))
    return float((after_dense - after_incremental).abs().max())


def _even(total: int, count: int) -> list[int]:
    return [(2 * i + 1) * total // (2 * count) for i in range(count)]


def _text(box: Sequence[tuple[int, int]]) -> str:
    return " x ".join(f"[{start}, {stop})" for start, stop in box)


COLUMNS = [
    *TIMES,
    *facts(
        "times_less",
        "base_dice",
        "untouched",
        "recomputed",
        "dice_changed",
        "compared",
        "differing",
        "logit_difference",
    ),
]

PART = Part("incremental", "Incremental against dense", _plan, _run, COLUMNS, every_place=True)
