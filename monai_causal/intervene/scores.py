# SPDX-License-Identifier: Apache-2.0
"""Compared on what: from a network's output to one number, or a vector, per item.

A :class:`Score` is bound to an item once its first answer is known. A :class:`BoundScore` says which box of the
output it reads, so that nothing else has to be computed; how far an item is from changing sides of a hard threshold,
so that round-off never decides; and the value itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from monai.data import MetaTensor
from torch import Tensor

from monai_causal.intervene.regions import Box, bounding_box, check_box, coverage, plain, without_leading_axes

__all__ = [
    "Activation",
    "BoundScore",
    "CallableScore",
    "MaskedMeanLogit",
    "MaskedMeanProbability",
    "RoIDice",
    "RoIForegroundShare",
    "RoIIoU",
    "Score",
    "activate",
    "as_score",
    "hard_answer",
    "output_tensor",
]

Activation = Literal["auto", "sigmoid", "softmax"] | Callable[[Tensor], Tensor] | None
"""``"auto"``: logits, sigmoid for one channel and softmax for more (MONAI's way); ``None``: probabilities already."""


@dataclass(frozen=True)
class BoundScore:
    """A score that knows its item.

    Attributes:
        box: the part of the output ``(B, K, *spatial)`` that it reads; ``None``: all of it.
        value: ``(B, K, *box) -> (B,)`` or ``(B, V)`` in float64.
        margin: ``(B, K, *box) -> (B, *box)``: by how much the outputs of a voxel may move, at least, before its answer
            changes; infinite where the score does not look. ``None`` where the value is continuous.
    """

    box: Box | None
    value: Callable[[Tensor], Tensor]
    margin: Callable[[Tensor], Tensor] | None = None


class Score(ABC):
    """What the network's answers are compared on."""

    unit: str = ""

    def check(self, spatial_shape: tuple[int, ...], batch: int) -> None:
        """Raise before any forward where the score cannot apply to a batch of images of this shape."""
        return

    def reads(self, spatial_shape: tuple[int, ...], item: int) -> Box | None:
        """The box of an item's output that the score reads; ``None``: all of it."""
        return None

    @abstractmethod
    def bind(self, output: Tensor, item: int) -> BoundScore:
        """The score of one item, whose first answer is ``output`` (1, K, *spatial)."""


class _ClassScore(Score):
    """What the scores of this module share: one or several classes, an activation, and a mask that says where."""

    def __init__(
        self,
        where: Tensor | np.ndarray | Box,
        class_idx: int | Sequence[int] | None = None,
        activation: Activation = "auto",
    ) -> None:
        if isinstance(activation, str) and activation not in ("auto", "sigmoid", "softmax"):
            raise ValueError(f"activation={activation!r}: choose 'auto', 'sigmoid', 'softmax', a function or None.")
        self.where = plain(where) if isinstance(where, Tensor | np.ndarray) else where
        self.vector = isinstance(class_idx, Iterable)
        classes = class_idx if isinstance(class_idx, Iterable) else () if class_idx is None else (class_idx,)
        self.classes = tuple(int(index) for index in classes)
        if self.vector and not self.classes:
            raise ValueError("class_idx is empty: name at least one class.")
        self.activation = activation

    def check(self, spatial_shape: tuple[int, ...], batch: int) -> None:
        check_count(self.where, spatial_shape, batch, self._where_name)
        for item in range(batch):
            if not self._mask(spatial_shape, item).any():
                raise ValueError(f"the {self._where_name} of item {item} is empty: there is nothing to score.")

    _where_name = "mask"

    def reads(self, spatial_shape: tuple[int, ...], item: int) -> Box | None:
        return bounding_box(self._mask(spatial_shape, item))

    def _mask(self, spatial_shape: tuple[int, ...], item: int) -> Tensor:
        return coverage(for_item(self.where, item, len(spatial_shape)), spatial_shape)

    def _classes(self, output: Tensor) -> list[int]:
        channels = output.shape[1]
        if not self.classes:
            if channels > 1:
                raise ValueError(f"the network gives {channels} channels: say which with class_idx (one or several).")
            return [0]
        for index in self.classes:
            # A one-channel network answers about "class 1" in its only channel; both ways of naming it are in use.
            if not 0 <= index < max(channels, 2):
                raise ValueError(f"class_idx={index}: the network gives {channels} channels.")
        return [0 if channels == 1 else index for index in self.classes]

    def _shape_values(self, per_class: list[Tensor]) -> Tensor:
        return torch.stack(per_class, dim=1) if self.vector else per_class[0]


class MaskedMeanProbability(_ClassScore):
    """Mean probability of a class inside a mask (a fraction).

    Args:
        mask: ``(*spatial)``, ``(1, *spatial)`` or one per item ``(B, 1, *spatial)``; or a box.
        class_idx: the class, or several for a vector score; needed where the network gives more than one channel.
        activation: see :data:`Activation`.
    """

    unit = "probability"

    def __init__(
        self,
        mask: Tensor | np.ndarray | Box,
        class_idx: int | Sequence[int] | None = None,
        activation: Activation = "auto",
    ) -> None:
        super().__init__(mask, class_idx, activation)

    def bind(self, output: Tensor, item: int) -> BoundScore:
        mask = self._mask(tuple(output.shape[2:]), item).to(output.device)
        box = bounding_box(mask)
        inside = mask[as_slices(box)]
        classes = self._classes(output)

        def value(cropped: Tensor) -> Tensor:
            probability = self._transform(cropped)
            return self._shape_values([probability[:, index][:, inside].double().mean(1) for index in classes])

        return BoundScore(box, value)

    def _transform(self, cropped: Tensor) -> Tensor:
        return activate(cropped, self.activation)


class MaskedMeanLogit(MaskedMeanProbability):
    """Mean raw output of a class inside a mask: the score of class-activation maps."""

    unit = "logit"

    def __init__(self, mask: Tensor | np.ndarray | Box, class_idx: int | Sequence[int] | None = None) -> None:
        super().__init__(mask, class_idx, activation=None)


class RoIDice(_ClassScore):
    """Dice of the answer against a reference inside a region of interest, in Dice points (x 100).

    Args:
        roi: a box ``((start, stop), ...)`` or a mask; one per item as ``(B, 1, *spatial)``.
        reference: a label map ``(*spatial)`` or one per item; a bool one is the class's mask, in others the class is
            where the value equals ``class_idx`` (above 0.5 for a one-channel network). ``None``: the network's own
            first answer.
        activation: see :data:`Activation`.
        threshold: the answer is where the probability exceeds it; ``None``: where the class's output beats all others.
        class_idx: the class, or several for a vector score; needed where the network gives more than one channel.
        soft: use the probabilities themselves instead of the thresholded answer; no item is then undecided.
    """

    unit = "Dice points"
    _where_name = "RoI"

    def __init__(
        self,
        roi: Tensor | np.ndarray | Box,
        reference: Tensor | np.ndarray | None = None,
        activation: Activation = "auto",
        threshold: float | None = 0.5,
        class_idx: int | Sequence[int] | None = None,
        soft: bool = False,
    ) -> None:
        super().__init__(roi, class_idx, activation)
        if threshold is not None and not 0 < threshold < 1:
            raise ValueError(f"threshold={threshold}: a probability between 0 and 1, or None for the winning class.")
        if threshold is None and soft:
            raise ValueError("soft=True has no threshold: leave it at its default.")
        self.reference = None if reference is None else plain(reference)
        self.threshold = threshold
        self.soft = soft

    def check(self, spatial_shape: tuple[int, ...], batch: int) -> None:
        super().check(spatial_shape, batch)
        if self.reference is not None:
            check_count(self.reference, spatial_shape, batch, "reference")
            without_leading_axes(for_item(self.reference, 0, len(spatial_shape)), spatial_shape, "the reference")
            if 0 not in self.classes:  # background may be what is asked about; what else 0 means, the network decides
                for item in range(batch):
                    labels = for_item(self.reference, item, len(spatial_shape)).reshape(spatial_shape)
                    if not labels.to(torch.bool)[self._mask(spatial_shape, item).to(labels.device)].any():
                        raise ValueError(_nothing_inside("the reference", "any class", item))

    def bind(self, output: Tensor, item: int) -> BoundScore:
        spatial = tuple(output.shape[2:])
        roi = self._mask(spatial, item).to(output.device)
        box = bounding_box(roi)
        inside = roi[as_slices(box)]
        classes = self._classes(output)
        if self.threshold is None and output.shape[1] == 1:
            raise ValueError("threshold=None asks which class wins; the network gives one channel: set a threshold.")
        cropped = output[(slice(None), slice(None), *as_slices(box))]
        references = [self._reference(cropped, item, spatial, box, index)[inside] for index in classes]
        for index, reference in zip(classes, references, strict=True):
            if not reference.any():
                source = "the network's own answer" if self.reference is None else "the reference"
                raise ValueError(_nothing_inside(source, f"class {index}", item))

        def value(cropped: Tensor) -> Tensor:
            answers = [self._answer(cropped, index)[:, inside].double() for index in classes]
            overlaps = [
                self._overlap((answer * reference).sum(1), answer.sum(1), reference.sum())
                for answer, reference in zip(answers, references, strict=True)
            ]
            return self._shape_values(overlaps)

        def margin(cropped: Tensor) -> Tensor:
            distances = torch.stack([self._distance(cropped, index) for index in classes]).amin(0)
            return distances.masked_fill(~inside, torch.inf)

        return BoundScore(box, value, None if self.soft else margin)

    @staticmethod
    def _overlap(common: Tensor, answer: Tensor, reference: Tensor) -> Tensor:
        return 200 * common / (answer + reference)

    def _reference(self, cropped: Tensor, item: int, spatial: tuple[int, ...], box: Box, index: int) -> Tensor:
        if self.reference is None:
            return self._hard_answer(cropped, index)[0]
        labels = for_item(self.reference, item, len(spatial)).reshape(spatial)[as_slices(box)].to(cropped.device)
        if labels.dtype == torch.bool:
            return labels
        return labels > 0.5 if cropped.shape[1] == 1 else labels == index

    def _answer(self, cropped: Tensor, index: int) -> Tensor:
        return activate(cropped, self.activation)[:, index] if self.soft else self._hard_answer(cropped, index)

    def _hard_answer(self, cropped: Tensor, index: int) -> Tensor:
        return hard_answer(cropped, index, self.activation, self.threshold)

    def _distance(self, cropped: Tensor, index: int) -> Tensor:
        """A lower bound of how far the outputs of a voxel must move before its answer changes ``(B, *box)``."""
        if self.threshold is None:
            rivals = torch.cat([cropped[:, :index], cropped[:, index + 1 :]], 1).amax(1)
            return (cropped[:, index] - rivals).abs() / 2
        probability = activate(cropped, self.activation)[:, index]
        # A probability moves at most a quarter (sigmoid) or half (softmax) as far as the logits do. Of a function that
        # the caller brings nothing is known; it is taken to stretch nothing.
        stretch = {"sigmoid": 4, "softmax": 2}.get(resolve(self.activation, cropped.shape[1]), 1)
        return (probability - self.threshold).abs() * stretch


def _nothing_inside(source: str, what: str, item: int) -> str:
    return (
        f"{source} holds nothing of {what} inside the RoI of item {item}: its overlap is undefined. Choose a RoI on "
        "the object's boundary, or another class."
    )


class RoIIoU(RoIDice):
    """Intersection over union inside a region of interest, a fraction; arguments as :class:`RoIDice`."""

    unit = "IoU"

    @staticmethod
    def _overlap(common: Tensor, answer: Tensor, reference: Tensor) -> Tensor:
        return common / (answer + reference - common)


class RoIForegroundShare(RoIDice):
    """Share of the RoI's voxels that are answered with the class, a fraction: to trace a missegmented RoI, where a Dice
    against an empty label is 0 whatever happens. Arguments as :class:`RoIDice`; it needs no reference."""

    unit = "share of the RoI"

    def __init__(
        self,
        roi: Tensor | np.ndarray | Box,
        activation: Activation = "auto",
        threshold: float | None = 0.5,
        class_idx: int | Sequence[int] | None = None,
        soft: bool = False,
    ) -> None:
        super().__init__(roi, None, activation, threshold, class_idx, soft)

    @staticmethod
    def _overlap(common: Tensor, answer: Tensor, reference: Tensor) -> Tensor:
        return common / reference

    def _reference(self, cropped: Tensor, item: int, spatial: tuple[int, ...], box: Box, index: int) -> Tensor:
        return torch.ones_like(cropped[0, 0], dtype=torch.bool)


class CallableScore(Score):
    """Any function of the output ``(B, K, *spatial)`` that gives ``(B,)`` or ``(B, V)``.

    Args:
        function: the score. It may return a plain ``(B, 1)`` too.
        box: the part of the output that it needs, so that the rest need not be computed; it then sees only that part.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], box: Box | None = None) -> None:
        self.function = function
        self.box = box

    def check(self, spatial_shape: tuple[int, ...], batch: int) -> None:
        if self.box is not None:
            check_box(self.box, spatial_shape, "the score's box")

    def reads(self, spatial_shape: tuple[int, ...], item: int) -> Box | None:
        return self.box

    def bind(self, output: Tensor, item: int) -> BoundScore:
        return BoundScore(self.box, self._value)

    def _value(self, cropped: Tensor) -> Tensor:
        values = self.function(cropped)
        if values.ndim not in (1, 2) or len(values) != len(cropped):
            raise ValueError(
                f"the score function gave shape {tuple(values.shape)} for {len(cropped)} items: it must give "
                f"({len(cropped)},) or ({len(cropped)}, values)."
            )
        return values.double()


def as_score(score: Score | Callable[[Tensor], Tensor]) -> Score:
    """A score from a score or a function of the output."""
    if isinstance(score, Score):
        return score
    if callable(score):
        return CallableScore(score)
    raise TypeError(f"{type(score).__name__} is no score: give a Score or a function of the network's output.")


def activate(output: Tensor, activation: Activation = "auto") -> Tensor:
    """Probabilities from a network's output ``(B, K, *spatial)``."""
    if activation is None:
        return output
    if callable(activation):
        return activation(output)
    return output.sigmoid() if resolve(activation, output.shape[1]) == "sigmoid" else output.softmax(1)


def hard_answer(output: Tensor, index: int, activation: Activation = "auto", threshold: float | None = 0.5) -> Tensor:
    """Where a network answers class ``index``, bool ``(B, *spatial)``: its probability exceeds the threshold, or for
    ``None`` its output beats all others."""
    if threshold is None:
        return output.argmax(1) == index
    return activate(output, activation)[:, index] > threshold


def resolve(activation: Activation, channels: int) -> str:
    """The name of the activation that a network with so many channels gets; "" for none of the named."""
    if activation == "auto":
        return "sigmoid" if channels == 1 else "softmax"
    return activation if isinstance(activation, str) else ""


def output_tensor(output: Any) -> Tensor:
    """The segmentation in what a network returned: a tensor, a dict (``"out"`` or its only tensor) or a sequence (its
    first tensor: the finest of a deeply supervised network)."""
    if isinstance(output, MetaTensor):
        return output.as_tensor()
    if isinstance(output, Tensor):
        return output
    if isinstance(output, dict):
        if "out" in output:
            return output_tensor(output["out"])
        tensors = [value for value in output.values() if isinstance(value, Tensor)]
        if len(tensors) == 1:
            return output_tensor(tensors[0])
        raise ValueError(
            f"the network returned a dict with keys {sorted(map(str, output))}: wrap it to return one tensor."
        )
    if isinstance(output, list | tuple) and output:
        return output_tensor(output[0])
    raise ValueError(
        f"the network returned {type(output).__name__}: expected a tensor, or a dict or sequence of tensors."
    )


def for_item(value: Tensor | Box, item: int, axes: int) -> Tensor | Any:
    """One item's share of ``value``: of a ``(B, 1, *spatial)`` tensor its own, of anything else the whole."""
    if isinstance(value, Tensor) and value.ndim == axes + 2 and len(value) > 1:
        return value[item]
    return value


def check_count(value: Tensor | Box, spatial_shape: tuple[int, ...], batch: int, name: str) -> None:
    """Raise unless a ``(B, 1, *spatial)`` tensor has one share per item; what has no such axis serves all items."""
    if isinstance(value, Tensor) and value.ndim == len(spatial_shape) + 2 and len(value) not in (1, batch):
        raise ValueError(f"the {name} is given for {len(value)} items, the batch has {batch}.")


def as_slices(box: Box) -> tuple[slice, ...]:
    return tuple(slice(start, stop) for start, stop in box)
