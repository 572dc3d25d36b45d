# SPDX-License-Identifier: Apache-2.0
"""An open-vocabulary detector of transformers (Grounding DINO, OWL-ViT, OWLv2) from a local folder."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_causal.apps.medfocus.result import Corners
from monai_causal.apps.medfocus.segmenters.base import Image
from monai_causal.extras import require

__all__ = ["ZeroShotDetector"]


class ZeroShotDetector:
    """Finds what a phrase names.

    Args:
        folder: that transformers saved, of an ``AutoModelForZeroShotObjectDetection``; nothing is downloaded, and no
            weights but safetensors are read.
        threshold: least score of a box.
        device: where it runs.
    """

    def __init__(
        self, folder: str | os.PathLike[str], threshold: float = 0.1, device: str | torch.device = "cpu"
    ) -> None:
        place = Path(folder)
        if not place.is_dir():
            raise FileNotFoundError("the detector's folder is not there: save one with save_pretrained, or fetch one.")
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold={threshold}: a score of at least 0 and below 1.")
        transformers = require("transformers")
        local = {"local_files_only": True, "trust_remote_code": False}
        network = transformers.AutoModelForZeroShotObjectDetection.from_pretrained(place, use_safetensors=True, **local)
        self.network: Any = network.to(device).eval()
        self.processor: Any = transformers.AutoProcessor.from_pretrained(place, **local)
        self.threshold, self.device = threshold, device
        self.name = f"{network.config.model_type} {place.resolve().name}"

    @torch.no_grad()
    def __call__(self, image: Image, phrase: str) -> list[tuple[Corners, float]]:
        """Half-open boxes in the image's pixels with their scores, the surest first."""
        bits = np.repeat(np.rint(255 * image).astype(np.uint8)[..., None], 3, axis=2)
        # Grounding DINO was taught phrases that end in a full stop, the OWL models queries in a list per image.
        grounds = "dino" in self.network.config.model_type
        text: Any = [f"{phrase}."] if grounds else [[phrase]]
        inputs = self.processor(images=bits, text=text, return_tensors="pt").to(self.device)
        output = self.network(**inputs)
        tokens = {"input_ids": inputs["input_ids"]} if grounds else {}
        found = self.processor.post_process_grounded_object_detection(
            output, threshold=self.threshold, target_sizes=[image.shape], **tokens
        )[0]
        height, width = image.shape
        boxes = []
        for (x0, y0, x1, y1), score in zip(found["boxes"].tolist(), found["scores"].tolist(), strict=True):
            corners = (
                max(0, math.floor(x0)),
                max(0, math.floor(y0)),
                min(width, math.ceil(x1)),
                min(height, math.ceil(y1)),
            )
            if corners[0] < corners[2] and corners[1] < corners[3]:
                boxes.append((corners, float(score)))
        return sorted(boxes, key=lambda found: -found[1])
