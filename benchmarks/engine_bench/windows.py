# SPDX-License-Identifier: Apache-2.0
"""Windows against dense: sliding-window inference on a volume."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from monai.data.utils import dense_patch_slices
from monai.inferers import SlidingWindowInferer
from torch import Tensor

from engine_bench.networks import seeded, unet_for_volumes
from engine_bench.report import TIMES, Outcome, Part, Setting, Verdict, facts, spread, timed_row
from engine_bench.timing import Contender, Place, Spread, Timing, interleaved
from monai_causal.data.phantoms import shapes
from monai_causal.intervene import (
    CallableScore,
    Effects,
    Evaluator,
    MaskedMeanProbability,
    MeanFill,
    Regions,
    Score,
    box_regions,
    grid_regions,
)
from monai_causal.intervene.evaluator import ExecutionName

__all__ = ["PART"]

LIMIT = 4
OVERLAP = 0.5


def _geometry(setting: Setting) -> tuple[tuple[int, ...], int, int]:
    """Shape of the volume, edge of a window, edge of a region."""
    return setting.pick(((192, 192, 128), 96, 16), ((48, 48, 32), 24, 4))


def _plan(setting: Setting) -> str:
    shape, window, edge = _geometry(setting)
    count, rounds = setting.pick(16, 8), 2
    return (
        f"a volume of {'x'.join(map(str, shape))}, windows of {window}^3, overlap {OVERLAP}, one window per batch, "
        f"regions of {edge}^3, MONAI's 3-D UNet with instance norm; {count} regions of all "
        f"{len(grid_regions(shape, edge)):,}, evenly chosen in the order of how many windows they touch, {rounds} "
        "rounds. The score reads (a) a body that fills the whole volume, so that nothing is spared because nobody "
        "looks there, (b) a small object near a corner (one round). The first answer, of the untouched volume, is made "
        "once per map: it is timed by itself too, and what a map over all regions costs is worked out, first answer + "
        f"all regions x time per region. Pass, on (a): a dense map costs at least {LIMIT} times as much as one by "
        "windows, every score is bit-identical, and so are the whole outputs of three regions."
    )


def _run(setting: Setting, place: Place) -> Outcome:
    shape, window, edge = _geometry(setting)
    image = torch.from_numpy(shapes(setting.seed, size=shape).image)[None].to(place.device)
    network = seeded(partial(unet_for_volumes, setting.quick), setting.seed, place.device)
    inferer = SlidingWindowInferer(roi_size=window, sw_batch_size=1, overlap=OVERLAP, mode="gaussian")
    everywhere = grid_regions(shape, edge)
    chosen = _sample(everywhere, window, setting.pick(16, 8))

    def effects(execution: ExecutionName, regions: Regions, score: Score) -> Effects:
        evaluator = Evaluator(network, execution=execution, inferer=inferer)
        return evaluator(image, regions, MeanFill(), score)

    few = chosen.subset([0, len(chosen) // 2, len(chosen) - 1])

    def first_answer() -> None:
        with torch.no_grad():
            inferer(image, network)

    scores = {
        "(a) whole body": MaskedMeanProbability(_ball(shape, 1.01), class_idx=1),
        "(b) small object": MaskedMeanProbability(_ball(shape, 0.15, -0.7), class_idx=1),
    }
    rows, verdicts = [], []
    for case, score in scores.items():
        target = case.startswith("(a)")
        if place.brief and not target:
            continue
        rounds = 2 if target and not place.brief else 1
        first, dense, windows = interleaved(
            [
                Contender("first answer alone", "floor", first_answer, 1, 1),
                Contender("ours, dense", "ours", partial(effects, "dense", chosen, score), len(chosen), 1),
                Contender("ours, windows", "ours", partial(effects, "windows", chosen, score), len(chosen), 1),
            ],
            rounds,
            place,
            f"windows, {case}",
            warm_up=False,
        )
        identical = _same(dense.result, windows.result)
        less = _times_less(first, dense, windows, len(everywhere), place)
        rows += [
            timed_row(PART.name, case, first, place),
            timed_row(PART.name, case, dense, place, window_forwards=dense.result.record.forwards),
            timed_row(
                PART.name,
                case,
                windows,
                place,
                dense,
                window_forwards=windows.result.record.forwards,
                untouched=windows.result.record.untouched,
                times_less_for_a_whole_map=less,
                scores_bit_identical=identical,
            ),
        ]
        if target:
            whole = _same(*(effects(name, few, _whole_output()) for name in ("dense", "windows")))
            rows[-1].facts["outputs_bit_identical"] = whole
            rows[-1].facts["windows_touched_here_and_over_all"] = " and ".join(
                f"{np.mean(_windows_touched(some, window)):.3g}" for some in (chosen, everywhere)
            )
            verdicts += [
                Verdict(
                    f"windows against dense, (a): at least {LIMIT}x less time",
                    str(place),
                    f"{spread(less)}x less",
                    less.median >= LIMIT,
                ),
                Verdict(
                    "windows against dense: bit-identical",
                    str(place),
                    f"{len(chosen)} scores {'equal' if identical else 'differ'}, "
                    f"3 whole outputs {'equal' if whole else 'differ'}",
                    identical and whole,
                ),
            ]
    return Outcome(rows, verdicts)


def _times_less(first: Timing, dense: Timing, windows: Timing, regions: int, place: Place) -> Spread:
    """How many times less a map over all regions costs by windows, from the time of some of them."""

    def whole_map(timing: Timing, round: int) -> float:
        once, count = first.seconds(place.clock)[round], timing.contender.items
        each = timing.seconds(place.clock)[round] - once / count
        return once + regions * each

    return Spread.of([whole_map(dense, k) / whole_map(windows, k) for k in range(len(first.cpu))])


def _sample(regions: Regions, window: int, count: int) -> Regions:
    """Every so many of the regions in the order of how many windows they touch, so that the sample touches as many as
    all do in the mean."""
    order = np.argsort(_windows_touched(regions, window), kind="stable")
    return regions.subset(sorted(order[(2 * i + 1) * len(order) // (2 * count)] for i in range(count)))


def _windows_touched(regions: Regions, window: int) -> list[int]:
    """How many of MONAI's windows each region touches."""
    shape = regions.spatial_shape
    step = int(window * (1 - OVERLAP))
    windows = dense_patch_slices(shape, (window,) * len(shape), (step,) * len(shape))
    grid = box_regions(shape, ([(part.start, part.stop) for part in place] for place in windows))
    return torch.stack([regions.touches(place.box) for place in grid]).sum(0).tolist()


def _ball(shape: Sequence[int], share: float, centre: float = 0.0) -> Tensor:
    """An ellipsoid that takes this share of every axis, with its centre so far from the middle (-1 to 1)."""
    axes = np.meshgrid(*(np.linspace(-1, 1, length) - centre for length in shape), indexing="ij")
    distance = np.sqrt(sum(axis**2 for axis in axes))
    return torch.from_numpy(distance <= share)


def _whole_output() -> Score:
    """A score that is the output itself, every number of it."""
    return CallableScore(lambda output: output.flatten(1))


def _same(first: Effects, second: Effects) -> bool:
    return torch.equal(first.before, second.before) and torch.equal(first.data, second.data)


COLUMNS = [
    *TIMES,
    *facts(
        "times_less_for_a_whole_map",
        "window_forwards",
        "untouched",
        "windows_touched_here_and_over_all",
        "scores_bit_identical",
        "outputs_bit_identical",
    ),
]

PART = Part("windows", "Windows against dense", _plan, _run, COLUMNS, every_place=True)
