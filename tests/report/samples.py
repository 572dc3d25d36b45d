# SPDX-License-Identifier: Apache-2.0
"""Results folders as the commands write them, made in milliseconds with numbers that are known."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image

CELL = 8


def write_volume(path: Path, values: np.ndarray) -> None:
    shape = (*values.shape, *(1,) * (3 - values.ndim))
    nib.save(nib.Nifti1Image(values.reshape(shape).astype(np.float32), np.eye(4)), path)


def explained(
    folder: Path,
    *,
    shape: tuple[int, ...] = (32, 32),
    method: str = "pdcr",
    digest: str = "d1",
    notes: tuple[str, ...] = (),
    image: bool = True,
) -> Path:
    """A case of ``monai-causal explain``: region 5 supports by 12.5 points, region 6 suppresses by 3."""
    folder.mkdir(parents=True)
    heat = np.zeros(shape)
    heat[tuple(slice(8, 16) for _ in shape)] = -12.5
    heat[tuple(slice(16, 24) for _ in shape)] = 3.0
    write_volume(folder / "map.nii.gz", heat)
    ramp = np.broadcast_to(np.linspace(0, 1, shape[-1]), shape)
    if image and len(shape) == 2:
        Image.fromarray((255 * ramp).astype(np.uint8)).save(folder / "image.png")
    elif image:
        write_volume(folder / "image.nii.gz", ramp)
    Image.new("RGB", (90, 60), "white").save(folder / "explanation.png")
    if method == "pdcr":
        _pdcr(folder / "pdcr", shape)
    summary = {
        "schema": "monai_causal/explain/1",
        "method": method,
        "unit": "Dice points",
        "sign": "after - before: negative supports the answer, positive suppresses it",
        "settings": {"network": "demo", "seed": 17},
        "image": {"digest": digest, "shape": list(shape), "channels": 1, "shape_for_the_network": list(shape)},
        "model": {"kind": "network", "name": "unet-of-the-test"},
        "label": None,
        "class": 1,
        "roi": {"asked": "boundary", "voxels": 64, "box": [[24, 32]] * len(shape)},
        "replaced_by": {"kind": "donors"},
        "findings": {
            "baseline": 90.0,
            "regions": 2,
            "relevant": 2,
            "strongest_support": {"value": -12.5, "voxel": [8] * len(shape)},
        },
        "notes": list(notes),
        "seconds": 1.25,
        "versions": {"monai_causal": "0.1.0"},
        "caveat": "This explains a model. It is no statement about a patient.",
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def _pdcr(folder: Path, shape: tuple[int, ...]) -> None:
    folder.mkdir()
    box = {5: " ".join(["8:16"] * len(shape)), 6: " ".join(["16:24"] * len(shape))}
    with (folder / "effects.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(
            ["id", "name", "box", "ate", "standard_error", "low", "high", "p_value", "draws", "relevant", "settled"]
        )
        rows.writerow([5, 5, box[5], -12.5, 0.5, -13.75, -11.25, 0.001, 7, 1, 1])
        rows.writerow([6, 6, box[6], 3.0, 0.25, 2.5, 3.5, 0.01, 9, 1, 0])
    profile = {
        "supporting": 1, "suppressing": 1, "irrelevant": 0, "histogram": [1, 0, 1],
        "edges": [[None, -0.02], [-0.02, 0.02], [0.02, None]],
        "shares": {"supporting": 0.5, "suppressing": 0.5, "irrelevant": 0.0},
    }  # fmt: skip
    content = {"schema": "monai_causal/pdcr/1", "spatial_shape": list(shape), "profile": profile, "record": {}}
    (folder / "result.json").write_text(json.dumps(content))


_CONCEPT: dict[str, Any] = {
    "name": "heart", "members": [], "box": [10, 20, 50, 60], "drop": 2.5, "signed": 2.5, "tokens": [2.0, 0.5],
    "confidence": 0.9, "flags": [],
}  # fmt: skip
_MEDFOCUS: dict[str, Any] = {
    "schema": "monai_causal/medfocus/1",
    "method": "medfocus",
    "question": "Is the heart large?",
    "mode": "direct",
    "answer": {"text": "Yes, large", "token_ids": [1, 2], "tokens": ["Yes,", " large"], "complete": True},
    "reading": "yes",
    "log_prob": -0.5,
    "size": [96, 64],
    "boxes": [[10, 20, 50, 60]],
    "source_boxes": None,
    "whole_image": False,
    "notes": [],
    "runtime": {"seconds": 3.0, "forwards": 11, "parts": {}, "questions": 1},
    "provenance": {"model": {"source": "demo"}, "image": {"pixels_sha256": "00"}, "settings": {"seed": 0}},
    "concept": "heart",
    "strongest": "heart",
    "concepts": [
        _CONCEPT,
        {**_CONCEPT, "name": "left lung", "box": [5, 5, 30, 90], "drop": 0.25, "signed": 0.25, "tokens": [0.25, 0.0]},
        {**_CONCEPT, "name": "right lung", "box": None, "drop": None, "signed": None, "tokens": []},
    ],
    "token_effects": [{"text": "Yes,", "drop": 2.0}, {"text": " large", "drop": 0.5}],
    "relative_probability": 0.082,
    "tau": 0.75,
    "signed": False,
    "masking": "zero",
    "by": "box",
    "margin": {
        "winner": "heart", "second": "left lung", "lead": 2.25, "relative_lead": 0.9, "winners": {"zero": "heart"},
        "stays": True, "coin_toss": False, "least_lead": 0.1,
    },
}  # fmt: skip


def attributed(path: Path, **changes: Any) -> Path:
    """A record of ``monai-causal medfocus attribute`` and its picture: the heart's box carries the answer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**copy.deepcopy(_MEDFOCUS), **changes}))
    Image.new("L", (64 * 10, 96 * 10 + 80), 128).save(path.with_suffix(".png"))  # enlarged by 640 / 64, and a caption
    return path


def benchmark(folder: Path) -> Path:
    """Tables, a record and a picture."""
    folder.mkdir(parents=True)
    rows = [
        "method,runs,dice,dice_low,dice_high,cost_mean,cost_sd",
        "alpha,3,0.5,0.4,0.6,10.0,1.0",
        "beta,3,0.125,0.1,0.2,9.0,2.0",
        "gamma,3,0.25,0.2,0.3,100.0,3.0",
    ]
    (folder / "methods.csv").write_text("\n".join(rows) + "\n")
    record = {
        "schema": "bench/1",
        "verdict": "The rule is met.",
        "rows": [{"name": "one", "value": 0.75, "in": {"x": 1}}],
    }
    (folder / "results.json").write_text(json.dumps(record))
    (folder / "report.md").write_text("# A table of numbers\n")
    Image.new("RGB", (120, 80), "navy").save(folder / "gallery-1.png")
    return folder
