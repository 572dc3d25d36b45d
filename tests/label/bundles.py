# SPDX-License-Identifier: Apache-2.0
"""Small bundles whose cause is known, with the metadata that a server shows; and a datastore in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.apps.explain.bundles import picture_bundle, volume_bundle


def served_picture_bundle(folder: Path, offset: Sequence[int] = (0, 0), size: Sequence[int] = (32, 32)) -> Path:
    """The answer at p is read at p - offset of a picture of ``size`` (columns, rows)."""
    return _described(picture_bundle(folder, offset, size), 2)


def served_volume_bundle(folder: Path, offset: Sequence[int], spacing: Sequence[float], window: Sequence[int]) -> Path:
    """The same of a volume."""
    return _described(volume_bundle(folder, offset, spacing, window), 3)


def disc(path: Path, shape: tuple[int, int], centre: tuple[float, float], radius: float, seed: int = 0) -> Path:
    """A dark RGB picture with one bright disc, at (row, column)."""
    rows, columns = np.indices(shape)
    inside = np.hypot(rows - centre[0], columns - centre[1]) <= radius
    noise = np.random.default_rng(seed).normal(0, 0.02, (*shape, 3))
    values = np.where(inside[..., None], 0.9, 0.1) + noise
    Image.fromarray((255 * values.clip(0, 1)).round().astype(np.uint8)).save(path)
    return path


class Store:
    """What tasks ask of a datastore, of files in a folder."""

    def __init__(self, images: dict[str, Path]) -> None:
        self.images = images
        self.infos: dict[str, dict[str, Any]] = {name: {} for name in images}
        self.labels: dict[str, dict[str, tuple[Path, dict[str, Any]]]] = {name: {} for name in images}
        self.refreshed = 0

    def list_images(self) -> list[str]:
        return list(self.images)

    def get_image_uri(self, image_id: str) -> str:
        return str(self.images[image_id])

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        return dict(self.infos[image_id])

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        self.infos[image_id].update(info)

    def get_unlabeled_images(self, label_tag: Any = None, labels: Any = None) -> list[str]:
        return [name for name in self.images if "final" not in self.labels[name]]

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        return dict.fromkeys(self.labels.get(image_id, {}), image_id)

    def get_label_info(self, label_id: str, tag: str) -> dict[str, Any]:
        return self.labels[label_id][tag][1]

    def get_label_uri(self, label_id: str, tag: str) -> str:
        return str(self.labels[label_id][tag][0])

    def datalist(self) -> list[dict[str, str]]:
        return [
            {"image": str(self.images[name]), "label": str(tags["final"][0])}
            for name, tags in self.labels.items()
            if "final" in tags
        ]

    def refresh(self) -> None:
        self.refreshed += 1


def _described(folder: Path, axes: int) -> Path:
    path = folder / "configs" / "metadata.json"
    content = json.loads(path.read_text())
    content["description"] = "reads elsewhere"
    content["network_data_format"]["inputs"]["image"]["spatial_shape"] = ["*"] * axes
    content["network_data_format"]["outputs"]["pred"]["channel_def"] = {"0": "background", "1": "disc"}
    path.write_text(json.dumps(content))
    return folder
