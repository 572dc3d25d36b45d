# SPDX-License-Identifier: Apache-2.0
"""What incremental execution saves for RIA and DEA, on the U-Net of the PdCR study.

Example:
    python benchmarks/dea_incremental.py --out docs/results
"""

from __future__ import annotations

import argparse
import datetime
import time
from collections.abc import Callable
from pathlib import Path

import torch
from engine_bench.machine import describe_machine

from monai_causal.files import write_json
from monai_causal.networks.nets import build_network
from monai_causal.visualize import DEA, RIA

SIZE, SAMPLED = 256, 24


def main() -> int:
    """196 forwards, from a sample, beside RIA and DEA; CPU time on one thread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = build_network("unet").eval()
    image = torch.rand(1, 3, SIZE, SIZE)
    rows = []
    for edge in (32, 96):
        mask = torch.zeros(SIZE, SIZE)
        low = (SIZE - edge) // 2
        mask[low : low + edge, low : low + edge] = 1

        def forwards() -> None:
            with torch.no_grad():
                for _ in range(SAMPLED):
                    network(image)

        one = _seconds(forwards) / SAMPLED
        ria = _seconds(lambda mask=mask: RIA(network)(image, 0, mask))
        dea = _seconds(lambda mask=mask: DEA(network, "down.3")(image, 0, mask))
        rows.append(
            {
                "mask": f"{edge}x{edge} in the middle",
                "seconds of one forward": round(one, 3),
                "RIA / 196 forwards": round(ria / one / 196, 3),
                "DEA / (RIA + 4 forwards)": round(dea / (ria + 4 * one), 3),
            }
        )
        print(rows[-1], flush=True)
    about = {
        "schema": "monai_causal/benchmark-dea-incremental/1",
        "command": "python benchmarks/dea_incremental.py --out docs/results",
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "seed": 0,
        "what": f"the study's U-Net, untrained, {SIZE}x{SIZE}, grid 14, execution auto; one round",
        "machine": describe_machine(),
        "rows": rows,
    }
    print(write_json(options.out / "dea-incremental.json", about))
    return 0


def _seconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


if __name__ == "__main__":
    raise SystemExit(main())
