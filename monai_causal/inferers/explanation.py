# SPDX-License-Identifier: Apache-2.0
"""Explanations as an inferer: where a bundle or an engine asks for a segmentation, it gets the map of why."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from monai.inferers import Inferer
from torch import Tensor, nn

import monai_causal.visualize as visualizers
from monai_causal.intervene import Evaluator
from monai_causal.intervene.regions import Box, coverage, plain, without_leading_axes
from monai_causal.intervene.scores import Activation, hard_answer
from monai_causal.visualize.kernel_shap import KernelShap
from monai_causal.visualize.normalise import on_image
from monai_causal.visualize.pdcr import PdCR
from monai_causal.visualize.pdcr_result import PdCRResult
from monai_causal.visualize.rois import find_roi
from monai_causal.visualize.seg_grad_cam import SegGradCAM
from monai_causal.visualize.target import TargetVisualizer

__all__ = ["Explanation", "ExplanationInferer", "Place"]

logger = logging.getLogger(__name__)

Place: TypeAlias = Box | Tensor | np.ndarray | Literal["prediction", "boundary", "component"]
"""A box ``((start, stop), ...)``, a mask ``(*spatial)``, or what the network's own first answer makes of it."""

_RULES = ("prediction", "boundary", "component")


@dataclass(frozen=True, eq=False)
class Explanation:
    """What one item was asked, and what came out.

    Attributes:
        method: the visualizer's name.
        image: ``(C, *spatial)``, as the network got it, with its metadata where it had some.
        map: ``(1, *spatial)``; all 0 where there was nothing to explain.
        roi: bool ``(*spatial)``: where the answer was asked about.
        answer: bool ``(*spatial)``: where the network itself answers the class.
        class_idx: the class; ``None`` for a network of one channel.
        signed: whether negative values support the answer and positive ones suppress it; else high ones support it.
        unit: of the map.
        result: of PdCR, with its uncertainty.
        note: what did not go the straight way.
    """

    method: str
    image: Tensor
    map: Tensor
    roi: Tensor
    answer: Tensor
    class_idx: int | None
    signed: bool
    unit: str
    result: PdCRResult | None = None
    note: str = ""


