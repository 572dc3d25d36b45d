# SPDX-License-Identifier: Apache-2.0
"""The bundles of this checkout, and how to run one for a moment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigWorkflow
from PIL import Image

from monai_causal.apps.mcdrl.phantom_files import write_phantoms
from tests.networks.blocks.tiny_clip import tiny_clip_folder

ROOT = Path(__file__).resolve().parents[2] / "bundles"
BUNDLES = sorted(path.parent.parent for path in ROOT.glob("*/configs/metadata.json"))
MCDRL, PDCR, DEA, MEDFOCUS = (
    ROOT / name
    for name in (
        *("mcdrl_endoscopy_segmentation", "pdcr_segmentation_explanation", "dea_segmentation_explanation"),
        "medfocus_cxr",
    )
)
NETWORKS = [bundle for bundle in BUNDLES if bundle != MEDFOCUS]
"""Those from tensor to tensor: what a vision-language model says is text."""


def metadata_of(bundle: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    return content


def workflow(bundle: Path, names: str, kind: str, out: Path, **options: Any) -> ConfigWorkflow:
    """A workflow of some configurations, from wherever one is."""
    return ConfigWorkflow(
        [str(bundle / "configs" / f"{name}.json") for name in names.split()],
        meta_file=str(bundle / "configs" / "metadata.json"),
        logging_file=False,
        workflow_type=kind,
        **{"bundle_root": str(bundle), "output_dir": str(out), "device": "cpu", **options},
    )


def run(flow: ConfigWorkflow) -> None:
    flow.initialize()
    assert flow.check_properties() == []
    flow.run()
    flow.finalize()


def moment(bundle: Path, folder: Path) -> dict[str, Any]:
    """Options with which a bundle trains for a moment: little data, and a small encoder where it has one."""
    if bundle != MCDRL:
        return {"train_count": 8, "val_count": 4, "batch_size": 4, "ckpt_dir": str(folder / "models")}
    write_phantoms(folder / "data", 12, size=32)
    return {
        "encoder": str(tiny_clip_folder(folder, kind="vit-avg")),
        "dataset_dir": str(folder / "data"),
        "ckpt_dir": str(folder / "models"),
        "image_size": [32, 32],
        "batch_size": 4,
    }


def save_picture(path: Path, image: np.ndarray) -> Path:
    """A PNG of an image ``(C, rows, columns)`` in [0, 1]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.uint8(np.rint(255 * np.moveaxis(image, 0, -1)))
    Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values).save(path)
    return path
