# SPDX-License-Identifier: Apache-2.0
"""Read back what ``monai-causal explain`` wrote about an image."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from monai_causal.apps.explain.methods import METHODS
from monai_causal.apps.explain.run import SCHEMA

__all__ = ["Written", "read_written"]

DECIDING = ("class", "replaced_by", "image", "label")
IDLE = ("device", "batch_size", "execution", "progress", "method")
"""Settings that decide how fast a map is made, or are said elsewhere."""


@dataclass(frozen=True, eq=False)
class Written:
    """A map, where it lies, and what made it.

    Attributes:
        method: its name.
        heat: ``(*spatial)`` of the stored image; a picture has two axes.
        affine: (4, 4), to mm in RAS+.
        unit: of the map.
        signed: negative values support, positive ones suppress; otherwise high values support.
        model: its name.
        model_digest: SHA-256 of what the summary says of it, which holds the digest of its weights.
        roi: bool, the box of the region of interest; ``None`` where it has none.
        configuration: what else decided the map.
    """

    method: str
    heat: NDArray[np.float32]
    affine: NDArray[np.float64]
    unit: str
    signed: bool
    model: str
    model_digest: str
    roi: NDArray[np.bool_] | None
    configuration: dict[str, Any]


def read_written(folder: str | os.PathLike[str]) -> Written:
    """Read a folder of ``monai-causal explain``.

    Raises:
        ValueError: it is none.
    """
    folder = Path(folder)
    for name in ("summary.json", "map.nii.gz"):
        if not (folder / name).is_file():
            raise ValueError(f"the folder holds no {name}: give one that monai-causal explain wrote.")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    if summary.get("schema") != SCHEMA:
        raise ValueError(f"summary.json has schema {summary.get('schema')!r}: {SCHEMA!r} is what can be read here.")
    shape = tuple(summary["image"]["shape"])
    stored: Any = nib.load(folder / "map.nii.gz")
    heat = np.asarray(stored.dataobj, np.float32).reshape(shape)
    box = summary["roi"]["box"]
    roi = None
    if box is not None:
        roi = np.zeros(shape, bool)
        roi[tuple(slice(*span) for span in box)] = True
    model = summary["model"]
    digest = hashlib.sha256(json.dumps(model, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return Written(
        summary["method"],
        heat,
        np.asarray(stored.affine, np.float64),
        summary["unit"],
        METHODS[summary["method"]].signed,
        str(model.get("name") or model["kind"]),
        digest,
        roi,
        {
            "settings": {name: value for name, value in summary["settings"].items() if name not in IDLE},
            **{name: summary[name] for name in DECIDING},
        },
    )
