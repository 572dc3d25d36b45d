# SPDX-License-Identifier: Apache-2.0
"""Do the regions that a map names matter jointly? And what made a box that is segmented wrongly?

Both perturb a set of regions at once and compare with random sets of as many regions that the map does not name, with
draws that the map has not seen. The test is a randomisation test: were the named regions a random set, its effect would
be the largest of all sets with a chance of one in their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_causal.apps.pdcr_study.config import TracingConfig, VerificationConfig
from monai_causal.apps.pdcr_study.questions import Question
from monai_causal.intervene import Fill, Regions, RoIForegroundShare, Score
from monai_causal.intervene.draws import draw_integer
from monai_causal.intervene.regions import Box, per_axis
from monai_causal.intervene.scores import hard_answer
from monai_causal.metrics.joint import JointFill, joint_regions
from monai_causal.visualize.pdcr import PdCR
from monai_causal.visualize.pdcr_result import PdCRResult

__all__ = ["joint_effect", "missegmented_box", "random_sets", "trace", "verify"]

Side = Literal["either", "lower", "higher"]


def verify(question: Question, found: PdCRResult, settings: VerificationConfig) -> dict[str, Any]:
    """The joint effect of all relevant regions, and of the supporting and the suppressing ones by themselves, each
    against random sets of as many irrelevant ones.

    Where fewer are irrelevant than named, the strongest of the named are taken, as many as there are. A set of which
    nothing is left is null.
    """
    assert isinstance(found.regions, Regions)
    effects = torch.where(found.relevant, found.ate, 0.0)
    unnamed = (~found.relevant).nonzero().flatten().tolist()
    sides: dict[str, tuple[Tensor, Side]] = {
        "named": (effects != 0, "either"),
        "supporting": (effects < 0, "lower"),
        "suppressing": (effects > 0, "higher"),
    }
    record: dict[str, Any] = {}
    for name, (chosen, side) in sides.items():
        rows = chosen.nonzero().flatten()
        rows = rows[effects[rows].abs().argsort(descending=True, stable=True)][: len(unnamed)]
        record[name] = (
            joint_effect(
                question, found.regions, rows.tolist(), unnamed, question.score, settings.sets, settings.draws, side
            )
            if len(rows)
            else None
        )
    return record


def trace(question: Question, error: str, settings: TracingConfig) -> dict[str, Any]:
    """What made the worst box of one kind of error: PdCR on the share of the box that is answered with the class.

    A Dice would not do: against an empty label it is 0 whatever happens. Of a false positive the regions are taken that
    lower the share most when they are replaced, of a false negative those that raise it most; then all of them are
    replaced at once, against random sets of the other regions.
    """
    image, inside = question.subject.image, question.subject.inside
    output = question.evaluator.answer(image)
    index = 0 if output.shape[1] == 1 else question.subject.class_idx or 0
    answer = hard_answer(output, index, "auto", question.study.threshold)[0].cpu()
    wrong = answer & ~inside if error == "false-positive" else inside & ~answer
    box, share = missegmented_box(wrong, settings.size, question.study.patch_size)
    record: dict[str, Any] = {"error": error, "wrong": share, "traced": share >= settings.least}
    if not record["traced"]:
        return record
    options = question.options

    def score(roi: Any, reference: Tensor | None) -> Score:
        return RoIForegroundShare(roi, options["activation"], options["threshold"], options["class_idx"])

    pdcr = PdCR(
        question.network,
        question.fill,
        seed=question.study.seed,
        score=score,
        **{"patch_size": question.study.patch_size, **settings.options},
        **question.engine,
    )
    found = pdcr.explain(image, box)
    assert isinstance(found.regions, Regions)
    side: Side = "lower" if error == "false-positive" else "higher"
    towards = torch.where(found.relevant, found.ate * (-1 if side == "lower" else 1), 0.0)
    order = towards.argsort(descending=True, stable=True)
    named = [row for row in order[: settings.top].tolist() if towards[row] > 0]
    others = [row for row in order.tolist() if row not in named]
    record |= {
        "box": [list(span) for span in box],
        "share": found.baseline,
        "regions": len(found.ate),
        "relevant": int(found.relevant.sum()),
        "evaluations": found.evaluations,
        "named": [
            {"id": found.regions.ids[row], "box": [list(span) for span in found.regions[row].box],
             "effect": float(found.ate[row])}
            for row in named
        ],
    }  # fmt: skip
    if named and len(others) >= len(named):
        record["joint"] = joint_effect(
            question, found.regions, named, others, score(box, None), settings.sets, settings.draws, side
        )
    return record


def joint_effect(
    question: Question,
    regions: Regions,
    named: Sequence[int],
    others: Sequence[int],
    score: Score,
    sets: int,
    draws: int,
    side: Side = "either",
    fill: Fill | None = None,
) -> dict[str, Any]:
    """The effect of replacing the named regions at once, and that of random sets of as many others.

    Args:
        question: who is asked about which image.
        regions: where.
        named: positions in ``regions``.
        others: positions that the random sets are drawn from; at least as many.
        score: compared on what.
        sets: how many random ones.
        draws: over how many draws of the fill each effect is averaged.
        side: which effects of random sets count as at least as large: by magnitude, or to one side.
        fill: with what; by default the question's own.

    Returns:
        ``regions`` how many, ``effect``, ``random`` one effect per set, ``p`` of the randomisation test.
    """
    groups = [list(named), *random_sets(others, len(named), sets, question.evaluator.seed)]
    joint = JointFill(question.fill if fill is None else fill, regions, groups)
    asked = joint_regions(regions, groups)
    ate = question.evaluator(question.subject.image, asked, joint, score, draws).ate.tolist()
    effect, random = ate[0], ate[1:]
    sizes = {"either": abs, "lower": lambda one: -one, "higher": lambda one: one}
    size = sizes[side]
    beaten = sum(size(one) >= size(effect) for one in random)
    return {"regions": len(named), "effect": effect, "random": random, "p": (1 + beaten) / (1 + sets)}


def random_sets(candidates: Sequence[int], count: int, sets: int, seed: int) -> list[list[int]]:
    """``sets`` times ``count`` different ones of the candidates, sorted; they belong to the seed.

    Example:
        >>> random_sets([4, 5, 6], 3, 1, seed=0)
        [[4, 5, 6]]
    """
    if count > len(candidates):
        raise ValueError(f"{count} regions out of {len(candidates)}: there are too few to compare with.")
    drawn = []
    for number in range(sets):
        pool = list(candidates)
        for step in range(count):  # the first steps of a shuffle
            other = step + draw_integer(len(pool) - step, seed, number, step)
            pool[step], pool[other] = pool[other], pool[step]
        drawn.append(sorted(pool[:count]))
    return drawn


def missegmented_box(wrong: Tensor, size: int | Sequence[int], step: int | Sequence[int]) -> tuple[Box, float]:
    """The box of ``size`` voxels per axis, at multiples of ``step``, with the largest share of wrong voxels, and that
    share; the first in raster order of equals. An axis shorter than the box is taken whole.

    Example:
        >>> wrong = torch.zeros(8, 8, dtype=torch.bool)
        >>> wrong[5:8, 4:6] = True
        >>> missegmented_box(wrong, 4, 4)
        (((4, 8), (4, 8)), 0.375)
    """
    axes = wrong.ndim
    edges = [min(edge, length) for edge, length in zip(per_axis(size, axes, "size"), wrong.shape, strict=True)]
    strides = per_axis(step, axes, "step")
    pool = {2: F.avg_pool2d, 3: F.avg_pool3d}[axes]
    shares = pool(wrong.double()[None, None], edges, strides)[0, 0]
    place = (shares == shares.max()).nonzero()[0].tolist()
    starts = [at * stride for at, stride in zip(place, strides, strict=True)]
    box = tuple((start, start + edge) for start, edge in zip(starts, edges, strict=True))
    return box, float(shares.max())
