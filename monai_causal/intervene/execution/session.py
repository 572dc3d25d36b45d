# SPDX-License-Identifier: Apache-2.0
"""A network borrowed for one call, and given back as it was found."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from monai_causal.intervene.scores import output_tensor

__all__ = ["Session", "is_out_of_memory"]


class Session:
    """Asks a network: in evaluation mode, without gradients, on one device, through an inferer where there is one.

    Args:
        network: a module or any callable ``(B, C, *spatial) -> output``.
        inferer: how to run it on an image, MONAI's way; by default it is called directly.
        device: where to run; by default where the network's parameters are, else where the image is.
        amp: autocast.
    """

    def __init__(
        self,
        network: nn.Module | Callable[[Tensor], Any],
        inferer: Inferer | None = None,
        device: torch.device | None = None,
        amp: bool = False,
    ) -> None:
        self.network = network
        self.inferer = inferer
        self.amp = amp
        self.forwards = 0
        parameter = next(network.parameters(), None) if isinstance(network, nn.Module) else None
        self._home = parameter.device if parameter is not None else None
        self.device = device or self._home

    def call(self, batch: Tensor, *args: Any) -> Any:
        """The network itself on a batch; every forward passes here."""
        self.forwards += len(batch)
        if self.inferer is not None:
            batch = batch.clone()  # a window may be a view of the image, and the network may write into what it gets
        return self.network(batch, *args)

    def __call__(self, batch: Tensor) -> Tensor:
        """The segmentation ``(B, K, *spatial)`` of a batch, through the inferer."""
        answer = self.inferer(batch, self.call) if self.inferer is not None else self.call(batch)
        return output_tensor(answer)

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """Evaluation mode, no gradients, on the device; everything is put back, whatever happens meanwhile."""
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.no_grad())
            if isinstance(self.network, nn.Module):
                modes = {module: module.training for module in self.network.modules()}
                stack.callback(_restore_modes, modes)
                self.network.eval()
                if self._home is not None and self.device != self._home:
                    stack.callback(self.network.to, self._home)
                    self.network.to(self.device)
            if self.amp and self.device is not None:
                stack.enter_context(torch.autocast(self.device.type))
            yield

    def with_inferer(self, **changes: Any) -> Inferer:
        """A copy of the inferer with some attributes changed; the caller's own is left alone."""
        inferer = copy.copy(self.inferer)
        for name, value in changes.items():
            setattr(inferer, name, value)
        assert inferer is not None
        return inferer


def _restore_modes(modes: dict[nn.Module, bool]) -> None:
    # Module by module: .train() would also switch on what the caller had frozen inside a training network.
    for module, training in modes.items():
        module.training = training


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
