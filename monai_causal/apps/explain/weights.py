# SPDX-License-Identifier: Apache-2.0
"""Weights from a file into a network: read without running anything in it, and all or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from monai_causal.extras import MissingExtraError, install_command

__all__ = ["digest_of", "load_weights"]

HOLDERS = ("model", "state_dict", "network")
"""Under which keys a checkpoint may hold the weights."""

EXTRA_STATE = "_extra_state"  # as torch calls it
_SHOWN = 3  # keys that an error names


def load_weights(network: nn.Module, path: Path, what: str = "the checkpoint") -> str:
    """Load a file's weights into a network, every one of both, and return the file's digest.

    Args:
        network: receives them.
        path: ``.safetensors``, or what ``torch.save`` wrote: a state dict, or a dictionary that holds one under
            ``"model"``, ``"state_dict"`` or ``"network"``.
        what: what errors call the file.

    Raises:
        ValueError: the file cannot be read, or its weights are those of another network.
    """
    if not path.is_file():
        raise ValueError(f"{what}: there is no such file.")
    weights = _tensors(_content(path, what), what)
    own = network.state_dict()
    missing, unexpected = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    differing = [
        f"{key} is {tuple(weights[key].shape)} and not {tuple(own[key].shape)}"
        for key in own.keys() & weights.keys()
        # What a network says of itself is no weight: it may be longer or shorter, and the network judges it.
        if key.rpartition(".")[2] != EXTRA_STATE and own[key].shape != weights[key].shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "of another shape": sorted(differing)}
    if any(found.values()):
        parts = [f"{len(keys)} {kind}: {_some(keys)}" for kind, keys in found.items() if keys]
        raise ValueError(
            f"{what} belongs to another network, or to one with other channels. Of its {len(weights)} weights and the "
            f"network's {len(own)}: {'; '.join(parts)}."
        )
    network.load_state_dict(weights)
    return digest_of(path)


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _content(path: Path, what: str) -> Any:
    if path.suffix == ".safetensors":
        try:
            from safetensors.torch import load_file
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"safetensors is not installed. It comes with the extra 'networks': {install_command('networks')}",
                name="safetensors",
                extra="networks",
            ) from error
        read = load_file
    else:
        read = partial(torch.load, map_location="cpu", weights_only=True)
    try:
        return read(path)
    except Exception as error:  # what a damaged file raises has no common class
        raise ValueError(
            f"{what} cannot be read ({type(error).__name__}): give a state dict that torch.save wrote (it is loaded "
            "with weights_only=True: tensors, and nothing that runs), or a .safetensors file."
        ) from None


def _tensors(content: Any, what: str) -> dict[str, Tensor]:
    holder = next(
        (key for key in HOLDERS if isinstance(content, Mapping) and isinstance(content.get(key), Mapping)), None
    )
    weights = content if holder is None else content[holder]
    if not isinstance(weights, Mapping) or not weights or not all(isinstance(v, Tensor) for v in weights.values()):
        shown = (
            f"a dictionary of {_some(sorted(map(str, content)))}"
            if isinstance(content, Mapping)
            else type(content).__name__
        )
        raise ValueError(f"{what} is {shown}: a state dict is needed, itself or under {', '.join(map(repr, HOLDERS))}.")
    return dict(weights)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "") if names else "nothing"
