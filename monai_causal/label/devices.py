# SPDX-License-Identifier: Apache-2.0
"""Devices as clients name them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

__all__ = ["device_of", "devices"]


def devices() -> list[str]:
    """What there is, the best first."""
    return [*(f"cuda:{number}" for number in range(torch.cuda.device_count())), "cpu"]


def device_of(asked: str | Sequence[str] | None) -> torch.device:
    """What was asked for; ``cuda``, as clients say that do not know the machine, means the best there is."""
    name = asked if isinstance(asked, str) or asked is None else asked[0]
    if not name or name in ("cuda", "gpu"):
        return torch.device(devices()[0])
    if name not in devices():
        raise ValueError(f"device={name!r}: here are {', '.join(devices())}.")
    return torch.device(name)
