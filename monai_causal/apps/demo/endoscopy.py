# SPDX-License-Identifier: Apache-2.0
"""The demo's first part: MCDRL marks a lesion, PdCR and DEA say why, and the deletion metrics judge them."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from monai_causal.apps.explain import Request
from monai_causal.apps.explain.opened import Opened, open_image
from monai_causal.apps.explain.run import Explanation, ask
from monai_causal.data.phantoms import endoscopy
from monai_causal.files import draft_of
from monai_causal.intervene import Evaluator, MeanFill, RoIDice, grid_regions
from monai_causal.intervene.regions import plain
from monai_causal.metrics import DeletionFaithfulness
from monai_causal.metrics.attribution import averaged_attribution

__all__ = ["BUNDLE", "explain_endoscopy", "in_words"]

BUNDLE = Path(__file__).with_name("endoscopy_bundle")
"""MCDRL as the project trained it on phantoms."""
SEED = 70_000_015  # a polyp beside reflections; the bundle's data are drawn from seeds far below
DONORS = range(71_000_000, 71_000_008)
SIZE = (192, 192)
PATCH = 12  # pixels of the network's image, which is 96 x 96
FIRST = 5  # patches that a map names first
CHANCE = 10  # random maps, whose mean is what a map has to beat


def explain_endoscopy(out: Path, progress: bool = False) -> dict[str, Any]:
    """Write ``frame.png`` and ``polyp.png``, the folders ``pdcr`` and ``dea`` as ``monai-causal explain`` does, and
    ``judged.csv``; return what a line needs."""
    out.mkdir(parents=True, exist_ok=True)
    phantom = endoscopy(SEED, size=SIZE)
    frame = out / "frame.png"
    _save(frame, phantom.image)
    _save(out / "polyp.png", (phantom.labels > 0)[None].astype(np.float32))
    with tempfile.TemporaryDirectory() as folder:
        donors = Path(folder)
        for seed in DONORS:
            _save(donors / f"{seed}.png", endoscopy(seed, size=SIZE).image)
        shared: dict[str, Any] = {"bundle": BUNDLE, "image": frame, "progress": progress, "device": "cpu"}
        pdcr = Request(
            out / "pdcr",
            method="pdcr",
            roi="boundary",
            roi_size=(2 * PATCH,),
            patch_size=(PATCH,),
            donors=donors,
            rule="paper",
            n_samples=12,
            **shared,
        )
        dea = Request(out / "dea", method="dea", grid=(96 // PATCH,), **shared)
        opened = open_image(pdcr)
        found = {request.method: ask(opened, request) for request in (pdcr, dea)}
    for name, explanation in found.items():
        explanation.write(out / name)
    rows = _judged(opened, found)
    _write(out / "judged.csv", rows)
    answer = plain(opened.scene.back(opened.answer(None).to(torch.uint8))).numpy() > 0
    return {
        "seed": SEED,
        "confounder": phantom.causes.confounder,
        "dice": _dice(answer, phantom.labels > 0),
        "pdcr": {name: found["pdcr"].summary["findings"][name] for name in ("regions", "relevant")},
        "judged": rows,
    }


def in_words(found: Mapping[str, Any]) -> str:
    """The part in a line."""
    pdcr, dea, chance = found["judged"]
    return (
        f"Endoscopy: MCDRL marks the polyp (Dice {found['dice']:.2f}). PdCR: {found['pdcr']['relevant']} of "
        f"{found['pdcr']['regions']} patches matter; its first {FIRST} move the answer by {pdcr['first_patches']:.1f} "
        f"Dice points each, random maps' by {chance['first_patches']:.1f}. Deleting what DEA ranks first in the "
        f"polyp lowers its probability by {100 * dea['tdd']:.0f} %, random maps by {100 * chance['tdd']:.0f} %."
    )


def _judged(opened: Opened, found: Mapping[str, Explanation]) -> list[dict[str, Any]]:
    """Both maps and the mean of random ones: deletion inside and outside the answer, and patches outside the RoI."""
    image, network = opened.scene.image, opened.model.network
    answer = opened.answer(None)
    roi = found["pdcr"].found.roi
    deletion, evaluator = DeletionFaithfulness(network, device="cpu"), Evaluator(network, device="cpu")
    regions, score = grid_regions(image.shape[2:], PATCH), RoIDice(roi, answer)
    effects = evaluator(image, regions, MeanFill(), score)

    def judged(heat: Tensor) -> dict[str, Any]:
        scores = deletion(image, heat[None, None], 0, mask=answer)
        first = averaged_attribution(
            evaluator, image, heat, regions, MeanFill(), score, roi=roi, top=FIRST, effects=effects
        )
        return {"tdd": float(scores["tdd"]), "odd": float(scores["odd"]), "first_patches": first}

    # An effect is negative where it supports, and what is deleted first has to be high. PdCR's map is of what lies
    # around its RoI, part of which is the answer: deletion inside the answer is no question for it.
    pdcr = judged(-plain(found["pdcr"].found.map)) | {"tdd": None, "odd": None}
    generator = torch.Generator().manual_seed(0)
    random = [judged(torch.rand(image.shape[2:], generator=generator)) for _ in range(CHANCE)]
    chance = {name: sum(one[name] for one in random) / CHANCE for name in random[0]}
    rows: dict[str, dict[str, Any]] = {
        "pdcr": pdcr,
        "dea": judged(plain(found["dea"].found.map)),
        f"{CHANCE} random maps, mean": chance,
    }
    return [{"method": name, **row} for name, row in rows.items()]


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    names = {
        "method": "method",
        "tdd": "deletion inside the answer (share of its probability)",
        "odd": "deletion outside (share)",
        "first_patches": f"first {FIRST} patches outside the RoI (Dice points each)",
    }
    with draft_of(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names.values())
        for row in rows:
            writer.writerow("" if row[name] is None else row[name] for name in names)


def _save(path: Path, values: NDArray[np.float32]) -> None:
    pixels = np.rint(255 * np.moveaxis(values, 0, -1)).astype(np.uint8)
    with draft_of(path) as draft:
        Image.fromarray(pixels.squeeze()).save(draft)


def _dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return 2 * float((first & second).sum()) / float(first.sum() + second.sum())
