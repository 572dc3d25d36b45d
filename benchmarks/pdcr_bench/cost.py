# SPDX-License-Identifier: Apache-2.0
"""What a whole map of the study's U-Net costs: the paper's rule incrementally and densely, the sequential rule."""

from __future__ import annotations

import time
from functools import partial

import torch
from bench_page import Section
from engine_bench.incremental import Sizes, Subject, subject_of
from engine_bench.report import Setting
from engine_bench.timing import Place

from monai_causal.intervene import DonorPatchFill, Evaluator, RoIDice
from monai_causal.visualize import PdCR, PdCRResult

__all__ = ["NAME", "run"]

NAME = "cost"
LIMIT = 25


def run(quick: bool, seed: int) -> Section:
    """One map under each rule; the dense side from a sample of its own evaluations."""
    setting = Setting(quick=quick, seed=seed)
    sizes = Sizes.of(setting)
    subject = subject_of(sizes, setting, Place(torch.device("cpu"), 1))
    sampled = 8 if quick else 24
    before, dense_seconds = _dense(subject, sampled), []
    paper, paper_seconds = _map(subject, "paper")
    dense_seconds = [before, _dense(subject, sampled)]
    sequential, sequential_seconds = _map(subject, "sequential")
    dense_seconds.append(_dense(subject, sampled))
    per_item = sorted(dense_seconds)[1]
    rows = []
    for name, result, seconds in (
        ("paper", paper, paper_seconds),
        ("sequential", sequential, sequential_seconds),
    ):
        dense = per_item * result.evaluations
        rows.append(
            {
                "rule": name,
                "evaluations": result.evaluations,
                "relevant blocks": int(result.relevant.sum()),
                "incremental, CPU seconds": round(seconds, 1),
                "dense, CPU seconds (extrapolated)": round(dense),
                "times less": dense / seconds,
                "untouched": result.record.untouched,
                "run again whole": result.record.recomputed,
            }
        )
    ratio = rows[0]["times less"]
    assert isinstance(ratio, float)
    return Section(
        NAME,
        "What a whole map costs",
        f"The U-Net of the PdCR study at {sizes.training.size}x{sizes.training.size}, the subject of the engine's "
        f"benchmark (`engine.md`, part incremental): RoI {subject.roi}, blocks of {sizes.block}x{sizes.block}, 1,000 "
        "donors. One whole map under each rule with `execution='incremental'`, everything counted in CPU time, one "
        f"thread. The dense side is the median of three samples of {sampled} dense evaluations each, taken before, "
        f"between and after, times the evaluations that the same rule made. Pass: rule `paper` at least {LIMIT} times "
        "less.",
        rows,
        [
            f"{'reached' if ratio >= LIMIT else 'MISSED'}: rule paper takes {ratio:.1f} times less CPU time.",
            f"Dense: {per_item:.3f} CPU seconds per evaluation "
            f"({', '.join(f'{seconds:.3f}' for seconds in dense_seconds)} in the three samples).",
            f"The sequential rule spends {sequential.evaluations / paper.evaluations:.2f} times the evaluations "
            f"of the paper's and {sequential_seconds / paper_seconds:.2f} times its CPU time here.",
        ],
    )


def _map(subject: Subject, rule: str) -> tuple[PdCRResult, float]:
    pdcr = PdCR(subject.network, DonorPatchFill(subject.bank), subject.block, rule, execution="incremental")  # type: ignore[arg-type]
    started = time.process_time()
    result = pdcr.explain(subject.image, subject.roi, subject.mask)
    return result, time.process_time() - started


def _dense(subject: Subject, count: int) -> float:
    """CPU seconds of one dense evaluation, the first answer counted as one."""
    blocks = subject.blocks(subject.roi)
    some = blocks.subset(range(0, len(blocks), max(1, len(blocks) // count)))
    ask = partial(Evaluator(subject.network, execution="dense"), subject.image, some, DonorPatchFill(subject.bank))
    started = time.process_time()
    ask(RoIDice(subject.roi, subject.mask))
    return (time.process_time() - started) / (len(some) + 1)
