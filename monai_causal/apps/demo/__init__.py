# SPDX-License-Identifier: Apache-2.0
"""The demo: the whole way once, offline, on an image whose cause is known.

A small network was taught to name an object's class that only a marker in a corner of the image shows. Asked region by
region, it has to betray that marker, and since the image is a phantom, what the marker really does can be rendered.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from torch import Tensor

from monai_causal.apps.demo.network import HELD_OUT, load_demo_network
from monai_causal.data.phantoms import Phantom, ShapesCauses, shapes
from monai_causal.files import write_json
from monai_causal.intervene import Effects, Evaluator, MaskedMeanProbability, MeanFill, Regions, grid_regions
from monai_causal.versions import versions
from monai_causal.visualize.render import Outline, Panel, save_panels

__all__ = ["in_words", "run_demo"]

SEED = HELD_OUT + 4
PATCH_SIZE = 16


def run_demo(out: Path, seed: int = SEED) -> dict[str, Any]:
    """Explain one phantom; write ``explanation.png``, ``effects.nii.gz`` and ``summary.json`` to ``out``."""
    started = time.perf_counter()
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    phantom = shapes(seed)
    network = load_demo_network()
    image = MetaTensor(torch.from_numpy(phantom.image)[None])
    mask = torch.from_numpy(phantom.labels > 0)
    answer = phantom.causes.resolved_class
    regions = grid_regions(image.shape[2:], PATCH_SIZE)
    effects = Evaluator(network, progress=True)(image, regions, MeanFill(), MaskedMeanProbability(mask, answer))

    # What the marker really does: the same image rendered without it, the object as it was.
    without_cue = phantom.do(cue=0, object_class=answer)
    exact = _probability(network, without_cue, mask, answer) - _probability(network, phantom, mask, answer)

    effects.save(out / "effects.nii.gz")
    _draw(out / "explanation.png", phantom, network, effects)
    summary = {
        **_findings(phantom, regions, effects),
        "exact_effect_of_removing_the_cue": exact,
        "run": asdict(effects.record),
        "seconds": round(time.perf_counter() - started, 2),
        "versions": versions("monai", "torch", "numpy"),
        "caveat": "This explains a model. It is no statement about a patient.",
    }
    write_json(out / "summary.json", summary)
    return summary


def in_words(summary: dict[str, Any], out: Path) -> str:
    """What came out and where to look, in a few lines."""
    strongest = summary["strongest_support_beside_the_object"]
    place = "on the planted cue" if strongest["lies_on_cue"] else "NOT on the planted cue"
    return "\n".join(
        [
            f"{summary['question']} {summary['intervention']['regions']} regions, {summary['seconds']} s.",
            f"The strongest support beside the object lies {place}: {strongest['effect']:+.3f} in probability "
            f"(really removing the cue: {summary['exact_effect_of_removing_the_cue']:+.3f}).",
            f"Look at {Path(out) / 'explanation.png'}; the map is effects.nii.gz, all figures are in summary.json.",
        ]
    )


def _findings(phantom: Phantom[ShapesCauses], regions: Regions, effects: Effects) -> dict[str, Any]:
    """What was asked, what came out, and how it lies to the cause that the phantom knows."""
    on_cue = regions.touches(torch.from_numpy(phantom.maps["cue"] > 0))
    beside_object = ~regions.touches(torch.from_numpy(phantom.labels > 0))
    strongest = int(torch.where(beside_object, effects.ate, torch.inf).argmin())
    effect_beside_object = effects.ate[beside_object].abs().sum()
    return {
        "schema": "monai_causal/demo/1",
        "question": f"Which regions made the network see class {phantom.causes.resolved_class}?",
        "phantom": {"name": "shapes", "seed": phantom.causes.noise_seed, "cue": phantom.causes.cue},
        "intervention": {"regions": len(regions), "patch_size": PATCH_SIZE, "fill": "mean of the image"},
        "score": {"name": "mean probability of the class inside the object", "before": effects.baseline},
        "strongest_support_beside_the_object": {
            "box": regions[strongest].box,
            "effect": float(effects.ate[strongest]),
            "lies_on_cue": bool(on_cue[strongest]),
        },
        "share_of_the_effect_beside_the_object_that_lies_on_the_cue": float(
            effects.ate[beside_object & on_cue].abs().sum() / effect_beside_object
        ),
    }


@torch.no_grad()
def _probability(network: torch.nn.Module, phantom: Phantom[ShapesCauses], mask: Tensor, class_idx: int) -> float:
    output = network(torch.from_numpy(phantom.image)[None])
    return float(output.softmax(1)[0, class_idx][mask].mean())


@torch.no_grad()
def _draw(path: Path, phantom: Phantom[ShapesCauses], network: torch.nn.Module, effects: Effects) -> None:
    image = phantom.image[0]
    answer = network(torch.from_numpy(phantom.image)[None]).argmax(1)[0].numpy()
    cue = Outline(phantom.maps["cue"] > 0, "tab:orange", "the cause, known from the phantom")
    classes = {1: "tab:green", 2: "tab:purple"}
    answers = [Outline(answer == k, classes[k], f"class {k}") for k in classes if (answer == k).any()]
    heat = np.asarray(effects.to_map())[0, 0]
    save_panels(
        path,
        [
            Panel(image, "a phantom", outlines=[cue]),
            Panel(image, "the network's answer", outlines=answers),
            Panel(image, "the effect of each region on it", heat, effects.unit, outlines=[cue]),
        ],
        caption="red: the region supports the answer (replacing it lowers the probability); blue: it suppresses it",
    )
