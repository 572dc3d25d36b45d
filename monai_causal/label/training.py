# SPDX-License-Identifier: Apache-2.0
"""Train a bundle from the server on the labels of its datastore: by the bundle's own ``configs/train``."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from PIL import Image

from monai_causal.extras import require
from monai_causal.files import draft_of, write_json
from monai_causal.label.devices import device_of, devices
from monai_causal.label.served import ServedBundle
from monai_causal.label.studies import open_study

__all__ = ["BundleTraining", "can_train"]

logger = logging.getLogger(__name__)

CONFIG = Path("configs/train.json")
PREVIOUS = "before_last_training.pt"


def can_train(served: ServedBundle) -> bool:
    """Whether a bundle reads masks of one class from a decathlon list, as MCDRL's does."""
    path = served.folder / CONFIG
    if not path.is_file() or len(served.classes) != 1 or served.axes != 2:
        return False
    return "mask_value" in ConfigParser.load_config_file(str(path))


class BundleTraining:
    """Training task: final labels of the datastore, as pictures, through the bundle's own training.

    The training starts from the weights that are served, and when it has ended well its best epoch takes their place;
    those before stay beside it as ``models/before_last_training.pt``.

    Args:
        served: the bundle.
    """

    def __init__(self, served: ServedBundle) -> None:
        self.served = served
        self.description = f"Goes on training {served.name} with the final labels of the datastore"

    def info(self) -> dict[str, Any]:
        return {"description": self.description, "config": self.config(), "version": self.served.version}

    def config(self) -> dict[str, Any]:
        return {
            "device": devices(),
            "max_epochs": 10,
            "val_split": 0.2,
            "pretrained": True,
            "seed": 0,
        }

    def stats(self) -> dict[str, Any]:
        """Of the last training: what it was made of."""
        path = self.served.folder / "models" / "last_training.json"
        return dict(ConfigParser.load_config_file(str(path))) if path.is_file() else {}

    def is_valid(self) -> bool:
        return True

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        """Train, and put the best epoch in the place of the weights."""
        asked = self.config() | {name: value for name, value in request.items() if value is not None}
        epochs, share, seed = int(asked["max_epochs"]), float(asked["val_split"]), int(asked["seed"])
        if epochs < 1 or not 0 < share < 1:
            raise ValueError(f"max_epochs={epochs}, val_split={share}: at least 1, and between 0 and 1.")
        pairs = [(Path(item["image"]), Path(item["label"])) for item in datastore.datalist()]
        if len(pairs) < 2:
            raise ValueError(
                f"{len(pairs)} images of the datastore have a final label: two are the least, one to train and one to "
                "validate."
            )
        device = device_of(asked["device"])
        with tempfile.TemporaryDirectory(prefix="monai-causal-training-") as folder:
            data, out = Path(folder) / "data", Path(folder) / "out"
            counts = self._export(pairs, data, share, seed)
            self._run(data, out, epochs, bool(asked["pretrained"]), seed, device)
            best = out / "model.pt"
            if not best.is_file():
                raise ValueError("the training ended without a checkpoint: see the server's log.")
            self._publish(best)
        told = {
            "schema": "monai_causal/label-training/1",
            "max_epochs": epochs,
            "images": counts,
            "pretrained": bool(asked["pretrained"]),
            "seed": seed,
        }
        write_json(self.served.folder / "models" / "last_training.json", told)
        return told

    def _export(self, pairs: list[tuple[Path, Path]], data: Path, share: float, seed: int) -> dict[str, int]:
        """Images and masks as PNG with the list that the bundle reads, named by number: file names may tell of a
        patient."""
        data.mkdir()
        bundle = self.served.open(torch.device("cpu"))
        order = np.random.default_rng(seed).permutation(len(pairs))
        kept = max(1, round(share * len(pairs)))
        listed: dict[str, list[dict[str, str]]] = {"validation": [], "training": []}
        for number, place in enumerate(order.tolist()):
            image, label = pairs[place]
            study = open_study(image, bundle, self.served.axes)
            stored = study.scene.stored.numpy()
            pixels = np.rint(255 * (stored[0] if len(stored) == 1 else np.moveaxis(stored, 0, -1))).astype(np.uint8)
            Image.fromarray(np.ascontiguousarray(pixels)).save(data / f"image-{number}.png")
            mask = (study.label_on_image(label) > 0).numpy().astype(np.uint8) * 255
            Image.fromarray(mask).save(data / f"label-{number}.png")
            part = "validation" if number < kept else "training"
            listed[part].append({"image": f"image-{number}.png", "label": f"label-{number}.png", "site": "datastore"})
        write_json(data / "dataset.json", {"schema": "decathlon", **listed})
        return {part: len(items) for part, items in listed.items()}

    def _run(self, data: Path, out: Path, epochs: int, pretrained: bool, seed: int, device: torch.device) -> None:
        require("fire")  # MONAI's bundle commands need it, and say so less clearly
        from monai.bundle import run

        folder = self.served.folder
        config = ConfigParser.load_config_file(str(folder / CONFIG))
        handlers = config["train"]["handlers"]
        overrides: dict[str, Any] = {}
        if pretrained:
            loader = {
                "_target_": "CheckpointLoader",
                "load_path": str(self.served.weights),
                "load_dict": {"model": "@network"},
                "map_location": "@device",
                "strict": True,
            }
            overrides["train#handlers"] = [loader, *handlers]
            # The weights have been through the epochs without the intervention already.
            overrides["switch_epoch"] = 0
        logger.info("training %s for %d epochs", self.served.name, epochs)
        run(
            config_file=str(folder / CONFIG),
            meta_file=str(folder / "configs" / "metadata.json"),
            logging_file=str(folder / "configs" / "logging.conf"),
            bundle_root=str(folder),
            dataset_dir=str(data),
            ckpt_dir=str(out),
            output_dir=str(out),
            mask_value=255,
            max_epochs=epochs,
            seed=seed,
            device=str(device),
            **overrides,
        )

    def _publish(self, best: Path) -> None:
        weights = self.served.weights
        shutil.copyfile(weights, weights.with_name(PREVIOUS))
        with draft_of(weights) as draft:
            shutil.copyfile(best, draft)
        os.utime(weights)
