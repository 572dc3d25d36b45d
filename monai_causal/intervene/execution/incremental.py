# SPDX-License-Identifier: Apache-2.0
"""Incremental: for networks of local layers, compute at each layer only what the region can reach and the score needs.

The base activations of the image are kept. What an intervention changes is followed forwards as a box from operation to
operation, what the score reads backwards; an operation is run on the intersection only, with the base activations
around it. An operation that reads all of the image (instance norm, attention, a global pool) makes its result change
everywhere: from there on that branch is computed whole, as far as the score needs it.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from monai_causal.intervene.execution.base import Answers, BatchSize, Execution, Job, crop
from monai_causal.intervene.execution.dense import Dense
from monai_causal.intervene.execution.geometry import clip, intersect, shape_of, union, voxels, whole
from monai_causal.intervene.execution.rules import Value
from monai_causal.intervene.execution.session import Session
from monai_causal.intervene.execution.trace import Step, Trace
from monai_causal.intervene.fills import Fill
from monai_causal.intervene.regions import Box, Regions
from monai_causal.intervene.scores import as_slices

__all__ = ["Estimate", "Incremental", "count_multiplications", "smaller_than_tracing"]

# What a core does in a second and what one partial operation costs beside its arithmetic: only to decide whether the
# incremental execution pays, never for a result.
_MULTIPLICATIONS_PER_SECOND = {"cpu": 2e10, "cuda": 1e13}
_SECONDS_PER_STEP = 5e-5
_SECONDS_TO_TRACE = 0.3
_SECONDS_TO_TRACE_A_MODULE = 0.01
_WORTH_TRACING = 3  # times that: a network taken apart may turn out to gain nothing
_SAMPLED_REGIONS = 32


@dataclass(frozen=True)
class Plan:
    """What one region makes necessary.

    Attributes:
        steps: what is run: each step, the box of its result, and the boxes that it reads of its operands.
        boxes: the box of each value that changes, the image included.
        signature: plans that agree in it can run as one batch: regions of one shape, the same steps on boxes of the
            same shapes.
    """

    steps: tuple[tuple[Step, Box, tuple[Box, ...]], ...]
    boxes: dict[str, Box]
    signature: tuple[Any, ...]


@dataclass(frozen=True)
class Estimate:
    """What an incremental run would cost.

    Attributes:
        share: of the multiplications of a whole forward, per intervention.
        pays: whether it is expected to be faster than whole forwards.
        reason: in words.
    """

    share: float
    pays: bool
    reason: str

    @classmethod
    def of(cls, trace: Trace, box: Box | None, regions: Regions, device: torch.device) -> Estimate:
        """Estimate from some of the regions, evenly chosen."""
        needs = _needs(trace, box)
        sample = [regions[row] for row in range(0, len(regions), max(1, len(regions) // _SAMPLED_REGIONS))]
        plans = [_plan(trace, needs, region.box) for region in sample]
        total = sum(step.weight for step in trace.steps if step.varying)
        partial = sum(map(_cost, plans)) / len(plans)
        rate = _MULTIPLICATIONS_PER_SECOND.get(device.type, 2e10)
        seconds = partial / rate + sum(len(plan.steps) for plan in plans) / len(plans) * _SECONDS_PER_STEP
        share = partial / max(total, 1)
        reason = f"a partial forward takes {100 * share:.2g} % of the multiplications of a whole one"
        obstacle = next(iter(trace.global_steps()), None)
        if obstacle is not None:
            reason += f" ({obstacle.place} reads the whole image)"
        return cls(share, seconds < 0.8 * total / rate, reason)


def count_multiplications(session: Session, image: Tensor) -> tuple[int, Tensor]:
    """Multiplications of a whole forward of ``image``, which is run for it, and its output."""
    with FlopCounterMode(display=False) as counter:
        output = session(image.clone())
    return counter.get_total_flops() // 2, output


def smaller_than_tracing(network: nn.Module, multiplications: int, n_jobs: int, device: torch.device) -> bool:
    """Whether so many whole forwards are too little work to take a network apart for."""
    forwards = n_jobs * multiplications / _MULTIPLICATIONS_PER_SECOND.get(device.type, 2e10)
    tracing = _SECONDS_TO_TRACE + sum(1 for _ in network.modules()) * _SECONDS_TO_TRACE_A_MODULE
    return forwards < _WORTH_TRACING * tracing


class Incremental(Execution):
    """Partial forwards around kept activations.

    Args:
        session: the network.
        batch: how many interventions at once.
        trace: the network taken apart.
        estimate: what the run will cost.
        values: the trace's forward of the image, where one was made already.
    """

    name = "incremental"

    def __init__(
        self,
        session: Session,
        batch: BatchSize,
        trace: Trace,
        estimate: Estimate,
        values: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(session, batch)
        self.trace = trace
        self.estimate = estimate
        self._dense = Dense(session, BatchSize(1))
        if not all(step.batchable for step in trace.steps if step.varying):
            batch.size = 1  # an operation whose arguments hold the size of the batch
        self._forward = values

    def open(self, image: Tensor, regions: Regions, fill: Fill, seed: int) -> Tensor:
        self.image = image
        self.replacement = fill.prepare(image[0], regions, seed)
        self._dense.look(image, self.replacement)
        self._plans: dict[Box, Plan] = {}
        self.values = self.trace.forward(image) if self._forward is None else self._forward
        self._forward = None
        self.session.forwards += 1
        return self.values[self.trace.output.name]

    def settle(self) -> Tensor:
        """The first answer from the network itself, where round-off could decide it; items are built on it, too."""
        output = self.values[self.trace.output.name] = self.session(self.image.clone())
        return output

    def run(self, jobs: Sequence[Job], box: Box | None) -> Iterator[Answers]:
        needs = _needs(self.trace, box)
        output = self.trace.output.name
        groups: dict[tuple[Any, ...], list[Job]] = {}
        for job in jobs:
            region = job.region.box
            if region not in self._plans:
                self._plans[region] = _plan(self.trace, needs, region)
            groups.setdefault(self._plans[region].signature, []).append(job)
        base = crop(self.values[output], box)
        corner = _corner(box) if box else (0,) * (base.ndim - 2)
        for group in groups.values():
            if output not in self._plans[group[0].region.box].boxes:
                yield Answers(group, None)
                continue
            for done, changed in self.batch.run(group, self._partial):
                outputs = base.repeat(len(done), *(1,) * (base.ndim - 1))
                span: Box | None = None
                for item, job in enumerate(done):
                    place = self._plans[job.region.box].boxes[output]
                    inside = place if box is None else intersect(place, box)
                    assert inside is not None
                    _view(outputs[item], inside, corner).copy_(_view(changed[item], inside, _corner(place)))
                    span = union(span, inside)
                yield Answers(done, outputs, span and _shifted(span, corner))

    def alone(self, job: Job, box: Box | None) -> Tensor:
        return self._dense.alone(job, box)

    def _partial(self, jobs: Sequence[Job]) -> Tensor:
        """The changed part of the output ``(jobs, K, *box)``; the jobs' plans have one signature."""
        self.session.forwards += len(jobs)
        plans = [self._plans[job.region.box] for job in jobs]
        changed = {self.trace.input.name: self._intervened(jobs)}
        last_read = {value.name: number for number, (step, _, _) in enumerate(plans[0].steps) for value in step.reads}
        for number, rows in enumerate(zip(*(plan.steps for plan in plans), strict=True)):
            step = rows[0][0]
            reads = [[row[2][k] for row in rows] for k in range(len(step.inputs))]
            if step.rule is None:
                crops = [self._read_whole(value, changed, plans) for value in step.inputs]
            else:
                crops = [
                    self._read(value, boxes, changed, plans, step.rule.pad_value)
                    for value, boxes in zip(step.inputs, reads, strict=True)
                ]

            def call(*crops: Tensor, step: Step = step) -> Tensor:
                named = {value.name: part for value, part in zip(step.inputs, crops, strict=True)}
                return step.call(ChainMap(named, self.values), padded=step.rule is not None)

            if step.rule is None:
                changed[step.name] = call(*crops)
            else:
                changed[step.name] = step.rule.compute(call, crops, [row[1] for row in rows], reads)
            for value in step.inputs:
                if last_read[value.name] == number:
                    changed.pop(value.name, None)
        return changed[self.trace.output.name]

    def _intervened(self, jobs: Sequence[Job]) -> Tensor:
        """The image inside the jobs' regions, after ``do(region := fill)``."""
        crops = torch.stack([self.image[0][(slice(None), *job.region.index[1:])] for job in jobs])
        for view, job in zip(crops, jobs, strict=True):
            job.region.write(view[job.region.channel_index], self.replacement(job.region, job.draw))
        return crops

    def _read_whole(self, value: Value, changed: dict[str, Tensor], plans: Sequence[Plan]) -> Tensor:
        """A whole value, for each item with what has changed of it."""
        base: Tensor = self.values[value.name]
        new = changed.get(value.name)
        if new is None or new.shape[1:] == base.shape[1:]:
            return base if new is None else new
        result = base.repeat(len(plans), *(1,) * (base.ndim - 1))
        for view, part, plan in zip(result, new, plans, strict=True):
            _view(view, plan.boxes[value.name]).copy_(part)
        return result

    def _read(
        self, value: Value, boxes: Sequence[Box], changed: dict[str, Tensor], plans: Sequence[Plan], pad: float
    ) -> Tensor:
        """A value inside one box per item: what has changed of it, the base around that, ``pad`` outside the image."""
        new = changed.get(value.name)
        if new is not None:
            places = [plan.boxes[value.name] for plan in plans]
            insides = [_shifted(box, _corner(place)) for box, place in zip(boxes, places, strict=True)]
            if all(inside == insides[0] for inside in insides) and _holds(whole(new.shape[2:]), insides[0]):
                return _view(new, insides[0])
        base = self._base(value, len(boxes[0]))
        if not base.ndim:
            return base
        size = whole(base.shape[2:])
        if new is None and all(box == boxes[0] for box in boxes) and _holds(size, boxes[0]):
            return _view(base, boxes[0]).expand(len(boxes), *(-1,) * (base.ndim - 1))
        result = base.new_empty((len(boxes), base.shape[1], *shape_of(boxes[0])))
        for item, box in enumerate(boxes):
            corner = _corner(box)
            if not _holds(size, box):
                result[item].fill_(pad)
            inside = intersect(box, size)
            if inside is not None:
                _view(result[item], inside, corner).copy_(_view(base[0], inside))
            shared = intersect(box, places[item]) if new is not None else None
            if new is not None and shared is not None:
                _view(result[item], shared, corner).copy_(_view(new[item], shared, _corner(places[item])))
        return result

    def _base(self, value: Value, axes: int) -> Tensor:
        """The value for the untouched image; a constant gets the axes that broadcasting would give it, unless it has
        none at all: such a number does not decide the precision of a result."""
        base: Tensor = self.values[value.name]
        missing = axes + 2 - base.ndim
        return base if missing <= 0 or not base.ndim else base.reshape(*(1,) * missing, *base.shape)


