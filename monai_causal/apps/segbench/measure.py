# SPDX-License-Identifier: Apache-2.0
"""What a map is worth: the paper's metrics of one image and one method (section 3.3), and the curves."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from torch import Tensor, nn

from monai_causal.apps.segbench.config import MethodConfig, MetricsConfig
from monai_causal.apps.segbench.evidence import Evidence
from monai_causal.apps.segbench.samples import Sample
from monai_causal.intervene import Evaluator
from monai_causal.intervene.scores import hard_answer
from monai_causal.metrics.curves import PerturbationCurves
from monai_causal.metrics.faithfulness import DeletionFaithfulness
from monai_causal.metrics.pointing import pointing_game
from monai_causal.metrics.stability import attribution_stability

__all__ = ["Measure"]


class Measure:
    """Measures maps of one network.

    Args:
        evidence: gives the maps.
        metrics: settings.
        seed: of the noise that stability is measured with.
    """

    def __init__(self, evidence: Evidence, metrics: MetricsConfig, seed: int = 0) -> None:
        self.evidence, self.metrics, self.seed = evidence, metrics, seed
        model, engine = evidence.model, evidence.engine
        options: dict[str, Any] = {"activation": model.activation, "inferer": model.inferer, **engine}
        network: nn.Module = model.network
        self.faithfulness = DeletionFaithfulness(network, metrics.top_fraction, **options)
        self.curves = PerturbationCurves(network, metrics.curve_steps, **options) if metrics.curve_steps else None
        self.evaluator = Evaluator(network, inferer=model.inferer, **engine)

    def __call__(
        self, method: MethodConfig, sample: Sample, stability: bool = True
    ) -> tuple[dict[str, Any], Tensor, float]:
        """What goes into the journal, the map, and its seconds; without the ``stability`` where it is not asked for."""
        heat, seconds = self.evidence.heat(method, sample.image, sample.class_idx, sample.mask)
        asked: dict[str, Any] = {"class_idx": sample.class_idx, "mask": sample.mask}
        found: dict[str, Any] = dict(self.faithfulness(sample.image, heat, **asked))
        values = {**found, "odd_abs": abs(found["odd"]), "pointing": pointing_game(heat, sample.mask)}
        content: dict[str, Any] = {}
        if stability and self.metrics.perturbations:
            correlations = attribution_stability(
                partial(self._again, method, sample.class_idx),
                sample.image,
                heat,
                self.metrics.strength,
                self.metrics.perturbations,
                self.seed,
                mask=sample.mask,
            )
            values["stability"] = correlations.pop("mean")
            content["correlations"] = {name: _number(value) for name, value in correlations.items()}
        if self.curves is not None:
            curves = self.curves(sample.image, heat, **asked)
            for name in ("deletion", "insertion"):
                curve = getattr(curves, name)
                values[f"{name}_area"] = curve.area
                content[name] = [_number(score) for score in curve.scores.tolist()]
        return {"values": {name: _number(value) for name, value in values.items()}, **content}, heat, seconds

    def dice(self, sample: Sample) -> float | None:
        """Of the network's own answer with the target, a fraction: how well it knows what it is asked about."""
        output = self.evaluator.answer(sample.image)
        alone = output.shape[1] == 1
        answer = hard_answer(
            output, 0 if alone else sample.class_idx or 0, self.evidence.model.activation, 0.5 if alone else None
        )[0].cpu()
        both = int(answer.sum() + sample.mask.sum())
        return 2.0 * int((answer & sample.mask).sum()) / both

    def _again(self, method: MethodConfig, class_idx: int | None, image: Tensor, mask: Tensor) -> Tensor:
        return self.evidence.heat(method, image, class_idx, mask).map


def _number(value: Any) -> float | None:
    """A float for JSON; ``None`` for what is not a number."""
    return float(value) if math.isfinite(value) else None
