# SPDX-License-Identifier: Apache-2.0
"""Dense: the plain batched loop. One buffer holds the batch; a region is written into it and restored after the
forward."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from monai_causal.intervene.execution.base import Answers, BatchSize, Execution, Job, crop, intervene
from monai_causal.intervene.execution.session import Session
from monai_causal.intervene.fills import Fill, Replacement
from monai_causal.intervene.regions import Box, Regions

__all__ = ["Dense"]


class Dense(Execution):
    """Every intervention is a whole forward.

    Args:
        session: the network.
        batch: how many interventions at once.
        channels_last: the memory format of the batches.
        first: the answer to the untouched image, where it is known already.
    """

    name = "dense"

    def __init__(
        self, session: Session, batch: BatchSize, channels_last: bool = False, first: Tensor | None = None
    ) -> None:
        super().__init__(session, batch)
        self.exact = batch.size == 1
        self.channels_last = channels_last
        self._first = first
        self.image: Tensor
        self.replacement: Replacement
        self._buffer: Tensor | None = None

    def open(self, image: Tensor, regions: Regions, fill: Fill, seed: int) -> Tensor:
        self.look(image, fill.prepare(image[0], regions, seed))
        output, self._first = self._first, None
        if output is None:
            output = self.session(self._copies(1))
            self._buffer = None  # the network may have written into it, or have returned a view of it
        return output

    def look(self, image: Tensor, replacement: Replacement) -> None:
        """Take over an image whose first answer is known already."""
        self.image = image
        self.replacement = replacement
        self._buffer = None

    def run(self, jobs: Sequence[Job], box: Box | None) -> Iterator[Answers]:
        for done, outputs in self.batch.run(jobs, lambda chunk: self._forward(chunk, box)):
            yield Answers(done, outputs)
        self._buffer = None

    def alone(self, job: Job, box: Box | None) -> Tensor:
        return self._forward([job], box)

    def _forward(self, jobs: Sequence[Job], box: Box | None) -> Tensor:
        buffer = self._copies(len(jobs))
        original = self.image[0]
        try:
            views = intervene(buffer, jobs, self.replacement)
            version = buffer._version
            output = crop(self.session(buffer), box)
            if buffer._version != version:  # the network wrote into its input
                self._buffer = None
                return output
        except BaseException:
            self._buffer = None
            raise
        if _same_memory(output, buffer):
            output = output.clone()
        for view, job in zip(views, jobs, strict=True):
            view.copy_(original[job.region.index])
        return output

    def _copies(self, count: int) -> Tensor:
        """``count`` copies of the image in one buffer, which is kept and comes back restored."""
        if self._buffer is None or len(self._buffer) < count:
            shape = (count, *self.image.shape[1:])
            self._buffer = torch.empty(shape, dtype=self.image.dtype, device=self.image.device)
            if self.channels_last:
                kind = torch.channels_last if self.image.ndim == 4 else torch.channels_last_3d
                self._buffer = self._buffer.to(memory_format=kind)
            self._buffer.copy_(self.image.expand(shape))
        return self._buffer[:count]


def _same_memory(output: Tensor, buffer: Tensor) -> bool:
    return output.untyped_storage().data_ptr() == buffer.untyped_storage().data_ptr()
