# SPDX-License-Identifier: Apache-2.0
"""A bundle as the server holds it: opened once, opened again when a training has changed its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import Tensor

from monai_causal.apps.explain.bundles import CONFIGS, Bundle, open_bundle
from monai_causal.apps.explain.methods import METHODS
from monai_causal.apps.explain.models import Model
from monai_causal.intervene import Evaluator
from monai_causal.intervene.scores import hard_answer

__all__ = ["ServedBundle", "answered", "first_answer"]


class ServedBundle:
    """A segmentation bundle of an app.

    Args:
        folder: the bundle; its name is that of its tasks.

    Attributes:
        name, description, version: as its metadata has them.
        axes: spatial axes that its network sees.
        classes: names of what it answers, with their values in a label map.
        first: the channel that the first of them is.
        method: how its answers are explained where nothing is asked for: as the bundle itself does, or PdCR.
        shown: settings of its explanations that a client is shown, over those of every bundle.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        metadata = json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8"))
        self.description = str(metadata.get("description", ""))
        self.version = str(metadata.get("version", ""))
        formats = metadata["network_data_format"]
        self.axes = len(next(iter(formats["inputs"].values()))["spatial_shape"])
        self.first, self.classes = _classes(next(iter(formats["outputs"].values())), self.name)
        config = ConfigParser.load_config_file(
            str(next(folder / name for name in CONFIGS if (folder / name).is_file()))
        )
        inferer = config.get("inferer", {})
        named = str(inferer.get("visualizer", "")).lower() if isinstance(inferer, dict) else ""
        self.method = named if named in METHODS else "pdcr"
        self.shown = _shown(config)
        self._opened: dict[torch.device, tuple[int, Bundle]] = {}

    def open(self, device: torch.device) -> Bundle:
        """The bundle with its weights as they are on disk now."""
        weights = self.weights
        changed = weights.stat().st_mtime_ns
        known = self._opened.get(device)
        if known is None or known[0] != changed:
            known = (changed, open_bundle(self.folder, device))
            self._opened[device] = known
        return known[1]

    @property
    def weights(self) -> Path:
        """The file of the weights."""
        script = self.folder / "models" / "model.ts"
        return script if script.is_file() and not self._checkpoint.is_file() else self._checkpoint

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "models" / "model.pt"

    def label_map(self, output: Tensor, model: Model) -> Tensor:
        """What a network's output ``(1, K, *spatial)`` answers: uint8 ``(*spatial)``, of overlaps the last."""
        return answered(output, model, self.first, len(self.classes))


def answered(output: Tensor, model: Model, first: int, count: int) -> Tensor:
    """The values ``1 .. count`` of the classes, in the channels from ``first`` on, where the model answers them."""
    found = torch.zeros(output.shape[2:], dtype=torch.uint8)
    for number in range(count):
        found[hard_answer(output, first + number, model.activation, model.threshold)[0].cpu()] = number + 1
    return found


def first_answer(model: Model, image: Tensor, device: torch.device) -> Tensor:
    """The network's output ``(1, K, *spatial)`` for an image ``(1, C, *spatial)``."""
    if model.channels is not None and model.channels != image.shape[1]:
        raise ValueError(f"the network takes {model.channels} channels, this image has {image.shape[1]}.")
    return Evaluator(model.network, inferer=model.inferer, device=device).answer(image).cpu()


def _classes(output: dict[str, Any], name: str) -> tuple[int, dict[str, int]]:
    """The first channel that is a class, and the classes' names with their values."""
    channels = {int(number): str(text) for number, text in output.get("channel_def", {}).items()}
    if sorted(channels) != list(range(len(channels))) or not channels:
        raise ValueError(f"the bundle {name!r}: its metadata name no channels of the output, from 0 on (channel_def).")
    first = 1 if len(channels) > 1 and channels[0].lower() == "background" else 0
    return first, {channels[number]: number - first + 1 for number in sorted(channels) if number >= first}


def _shown(config: dict[str, Any]) -> dict[str, Any]:
    """A bundle's own patch size, rule, cells and layer, and its ``displayable_configs`` over them."""
    own = {name: config[name] for name in ("patch_size", "rule") if isinstance(config.get(name), int | str)}
    if isinstance(config.get("grid"), int):
        own["cells"] = config["grid"]
    if isinstance(config.get("target_layers"), str):
        own["target_layer"] = config["target_layers"]
    displayed = config.get("displayable_configs", {})
    return own | (displayed if isinstance(displayed, dict) else {})
