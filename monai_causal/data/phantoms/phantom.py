# SPDX-License-Identifier: Apache-2.0
"""What a phantom is: an image that is a pure function of named causes.

A family of phantoms is two things: a frozen dataclass of causes, whose fields are the names that ``do`` knows, and a
plain function ``render(causes) -> image, labels, maps``. Whatever is random is a cause too, as a seed of its own, so
that ``do`` answers the counterfactual question exactly: the same noise, the same texture, one thing changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Causes", "Phantom", "Rendered", "require"]

Rendered = tuple[NDArray[np.float32], NDArray[np.uint8], dict[str, NDArray[Any]]]
"""Image (C, \\*spatial) in [0, 1], label map (\\*spatial), and further named label maps (\\*spatial)."""

C = TypeVar("C", bound="Causes")


@dataclass(frozen=True, kw_only=True)
class Causes:
    """The named causes of a phantom. Subclasses add fields and check them in ``__post_init__``."""

    def do(self: C, **changes: Any) -> C:
        """The same causes with some set from outside; what is not named keeps its value, the noise included."""
        valid = [cause.name for cause in fields(self)]
        unknown = [name for name in changes if name not in valid]
        if unknown:
            raise ValueError(f"{type(self).__name__} has no cause {unknown[0]!r}; its causes are: {', '.join(valid)}")
        return replace(self, **changes)


@dataclass(frozen=True, eq=False)
class Phantom(Generic[C]):
    """A rendered image together with what caused it.

    >>> from monai_causal.data.phantoms import shapes
    >>> phantom = shapes(seed=0)
    >>> without_cue = phantom.do(cue=0)
    >>> changed = (phantom.image != without_cue.image)[0]
    >>> bool((changed & (phantom.maps["cue"] == 0)).any())
    False
    """

    causes: C
    render: Callable[[C], Rendered] = field(repr=False)
    image: NDArray[np.float32] = field(repr=False)
    labels: NDArray[np.uint8] = field(repr=False)
    maps: dict[str, NDArray[Any]] = field(repr=False)

    @classmethod
    def of(cls, causes: C, render: Callable[[C], Rendered]) -> Phantom[C]:
        """The phantom that ``render`` makes of ``causes``."""
        return cls(causes, render, *render(causes))

    def do(self, **changes: Any) -> Phantom[C]:
        """The same image, had these causes been otherwise. ``phantom.do()`` renders an equal phantom."""
        return Phantom.of(self.causes.do(**changes), self.render)


def require(holds: bool, name: str, value: object, remedy: str) -> None:
    """Raise a ValueError that names the cause and its value, and says what would do."""
    if not holds:
        raise ValueError(f"{name}={value!r}: {remedy}")
