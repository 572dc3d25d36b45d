# SPDX-License-Identifier: Apache-2.0
"""The methods by name: one question, asked in each one's own way, and answered alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from monai_causal.apps.explain.models import Model
from monai_causal.intervene import Fill
from monai_causal.intervene.regions import Box, coverage, plain
from monai_causal.visualize.dea import DEA
from monai_causal.visualize.ega import EGA
from monai_causal.visualize.gpa import GPA
from monai_causal.visualize.kernel_shap import KernelShap
from monai_causal.visualize.misure import MiSuRe
from monai_causal.visualize.pdcr import PdCR
from monai_causal.visualize.pdcr_result import PdCRResult
from monai_causal.visualize.ria import RIA
from monai_causal.visualize.rise import RISE
from monai_causal.visualize.rois import RoI, find_roi
from monai_causal.visualize.sampling import make_rule
from monai_causal.visualize.seg_grad_cam import SegGradCAM

__all__ = ["METHODS", "Found", "Method", "Question"]


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked, on the network's grid.

    Attributes:
        image: ``(1, C, *spatial)``.
        model: who is asked.
        class_idx: the class; ``None`` for one channel.
        object: bool ``(*spatial)``: where label or, without one, the network's own answer hold the class.
        roi: a box, a mask, or a rule.
        label: ``(*spatial)``, or ``None``.
        fill: what PdCR replaces regions by.
        patch_size: edges of PdCR's regions; the rule ``"boundary"`` keeps to their grid.
        roi_size: edges of the box that the rule ``"boundary"`` looks for.
        grid: cells per axis; ``None``: the method's default.
        rule, n_samples, tau: of PdCR.
        target_layer: for the methods that look at a layer.
        seed: of every draw.
        options: of the engine.
    """

    image: Tensor
    model: Model
    class_idx: int | None
    object: Tensor
    roi: RoI
    label: Tensor | None
    fill: Fill
    patch_size: tuple[int, ...]
    roi_size: tuple[int, ...]
    grid: tuple[int, ...] | None
    rule: str
    n_samples: int
    tau: float
    target_layer: str | None
    seed: int
    options: dict[str, Any]

    @property
    def place(self) -> Box | Tensor:
        """The RoI as a box or mask."""
        shape = tuple(self.image.shape[2:])
        return find_roi(self.roi, shape, lambda: self.object, self.roi_size, self.patch_size)

    def cells(self, default: int) -> tuple[int, ...]:
        """Cells per axis, none of them without a voxel."""
        lengths = self.image.shape[2:]
        return tuple(map(min, self.grid or (default,) * len(lengths), lengths))

    @property
    def dice(self) -> dict[str, Any]:
        """How an answer is made of the network's output."""
        return {
            "activation": self.model.activation,
            "threshold": self.model.threshold,
            "class_idx": self.class_idx,
        }


@dataclass(frozen=True, eq=False)
class Found:
    """An answer, on the network's grid.

    Attributes:
        map: ``(*spatial)``.
        roi: bool ``(*spatial)``: what was asked about.
        result: of PdCR, with its uncertainty.
        findings: what a summary says beside the map's extremes.
    """

    map: Tensor
    roi: Tensor
    result: PdCRResult | None = None
    findings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """How a method is asked, and how its map is read.

    Attributes:
        ask: the question to its answer.
        roi: what it asks about where nothing is said.
        unit: of the map.
        signed: whether negative values support and positive ones suppress; otherwise high values support.
        smooth: whether the map may be interpolated; otherwise its values belong to whole regions.
        fill: what takes the place of what is hidden; ``None``: nothing is.
    """

    ask: Callable[[Question], Found]
    roi: Literal["boundary", "component"]
    unit: str
    signed: bool = False
    smooth: bool = True
    fill: str | None = None


