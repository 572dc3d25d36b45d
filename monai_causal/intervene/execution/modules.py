# SPDX-License-Identifier: Apache-2.0
"""Modules: interventions on activations inside the network instead of on its input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import groupby
from typing import Any

from torch import Tensor, nn

from monai_causal.intervene.execution.base import Answers, BatchSize, Execution, Job, crop, intervene
from monai_causal.intervene.execution.session import Session
from monai_causal.intervene.fills import Fill, Replacement
from monai_causal.intervene.modules import Component, ModuleRegions
from monai_causal.intervene.regions import Box, Region, Regions

__all__ = ["Modules"]


class Modules(Execution):
    """Replaces the activation of a module, or of one of its channels, on its way through the network.

    The activation of the untouched image is to a component what the image is to a region: the same fills apply to
    it, and donors are what the module makes of the donor images.
    """

    name = "modules"

    def __init__(self, session: Session, batch: BatchSize) -> None:
        super().__init__(session, batch)
        if not isinstance(session.network, nn.Module):
            raise ValueError("components can only be replaced in an nn.Module; this network is a plain callable.")
        if session.inferer is not None:
            raise ValueError("components of a network have one activation per forward: leave the inferer out.")
        self.exact = batch.size == 1
        self._known = dict(session.network.named_modules())

    def open(self, image: Tensor, regions: ModuleRegions, fill: Fill, seed: int) -> Tensor:
        self.image = image
        by_module: dict[str, list[Component]] = {}
        for component in regions:
            if component.module not in self._known:
                raise ValueError(f"the network has no module {component.module!r}: make the regions from this network.")
            by_module.setdefault(component.module, []).append(component)
        fills = {module: fill.through(partial(self._donor_activation, module)) for module in by_module}
        output, activations = self._capture(image, list(by_module))
        self._regions: dict[Component, Region] = {}
        self._replacements: dict[str, Replacement] = {}
        for module, components in by_module.items():
            activation = activations[module][0]
            items = [_as_region(component, activation) for component in components]
            self._regions.update(zip(components, items, strict=True))
            sites = Regions(tuple(activation.shape[1:]), tuple(items))
            self._replacements[module] = fills[module].prepare(activation, sites, seed)
        return output

    def run(self, jobs: Sequence[Job], box: Box | None) -> Iterator[Answers]:
        for module, group in groupby(sorted(jobs, key=_module_of), _module_of):
            for done, outputs in self.batch.run(list(group), partial(self._forward, module)):
                yield Answers(done, crop(outputs, box))

    def alone(self, job: Job, box: Box | None) -> Tensor:
        return crop(self._forward(job.region.module, [job]), box)

    def _forward(self, module: str, jobs: Sequence[Job]) -> Tensor:
        sites = [Job(job.row, self._regions[job.region], job.draw) for job in jobs]

        def replaced(owner: nn.Module, inputs: Any, activation: Tensor) -> Tensor:
            activation = activation.clone()
            intervene(_channels_first(owner, activation), sites, self._replacements[module])
            return activation

        with self._hooked({module: replaced}):
            return self.session(self.image.repeat(len(jobs), *(1,) * (self.image.ndim - 1)))

    def _donor_activation(self, module: str, donor: Tensor) -> Tensor:
        if donor.shape[:2] != self.image.shape[:2] or donor.ndim != self.image.ndim:
            raise ValueError(f"a donor has shape {tuple(donor.shape[1:])}, the image {tuple(self.image.shape[1:])}.")
        return self._capture(donor.to(self.image), [module])[1][module]

    def _capture(self, image: Tensor, modules: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
        activations: dict[str, Tensor] = {}

        def keep(module: str) -> Callable[..., None]:
            def hook(owner: nn.Module, inputs: Any, activation: Any) -> None:
                if not isinstance(activation, Tensor):
                    raise ValueError(
                        f"module {module!r} gives {type(activation).__name__}, not a tensor: name a part of it."
                    )
                if module in activations:
                    raise ValueError(
                        f"module {module!r} runs more than once per forward: name a module that runs once."
                    )
                if len(activation) != len(image):
                    raise ValueError(
                        f"module {module!r} gives {tuple(activation.shape)} for one image: its first axis is not the "
                        "batch; name a module around it."
                    )
                activations[module] = _channels_first(owner, activation).clone()

            return hook

        with self._hooked({module: keep(module) for module in modules}):
            output = self.session(image.clone())
        for module in modules:
            if module not in activations:
                raise ValueError(f"module {module!r} did not run in this network's forward.")
        return output, activations

    def _hooked(self, hooks: dict[str, Callable[..., Any]]) -> ExitStack:
        stack = ExitStack()
        for module, hook in hooks.items():
            stack.callback(self._known[module].register_forward_hook(hook).remove)
        return stack


def _module_of(job: Job) -> str:
    module: str = job.region.module
    return module


def _channels_first(owner: nn.Module, activation: Tensor) -> Tensor:
    """A view ``(B, C, *axes)`` of an activation, with one axis at least; some layers have their channels last."""
    if isinstance(owner, nn.Linear | nn.LayerNorm):
        activation = activation.movedim(-1, 1)
    return activation[(..., *(None,) * (3 - activation.ndim))]


def _as_region(component: Component, activation: Tensor) -> Region:
    """A component seen as a region of its module's activation ``(C, *spatial)``: all of it, or one channel."""
    box = tuple((0, length) for length in activation.shape[1:])
    if component.channel is None:
        return Region(component.id, box, name=component.name)
    if component.channel >= len(activation):
        raise ValueError(f"{component.name}: the module's activation has {len(activation)} channels.")
    return Region(component.id, box, channels=(component.channel, component.channel + 1), name=component.name)
