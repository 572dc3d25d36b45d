# SPDX-License-Identifier: Apache-2.0
"""What gradient methods share: the activation A of a layer and dS/dA, S the mean logit of a class inside a mask.

The network is left as it was: the gradient is taken with respect to the activation alone, so that no parameter gets a
``.grad`` and no tensor of the caller's takes part. S is one number per item: nothing grows faster than the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from monai.inferers import Inferer, SimpleInferer
from torch import Tensor, nn

from monai_causal.intervene import MaskedMeanLogit
from monai_causal.intervene.execution.base import crop
from monai_causal.intervene.execution.session import Session
from monai_causal.intervene.execution.windows import slides_windows
from monai_causal.intervene.scores import output_tensor
from monai_causal.visualize.gradient_windows import blended_maps
from monai_causal.visualize.target import Target
from monai_causal.visualize.target_layer import deepest_layer, named_layer

__all__ = ["Combine", "LayerGradient"]

Combine = Callable[[Tensor, Tensor], Tensor]
"""``(activation, gradient)``, both ``(B, channels, *layer)``, to a map ``(B, 1, *layer)``."""


class LayerGradient:
    """Maps made of a layer's activation and gradient, up-sampled to the image (bi- or trilinear, corners not aligned).

    Args:
        network: a module. Where the layer runs several times in a forward, its last run is meant.
        target_layers: the layer's dotted name, alone or as a list of one; ``None``: the deepest layer, see
            :func:`deepest_layer`; its name stands in ``.layer`` after the first call.
        inferer: ``None``, or a ``SlidingWindowInferer``, see :func:`blended_maps`.
        device: where to run; by default where the network is.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ConvTranspose2d(4, 2, 2, stride=2))
        >>> layer, target = LayerGradient(network), Target((1,), torch.ones(8, 8, dtype=torch.bool))
        >>> product = lambda activation, gradient: (activation * gradient).sum(1, keepdim=True)
        >>> layer.maps(torch.rand(1, 1, 8, 8), [target], product).shape, layer.layer
        (torch.Size([1, 1, 8, 8]), '0')
    """

    def __init__(
        self,
        network: nn.Module,
        target_layers: str | Sequence[str] | None = None,
        inferer: Inferer | None = None,
        device: torch.device | None = None,
    ) -> None:
        if not isinstance(network, nn.Module):
            raise TypeError(f"{type(network).__name__} has no layers to look into: give an nn.Module.")
        if inferer is not None and not slides_windows(inferer) and not isinstance(inferer, SimpleInferer):
            raise ValueError(
                f"{type(inferer).__name__}: gradients are taken of whole images or of a SlidingWindowInferer's "
                "windows; use one of them, or a method without gradients such as RIA."
            )
        self.layer = named_layer(network, target_layers)
        self.network, self.inferer, self.device = network, inferer, device

    def maps(self, image: Tensor, targets: Sequence[Target], combine: Combine) -> Tensor:
        """Maps ``(B, classes, *spatial)`` of a plain image ``(B, C, *spatial)``, one target per item."""
        session = Session(self.network, self.inferer, self.device)
        session.device = session.device or image.device

        def of_batch(batch: Tensor, asked: Sequence[Target], *extra: Any) -> Tensor:
            return self._maps(batch, asked, combine, *extra)

        with session.borrowed():
            image = image.to(session.device)
            if slides_windows(self.inferer):
                return blended_maps(session, image, targets, of_batch)
            return of_batch(image, targets)

    def _maps(self, batch: Tensor, targets: Sequence[Target], combine: Combine, *extra: Any) -> Tensor:
        if self.layer is None:
            self.layer = deepest_layer(self.network, batch, *extra)
        last: list[Tensor] = []

        def keep(module: nn.Module, inputs: Any, output: Any) -> Tensor:
            last[:] = [self._checked(output, batch).detach().requires_grad_()]
            return last[0].clone()  # what follows may work in place

        handle = self.network.get_submodule(self.layer).register_forward_hook(keep)
        try:
            with torch.enable_grad():
                # A copy, since the network may write into it; and one made here, since an image may come from
                # inference mode.
                scores = _scores(output_tensor(self.network(batch.clone(), *extra)), targets, batch)
                totals = scores.sum(0).unbind()  # items do not meet: the gradient of the sum is each one's own
        finally:
            handle.remove()
        if not last:
            raise ValueError(f"layer {self.layer!r} is not run when the network answers; choose one that is.")
        maps = [combine(last[0].detach(), self._gradient(total, last[0])) for total in totals]
        mode = {3: "linear", 4: "bilinear", 5: "trilinear"}[batch.ndim]
        return F.interpolate(torch.cat(maps, 1), size=batch.shape[2:], mode=mode, align_corners=False)

    def _checked(self, output: Any, batch: Tensor) -> Tensor:
        if isinstance(output, Tensor) and output.ndim == batch.ndim and len(output) == len(batch):
            return output
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"layer {self.layer!r} gives {found}: a map ({len(batch)}, channels, *spatial) is needed; choose a layer "
            "before it is flattened, such as a convolution."
        )

    def _gradient(self, total: Tensor, activation: Tensor) -> Tensor:
        gradient = None
        if total.requires_grad:
            (gradient,) = torch.autograd.grad(total, activation, retain_graph=True, allow_unused=True)
        if gradient is None:
            raise ValueError(f"the score has no gradient at layer {self.layer!r}; choose one on the way to the output.")
        return gradient


def _scores(output: Tensor, targets: Sequence[Target], batch: Tensor) -> Tensor:
    """The mean logit of each target ``(B, classes)``."""
    if output.shape[2:] != batch.shape[2:] or len(output) != len(batch):
        raise ValueError(
            f"the network turned {tuple(batch.shape)} into {tuple(output.shape)}: a segmentation of the image's own "
            "size is needed; up-sample inside the network, or wrap it."
        )
    rows = []
    for item, target in enumerate(targets):
        own = output[item : item + 1]
        bound = MaskedMeanLogit(target.mask, target.classes).bind(own, 0)
        rows.append(bound.value(crop(own, bound.box)).reshape(-1))
    return torch.stack(rows)
