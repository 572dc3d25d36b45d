# SPDX-License-Identifier: Apache-2.0
"""Ask a method, and measure what its map is worth (Table 2, Fig. 5)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from monai_causal.apps.pdcr_study.config import METHODS, MethodConfig
from monai_causal.apps.pdcr_study.questions import Question
from monai_causal.apps.pdcr_study.verification import verify
from monai_causal.intervene import DonorPatchFill, module_regions
from monai_causal.intervene.regions import plain
from monai_causal.metrics.attribution import averaged_attribution, progressive_curve
from monai_causal.visualize.pdcr import PdCR
from monai_causal.visualize.pdcr_result import PdCRResult
from monai_causal.visualize.render.curves import strongest
from monai_causal.visualize.seg_grad_cam import SegGradCAM

__all__ = ["ask", "blocks"]


def ask(question: Question, method: MethodConfig) -> tuple[dict[str, Any], Tensor | None]:
    """What a method finds, ready for the journal, and its map ``(*spatial)``; components have none."""
    if method.regions == "components":
        return _components(question, method), None
    if method.name == "pdcr":
        found = _explained(question, method)
        record = _of_pdcr(found)
        heat = found.map
        checked = question.study.verification
        if checked is not None and checked.method == method.label:
            record["verification"] = verify(question, found, checked)
    else:
        record, heat = {}, _heat(question, method)
    return {**record, **_worth(question, heat)}, plain(heat)[0, 0].float()


def blocks(network: nn.Module) -> tuple[str, ...]:
    """The outermost parts of a network that hold weights; lists of parts are opened, and so is a part that is all there
    is.

    Example:
        >>> network = nn.Sequential(nn.ModuleList([nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1)]), nn.ReLU())
        >>> blocks(network)
        ('0.0', '0.1')
    """
    parts = _parts("", network)
    while len(parts) == 1 and _parts(*parts[0]):  # a wrapper, or a list that is all there is
        parts = _parts(*parts[0])
    opened = [_parts(name, part) if isinstance(part, nn.ModuleList) else [(name, part)] for name, part in parts]
    return tuple(name for several in opened for name, _ in several)


def _parts(name: str, module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The children of a module that hold weights, with their dotted names."""
    return [
        (f"{name}.{own}" if name else own, part)
        for own, part in module.named_children()
        if any(True for _ in part.parameters())
    ]


def _explained(question: Question, method: MethodConfig, fill: Any = None, **arguments: Any) -> PdCRResult:
    options = {"patch_size": question.study.patch_size, **method.options}
    pdcr = PdCR(
        question.network,
        question.fill if fill is None else fill,
        seed=question.study.seed,
        **options,
        **question.options,
        **question.engine,
    )
    return pdcr.explain(question.subject.image, question.roi, question.reference, **arguments)


def _of_pdcr(found: PdCRResult) -> dict[str, Any]:
    first = strongest(found, 1)[0]
    drawn = found.ites[first, found.rule.get("n_screen", 0) :]
    return {
        "baseline": found.baseline,
        "unit": found.unit,
        "rule": found.rule,
        "regions": len(found.ate),
        "relevant": int(found.relevant.sum()),
        "not_settled": int((~found.settled).sum()),
        "evaluations": found.evaluations,
        "execution": found.record.execution,
        "profile": found.profile().as_dict(),
        "ids": list(found.regions.ids),
        "effects": (found.ate * found.relevant).tolist(),
        "strongest": {"id": found.regions.ids[first], "draws": drawn[~drawn.isnan()].tolist()},
    }


def _heat(question: Question, method: MethodConfig) -> Tensor:
    options, reference = dict(question.options), question.reference
    if METHODS[method.name] is SegGradCAM:  # it asks for the logits, over the whole RoI as published
        options, reference = {"class_idx": options["class_idx"], "device": question.study.device}, None
    elif method.name == "misure":
        options |= {"device": question.study.device, "seed": question.study.seed}
    else:
        options |= {"seed": question.study.seed, **question.engine}
    visualizer = METHODS[method.name](question.network, **method.options, **options)
    heat: Tensor = visualizer(question.subject.image, roi=question.roi, label=reference)
    return heat


def _worth(question: Question, heat: Tensor) -> dict[str, Any]:
    """The averaged attribution and the attribution curve, with draws that no method has seen."""
    metrics = question.study.metrics
    if metrics is None:
        return {}
    arguments: Any = (question.evaluator, question.subject.image, heat, question.regions, question.fill, question.score)
    options: Any = {"roi": question.roi, "top": metrics.top, "draws": metrics.draws}
    curve = progressive_curve(*arguments, **options, rule=metrics.curve)
    attribution = averaged_attribution(*arguments, **options, rule=metrics.attribution)
    return {
        # A normalised attribution is not a number where no region has an effect.
        "attribution": attribution if attribution == attribution else None,
        "curve": curve.effects.tolist(),
        "area": curve.area,
        "top": [question.regions.ids[row] for row in curve.order],
    }


def _components(question: Question, method: MethodConfig) -> dict[str, Any]:
    """Which blocks support the RoI: each block's activation replaced by what it makes of other images."""
    regions = module_regions(question.network, method.modules or blocks(question.network))
    found = _explained(question, method, DonorPatchFill(question.donors), regions=regions)
    return {
        "baseline": found.baseline,
        "unit": found.unit,
        "rule": found.rule,
        "components": list(found.regions.names),
        "effects": found.ate.tolist(),
        "relevant": found.relevant.tolist(),
        "evaluations": found.evaluations,
    }
