# SPDX-License-Identifier: Apache-2.0
"""The rules against the truth of 1,000 donors, on a trained network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from bench_page import Section
from engine_bench.networks import Training, colour_phantom, half_filled_box, trained_unet
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from monai_causal.intervene import DonorPatchFill
from monai_causal.visualize import PdCR
from monai_causal.visualize.sampling import PaperRule, Rule, SequentialRule

__all__ = ["NAME", "run"]

NAME = "agreement"
TAU = 0.02
Floats = NDArray[np.float64]


def run(quick: bool, seed: int) -> Section:
    """Truth once per image, then every rule many times on draws from it."""
    training = Training(widths=(8, 16, 32), size=96, crop=48, steps=20 if quick else 300, batch=4)
    images, donors, repeats, roi_size = (1, 40, 5, 32) if quick else (2, 1000, 200, 32)
    network = trained_unet(training, torch.device("cpu"))
    tables = []
    for number in tqdm(range(images), desc="truth", disable=None, leave=False):
        image, mask = colour_phantom(3_000_000 + seed + number, training)
        roi = half_filled_box(mask, roi_size, 8)
        pdcr = PdCR(network, DonorPatchFill(_bank(donors, training)), 8, "exhaustive")
        tables.append(pdcr.explain(image[None], roi, mask).ites.numpy())
    rules: dict[str, Rule] = {
        "paper": PaperRule(),
        "sequential": SequentialRule(),
        "sequential, accuracy 0.15": SequentialRule(accuracy=0.15),
        "sequential, FDR 0.2": SequentialRule(fdr=0.2),
    }
    rows = [{"rule": name, **_judge(rule, tables, repeats, seed)} for name, rule in rules.items()]
    paper, ours = rows[0], rows[1]
    better = ours["decisions right"] >= paper["decisions right"] and ours["evaluations"] < paper["evaluations"]
    regions = sum(len(table) for table in tables)
    causal = sum(int((np.abs(table.mean(1)) > TAU).sum()) for table in tables)
    return Section(
        NAME,
        "The rules against the truth of 1,000 donors",
        f"A U-Net of widths {training.widths} trained for {training.steps} steps on phantoms of "
        f"{training.size}x{training.size}; {images} other phantoms, hard Dice in a {roi_size}x{roi_size} RoI, "
        f"blocks of 8x8. The truth of a block is its mean over all {donors:,} donors; it counts as relevant where "
        f"|ATE| > tau = {TAU} Dice points. Each rule then draws from the same donors with replacement, {repeats} times "
        "per image, replayed from the table of all effects. Pass: the sequential rule decides at least "
        "as many blocks rightly as "
        "the paper's, with fewer evaluations, and its false discovery rate is at most 0.05.",
        rows,
        [
            f"{causal} of {regions} blocks are relevant.",
            f"{'reached' if better else 'MISSED'}: decisions right {ours['decisions right']:.4f} against "
            f"{paper['decisions right']:.4f}, with {ours['evaluations'] / paper['evaluations']:.2f} times the "
            "evaluations.",
            f"{'reached' if ours['FDR'] <= 0.05 else 'MISSED'}: false discovery rate {ours['FDR']:.3f} against "
            f"{paper['FDR']:.3f}, power {ours['power']:.3f} against {paper['power']:.3f}.",
        ],
    )


def _judge(rule: Rule, tables: Sequence[Floats], repeats: int, seed: int) -> dict[str, Any]:
    found = []
    for table in tables:
        truth = table.mean(1)
        null = np.abs(truth) <= TAU
        for repeat in range(repeats):
            rng = np.random.default_rng((seed, repeat))
            spent = 0

            def ask(rows: Sequence[int], draws: range, table: Floats = table, rng: np.random.Generator = rng) -> Floats:
                nonlocal spent
                spent += len(rows) * len(draws)
                return table[np.asarray(rows)[:, None], rng.integers(table.shape[1], size=(len(rows), len(draws)))]

            verdict = rule.sample(ask, len(table))
            called = verdict.relevant
            relevant = np.abs(truth) > TAU
            found.append(
                (
                    (called & null).sum() / max(1, called.sum()),
                    (called & ~null).sum() / max(1, (~null).sum()),
                    (called == ~null).mean(),
                    np.abs(verdict.ate - truth)[relevant].mean() if relevant.any() else 0.0,
                    spent,
                )
            )
    rate, power, right, error, spent_mean = np.mean(found, axis=0).tolist()
    return {
        "FDR": rate,
        "power": power,
        "decisions right": right,
        "mean error of relevant ATEs, Dice points": error,
        "evaluations": round(spent_mean),
    }


def _bank(count: int, training: Training) -> Tensor:
    """Patches cut at random from phantoms that are neither trained on nor explained, each in another light."""
    draw = np.random.default_rng(0)
    donors = []
    for number in range(-(-count // 50)):
        image, _ = colour_phantom(2_000_000 + number, training)
        for row, column in draw.integers(0, training.size - 8, size=(50, 2), endpoint=True):
            donors.append((image[:, row : row + 8, column : column + 8] * draw.uniform(0.2, 2.2)).clip(0, 1))
    return torch.stack(donors[:count])
