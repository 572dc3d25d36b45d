# SPDX-License-Identifier: Apache-2.0
"""Gradients of a network that slides a window: each window is explained by itself, MONAI's inferer blends the maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from monai.inferers import SlidingWindowInferer
from monai.utils import fall_back_tuple
from torch import Tensor

from monai_causal.intervene.execution.session import Session
from monai_causal.intervene.scores import output_tensor
from monai_causal.visualize.target import Target

__all__ = ["blended_maps"]


def blended_maps(
    session: Session, image: Tensor, targets: Sequence[Target], window_maps: Callable[..., Tensor]
) -> Tensor:
    """Maps ``(B, classes, *spatial)`` of an image ``(B, C, *spatial)``, blended as the inferer blends logits.

    A window's score is the sum of its logits over its part of the mask, over the size of the whole mask, so that a
    window that holds little of the mask weighs little. Windows that hold nothing of it are 0 and not run. Where windows
    do not overlap, this is the gradient of the whole sliding-window answer; where they do, that gradient is a sum over
    windows and this their mean by the inferer's weights, which makes no seams.

    Args:
        session: a borrowed network with a ``SlidingWindowInferer``.
        image: plain, on the session's device.
        targets: one per item.
        window_maps: ``(windows, targets, *coordinates) -> (windows, classes, *window)`` for scores that are means.
    """
    assert isinstance(session.inferer, SlidingWindowInferer)
    with_coordinates = session.inferer.with_coord
    inferer = session.with_inferer(with_coord=True, progress=False)
    shape = tuple(image.shape[2:])
    # An image smaller than a window is padded on both sides; windows count from the padded corner.
    window = fall_back_tuple(session.inferer.roi_size, shape)
    rooms = [max(0, w - n) for w, n in zip(window, shape, strict=True)]
    padding = [side for room in reversed(rooms) for side in (room // 2, room - room // 2)]
    masks = [F.pad(target.mask, padding) for target in targets]

    def explain(windows: Tensor, places: Sequence[Sequence[slice]]) -> Tensor:
        items = [place[0].start for place in places]
        parts = [masks[item][tuple(place[2:])] for item, place in zip(items, places, strict=True)]
        held = [row for row, part in enumerate(parts) if part.any()]
        maps = windows.new_zeros((len(windows), len(targets[0].classes or (0,)), *windows.shape[2:]))
        if held:
            asked = [Target(targets[items[row]].classes, parts[row]) for row in held]
            shares = maps.new_tensor([int(parts[row].sum()) / int(masks[items[row]].sum()) for row in held])
            extra: tuple[Any, ...] = ([places[row] for row in held],) if with_coordinates else ()
            maps[held] = window_maps(windows[held], asked, *extra) * shares.reshape(-1, *(1,) * (maps.ndim - 1))
        return maps

    return output_tensor(inferer(image, explain))
