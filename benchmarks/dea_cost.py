# SPDX-License-Identifier: Apache-2.0
"""What RIA and DEA cost: RIA against 196 pure forwards at the same batch size, DEA against RIA and four forwards.

Contenders take turns within a round; ratios are formed within a round, of CPU time on one thread, and the median over
the rounds is given with the lowest and the highest.

Example:
    OMP_NUM_THREADS=1 python benchmarks/dea_cost.py --out docs/results/segbench-phantom
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from engine_bench.machine import describe_machine
from monai.networks.nets import UNETR, SegResNet
from torch import Tensor, nn

from monai_causal.files import write_json
from monai_causal.intervene import Evaluator, MaskedMeanProbability, MeanFill, grid_regions
from monai_causal.networks.nets import build_network
from monai_causal.visualize import DEA, RIA

GRID, BATCH = 14, 28
NETWORKS: dict[str, tuple[int, str, Callable[[], nn.Module]]] = {
    "unet, 64x64": (64, "down.2", lambda: build_network("unet", 1, 3, widths=(6, 12, 24, 24))),
    "segresnet, 64x64": (
        64,
        "down_layers.2",
        lambda: SegResNet(2, 8, 1, 3, blocks_down=(1, 1, 1), blocks_up=(1, 1)),
    ),
    "unetr, 64x64": (
        64,
        "decoder5",
        lambda: UNETR(
            1, 3, (64, 64), feature_size=4, hidden_size=48, mlp_dim=96, num_heads=4, norm_name="batch", spatial_dims=2
        ),
    ),
    "unet of two levels, 128x128": (128, "down.1", lambda: build_network("unet", 1, 3, widths=(4, 8))),
    "three convolutions, 128x128": (
        128,
        "4",
        lambda: nn.Sequential(
            *(layer for wide in (1, 16, 16) for layer in (nn.Conv2d(wide, 16, 3, padding=1), nn.ReLU())),
            nn.Conv2d(16, 3, 1),
        ),
    ),
}


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in NETWORKS:
        for row in measure(name, options.rounds):
            rows.append(row)
            print(
                f"{name}, {row['execution']} (ran: {row['ran']}): RIA / 196 forwards {spread(row['ria'])}, "
                f"DEA / (RIA + 4 forwards) {spread(row['dea'])}",
                flush=True,
            )
    write_json(
        options.out / "cost.json",
        {"schema": "monai_causal/dea-cost/1", "machine": describe_machine(), "rows": rows},
    )
    return 0


def measure(name: str, rounds: int) -> list[dict[str, Any]]:
    side, layer, build = NETWORKS[name]
    torch.manual_seed(0)
    network, image = build().eval(), torch.rand(1, 1, side, side)
    mask = torch.zeros(side, side)
    mask[side // 3 : side // 2, side // 3 : side // 2] = 1
    batch = image.repeat(BATCH, 1, 1, 1)
    four = image.repeat(4, 1, 1, 1)

    def forwards(what: Tensor, times: int) -> Callable[[], object]:
        def run() -> None:
            with torch.no_grad():
                for _ in range(times):
                    network(what)

        return run

    rows = []
    for execution in ("dense", "auto"):
        options: dict[str, Any] = {"batch_size": BATCH, "execution": execution}
        ria, dea = RIA(network, GRID, **options), DEA(network, layer, GRID, **options)
        contenders: dict[str, Callable[[], object]] = {
            "196 forwards": forwards(batch, GRID * GRID // BATCH),
            "4 forwards": forwards(four, 1),
            "ria": lambda ria=ria: ria(image, 1, mask),  # type: ignore[misc]
            "dea": lambda dea=dea: dea(image, 1, mask),  # type: ignore[misc]
        }
        for contender in contenders.values():
            contender()
        seconds: dict[str, list[float]] = {contender: [] for contender in contenders}
        for number in range(rounds):
            # In turn from the front and from the back, so that none is always the first.
            for contender in list(contenders)[:: 1 if number % 2 else -1]:
                started = time.process_time()
                contenders[contender]()
                seconds[contender].append(time.process_time() - started)
        evaluator = Evaluator(network, **options)
        score = MaskedMeanProbability(mask, 1)
        record = evaluator(image, grid_regions((side, side), cells=GRID), MeanFill(), score).record
        columns = zip(*seconds.values(), strict=True)
        found = [(pure, few, one, both) for pure, few, one, both in columns]
        rows.append(
            {
                "network": name,
                "execution": execution,
                "ran": record.execution,
                "batch_size": BATCH,
                "rounds": rounds,
                "ria": ratios([one / pure for pure, _, one, _ in found]),
                "dea": ratios([both / (one + few) for _, few, one, both in found]),
                "forwards_seconds": statistics.median(seconds["196 forwards"]),
                "ria_seconds": statistics.median(seconds["ria"]),
                "dea_seconds": statistics.median(seconds["dea"]),
            }
        )
    return rows


def ratios(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def spread(found: dict[str, float]) -> str:
    return f"{found['median']:.3g} ({found['lowest']:.3g}-{found['highest']:.3g})"


if __name__ == "__main__":
    sys.exit(main())
