# SPDX-License-Identifier: Apache-2.0
"""Shapes, parameters and memory of MCDRL on the encoders of the paper, with random weights; nothing is downloaded.

    python benchmarks/mcdrl.py --out docs/results

Memory is what the backward pass keeps of one image's forward pass in training (each storage once, parameters left out),
for a frozen encoder, low-rank updates, and full tuning. The last table is the depth of the intervention.
"""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from monai_causal.files import draft_of, write_json
from monai_causal.losses import MCDRLLoss
from monai_causal.networks.blocks.clip import load_clip
from monai_causal.networks.blocks.confounder_attention import ConfounderAttention
from monai_causal.networks.nets import MCDRL
from monai_causal.versions import versions

ENCODERS = ("RN50", "ViT-B-16", "ViT-L-14")
# What was measured of these encoders elsewhere: map, visual and total parameters in millions, full tuning in MB.
KNOWN = {
    "RN50": ("7x7x1024", 38.3, 102.0, 100),
    "ViT-B-16": ("14x14x512", 86.2, 149.6, 119),
    "ViT-L-14": ("16x16x768", 304.0, 427.6, 409),
}
PAPER_SLOPE = 6.28


def kept_bytes(network: nn.Module, images: Tensor, labels: Tensor) -> int:
    """What autograd keeps of a forward pass with its loss."""
    own = {one.untyped_storage().data_ptr() for one in (*network.parameters(), *network.buffers())}
    sizes: dict[int, int] = {}
    held: list[Tensor] = []  # a storage that were freed could give its address to another one

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
            held.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        MCDRLLoss()(network.train()(images), labels)
    return sum(sizes.values())


def encoder_rows(name: str) -> list[dict[str, Any]]:
    clip = load_clip(name)
    total = sum(one.numel() for one in clip.model.parameters()) / 1e6
    visual = sum(one.numel() for one in clip.model.visual.parameters()) / 1e6
    del clip
    images, labels = torch.rand(1, 3, 224, 224), torch.zeros(1, 1, 224, 224).long()
    labels[..., 60:120, 60:120] = 1
    rows = []
    for tune in ("frozen", "lora", "full"):
        network = MCDRL(name, tune=tune)
        with torch.no_grad():
            cells = network.observe(images).cells
        rows.append(
            {
                "encoder": name,
                "tune": tune,
                "map": "x".join(map(str, (*cells.shape[2:], cells.shape[1]))),
                "visual_millions": round(visual, 2),
                "total_millions": round(total, 2),
                "mcdrl_millions": round(sum(one.numel() for one in network.parameters()) / 1e6, 2),
                "trained_millions": round(
                    sum(one.numel() for one in network.parameters() if one.requires_grad) / 1e6, 2
                ),
                "kept_mb": round(kept_bytes(network, images, labels) / 2**20, 1),
            }
        )
    return rows


def depth_rows() -> list[dict[str, Any]]:
    sizes = [sum(one.numel() for one in ConfounderAttention(768, depth).parameters()) / 1e6 for depth in range(1, 6)]
    return [
        {"layers": depth, "millions": round(size, 3), "slope": round(size / depth, 3), "paper_slope": PAPER_SLOPE}
        for depth, size in enumerate(sizes, start=1)
    ]


def in_words(content: dict[str, Any]) -> str:
    lines = [
        "# MCDRL's size on the encoders of the paper",
        "",
        *(f"- {key}: {value}" for key, value in content["how"].items()),
        "",
    ]
    heads = (
        "encoder",
        "tuned",
        "joint map (known)",
        "visual M (known)",
        "CLIP M (known)",
        "MCDRL M",
        "trained M",
        "kept MB",
    )
    lines += [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for row in content["rows"]:
        grid, visual, total, kept = KNOWN[row["encoder"]]
        known = f" (known of the encoder alone: {kept})" if row["tune"] == "full" else ""
        lines.append(
            f"| {row['encoder']} | {row['tune']} | {row['map']} ({grid}) | {row['visual_millions']} ({visual}) "
            f"| {row['total_millions']} ({total}) | {row['mcdrl_millions']} | {row['trained_millions']} "
            f"| {row['kept_mb']}{known} |"
        )
    lines += [
        "",
        "| layers of the intervention (d = 768) | M parameters | M a layer | paper's step, M |",
        "| --- | --- | --- | --- |",
    ]
    for row in content["depth"]:
        lines.append(f"| {row['layers']} | {row['millions']} | {row['slope']} | {row['paper_slope']} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS), choices=ENCODERS)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    how = {
        "command": "python benchmarks/mcdrl.py",
        "date": datetime.date.today().isoformat(),
        "versions": versions("torch", "open_clip_torch", "peft"),
        "seed": 0,
        "input": "one image of 224x224, float32, depth 3",
    }
    rows = [row for name in arguments.encoders for row in encoder_rows(name)]
    content = {"schema": "monai_causal/mcdrl-size/1", "how": how, "rows": rows, "depth": depth_rows()}
    write_json(arguments.out / "mcdrl-size.json", content)
    with draft_of(arguments.out / "mcdrl-size.md") as draft:
        draft.write_text(in_words(content), encoding="utf-8")
    print(in_words(content))


if __name__ == "__main__":
    main()
