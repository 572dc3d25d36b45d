# SPDX-License-Identifier: Apache-2.0
"""GradCAM and GradCAM++ at a layer that the answer depends on.

On the hidden states behind the last decoder block no answer depends at the image tokens: later tokens do not read them
there, the gradient is zero, and so is every map. Here a layer is what *enters* a block. From the last one back, the
first is taken whose map is not zero everywhere.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from monai_causal.apps.medfocus.attribute_asking import Asked, Picture
from monai_causal.apps.medfocus.baselines.base import Baseline, Found
from monai_causal.apps.medfocus.vlm.interface import AnsweringModel

__all__ = ["GradCAM", "GradCAMPlusPlus", "gradcam_plus_plus_weights", "gradcam_weights"]


def gradcam_weights(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weight of each feature: the mean gradient over cells (Selvaraju et al. 2017, Eq. 1).

    Args:
        activations: (cells, features).
        gradients: alike.
    """
    return gradients.mean(0)


def gradcam_plus_plus_weights(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weight of each feature: positive gradients, each by its alpha (Chattopadhay et al. 2018, Eqs. 10 and 19).

    The class score is the answer's probability, the exponential of what the gradient is taken of, so that its higher
    derivatives are powers of the gradient.

    Args:
        activations: (cells, features).
        gradients: alike.
    """
    # Relative to the largest gradient, since its third power leaves the range of float32.
    scale = gradients.abs().max()
    slopes = (gradients / torch.where(scale > 0, scale, 1)).double()
    below = 2 * slopes**2 + (activations.double().sum(0) * scale.double()) * slopes**3
    alpha = torch.where(below != 0, slopes**2 / torch.where(below != 0, below, 1), 0)
    return (alpha * slopes.clamp(min=0)).sum(0).to(gradients)


class GradCAM(Baseline):
    """The features of a layer, weighed by the answer's gradient, positive part.

    Args:
        vlm: who answers.
        layer: one of its layers; by default the last whose map is not zero everywhere.
        batch_size: not used; there is one picture.
        seed: not used; nothing is drawn.
    """

    name = "gradcam"
    weights: Callable[[Tensor, Tensor], Tensor] = staticmethod(gradcam_weights)

    def __init__(
        self, vlm: AnsweringModel, *, layer: str | None = None, batch_size: int | None = None, seed: int = 0
    ) -> None:
        super().__init__(vlm, batch_size=batch_size, seed=seed)
        if layer is not None and layer not in vlm.layers:
            raise ValueError(f"layer={layer!r}: one of {', '.join(vlm.layers)}.")
        self.layer = layer

    def find(self, picture: Picture, asked: Asked) -> Found:
        layers = [self.layer] if self.layer else list(reversed(self.vlm.layers))
        unrectified: tuple[Tensor, str] | None = None
        for forwards, layer in enumerate(layers, start=1):
            trace = self.vlm.trace(picture.pixels[None], asked.prompt, asked.answer, layer=layer)
            assert trace.activations is not None
            assert trace.activation_gradients is not None
            assert trace.cells is not None
            activations, gradients = trace.activations[0].float().cpu(), trace.activation_gradients[0].float().cpu()
            map_of_cells = activations @ self.weights(activations, gradients)
            if bool((map_of_cells > 0).any()):
                heat = trace.cells.to_pixels(map_of_cells.clamp(min=0), smooth=True)
                return Found(heat, forwards=forwards, details={"layer": layer})
            if unrectified is None and float(map_of_cells.max()) > float(map_of_cells.min()):
                heat = trace.cells.to_pixels(map_of_cells - map_of_cells.min(), smooth=True)
                unrectified = heat, layer
        if unrectified is None:
            return Found(torch.zeros(picture.size), forwards=len(layers), notes=("the answer depends on no layer",))
        heat, layer = unrectified
        note = f"no layer has a positive part: {layer} is shown from its least value, not from 0"
        return Found(heat, forwards=len(layers), notes=(note,), details={"layer": layer})


class GradCAMPlusPlus(GradCAM):
    """The same with the weights of GradCAM++."""

    name = "gradcam++"
    weights: Callable[[Tensor, Tensor], Tensor] = staticmethod(gradcam_plus_plus_weights)
