# SPDX-License-Identifier: Apache-2.0
"""The model that is explained, wherever it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.inferers import Inferer, SlidingWindowInferer
from torch import nn

from monai_causal.apps.explain.demo_network import WEIGHTS, load_demo_network
from monai_causal.apps.explain.weights import digest_of, load_weights
from monai_causal.intervene.scores import Activation
from monai_causal.networks.nets import build_network

__all__ = ["DEMO", "Model", "named_model"]

DEMO = "demo"
"""The network of the demo, with its bundled weights: one channel, two classes of object."""


@dataclass(frozen=True)
class Model:
    """A network and how it is asked.

    Attributes:
        network: in evaluation mode.
        record: what a summary says of it: no path, but digests.
        inferer: runs the network on an image; ``None``: it is called directly.
        activation: makes probabilities of its outputs.
        threshold: above it a probability is an answer; ``None``: the winning class.
        channels: that an image must have, where that is known.
    """

    network: nn.Module
    record: dict[str, Any]
    inferer: Inferer | None = None
    activation: Activation = "auto"
    threshold: float | None = 0.5
    channels: int | None = None


def named_model(
    name: str,
    checkpoint: Path | None,
    in_channels: int,
    out_channels: int = 1,
    axes: int = 2,
    window: Sequence[int] | None = None,
    overlap: float = 0.25,
) -> Model:
    """A network by its name, with the weights of a checkpoint.

    Args:
        name: of :func:`monai_causal.networks.nets.build_network`, or ``"demo"``, which needs no checkpoint.
        checkpoint: see :func:`load_weights`.
        in_channels: of the image.
        out_channels: of the answer.
        axes: spatial axes of the image.
        window: edges of a sliding window; without it the network sees the whole image at once.
        overlap: of neighbouring windows, a fraction.
    """
    if name == DEMO:
        if checkpoint is not None:
            raise ValueError(
                "the network 'demo' has its own weights: leave the checkpoint out, or name another network."
            )
        if axes != 2:
            raise ValueError(f"the network 'demo' is for 2-D pictures; this image has {axes} axes.")
        network: nn.Module = load_demo_network()
        in_channels, weights = 1, digest_of(WEIGHTS)
    elif checkpoint is None:
        raise ValueError(f"the network {name!r} needs its weights: give a checkpoint.")
    else:
        network = _built(name, in_channels, out_channels, axes)
        weights = load_weights(network, checkpoint)
    record = {"kind": "network", "name": name, "weights": weights, "in_channels": in_channels}
    inferer = None
    if window is not None:
        if not 0 <= overlap < 1:
            raise ValueError(f"overlap={overlap}: a fraction from 0 to below 1.")
        inferer = SlidingWindowInferer(tuple(window), sw_batch_size=1, overlap=overlap, mode="gaussian")
        record |= {"window": list(window), "overlap": overlap}
    return Model(network.eval(), record, inferer, channels=in_channels)


def _built(name: str, in_channels: int, out_channels: int, axes: int) -> nn.Module:
    if axes == 2:
        return build_network(name, in_channels, out_channels)
    try:
        return build_network(name, in_channels, out_channels, spatial_dims=axes)
    except TypeError:  # a network that knows no spatial_dims
        raise ValueError(f"the network {name!r} is for 2-D pictures; this image has {axes} axes.") from None