class ExplanationInferer(Inferer):
    """Any visualizer as a MONAI inferer: ``inferer(inputs, network)`` is the map ``(B, 1, *spatial)`` of the network's
    answer, with the metadata of the inputs, so that ``Invertd`` and ``SaveImaged`` treat it as they treat an answer.

    Engines and bundles run inferers without gradients; this one switches them on for itself, inside ``torch.no_grad``
    and ``torch.inference_mode`` alike, also where image or network were made in inference mode (such a network is
    copied for the call). Autocast is switched off meanwhile: what is explained is the network at its own precision.
    The network is left as it was found.

    Args:
        visualizer: a name in :mod:`monai_causal.visualize`, such as ``"PdCR"`` or ``"DEA"``; or any class or function
            ``(network, **options)`` that returns ``visualizer(image, roi=..., label=...) -> (1, 1, *spatial)``.
        roi: what is asked about, for every item: a box, a mask, ``"prediction"`` (where the network itself answers the
            class), ``"boundary"`` (a box of ``roi_size`` on the answer's boundary) or ``"component"`` (the answer's
            largest connected part). For DEA, EGA, GPA and RIA it is the mask M, of a rule the answer's part of it.
        class_idx: the class asked about; ``None`` for a network of one channel; ``"prediction"``: the foreground
            class (not 0) that most voxels of the item are answered with.
        roi_size: edge of the RoI of the rule ``"boundary"``, one number or one per axis.
        on_empty: where the network answers nothing of the class, ``"raise"``, or give a map of ``"zeros"`` with a
            warning and a note in :attr:`explanations`, for work through many images.
        activation, threshold: make an answer of outputs, see :class:`monai_causal.intervene.RoIDice`. DEA, EGA, GPA
            and RIA take the winning class where there are several.
        inferer: runs the network on an image, such as a ``SlidingWindowInferer``.
        options: of the visualizer: ``fill``, ``patch_size``, ``target_layers``, ``grid``, ``device`` ...

    Attributes:
        explanations: one :class:`Explanation` for each item of the last call.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
        >>> inferer = ExplanationInferer("DEA", roi=((4, 20), (4, 20)), class_idx=1, target_layers="0", grid=4)
        >>> with torch.no_grad():
        ...     inferer(torch.rand(2, 1, 28, 28), network).shape
        torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self,
        visualizer: str | Callable[..., Any],
        roi: Place = "prediction",
        class_idx: int | Literal["prediction"] | None = None,
        *,
        roi_size: int | Sequence[int] = 32,
        on_empty: Literal["raise", "zeros"] = "raise",
        activation: Activation = "auto",
        threshold: float | None = 0.5,
        inferer: Inferer | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if isinstance(visualizer, str) and visualizer not in (names := _visualizers()):
            raise ValueError(f"visualizer={visualizer!r}: choose one of {', '.join(names)}, or give a class.")
        if on_empty not in ("raise", "zeros"):
            raise ValueError(f"on_empty={on_empty!r}: choose 'raise' or 'zeros'.")
        if isinstance(class_idx, str) and class_idx != "prediction":
            raise ValueError(f"class_idx={class_idx!r}: a number, None or 'prediction'.")
        self.visualizer: Callable[..., Any] = (
            getattr(visualizers, visualizer) if isinstance(visualizer, str) else visualizer
        )
        self.roi = _checked_place(roi)
        self.class_idx, self.roi_size, self.on_empty = class_idx, roi_size, on_empty
        self.activation, self.threshold, self.inferer, self.options = activation, threshold, inferer, options
        self.explanations: list[Explanation] = []
        self._made: dict[int | None, Any] = {}
        self._made_for: Any = None
        kind = self.visualizer.func if isinstance(self.visualizer, partial) else self.visualizer
        self._name = getattr(kind, "__name__", type(kind).__name__)
        self._targeted = isinstance(kind, type) and issubclass(kind, TargetVisualizer)
        # These two ask about the bare output: a threshold is none of their options.
        self._thresholded = not (isinstance(kind, type) and issubclass(kind, TargetVisualizer | SegGradCAM))
        self._signed = isinstance(kind, type) and issubclass(kind, PdCR | KernelShap)

    def __call__(
        self,
        inputs: Tensor,
        network: nn.Module | Callable[[Tensor], Any],
        *args: Any,
        roi: Place | Sequence[Place] | None = None,
        label: Tensor | None = None,
        class_idx: int | Sequence[int] | Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """The maps ``(B, 1, *spatial)``.

        ``roi``, ``label`` and ``class_idx`` replace what the inferer was made with for this call, item by item. An
        engine takes them from the batch with ``PrepareBatchExtraInput(extra_keys={"roi": "organ"})``.

        Args:
            inputs: ``(B, C, *spatial)``.
            network: who is asked.
            args, kwargs: none: a network that takes more than the image is to be bound to it first.
            roi: one for all items; or per item masks ``(B, 1, *spatial)``, boxes ``(B, axes, 2)``, or a list of names.
            label: ``(B, 1, *spatial)``: what the answer is compared with, in place of the network's own; rules look
                for the object there.
            class_idx: one, or one per item.
        """
        if args or kwargs:
            raise TypeError(
                f"{len(args)} further inputs and {sorted(kwargs)}: a network is explained as a function of the image "
                "alone. Of a batch, roi, label and class_idx are understood; bind anything else to the network."
            )
        self.explanations = []
        with _own_mode(inputs):
            asked = _usable(network)
            for item, image in enumerate(inputs):
                image = image.clone() if image.is_inference() else image
                place = self.roi if roi is None else _place_of(roi, item, len(inputs), image.ndim - 1)
                index = self.class_idx if class_idx is None else _class_of(class_idx, item, len(inputs))
                truth = None if label is None else plain(label[item])
                self.explanations.append(self._explain(item, image, asked, place, index, truth))
            return on_image(torch.stack([plain(one.map) for one in self.explanations]), inputs)

    def _explain(
        self,
        item: int,
        image: Tensor,
        network: nn.Module | Callable[[Tensor], Any],
        place: Place,
        class_idx: int | Literal["prediction"] | None,
        label: Tensor | None,
    ) -> Explanation:
        batch, shape = image[None], tuple(image.shape[1:])
        asking = Evaluator(network, inferer=self.inferer, device=self.options.get("device"))
        output = asking.answer(batch).detach().cpu()
        index = self._class(output, class_idx)
        answer = self._answered(output, index)
        truth = answer if label is None else _as_mask(label, shape, index)
        visualizer = self._visualizer(network, index)
        if isinstance(place, str):
            found = truth.any()
            if found and place != "prediction":
                step = getattr(visualizer, "patch_size", 1)
                place = find_roi(place, shape, lambda: truth, self.roi_size, step)
                where = coverage(place, shape)
            else:
                place = where = truth
            if self._targeted:
                place = where = where & truth
        else:
            where = coverage(place, shape)
            # Whoever compares with the network's own answer needs one; a mask M is asked about whatever is in it.
            found = where.any() if self._targeted else (where & truth).any()
        facts: dict[str, Any] = {
            "method": self._name,
            "image": image,
            "answer": answer,
            "class_idx": index,
            "signed": self._signed,
        }
        if not found:
            called = "the network's answer" if label is None else "the label"
            note = f"{called} holds nothing of class {1 if index is None else index} there: nothing to explain"
            if self.on_empty == "raise":
                raise ValueError(
                    f"item {item}: {note}. Choose another RoI or class, or on_empty='zeros' to go on with an empty map."
                )
            logger.warning("item %d: %s.", item, note)
            nothing = on_image(torch.zeros(1, *shape), image)
            return Explanation(**facts, map=nothing, roi=where, unit="", note=note)
        if isinstance(visualizer, PdCR):
            result = visualizer.explain(batch, place, label)
            heat, unit = result.map, result.unit
        else:
            result, unit = None, "Dice points" if self._signed else "evidence"
            given = {"mask": place, "class_idx": index} if self._targeted else {"roi": place, "label": label}
            heat = visualizer(batch, **given)
        return Explanation(**facts, map=on_image(plain(heat).detach()[0], image), roi=where, unit=unit, result=result)

    def _visualizer(self, network: nn.Module | Callable[[Tensor], Any], class_idx: int | None) -> Any:
        """The visualizer of a network and a class, kept as long as the network stays the same one: it has found out
        its layer and taken the network apart."""
        if self._made_for is not network:
            self._made, self._made_for = {}, network
        key = None if self._targeted else class_idx
        if key not in self._made:
            given: dict[str, Any] = {} if key is None else {"class_idx": key}
            for name, value, default in (
                ("activation", self.activation, "auto"),
                ("threshold", self.threshold if self._thresholded else 0.5, 0.5),
                ("inferer", self.inferer, None),
            ):
                given |= {} if value == default else {name: value}
            self._made[key] = self.visualizer(network, **given, **self.options)
        return self._made[key]

    def _class(self, output: Tensor, class_idx: int | Literal["prediction"] | None) -> int | None:
        count = output.shape[1]
        if count == 1:
            if self.threshold is None:
                raise ValueError("threshold=None: which class wins cannot be asked of one channel; set a threshold.")
            return None
        if class_idx != "prediction":
            if class_idx is None or not 0 <= class_idx < count:
                raise ValueError(
                    f"class_idx={class_idx}: the network gives {count} channels; name the one asked about, or "
                    "'prediction' for the class that most of an item is answered with."
                )
            return class_idx
        if self.activation == "sigmoid":  # classes of their own, none of them background
            return int(torch.stack([self._answered(output, index).sum() for index in range(count)]).argmax())
        return 1 + int(torch.bincount(output.argmax(1).flatten(), minlength=count)[1:].argmax())

    def _answered(self, output: Tensor, class_idx: int | None) -> Tensor:
        wins = self._targeted and output.shape[1] > 1
        return hard_answer(output, class_idx or 0, self.activation, None if wins else self.threshold)[0]


@contextmanager
def _own_mode(inputs: Tensor) -> Iterator[None]:
    """Gradients allowed, autocast off, whatever the caller runs in."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for device in {"cpu", "cuda", inputs.device.type}:
            if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