def _needs(trace: Trace, box: Box | None) -> dict[str, Box]:
    """What has to be known of each value that depends on the image, for the output inside ``box``."""
    needs = {trace.output.name: box or whole(trace.output.shape[2:])}
    for step in reversed(trace.steps):
        if not step.varying or step.name not in needs:
            continue
        for value, read in zip(step.inputs, _reads(step, needs[step.name]), strict=True):
            inside = intersect(read, whole(value.shape[2:])) if value.varying else None
            if inside is not None:
                needs[value.name] = union(needs.get(value.name), inside)
    return needs


def _plan(trace: Trace, needs: dict[str, Box], region: Box) -> Plan:
    """Follow a region of the image forwards, through what is needed."""
    boxes: dict[str, Box] = {}
    if trace.input.name in needs and intersect(region, needs[trace.input.name]) is not None:
        boxes[trace.input.name] = region
    steps: list[tuple[Step, Box, tuple[Box, ...]]] = []
    for step in trace.steps:
        if step.name not in needs or not any(value.name in boxes for value in step.inputs):
            continue
        out_shape = step.shape[2:]
        if step.rule is None:
            box: Box | None = whole(out_shape)
        else:
            reach: Box | None = None
            for value in step.inputs:
                if value.name in boxes:
                    reach = union(reach, step.rule.reach(boxes[value.name], value.shape[2:], out_shape))
            assert reach is not None
            box = intersect(clip(reach, out_shape), needs[step.name])
        if box is not None:
            boxes[step.name] = box
            steps.append((step, box, _reads(step, box)))
    partial = ((step.name, shape_of(box), *map(shape_of, reads)) for step, box, reads in steps)
    return Plan(tuple(steps), boxes, (trace.output.name in boxes, shape_of(region), *partial))


