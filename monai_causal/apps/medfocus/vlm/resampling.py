# SPDX-License-Identifier: Apache-2.0
"""Image processors on floating pictures, so that gradients reach the pixels."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor

__all__ = ["LANCZOS", "unrounded"]

LANCZOS = 1
"""PIL's number of the filter, as processors store it."""


def unrounded(image_processor: Any) -> Any:
    """A copy of an image processor that resizes floating pictures nearly as it does 8-bit ones.

    Bicubic and Lanczos filters overshoot at edges, of which an erased box has four. On 8-bit pictures the overshoot
    is cut off; so it is here, while the rounding, which has no gradient, is left out.

    Args:
        image_processor: one of transformers' that works on tensors; it is not changed.
    """
    made = copy.copy(image_processor)
    resize = image_processor.resize

    def clipped(*args: Any, **kwargs: Any) -> Tensor:
        resized: Tensor = resize(*args, **kwargs)
        return resized.clamp(0, 255)

    made.resize = clipped
    return made
