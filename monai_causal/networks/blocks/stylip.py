# SPDX-License-Identifier: Apache-2.0
"""StyLIP: the context of the class texts is made from the image's style.

Style is the mean and the standard deviation of every channel at several depths of the frozen image tower. A projector
per token turns one layer's style into that token; a content projector reads all these layers and the image's embedding,
and what it gives is added to the text of every class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

__all__ = ["StyLIP", "Styled", "layer_statistics", "read_layers", "tower_layers"]


class Styled(NamedTuple):
    """What an encoder saw, its style included.

    Attributes:
        cells: ``(B, d, h, w)``, in the joint space.
        image: ``(B, d)``, in the joint space.
        mean: ``(B, c_1 + ... + c_L)``, the layers' channel means, one layer behind the other.
        std: as many standard deviations.
    """

    cells: Tensor
    image: Tensor
    mean: Tensor
    std: Tensor


class StyLIP(nn.Module):
    """The style projectors and the content projector.

    A style vector is its layer's means and deviations, each set standardised, and of unit length as a whole. The style
    projectors begin at ``start`` with a small share of style, the content projector begins at zero.

    Args:
        widths: channels of each layer.
        layers: which of the layers each token reads.
        start: ``(n, width)``, the context to begin with.
        d: of the joint space.
        generator: of the first weights.

    Shape:
        a :class:`Styled` -> context ``(B, n, width)`` and content ``(B, d)``.
    """

    def __init__(
        self, widths: Sequence[int], layers: Sequence[int], start: Tensor, d: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.widths, self.layers = tuple(widths), tuple(layers)
        self.style = nn.ModuleList(nn.Linear(2 * widths[layer], start.shape[1]) for layer in layers)
        self.content = nn.Linear(sum(widths) + d, d)
        share = 0.1 * float(start.std())
        for linear, token in zip(self.style, start, strict=True):
            assert isinstance(linear, nn.Linear)
            nn.init.normal_(linear.weight, std=share, generator=generator)
            linear.bias.data = token.clone()
        nn.init.zeros_(self.content.weight)
        nn.init.zeros_(self.content.bias)

    def forward(self, observed: Styled) -> tuple[Tensor, Tensor]:
        means = [_unit(one) for one in observed.mean.split(self.widths, dim=1)]
        stds = [_unit(one) for one in observed.std.split(self.widths, dim=1)]
        styles = [torch.cat(pair, dim=1) / 2**0.5 for pair in zip(means, stds, strict=True)]
        tokens = [linear(styles[layer]) for linear, layer in zip(self.style, self.layers, strict=True)]
        content: Tensor = self.content(torch.cat([*means, _unit(observed.image)], dim=1))
        return torch.stack(tokens, dim=1), content


def tower_layers(visual: Any) -> tuple[list[nn.Module], list[int]]:
    """The layers of an image tower, from shallow to deep, and the channels of each."""
    kind = type(visual).__name__
    if kind == "VisionTransformer":
        blocks = list(visual.transformer.resblocks)
        return blocks, [block.ln_1.normalized_shape[0] for block in blocks]
    if kind == "TimmModel":
        blocks = list(visual.trunk.blocks)
        return blocks, [block.norm1.normalized_shape[0] for block in blocks]
    if kind == "ModifiedResNet":
        stages = [visual.layer1, visual.layer2, visual.layer3, visual.layer4]
        return stages, [stage[-1].bn3.num_features for stage in stages]
    raise ValueError(f"the layers of an image tower of type {kind!r} are not known.")


def read_layers(count: int, tokens: int) -> list[int]:
    """Which of ``count`` layers each token reads: evenly spaced, the last token the last layer.

    Example:
        >>> read_layers(12, 4), read_layers(2, 4)
        ([2, 5, 8, 11], [0, 0, 1, 1])
    """
    return [-(-(token + 1) * count // tokens) - 1 for token in range(tokens)]


@contextmanager
def layer_statistics(layers: Sequence[nn.Module]) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """While it is open, the channel means and deviations over the cells of what each layer gives out, in order.

    A layer gives maps ``(B, c, h, w)`` or tokens ``(B, 1 + cells, c)``, of which the first is no cell.
    """
    statistics: list[tuple[Tensor, Tensor]] = []

    def listen(_: nn.Module, __: Any, out: Tensor) -> None:
        cells = out.flatten(2) if out.dim() == 4 else out[:, 1:].transpose(1, 2)
        statistics.append((cells.mean(dim=2), cells.std(dim=2, correction=0)))

    hooks = [layer.register_forward_hook(listen) for layer in layers]
    try:
        yield statistics
    finally:
        for hook in hooks:
            hook.remove()


def _unit(vectors: Tensor) -> Tensor:
    """Mean 0 and length 1."""
    return layer_norm(vectors, vectors.shape[1:], eps=1e-8) / vectors.shape[1] ** 0.5