def _reads(step: Step, box: Box) -> tuple[Box, ...]:
    """The boxes of its inputs that a step reads for a box of its result."""
    if step.rule is None:
        return tuple(whole(value.shape[2:]) for value in step.inputs)
    axes = len(box)
    shapes = ((*(1,) * (axes + 2 - len(value.shape)), *value.shape)[2:] for value in step.inputs)
    return tuple(step.rule.need(box, shape, step.shape[2:]) for shape in shapes)


def _cost(plan: Plan) -> float:
    """Multiplications of a plan."""
    return sum(
        step.weight * (voxels(box) / voxels(whole(step.shape[2:])) if step.rule is not None else 1)
        for step, box, _ in plan.steps
    )


def _corner(box: Box) -> tuple[int, ...]:
    return tuple(start for start, _ in box)


def _shifted(box: Box, corner: Sequence[int]) -> Box:
    """A box in the coordinates of another one, whose first voxel is ``corner``."""
    return tuple((start - by, stop - by) for (start, stop), by in zip(box, corner, strict=True))


def _view(values: Tensor, box: Box, corner: Sequence[int] | None = None) -> Tensor:
    """The box of ``values`` (..., *spatial), whose own first voxel is ``corner`` (by default the image's)."""
    index: Any = (..., *as_slices(box if corner is None else _shifted(box, corner)))
    return values[index]


def _holds(outer: Box, inner: Box) -> bool:
    return all(a <= c and d <= b for (a, b), (c, d) in zip(outer, inner, strict=True))
