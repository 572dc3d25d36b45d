# SPDX-License-Identifier: Apache-2.0
"""The maps of a network: each kind of evidence is asked for once per image, and DEA is made of what is there.

EGA, RIA, DEA and its ablations on one image share two pieces of evidence. Sharing changes no map, since DEA is Eq. 2 of
the two (but for the last digit of float32), and no time that is reported: a map's time is that of its evidence, whoever
asked first.
"""

from __future__ import annotations

import hashlib
import time
from typing import Any, NamedTuple

import torch
from torch import Tensor

from monai_causal.apps.segbench.config import MethodConfig
from monai_causal.apps.segbench.networks import Model
from monai_causal.visualize.dea import dual_evidence
from monai_causal.visualize.ega import EGA
from monai_causal.visualize.gpa import GPA
from monai_causal.visualize.ria import RIA
from monai_causal.visualize.target import TargetVisualizer

__all__ = ["Evidence", "Heat"]


class Heat(NamedTuple):
    """A map ``(1, 1, *spatial)`` and the seconds that it takes when nothing is there yet."""

    map: Tensor
    seconds: float


class Evidence:
    """Asks a network for maps, and remembers the pieces.

    Args:
        model: the network.
        seed: of the method ``random``.
        engine: ``batch_size``, ``execution``, ``device``.

    Example:
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.Conv2d(4, 2, 1))
        >>> evidence, image = Evidence(Model(network)), torch.rand(1, 1, 16, 16)
        >>> method = MethodConfig("dea", options={"grid": 4})
        >>> evidence.heat(method, image, 1, torch.ones(16, 16)).map.shape
        torch.Size([1, 1, 16, 16])
    """

    def __init__(self, model: Model, seed: int = 0, **engine: Any) -> None:
        self.model, self.seed, self.engine = model, seed, engine
        self._visualizers: dict[str, TargetVisualizer] = {}
        self._known: dict[str, Heat] = {}

    def forget(self) -> None:
        """Before the next image: what is known of this one is not needed any more."""
        self._known.clear()

    def heat(self, method: MethodConfig, image: Tensor, class_idx: int | None, mask: Tensor) -> Heat:
        """The map of a method."""
        options = dict(method.options)
        if method.name != "dea":
            return self._piece(method.name, options, image, class_idx, mask)
        weights = {name: options.pop(name) for name in ("alpha", "beta") if name in options}
        gradient = self._piece("ega", {}, image, class_idx, mask)
        intervention = self._piece("ria", options, image, class_idx, mask)
        started = time.perf_counter()
        fused = dual_evidence(gradient.map, intervention.map.to(gradient.map.dtype), **weights)
        return Heat(fused, gradient.seconds + intervention.seconds + time.perf_counter() - started)

    def _piece(self, kind: str, options: dict[str, Any], image: Tensor, class_idx: int | None, mask: Tensor) -> Heat:
        how = f"{kind} {sorted(options.items())}"
        which = hashlib.sha256(image.numpy().tobytes() + mask.numpy().tobytes()).hexdigest()
        key = f"{how} {which} {class_idx}"
        if key not in self._known:
            started = time.perf_counter()
            if kind == "random":
                found = self._random(which, image)
            else:
                if how not in self._visualizers:
                    self._visualizers[how] = self._visualizer(kind, options)
                found = self._visualizers[how](image, class_idx, mask)
            self._known[key] = Heat(found, time.perf_counter() - started)
        return self._known[key]

    def _visualizer(self, kind: str, options: dict[str, Any]) -> TargetVisualizer:
        model = self.model
        shared: dict[str, Any] = {"activation": model.activation, "inferer": model.inferer}
        if kind == "ria":
            return RIA(model.network, **options, **shared, **self.engine)
        visualizer = GPA if kind == "gpa" else EGA
        return visualizer(model.network, model.target_layer, **options, **shared, device=self.engine.get("device"))

    def _random(self, which: str, image: Tensor) -> Tensor:
        # Another image, however alike, gets another map: a map that knows nothing is not a stable one.
        generator = torch.Generator().manual_seed((int(which[:15], 16) + self.seed) % 2**63)
        return torch.rand((1, 1, *image.shape[2:]), generator=generator)

    def layer(self) -> str | None:
        """The layer that gradients were taken at, once one was."""
        layers = [one.gradients.layer for one in self._visualizers.values() if isinstance(one, GPA | EGA)]
        return layers[0] if layers else self.model.target_layer
