# SPDX-License-Identifier: Apache-2.0
"""One image and one model, brought together once and ready for any number of questions."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from monai_causal.apps.explain.bundles import Bundle, open_bundle
from monai_causal.apps.explain.models import Model, named_model
from monai_causal.apps.explain.request import Request
from monai_causal.apps.explain.scenes import Scene, bundle_scene, own_scene, phantom_scene
from monai_causal.intervene import Evaluator
from monai_causal.intervene.execution.session import is_out_of_memory
from monai_causal.intervene.scores import hard_answer

__all__ = ["Opened", "edges", "open_image"]


@dataclass(frozen=True, eq=False)
class Opened:
    """What a request names, read.

    Attributes:
        scene: the image.
        model: who is asked.
        bundle: where the model comes from, if from one.
        device: where it runs.
        label: that answers are compared with, ``(*spatial)`` on the network's grid; ``None``: the network's own answer.
        output: of the network on the untouched image, ``(1, K, *spatial)``.
        seconds: that opening took.
    """

    scene: Scene
    model: Model
    bundle: Bundle | None
    device: torch.device
    label: Tensor | None
    output: Tensor
    seconds: float

    def answer(self, class_idx: int | None) -> Tensor:
        """Where the network's own answer holds a class: bool ``(*spatial)``, on the network's grid."""
        return hard_answer(self.output, class_idx or 0, self.model.activation, self.model.threshold)[0].cpu()


def open_image(request: Request) -> Opened:
    """Read the image and the model of a request, and ask for the first answer: what does not fit shows here."""
    started = time.perf_counter()
    device = request.chosen_device()
    scene, model, bundle = _read(request, device)
    if model.channels is not None and model.channels != scene.image.shape[1]:
        raise ValueError(f"the network takes {model.channels} channels, this image has {scene.image.shape[1]}.")
    label = None if request.label is None else scene.label(request.label)
    output = _first_answer(model, scene, device)
    return Opened(scene, model, bundle, device, label, output, time.perf_counter() - started)


def _read(request: Request, device: torch.device) -> tuple[Scene, Model, Bundle | None]:
    if request.bundle is not None:
        assert request.image is not None
        bundle = open_bundle(request.bundle, device)
        return bundle_scene(request.image, bundle), bundle.model, bundle
    assert request.network is not None
    scene = phantom_scene() if request.image is None else own_scene(request.image, request.intensities)
    axes = len(scene.grid.shape)
    window = None if request.window is None else edges(request.window, 1, axes, "window")
    channels = scene.image.shape[1]
    model = named_model(
        request.network, request.checkpoint, channels, request.out_channels, axes, window, request.overlap
    )
    return scene, model, None


def _first_answer(model: Model, scene: Scene, device: torch.device) -> Tensor:
    """The network's output ``(1, K, *spatial)``; here shows whether the network can take the image at all."""
    try:
        output = Evaluator(model.network, inferer=model.inferer, device=device).answer(scene.image)
    except RuntimeError as error:  # what torch raises where shapes do not fit
        if is_out_of_memory(error):
            raise ValueError(
                f"memory ran out on an image of {tuple(scene.image.shape)}: use a sliding window, or another device."
            ) from error
        raise ValueError(
            f"the network cannot take an image of shape {tuple(scene.image.shape)}: {' '.join(str(error).split())}"
        ) from error
    if output.shape[2:] != scene.image.shape[2:]:
        raise ValueError(
            f"the network answers {tuple(output.shape)} to {tuple(scene.image.shape)}: one answer per voxel is needed."
        )
    return output


def edges(given: tuple[int, ...] | None, default: int, axes: int, name: str) -> tuple[int, ...]:
    """One number per axis, checked: those given, or the default."""
    found = (default,) if given is None else given
    found = found * axes if len(found) == 1 else found
    if len(found) != axes or min(found) < 1:
        raise ValueError(f"{name}={given}: one positive number, or one for each of {axes} axes.")
    return found
