# SPDX-License-Identifier: Apache-2.0
"""PdCR on real endoscopy frames: a small U-Net trained on PolypGen, and ten RoIs of frames that it has not seen.

The frames are PolypGen's (Ali et al. 2023, doi 10.1038/s41597-023-01981-y, CC BY 4.0), in its published layout or as
``C1/images``, ``C1/masks`` and so on.

Example:
    python benchmarks/pdcr_endoscopy.py --data /data/PolypGen --out docs/results/pdcr-endoscopy
"""

from __future__ import annotations

import argparse
import csv
import datetime
import hashlib
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from engine_bench.machine import describe_machine
from engine_bench.networks import cache_folder
from torch import Tensor, nn
from tqdm.auto import tqdm

from monai_causal.data.banks import DonorBank
from monai_causal.data.datasets import load_dataset, split_by_group
from monai_causal.data.readers import read_pair
from monai_causal.files import draft_of, write_json
from monai_causal.intervene import DonorPatchFill
from monai_causal.networks.nets import build_network
from monai_causal.visualize import PdCR
from monai_causal.visualize.render import save_explanation

SIZE, PATCH, ROI = 128, 8, 24
WIDTHS = (16, 32, 64, 128)
BATCH = 8


def main() -> int:
    """Train, explain, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="PolypGen's folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--rois", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    started = time.perf_counter()
    options.out.mkdir(parents=True, exist_ok=True)
    items = load_dataset("polypgen", options.data)
    for item in items:
        # Frames whose names begin alike may show one examination; they are not divided.
        item["group"] = str(item["id"]).partition("_")[0]
    training, held_out = split_by_group(items, (0.75, 0.25), options.seed, key="group")
    pairs = [read_pair(item, SIZE) for item in tqdm(training, desc="reading", disable=None, leave=False)]
    network = _trained(pairs, options.steps, options.seed)
    bank = DonorBank.cut(
        [{"id": item["id"], "image": image} for item, (image, _) in zip(training, pairs, strict=True)],
        PATCH,
        per_image=20,
        seed=options.seed,
    )
    pdcr = PdCR(network, DonorPatchFill(bank), PATCH, roi_size=ROI, seed=options.seed)
    rows: list[dict[str, Any]] = []
    for item in held_out:
        if len(rows) == options.rois:
            break
        image, label = read_pair(item, SIZE)
        answer = _answer(network, image)
        whole = _dice(answer, label > 0)
        if whole < 0.3:
            continue  # why a polyp was missed is another question, with another score
        number = len(rows) + 1
        result = pdcr.explain(image[None], "boundary", label > 0)
        save_explanation(
            options.out / f"roi-{number:02d}.png",
            result,
            image,
            answer=answer,
            reference=label > 0,
            title=f"{item['centre']}, frame {item['index']}: Dice of the frame {100 * whole:.0f}, "
            f"of the RoI {result.baseline:.1f}",
            caption="Frame: PolypGen, CC BY 4.0, doi 10.1038/s41597-023-01981-y",
        )
        rows.append(_row(number, item, whole, result))
    with draft_of(options.out / "rois.csv") as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    about = {
        "schema": "monai_causal/benchmark-pdcr-endoscopy/1",
        "command": " ".join(["python", "benchmarks/pdcr_endoscopy.py", "--data", "PolypGen", *_after_data(sys.argv)]),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "seed": options.seed,
        "frames": {"training": len(training), "held out": len(held_out)},
        "network": {"widths": WIDTHS, "size": SIZE, "steps": options.steps, "batch": BATCH},
        "held_out_dice": [round(float(d), 3) for d in _dices(network, held_out)],
        "minutes": round((time.perf_counter() - started) / 60, 1),
        "machine": describe_machine(),
        "rows": rows,
    }
    print(write_json(options.out / "rois.json", about))
    return 0


def _row(number: int, item: dict[str, Any], whole: float, result: Any) -> dict[str, Any]:
    profile = result.profile()
    inside = result.regions.subset(result.relevant.tolist()) if result.relevant.any() else ()
    centre = [sum(axis) / 2 for axis in _box_of(result.roi)]
    reach = [max(abs(sum(axis) / 2 - c) for axis, c in zip(region.box, centre, strict=True)) for region in inside]
    return {
        "roi": number,
        "centre": item["centre"],
        "frame": item["index"],
        "frame_dice": round(100 * whole, 2),
        "roi_dice": round(result.baseline, 2),
        "supporting": profile.supporting,
        "suppressing": profile.suppressing,
        "irrelevant": profile.irrelevant,
        "minimum": round(profile.minimum, 3),
        "maximum": round(profile.maximum, 3),
        "farthest_relevant_px": max(reach, default=0.0),
        "evaluations": result.evaluations,
        "evaluations_of_paper": result.evaluations_of_paper(),
        "not_settled": int((~result.settled).sum()),
    }


def _box_of(mask: Tensor) -> list[tuple[int, int]]:
    return [(int(axis.min()), int(axis.max()) + 1) for axis in mask.nonzero().T]


def _trained(pairs: list[tuple[Tensor, Tensor]], steps: int, seed: int) -> nn.Module:
    """Trained once and kept in the user's cache: frames, settings and seed say which it is."""
    known = hashlib.sha256(repr((WIDTHS, SIZE, BATCH, steps, seed, torch.__version__)).encode())
    for image, label in pairs:
        known.update(image.contiguous().numpy().tobytes() + label.contiguous().numpy().tobytes())
    kept = cache_folder() / f"endoscopy-{known.hexdigest()[:16]}.pt"
    if not kept.exists():
        network = _train(pairs, steps, seed)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with draft_of(kept) as draft:
            torch.save(network.state_dict(), draft)
    network = build_network("unet", widths=WIDTHS)
    network.load_state_dict(torch.load(kept, weights_only=True))
    return network.eval()


