# SPDX-License-Identifier: Apache-2.0
"""Looking into a transformers model while it runs, and leaving it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

__all__ = ["attending", "watching"]


@contextmanager
def attending(network: Any, wanted: bool = True) -> Iterator[None]:
    """Have the decoder form its attention weights, which its faster implementations never do.

    Args:
        network: an ``AutoModelForImageTextToText``.
        wanted: otherwise nothing is changed.
    """
    if not wanted:
        yield
        return
    before = network.config.get_text_config()._attn_implementation
    network.set_attn_implementation({"text_config": "eager"})
    try:
        yield
    finally:
        network.set_attn_implementation({"text_config": before})


@contextmanager
def watching(block: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the hidden states (batch, sequence, features) that enter a decoder block, with their graph."""
    seen: list[Tensor] = []

    def keep(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.append(args[0] if args else kwargs["hidden_states"])

    handle = block.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()
