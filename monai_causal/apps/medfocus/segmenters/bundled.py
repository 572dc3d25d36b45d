# SPDX-License-Identifier: Apache-2.0
"""Any MONAI bundle that segments what the vocabulary knows, under whatever names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image as Picture
from torch import Tensor
from torch.nn.functional import interpolate

from monai_causal.apps.explain.bundles import Bundle, open_bundle
from monai_causal.apps.medfocus.concepts import Vocabulary, chest_vocabulary
from monai_causal.apps.medfocus.segmenters.base import Image, Mask, Segmented
from monai_causal.intervene.scores import activate, output_tensor

__all__ = ["BundleSegmenter"]


class BundleSegmenter:
    """Asks a MONAI bundle and translates its labels.

    The image reaches the bundle as an 8-bit PNG, of three equal channels if it wants three, through the bundle's own
    loader and transforms. These must keep the field of view and the loader's order of axes, columns first: the answer
    is turned and stretched back over the image.

    Args:
        folder: the bundle. MONAI's parser evaluates its expressions: open only bundles that you trust.
        labels: which of its channels, by number, means what; by default what ``metadata.json`` says of its output.
            Labels that the vocabulary does not know are left out and noted.
        vocabulary: whose concepts are looked for.
        device: where it runs.
    """

    def __init__(
        self,
        folder: Path | str,
        labels: Mapping[int, str] | None = None,
        vocabulary: Vocabulary | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.bundle: Bundle = open_bundle(Path(folder), torch.device(device))
        self.device = torch.device(device)
        vocabulary = vocabulary or chest_vocabulary()
        labels = _stated(Path(folder)) if labels is None else labels
        found = {int(number): vocabulary.find(text) for number, text in labels.items()}
        self.concepts = {number: concept for number, concept in found.items() if concept is not None}
        self.unknown = tuple(text for number, text in labels.items() if found[int(number)] is None)
        if not self.concepts:
            raise ValueError(
                f"the bundle's labels {sorted(labels.values())} are none of the {vocabulary.name}: name its channels "
                "with labels={number: concept}."
            )
        twice = [name for name in self.concepts.values() if list(self.concepts.values()).count(name) > 1]
        if twice:
            raise ValueError(f"labels: two channels mean {twice[0]!r}: leave one of them out.")
        record = self.bundle.model.record
        self.name = f"bundle {record.get('name') or 'without a name'} {record['weights'][:12]}"

    def __call__(self, image: Image) -> Segmented:
        """The concepts that the bundle knows, at the image's size."""
        ready = self._ready(image)
        model = self.bundle.model
        with torch.no_grad():
            raw = model.network(ready) if model.inferer is None else model.inferer(ready, model.network)
        probabilities = activate(output_tensor(raw), model.activation)[0].transpose(-1, -2)
        if max(self.concepts) >= len(probabilities):
            raise ValueError(
                f"labels: the bundle gives {len(probabilities)} channels, there is no number {max(self.concepts)}."
            )
        winner = probabilities.argmax(dim=0) if model.threshold is None else None
        masks: dict[str, Mask] = {}
        confidence: dict[str, float] = {}
        for number, name in self.concepts.items():
            decided = winner == number if winner is not None else probabilities[number] > (model.threshold or 0.0)
            native = interpolate(decided[None, None].float(), image.shape, mode="bilinear", align_corners=False)[0, 0]
            masks[name] = (native > 0.5).cpu().numpy()
            certain = probabilities[number][decided]
            confidence[name] = float(certain.mean()) if masks[name].any() and len(certain) else 0.0
        notes = (f"the bundle's labels {', '.join(self.unknown)} are no concepts",) if self.unknown else ()
        return Segmented(masks, confidence, (self.name,), {"bundle": model.record}, notes)

    def _ready(self, image: Image) -> Tensor:
        channels = self.bundle.model.channels
        with TemporaryDirectory() as folder:
            path = Path(folder) / "image.png"
            grey = Picture.fromarray(np.rint(image * 255).astype(np.uint8))
            (grey.convert("RGB") if channels == 3 else grey).save(path)
            _, ready = self.bundle.read(path)
        if channels is not None and len(ready) != channels:
            raise ValueError(f"the bundle wants {channels} channels and makes {len(ready)} of a grey image.")
        return torch.as_tensor(ready)[None].to(self.device)


def _stated(folder: Path) -> dict[int, str]:
    """Channel names of the bundle's output, as its metadata states them."""
    path = folder / "configs" / "metadata.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    outputs: dict[str, dict[str, Any]] = content.get("network_data_format", {}).get("outputs", {})
    stated = next((one["channel_def"] for one in outputs.values() if one.get("channel_def")), None)
    if not stated:
        raise ValueError("the bundle's metadata name no channels of its output: give labels={number: concept}.")
    return {int(number): str(text) for number, text in stated.items()}