def _pdcr(question: Question) -> Found:
    if question.rule == "exhaustive":
        rule: Any = question.rule
    else:  # a rule by itself, not by its name: both fills there are leave something to chance
        rule = make_rule(question.rule, 3, question.n_samples, question.tau, 0.05, 0.3)
    pdcr = PdCR(
        question.model.network,
        question.fill,
        question.patch_size,
        rule,
        seed=question.seed,
        inferer=question.model.inferer,
        **question.dice,
        **question.options,
    )
    result = pdcr.explain(question.image, question.place, question.label)
    found = {
        "baseline": result.baseline,
        "regions": len(result.ate),
        "relevant": int(result.relevant.sum()),
        "not_settled": int((~result.settled).sum()),
        "evaluations": result.evaluations,
        "run": asdict(result.record),
    }
    return Found(_flat(result.map), result.roi, result, found)


def _targeted(
    visualizer: Callable[..., Any], gradients: Callable[[Any], Any] | None, cells: int | None = None
) -> Callable[[Question], Found]:
    """GPA, EGA, RIA and DEA: the class inside the object's part of the RoI. ``gradients`` tells where the method keeps
    the layer that it looks at, if it does; ``cells``: of its grid, if it has one."""

    def ask(question: Question) -> Found:
        mask = question.object & coverage(question.place, question.image.shape[2:])
        if not mask.any():
            raise ValueError("the RoI holds nothing of the class: choose one on the object, or another class.")
        own: dict[str, Any] = {} if gradients is None else {"target_layers": question.target_layer}
        grid = {} if cells is None else {"grid": question.cells(cells)}
        method = visualizer(
            question.model.network,
            activation=question.model.activation,
            inferer=question.model.inferer,
            seed=question.seed,
            **own,
            **grid,
            **question.options,
        )
        heat = _flat(method(question.image, question.class_idx, mask))
        return Found(heat, mask, findings=grid | ({} if gradients is None else {"layer": gradients(method).layer}))

    return ask


def _seg_grad_cam(question: Question) -> Found:
    method = SegGradCAM(
        question.model.network,
        question.target_layer,
        question.class_idx,
        inferer=question.model.inferer,
        activation=question.model.activation,
        **question.options,
    )
    found = _of_roi(method, question)
    return replace(found, findings={"layer": method.gpa.gradients.layer})


def _misure(question: Question) -> Found:
    method = MiSuRe(
        question.model.network,
        seed=question.seed,
        inferer=question.model.inferer,
        device=question.options["device"],
        # Its Dice is soft: the threshold only says where it starts from.
        **question.dice | {"threshold": question.model.threshold or 0.5},
    )
    return _of_roi(method, question)


def _rise(question: Question) -> Found:
    return _of_roi(RISE(question.model.network, **_hiding(question)), question)


def _kernel_shap(question: Question) -> Found:
    cells = question.cells(8 if question.image.ndim == 4 else 4)
    found = _of_roi(KernelShap(question.model.network, grid=cells, **_hiding(question)), question)
    return replace(found, findings={"grid": cells})


def _hiding(question: Question) -> dict[str, Any]:
    return {"seed": question.seed, "inferer": question.model.inferer, **question.dice, **question.options}


def _of_roi(method: Callable[..., Tensor], question: Question) -> Found:
    place = question.place
    heat = method(question.image, roi=place, label=question.label)
    return Found(_flat(heat), coverage(place, question.image.shape[2:]))


def _flat(heat: Tensor) -> Tensor:
    return plain(heat)[0, 0].detach().cpu().to(torch.float32)


_MEAN = "the image's mean"

METHODS: dict[str, Method] = {
    "pdcr": Method(_pdcr, "boundary", "Dice points", signed=True, smooth=False, fill="donors"),
    "dea": Method(_targeted(DEA, lambda dea: dea.ega.gradients, cells=14), "component", "evidence", fill=_MEAN),
    "gpa": Method(_targeted(GPA, lambda gpa: gpa.gradients), "component", "evidence"),
    "ega": Method(_targeted(EGA, lambda ega: ega.gradients), "component", "evidence"),
    "ria": Method(_targeted(RIA, None, cells=14), "component", "evidence", smooth=False, fill=_MEAN),
    "seg-grad-cam": Method(_seg_grad_cam, "boundary", "evidence"),
    "misure": Method(_misure, "boundary", "needed share", fill=_MEAN),
    "rise": Method(_rise, "boundary", "evidence", fill=_MEAN),
    "kernel-shap": Method(_kernel_shap, "boundary", "Dice points", signed=True, smooth=False, fill=_MEAN),
}
