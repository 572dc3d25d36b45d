# SPDX-License-Identifier: Apache-2.0
"""The twelve networks of the PdCR study: what a forward costs, how the engine runs them, and how far they see.

Example:
    python benchmarks/networks.py --out docs/results --keep kept
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_page import Section, write_report
from engine_bench.machine import describe_machine
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor, nn
from tqdm.auto import tqdm

from monai_causal.data.phantoms import shapes
from monai_causal.files import draft_of
from monai_causal.intervene import Evaluator, MeanFill, grid_regions
from monai_causal.intervene.execution.incremental import Estimate
from monai_causal.intervene.execution.trace import NotTraceableError, trace
from monai_causal.networks.catalogue import CATALOGUE
from monai_causal.networks.nets import build_network
from monai_causal.visualize.render.style import INK, SMALL, new_figure, write

COMMAND = "python benchmarks/networks.py --out docs/results --keep kept"
SIZE, PATCH, ROUNDS = 256, 8, 3
ROI = ((104, 136), (152, 184))
REACH_SIZE, REACH_PATCH = 128, 8
REACH_ROI = ((40, 56), (72, 88))
NOTHING = 1e-10
# Fewer channels, and so few levels that a map of 128x128 is larger than what a convolutional network sees.
REDUCED: dict[str, dict[str, Any]] = {
    "unet": {"widths": (8, 16, 16)},
    "segnet": {"widths": (8, 16, 16), "depths": (2, 2, 2)},
    "unet++": {"encoder": "resnet18", "widths": (16, 16, 16, 8, 8)},
    "hrnet": {"trunk": "hrnet_w18_small"},
    "segformer": {"widths": (16, 32, 64, 64), "depths": (1, 1, 1, 1), "decoder_width": 32},
    "transunet": {
        "image_size": (REACH_SIZE, REACH_SIZE),
        "blocks": (1, 1, 1),
        "stem": 16,
        "norm_groups": 8,
        "width": 48,
        "depth": 2,
        "heads": 4,
        "decoder": (32, 32, 16, 16, 8),
    },
    "swin-unet": {"width": 24, "depths": (2, 2), "heads": (2, 4), "window": 4},
    "unext": {"widths": (8, 8, 16, 20, 24)},
    "vm-unet": {"width": 16, "depths": (1, 1), "depths_up": (1, 1), "states": 4},
    "lightm-unet": {"width": 8, "depths": (1, 1, 1), "states": 4},
    "u-kan": {"widths": (8, 8, 16, 16, 24)},
    "mcu-re": {"width": 8, "blocks": (1, 1, 1, 1), "scan_width": 8, "depths": (1, 1, 1, 1), "states": 4},
}
COST_PLAN = f"""\
Each network at the study's settings with random weights, one image of 3x{SIZE}x{SIZE}, float32, one thread, a process
of its own. *s a forward*: CPU time, median of {ROUNDS} after one that is not counted. *peak MiB*: growth of resident
memory over the first forward, with an allocator that gives memory back at once. *share*: the multiplications of a
partial forward of the incremental execution, of a whole one, over a sample of the blocks of {PATCH}x{PATCH} for an RoI
of 32x32; *auto* is what the engine chooses where the work is worth taking the network apart, and *reads all* the first
operation that is not local. Expected: the four convolutional networks incremental; the others say what stands in the
way. No target for time or memory."""
REACH_PLAN = f"""\
Reduced networks with random weights in float64; one phantom of {REACH_SIZE}x{REACH_SIZE}, every block of
{REACH_PATCH}x{REACH_PATCH} replaced by its mean, one RoI of 16x16. *reached*: the share of blocks outside of the
RoI whose replacement moves its logits by more than round-off ({NOTHING:g} of the largest mean change), and by
more than a thousandth of it. Expected: convolutional networks leave much of the image unseen, those with few levels
most; the Swin network's reach ends with its windows; networks with global attention or scans are reached by every
block, or, with
one scan in one direction, by all that lie before."""


def main() -> int:
    """Measure, and write networks.json, networks.md and networks/reach.png."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for each network's cost; an interrupted run goes on from it")
    parser.add_argument("--only", default=",".join(CATALOGUE), help="comma-separated names")
    parser.add_argument("--cost-of", metavar="NAME", help="measure one network, print JSON (used inside)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.cost_of:
        print(json.dumps(_cost(options.cost_of)))
        return 0
    if options.out is None:
        parser.error("--out is needed")
    names = options.only.split(",")
    costs = [_in_process(name, options.keep) for name in tqdm(names, desc="cost", disable=None)]
    image = torch.from_numpy(shapes(5, size=(REACH_SIZE, REACH_SIZE)).image).double()[None].repeat(1, 3, 1, 1)
    maps, reached = {}, []
    for name in tqdm(names, desc="reach", disable=None):
        maps[name], row = _reach(name, image)
        reached.append(row)
    (options.out / "networks").mkdir(parents=True, exist_ok=True)
    _draw(maps, options.out / "networks" / "reach.png")
    sections = [
        Section("cost", "What a forward costs", COST_PLAN, costs, _on_costs(costs)),
        Section("reach", "How far they see", REACH_PLAN, reached, [*_on_reach(reached), "![](networks/reach.png)"]),
    ]
    machine = describe_machine()
    about = {
        "command": COMMAND,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": machine,
        "quick": names != list(CATALOGUE),
    }
    closing = (
        f"`{COMMAND}`, {about['date']}; {machine['cpu']}, one thread, load {machine['load_before']} before: other "
        "programs ran beside, and CPU time on a shared core is longer than on a quiet one. torch "
        f"{machine['versions']['torch']}, monai {machine['versions']['monai']}."
    )
    for file in write_report(
        options.out, "networks", sections, about, schema="monai_causal/benchmark-networks/1",
        title="The twelve networks of the PdCR study", closing=closing,
    ):  # fmt: skip
        print(file)
    return 0


def _seeded(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return build_network(name, **options).eval()


def _in_process(name: str, keep: Path | None) -> dict[str, Any]:
    kept = None if keep is None else keep / f"{name}.json"
    if kept is not None and kept.exists():
        known: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return known
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    command = [sys.executable, __file__, "--cost-of", name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{name}: {done.stderr.strip().splitlines()[-1:]}")
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(row), encoding="utf-8")
    return row


def _cost(name: str) -> dict[str, Any]:
    network, image = _seeded(name), torch.rand(1, 3, SIZE, SIZE)
    times, loaded = [], _peak()
    with torch.no_grad():
        for _ in range(ROUNDS + 1):
            start = time.process_time()
            network(image)
            times.append(time.process_time() - start)
            if len(times) == 1:
                peak = _peak() - loaded
        share, chosen, obstacle = _execution(network, image)
    entry = CATALOGUE[name]
    return {
        "network": name,
        "mechanism": entry.mechanism,
        "parameters": sum(one.numel() for one in network.parameters()),
        "10^9 mult.": entry.multiplications,
        "s a forward": statistics.median(times[1:]),
        "peak MiB": round(peak / 2**20),
        "share": share,
        "auto": chosen,
        "reads all": obstacle,
    }


def _execution(network: nn.Module, image: Tensor) -> tuple[float, str, str]:
    """The share of a partial forward, what is chosen, and the first operation that is not local."""
    try:
        taken_apart = trace(network, image)
    except NotTraceableError as error:
        return 1.0, "dense", str(error)
    regions = grid_regions((SIZE, SIZE), PATCH)
    # Drawn, since the estimate itself takes every 32nd, and those of a grid of 32 columns all lie in one.
    drawn = np.random.default_rng(0).choice(len(regions), 32, replace=False)
    found = Estimate.of(taken_apart, ROI, regions.subset(drawn.tolist()), image.device)
    obstacle = next(iter(taken_apart.global_steps()), None)
    return found.share, "incremental" if found.pays else "dense", obstacle.place if obstacle else ""


def _reach(name: str, image: Tensor) -> tuple[np.ndarray, dict[str, Any]]:
    """By how much each block moves the logits of the RoI, on the grid of blocks; NaN inside the RoI."""
    network = _seeded(name, **REDUCED[name]).double()
    place = (slice(None), slice(None), *(slice(*span) for span in REACH_ROI))
    regions = grid_regions((REACH_SIZE, REACH_SIZE), REACH_PATCH)
    effects = Evaluator(network)(image, regions, MeanFill(), lambda output: output[place].flatten(1))
    moved = torch.as_tensor(effects.values).abs().mean((1, 2)).numpy()
    heat = moved.reshape(REACH_SIZE // REACH_PATCH, -1).copy()
    heat[heat < NOTHING * heat.max()] = 0.0
    inside = tuple(slice(start // REACH_PATCH, stop // REACH_PATCH) for start, stop in REACH_ROI)
    heat[inside] = np.nan
    outside = heat[np.isfinite(heat)]
    record = effects.record
    return heat, {
        "network": name,
        "reached": float((outside > 0).mean()),
        "reached > 1e-3": float((outside > 1e-3 * outside.max()).mean()),
        "largest change": float(outside.max()),
        "execution": record.execution,
    }


def _on_costs(rows: list[dict[str, Any]]) -> list[str]:
    local = [row["network"] for row in rows if not row["reads all"]]
    chosen = [row["network"] for row in rows if row["auto"] == "incremental"]
    return [
        f"local throughout: {', '.join(local)}.",
        f"chosen to run incrementally: {', '.join(chosen) or 'none'}.",
    ]


def _on_reach(rows: list[dict[str, Any]]) -> list[str]:
    untouched = [f"{row['network']} {1 - row['reached']:.0%}" for row in rows if row["reached"] < 1]
    return [f"blocks that change no logit of the RoI at all: {', '.join(untouched) or 'none anywhere'}."]


def _draw(maps: dict[str, np.ndarray], path: Path) -> None:
    columns = 4
    rows = math.ceil(len(maps) / columns)
    figure = new_figure(2.2 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    norm, colours = LogNorm(1e-8, 1), "viridis"
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (name, heat) in zip(grid.flat, maps.items(), strict=False):
        shown = np.where(heat > 0, heat / np.nanmax(heat), np.nan)
        axes.imshow(np.full((*heat.shape, 3), 0.88))
        axes.imshow(np.clip(shown, 1e-8, 1), norm=norm, cmap=colours)
        (top, bottom), (left, right) = (tuple(edge / REACH_PATCH - 0.5 for edge in span) for span in REACH_ROI)
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, facecolor="white", edgecolor="#d55e00", lw=2))
        axes.set_title(f"{name} ({CATALOGUE[name].mechanism})", fontsize=SMALL, color=INK)
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=grid, shrink=0.6, pad=0.02)
    bar.set_label("mean change of the RoI's logits, of the largest", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    caption = (
        "What replacing each block by the image's mean does to the logits in the RoI (orange). Grey: nothing at all. "
        "Reduced networks, random weights."
    )
    write(figure, path, caption, title="How far twelve architectures see")
    with Image.open(path) as picture, draft_of(path) as draft:
        picture.convert("RGB").quantize(64).save(draft, optimize=True)


def _peak() -> int:
    """Peak bytes of resident memory so far."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


if __name__ == "__main__":
    sys.exit(main())
