# SPDX-License-Identifier: Apache-2.0
"""What can be read of the confounder and of the finding in CLIP's cells, before and after directions are erased.

    python benchmarks/mcdrl_probe.py --out docs/results

A logistic regression reads the confounder (chance 1/12) and the finding (chance 1/2) of unconfounded phantoms from one
cell, that at the bump's centre, and from the mean over all cells. It is fitted on some phantoms and tested on others.
Erased are the directions in which the texts of the confounders differ, as many random ones, and, for comparison, the
directions in which the cells' own means per confounder differ: what a linear reader needs, not what the texts say.
"""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from monai_causal.apps.mcdrl.methods import DEMO_CLIP
from monai_causal.data.phantoms import endoscopy
from monai_causal.data.phantoms.endoscopy import CONFOUNDERS
from monai_causal.extras import require
from monai_causal.files import draft_of, write_json
from monai_causal.networks.blocks.dictionary import erase, span
from monai_causal.networks.nets import MCDRL
from monai_causal.versions import versions

FIRST_SEED = 8_500_000


def features(network: MCDRL, count: int, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Maps (N, d, h, w), the flat cell at each bump's centre, confounders and findings."""
    maps, centres, confounders, findings = [], [], [], []
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        phantom = endoscopy(seed, size=(size, size))
        with torch.no_grad():
            cells = network.observe(torch.from_numpy(phantom.image)[None]).cells[0]
        rows, columns = np.nonzero(phantom.maps["bump"])
        scale = cells.shape[1] / size
        centres.append(int(rows.mean() * scale) * cells.shape[2] + int(columns.mean() * scale))
        maps.append(cells)
        confounders.append(list(CONFOUNDERS).index(phantom.causes.confounder))
        findings.append(int(phantom.causes.lesion))
    return torch.stack(maps), torch.tensor(centres), torch.tensor(confounders), torch.tensor(findings)


def accuracy(values: Tensor, target: Tensor, fitted: int) -> float:
    """Of a logistic regression on standardised values, on what it was not fitted to."""
    linear_model = require("sklearn.linear_model")
    mean, deviation = values[:fitted].mean(dim=0), values[:fitted].std(dim=0).clamp_min(1e-6)
    standard = ((values - mean) / deviation).numpy()
    probe = linear_model.LogisticRegression(max_iter=2000).fit(standard[:fitted], target[:fitted].numpy())
    return float(probe.score(standard[fitted:], target[fitted:].numpy()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--phantoms", type=int, default=1800)
    parser.add_argument("--fitted", type=int, default=1200)
    parser.add_argument("--size", type=int, default=96)
    options = parser.parse_args()
    torch.manual_seed(0)
    network = MCDRL(str(DEMO_CLIP)).eval()
    maps, centres, confounders, findings = features(network, options.phantoms, options.size)
    own = torch.stack(
        [maps[: options.fitted].mean(dim=(2, 3))[confounders[: options.fitted] == one].mean(dim=0) for one in range(12)]
    )
    texts = network.dictionary
    random = torch.randn(texts.shape, generator=torch.Generator().manual_seed(0))
    erased = {
        "nothing": maps,
        "texts of the confounders": erase(maps, span(texts)),
        "random directions": erase(maps, span(random)),
        "the cells' own means per confounder": erase(maps, span(own)),
    }
    rows: list[dict[str, Any]] = []
    for what, cells in erased.items():
        at_bump = cells.flatten(2).gather(2, centres[:, None, None].expand(-1, cells.shape[1], 1))[..., 0]
        for where, values in (("cell at the bump", at_bump), ("mean of all cells", cells.mean(dim=(2, 3)))):
            rows.append(
                {
                    "erased": what,
                    "read_from": where,
                    "confounder": accuracy(values, confounders, options.fitted),
                    "finding": accuracy(values, findings, options.fitted),
                }
            )
    how = {
        "command": f"python benchmarks/mcdrl_probe.py --phantoms {options.phantoms} --fitted {options.fitted}",
        "date": datetime.date.today().isoformat(),
        "versions": versions("torch", "scikit-learn", "numpy"),
        "seed": 0,
        "phantoms": f"{options.fitted} to fit, {options.phantoms - options.fitted} to test, strength 0, evidence 0.7",
    }
    write_json(options.out / "mcdrl-probe.json", {"schema": "monai_causal/mcdrl-probe/1", "how": how, "rows": rows})
    lines = [
        "# What a linear reader finds in the small CLIP's cells",
        "",
        (__doc__ or "").split("\n\n")[2].replace("\n", " ").strip(),
        "",
    ]
    lines += [
        *(f"- {key}: {value}" for key, value in how.items()),
        "",
        "| erased | read from | confounder | finding |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['erased']} | {row['read_from']} | {row['confounder']:.3f} | {row['finding']:.3f} |" for row in rows
    ]
    with draft_of(options.out / "mcdrl-probe.md") as draft:
        draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
