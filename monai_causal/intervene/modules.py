# SPDX-License-Identifier: Apache-2.0
"""Components of a network as regions: whole modules, or single channels of their output.

``do(component := fill)`` replaces a module's activation, and the same scores tell what the component contributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from torch import nn

from monai_causal.intervene.regions import positions

__all__ = ["Component", "ModuleRegions", "module_regions"]


@dataclass(frozen=True)
class Component:
    """The output of ``module`` (a dotted name), or of one of its channels."""

    id: int
    module: str
    channel: int | None = None

    @property
    def name(self) -> str:
        return self.module if self.channel is None else f"{self.module}[{self.channel}]"


@dataclass(frozen=True)
class ModuleRegions:
    """An ordered set of network components; what :class:`Regions` is to an image."""

    items: tuple[Component, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Component]:
        return iter(self.items)

    def __getitem__(self, row: int) -> Component:
        return self.items[row]

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(component.id for component in self.items)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(component.name for component in self.items)

    def subset(self, indices: Iterable[int]) -> ModuleRegions:
        """Some of the components, in the order of ``indices``: positions, or one bool per component. Identities are
        kept."""
        return replace(self, items=tuple(self.items[i] for i in positions(indices, len(self))))


def module_regions(
    network: nn.Module, modules: str | Sequence[str] | None = None, *, channels: bool = False
) -> ModuleRegions:
    """Name a network's components.

    Args:
        network: the network.
        modules: dotted names as in ``network.named_modules()``; by default every convolution, linear layer and
            normalisation, the finest parts that compute something.
        channels: one component per output channel of a module instead of one per module; the module must know its
            number of channels (``out_channels``, ``num_features`` or ``out_features``).

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 1, 1))
        >>> module_regions(net).names, module_regions(net, "0", channels=True).names
        (('0', '2'), ('0[0]', '0[1]', '0[2]'))
    """
    known = dict(network.named_modules())
    if modules is None:
        names = [name for name, module in known.items() if name and _channel_count(module) is not None]
    else:
        names = [modules] if isinstance(modules, str) else list(modules)
        for name in names:
            if name not in known or not name:
                nearest = ", ".join(sorted(n for n in known if n and n.split(".")[0] == name.split(".")[0])[:8])
                raise ValueError(f"the network has no module {name!r}" + (f"; near it: {nearest}." if nearest else "."))
    if not names:
        raise ValueError("no module of this network computes channels: name the modules to intervene on.")
    places: list[tuple[str, int | None]] = []
    for name in names:
        count = _channel_count(known[name]) if channels else None
        if channels and count is None:
            raise ValueError(f"module {name!r} ({type(known[name]).__name__}) does not say how many channels it has.")
        places.extend((name, channel) for channel in (range(count) if count is not None else [None]))
    return ModuleRegions(tuple(Component(i, name, channel) for i, (name, channel) in enumerate(places)))


def _channel_count(module: nn.Module) -> int | None:
    for attribute in ("out_channels", "num_features", "out_features"):
        count = getattr(module, attribute, None)
        if isinstance(count, int) and not list(module.children()):
            return count
    return None
