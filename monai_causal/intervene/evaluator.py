# SPDX-License-Identifier: Apache-2.0
"""Run it: every (region, draw) once, in batches, on any device, compared with the first answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import Tensor, nn
from tqdm.auto import tqdm

from monai_causal.intervene.effects import Effects, RunRecord
from monai_causal.intervene.execution.base import BatchSize, Execution, Job, PreparedFill, crop
from monai_causal.intervene.execution.dense import Dense
from monai_causal.intervene.execution.incremental import (
    Estimate,
    Incremental,
    count_multiplications,
    smaller_than_tracing,
)
from monai_causal.intervene.execution.modules import Modules
from monai_causal.intervene.execution.session import Session
from monai_causal.intervene.execution.trace import NotTraceableError, TraceCache
from monai_causal.intervene.execution.windows import Windows, slides_windows
from monai_causal.intervene.fills import Fill, as_fill
from monai_causal.intervene.modules import ModuleRegions
from monai_causal.intervene.regions import Regions
from monai_causal.intervene.scores import BoundScore, Score, as_score

__all__ = ["Evaluator"]

logger = logging.getLogger(__name__)

ExecutionName = Literal["auto", "dense", "windows", "incremental"]


class Evaluator:
    """Asks a network about interventions on an image and compares the answers.

    Args:
        network: a module, or any callable ``(B, C, *spatial) -> (B, K, *spatial)``; dict and tuple outputs are
            understood.
        batch_size: how many interventions run at once; ``"auto"`` decides by device and image size. Halved when
            memory runs out. The effects do not depend on it.
        execution: ``"dense"``: whole forwards. ``"windows"``: with a sliding-window ``inferer``, only touched windows.
            ``"incremental"``: only what a region can reach and the score reads, for networks of local layers.
            ``"auto"``: the cheapest of them that applies. Which one ran, and why, is in ``effects.record``.
        device: where to run; by default where the network is. The network is moved there for the call and back.
        amp: run under autocast. Fast, but a hard threshold may then fall differently in another batch.
        progress: show a bar; it stays silent where nobody watches (no terminal).
        seed: random draws belong to (seed, region, draw).
        inferer: a MONAI inferer that runs the network on an image, such as ``SlidingWindowInferer``.
        channels_last: give the network its batches in this memory format (dense only).
        tolerance: an item is run again, whole and by itself, where a hard threshold lies within this distance of one
            of its recomputed float32 logits; other precisions scale it by their resolution.

    Example:
        >>> import torch
        >>> from monai_causal.intervene import MaskedMeanProbability, MeanFill, grid_regions
        >>> network = torch.nn.Conv2d(1, 1, 3, padding=1)
        >>> image, mask = torch.rand(1, 1, 16, 16), torch.ones(16, 16)
        >>> effects = Evaluator(network)(image, grid_regions((16, 16), 4), MeanFill(), MaskedMeanProbability(mask))
        >>> effects.values.shape, effects.to_map().shape
        (torch.Size([16, 1]), torch.Size([1, 1, 16, 16]))
    """

    def __init__(
        self,
        network: nn.Module | Callable[[Tensor], Any],
        batch_size: int | Literal["auto"] = "auto",
        execution: ExecutionName = "auto",
        device: str | torch.device | None = None,
        amp: bool = False,
        progress: bool = False,
        seed: int = 0,
        *,
        inferer: Inferer | None = None,
        channels_last: bool = False,
        tolerance: float = 1e-4,
    ) -> None:
        if execution not in ("auto", "dense", "windows", "incremental"):
            raise ValueError(f"execution={execution!r}: choose 'auto', 'dense', 'windows' or 'incremental'.")
        if batch_size != "auto" and (not isinstance(batch_size, int) or batch_size < 1):
            raise ValueError(f"batch_size={batch_size!r}: a positive number or 'auto'.")
        if not callable(network):
            raise TypeError(f"{type(network).__name__} is no network: give an nn.Module or a callable.")
        if amp and execution == "incremental":
            raise ValueError(
                "execution='incremental' promises the logits of the whole forward, which autocast rounds away."
            )
        self.network = network
        self.batch_size = batch_size
        self.execution = execution
        self.device = None if device is None else torch.device(device)
        self.amp = amp
        self.progress = progress
        self.seed = seed
        self.inferer = inferer
        self.channels_last = channels_last
        self.tolerance = tolerance
        self._traces = TraceCache()
        self._multiplications: dict[tuple[Any, ...], int] = {}

    def __call__(
        self,
        image: Tensor,
        regions: Regions | ModuleRegions,
        fill: Fill | Callable[..., Any] | float,
        score: Score | Callable[[Tensor], Tensor],
        draws: int | Sequence[int] = 1,
    ) -> Effects:
        """Effects of ``do(region := fill)`` on the score, for every region and draw.

        Args:
            image: ``(B, C, *spatial)``; several images are asked about one after the other, with the same regions.
            regions: where.
            fill: with what: a :class:`Fill`, a number, or a function.
            score: compared on what: a :class:`Score` or a function of the output.
            draws: how many, or the numbers of the draws, to continue what an earlier call began.
        """
        fill, score = as_fill(fill), as_score(score)
        draw_numbers = tuple(range(draws)) if isinstance(draws, int) else tuple(int(draw) for draw in draws)
        session = Session(self.network, self.inferer, self.device, self.amp)
        asked = _checked_image(image, regions).to(session.device or image.device)
        session.device = asked.device
        score.check(tuple(asked.shape[2:]), len(asked))
        if not draw_numbers:
            raise ValueError(f"draws={draws!r}: at least one draw is needed.")
        fill.check_draws(draw_numbers)
        if isinstance(regions, Regions):
            regions_here: Regions | ModuleRegions = regions.to(asked.device)
        else:
            regions_here = regions
        jobs = [
            Job(row * len(draw_numbers) + column, region, draw)
            for row, region in enumerate(regions_here)
            for column, draw in enumerate(draw_numbers)
        ]
        with session.borrowed():
            record = RunRecord()
            items = [
                self._explain_item(session, asked[item : item + 1], item, regions_here, jobs, fill, score, record)
                for item in range(len(asked))
            ]
            before = torch.stack([baseline for baseline, _, _ in items])
            data = torch.stack([changes for _, changes, _ in items])
            data = data.reshape(len(items), len(regions), len(draw_numbers), -1)
        record.forwards = session.forwards
        return Effects(data, before, regions, draw_numbers, score.unit, items[0][2], image, record)

    def answer(self, image: Tensor) -> Tensor:
        """The network's own answer ``(B, K, *spatial)``, with the inferer, device and precision of an intervention."""
        session = Session(self.network, self.inferer, self.device, self.amp)
        asked = _checked_image(image, None)
        session.device = session.device or asked.device
        with session.borrowed():
            return session(asked.to(session.device).clone())

    def _explain_item(
        self,
        session: Session,
        image: Tensor,
        item: int,
        regions: Regions | ModuleRegions,
        jobs: Sequence[Job],
        fill: Fill,
        score: Score,
        record: RunRecord,
    ) -> tuple[Tensor, Tensor, bool]:
        """The score before ``(V,)``, the changes ``(jobs, V)``, and whether the score is a vector."""
        if isinstance(regions, Regions):
            # What is wrong with a fill shows here, before any forward.
            fill = PreparedFill(fill.prepare(image[0], regions, self.seed))
        execution, reason = self._choose(session, image, regions, len(jobs), score, item)
        output = execution.open(image, regions, fill, self.seed)
        _check_output(output.shape, image)
        bound = score.bind(output, item)
        if isinstance(execution, Incremental) and self._undecided(bound, crop(output, bound.box), None).any():
            # The first answer itself is within round-off of a threshold: take it from the whole network.
            output = execution.settle()
            bound = score.bind(output, item)
        first = bound.value(crop(output, bound.box))
        before = first.reshape(-1).clone()  # a network may reuse the memory of its output
        changes = torch.zeros(len(jobs), len(before), dtype=torch.float64, device=before.device)
        quiet = None if self.progress else True  # None: tqdm looks whether there is a terminal
        with tqdm(total=len(jobs), desc="interventions", disable=quiet, leave=False) as bar:
            for answers in execution.run(jobs, bound.box):
                bar.update(len(answers.jobs))
                if answers.outputs is None:
                    record.untouched += len(answers.jobs)
                    continue
                after = bound.value(answers.outputs).reshape(len(answers.jobs), -1)
                if not execution.exact:
                    for place in self._undecided(bound, answers.outputs, answers.changed).nonzero().flatten().tolist():
                        again = execution.alone(answers.jobs[place], bound.box)
                        after[place] = bound.value(again).reshape(-1)
                        record.recomputed += 1
                rows = [job.row for job in answers.jobs]
                if rows[-1] - rows[0] + 1 == len(rows):  # in order, as dense runs them
                    torch.sub(after, before, out=changes[rows[0] : rows[-1] + 1])
                else:
                    changes[rows] = after - before
        record.execution, record.reason, record.batch_size = execution.name, reason, execution.batch.size
        record.notes.extend(execution.batch.notes)
        return before.cpu(), changes.cpu(), first.ndim == 2

    def _choose(
        self,
        session: Session,
        image: Tensor,
        regions: Regions | ModuleRegions,
        n_jobs: int,
        score: Score,
        item: int,
    ) -> tuple[Execution, str]:
        """The execution for one image, and why it."""
        if isinstance(regions, ModuleRegions):
            return Modules(session, self._batch(image)), "the regions are components of the network"
        if self.execution == "dense":
            return self._dense(session, image), "asked for"
        if self.execution == "windows":
            return Windows(session), "asked for"
        if self.execution == "incremental":
            if self.inferer is not None:
                raise ValueError(
                    "execution='incremental' runs the network itself: leave the inferer out, or use 'windows'."
                )
            return self._incremental(session, image, regions, score, item), "asked for"
        if slides_windows(self.inferer):
            return Windows(session), "the inferer slides a window: only touched windows are run"
        if self.inferer is not None:
            return self._dense(session, image), f"{type(self.inferer).__name__} is run as it is"
        if self.amp:
            return self._dense(session, image), "autocast rounds logits more than incremental execution may"
        output: Tensor | None = None
        if isinstance(session.network, nn.Module):
            key = (tuple(image.shape), image.dtype, image.device)
            if key not in self._multiplications:
                # The forward that is counted is the base forward; nothing is run for the decision alone.
                self._multiplications[key], output = count_multiplications(session, image)
            if smaller_than_tracing(session.network, self._multiplications[key], n_jobs, image.device):
                reason = "the whole work is smaller than taking the network apart"
                return self._dense(session, image, output), reason
        try:
            incremental = self._incremental(session, image, regions, score, item, output)
        except NotTraceableError as error:
            logger.info("running whole forwards: %s", error)
            return self._dense(session, image, output), str(error)
        if incremental.estimate.pays:
            return incremental, incremental.estimate.reason
        return self._dense(session, image, output), incremental.estimate.reason

    def _incremental(
        self,
        session: Session,
        image: Tensor,
        regions: Regions,
        score: Score,
        item: int,
        output: Tensor | None = None,
    ) -> Incremental:
        trace, values = self._traces.get(session, image, output)
        _check_output(trace.output.shape, image)
        estimate = Estimate.of(trace, score.reads(tuple(image.shape[2:]), item), regions, image.device)
        return Incremental(session, self._batch(image, estimate.share), trace, estimate, values)

    def _dense(self, session: Session, image: Tensor, output: Tensor | None = None) -> Dense:
        return Dense(session, self._batch(image), self.channels_last, output)

    def _undecided(self, bound: BoundScore, outputs: Tensor, changed: Any) -> Tensor:
        """Which items have a recomputed voxel so near a threshold that round-off could decide ``(B,)``."""
        if bound.margin is None:
            return torch.zeros(len(outputs), dtype=torch.bool, device=outputs.device)
        margin = bound.margin(outputs)
        if changed is not None:
            margin = margin[(slice(None), *(slice(start, stop) for start, stop in changed))]
        precision = torch.finfo(outputs.dtype).eps / torch.finfo(torch.float32).eps
        return margin.flatten(1).amin(1) < self.tolerance * min(1.0, precision)

    def _batch(self, image: Tensor, share: float = 1.0) -> BatchSize:
        """How many interventions to begin with, where each costs this share of a whole forward."""
        if self.batch_size != "auto":
            return BatchSize(int(self.batch_size))
        share = max(share, 1 / 64)  # regions that reach nothing cost nothing
        if image.device.type != "cpu":
            return BatchSize(int(np.clip(16 / share, 16, 64)))
        # A CPU gains from batches where calling the forward is the cost, and where weights are read for few voxels;
        # whole forwards of images only wait for memory.
        return BatchSize(int(np.clip(2**16 // image[0].numel() + 0.5 / share, 1, 16)))


def _check_output(shape: Sequence[int], image: Tensor) -> None:
    if len(shape) != image.ndim or tuple(shape[2:]) != tuple(image.shape[2:]) or shape[0] != len(image):
        raise ValueError(
            f"the network turned {tuple(image.shape)} into {tuple(shape)}: a segmentation (B, classes, *spatial) of "
            "the image's own size is needed; up-sample inside the network, or wrap it."
        )


def _checked_image(image: Tensor, regions: Regions | ModuleRegions | None) -> Tensor:
    """The image as a plain tensor, or an error that says what is wrong with it."""
    if not isinstance(image, Tensor) or image.ndim < 3 or not image.numel():
        found = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(f"the image is {found}: a tensor (B, C, *spatial) is needed.")
    if not image.is_floating_point():
        raise ValueError(f"the image holds {image.dtype}: convert it to the network's floating point type.")
    spatial_shape = tuple(image.shape[2:])
    if isinstance(regions, Regions) and regions.spatial_shape != spatial_shape:
        raise ValueError(f"the regions are for images of shape {regions.spatial_shape}, this one has {spatial_shape}.")
    for region in regions if isinstance(regions, Regions) else ():
        if region.channels is not None and not 0 <= region.channels[0] < region.channels[1] <= image.shape[1]:
            raise ValueError(f"region {region.id} takes channels {region.channels}; the image has {image.shape[1]}.")
    plain = image.as_tensor() if isinstance(image, MetaTensor) else image
    plain = plain.detach()
    if not torch.isfinite(plain).all():
        raise ValueError("the image holds NaN or infinite values: mend or mask them before asking what they cause.")
    return plain