def _usable(network: nn.Module | Callable[[Tensor], Any]) -> nn.Module | Callable[[Tensor], Any]:
    """The network, or a copy of one whose weights were made in inference mode: autograd refuses those for good."""
    if isinstance(network, nn.Module) and any(
        one.is_inference() for one in (*network.parameters(), *network.buffers())
    ):
        return copy.deepcopy(network)
    return network


def _visualizers() -> list[str]:
    return sorted(name for name in visualizers.__all__ if name != "PdCRResult")


def _checked_place(place: Any) -> Place:
    if isinstance(place, str):
        if place not in _RULES:
            raise ValueError(f"roi={place!r}: a box ((start, stop), ...), a mask, or one of {', '.join(_RULES)}.")
        return place  # type: ignore[return-value]
    if isinstance(place, Tensor):
        return plain(place)
    if isinstance(place, np.ndarray):
        return place
    return tuple((int(start), int(stop)) for start, stop in place)  # of JSON: lists


def _place_of(given: Any, item: int, count: int, axes: int) -> Place:
    """The place of one item in what a call was given."""
    if isinstance(given, Tensor | np.ndarray):
        if len(given) != count:
            raise ValueError(f"roi of shape {tuple(given.shape)} for {count} items: one mask or box for each.")
        own = plain(given[item]) if isinstance(given, Tensor) else given[item]
        return _checked_place(own.tolist() if own.shape == (axes, 2) else own)
    if not isinstance(given, str) and len(given) == count and all(isinstance(one, str) for one in given):
        return _checked_place(given[item])
    return _checked_place(given)


def _class_of(given: int | Sequence[int] | Tensor, item: int, count: int) -> int:
    listed = torch.as_tensor(given).reshape(-1).tolist()
    if len(listed) not in (1, count):
        raise ValueError(f"class_idx={listed} for {count} items: one class, or one per item.")
    return int(listed[item if len(listed) == count else 0])


def _as_mask(label: Tensor, shape: tuple[int, ...], class_idx: int | None) -> Tensor:
    labels = without_leading_axes(label, shape, "the label").cpu()
    if labels.dtype == torch.bool:
        return labels
    return labels > 0.5 if class_idx is None else labels == class_idx
