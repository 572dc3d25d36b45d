# SPDX-License-Identifier: Apache-2.0
"""Windows: for sliding-window inference, run only the windows that a region touches and the score sees.

MONAI's own inferer cuts and blends; only the network that it calls is another one, which answers a batch of windows
from memory where nothing in it has changed. Window batches are those of a plain run on one image, so the result is that
run's to the bit, for any architecture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

from monai.inferers import SliceInferer, SlidingWindowInferer
from monai.utils import fall_back_tuple
from torch import Tensor

from monai_causal.intervene.execution.base import Answers, BatchSize, Execution, Job, crop, intervene
from monai_causal.intervene.execution.session import Session
from monai_causal.intervene.fills import Fill, Replacement
from monai_causal.intervene.regions import Box, Region, Regions
from monai_causal.intervene.scores import output_tensor

__all__ = ["Windows", "slides_windows"]

WindowBatch = tuple[Box, ...]
"""The boxes of the windows that go through the network together, in the padded image's coordinates."""


class Windows(Execution):
    """Keeps the network's answer to every window of the image and renews those that an intervention touches."""

    name = "windows"
    exact = True

    def __init__(self, session: Session) -> None:
        super().__init__(session, BatchSize(1))  # the inferer batches windows, not interventions
        if not slides_windows(session.inferer):
            raise ValueError(
                "execution='windows' needs windows: Evaluator(network, inferer=SlidingWindowInferer(...))."
            )
        self._with_coordinates = session.inferer.with_coord
        self._inferer: Any = session.with_inferer(with_coord=True, progress=False)
        self._answers: dict[WindowBatch, Any] = {}

    def open(self, image: Tensor, regions: Regions, fill: Fill, seed: int) -> Tensor:
        self.image = image
        self.replacement: Replacement = fill.prepare(image[0], regions, seed)
        self._answers = {}
        size = tuple(image.shape[2:])
        # An image smaller than a window is padded on both sides; windows count from the padded corner.
        window = fall_back_tuple(self._inferer.roi_size, size)
        self._offset = tuple(max(0, w - n) // 2 for w, n in zip(window, size, strict=True))
        return output_tensor(self._inferer(image, self._remember))

    def run(self, jobs: Sequence[Job], box: Box | None) -> Iterator[Answers]:
        self._buffer = self.image.clone()
        seen = None if box is None else self._padded(box)
        for job in jobs:
            touched = self._touched(job.region, seen)
            yield Answers([job], self._output(job, box, touched) if touched else None)

    def alone(self, job: Job, box: Box | None) -> Tensor:
        return self._output(job, box, set(self._answers))

    def _output(self, job: Job, box: Box | None, touched: set[WindowBatch]) -> Tensor:
        intervene(self._buffer, [job], self.replacement)
        try:
            return crop(output_tensor(self._inferer(self._buffer, _Recall(self, touched))), box)
        finally:
            self._buffer[0][job.region.index].copy_(self.image[0][job.region.index])

    def _touched(self, region: Region, seen: Box | None) -> set[WindowBatch]:
        # Padding may repeat the image's border, but along an axis that is padded there is but one window.
        changed = self._padded(region.box)
        return {
            windows
            for windows in self._answers
            if any(_meet(window, changed) and (seen is None or _meet(window, seen)) for window in windows)
        }

    def _padded(self, box: Box) -> Box:
        return tuple((start + offset, stop + offset) for (start, stop), offset in zip(box, self._offset, strict=True))

    def _network(self, windows: Tensor, slices: Sequence[Sequence[slice]]) -> Any:
        return self.session.call(windows, slices) if self._with_coordinates else self.session.call(windows)

    def _remember(self, windows: Tensor, slices: Sequence[Sequence[slice]]) -> Any:
        answer = self._network(windows, slices)
        self._answers[_boxes(slices)] = _copied(answer)
        return answer


class _Recall:
    """The network that the inferer calls for one intervention."""

    def __init__(self, execution: Windows, touched: set[WindowBatch]) -> None:
        self.execution = execution
        self.touched = touched

    def __call__(self, windows: Tensor, slices: Sequence[Sequence[slice]]) -> Any:
        boxes = _boxes(slices)
        if boxes in self.touched:
            return self.execution._network(windows, slices)
        # The inferer multiplies what it gets by the window's weights in place, hence a copy.
        return _copied(self.execution._answers[boxes])


def slides_windows(inferer: Any) -> TypeGuard[SlidingWindowInferer]:
    """Whether an inferer cuts its windows as MONAI's sliding window does; one that goes slice by slice does not."""
    return isinstance(inferer, SlidingWindowInferer) and not isinstance(inferer, SliceInferer)


def _boxes(slices: Sequence[Sequence[slice]]) -> WindowBatch:
    return tuple(tuple((s.start, s.stop) for s in window[2:]) for window in slices)


def _meet(first: Box, second: Box) -> bool:
    return all(a < d and c < b for (a, b), (c, d) in zip(first, second, strict=True))


def _copied(answer: Any) -> Any:
    if isinstance(answer, Tensor):
        return answer.clone()
    if isinstance(answer, dict):
        return {key: _copied(value) for key, value in answer.items()}
    return type(answer)(_copied(value) for value in answer)