def _train(pairs: list[tuple[Tensor, Tensor]], steps: int, seed: int) -> nn.Module:
    """AdamW with a one-cycle schedule on BCE and Dice; flips and changes of light."""
    network = build_network("unet", widths=WIDTHS).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-3, total_steps=steps)
    draw = np.random.default_rng(seed)
    for _ in tqdm(range(steps), desc="training", disable=None, leave=False):
        images, masks = [], []
        for index in draw.integers(0, len(pairs), BATCH):
            image, label = pairs[index]
            axes = [axis for axis in (-2, -1) if draw.random() < 0.5]
            light = draw.uniform(0.8, 1.2)
            images.append((image.flip(axes) * light).clip(0, 1))
            masks.append((label > 0).float()[None].flip(axes))
        logits, truth = network(torch.stack(images)), torch.stack(masks)
        probability = logits.sigmoid()
        overlap = (2 * (probability * truth).sum() + 1) / (probability.sum() + truth.sum() + 1)
        loss = F.binary_cross_entropy_with_logits(logits, truth) + 1 - overlap
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def _answer(network: nn.Module, image: Tensor) -> Tensor:
    return network(image[None])[0, 0].sigmoid() > 0.5


def _dices(network: nn.Module, items: list[dict[str, Any]]) -> list[float]:
    found = []
    for item in items:
        image, label = read_pair(item, SIZE)
        if (label > 0).any():
            found.append(_dice(_answer(network, image), label > 0))
    return found


def _dice(answer: Tensor, truth: Tensor) -> float:
    return float(2 * (answer & truth).sum() / (answer.sum() + truth.sum()).clamp(min=1))


def _after_data(arguments: list[str]) -> list[str]:
    """The arguments as given, but for the folder of the data, which is nobody's business."""
    place = arguments.index("--data") if "--data" in arguments else -2
    return [a for i, a in enumerate(arguments[1:], 1) if i not in (place, place + 1)]


if __name__ == "__main__":
    raise SystemExit(main())
