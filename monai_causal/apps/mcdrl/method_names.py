# SPDX-License-Identifier: Apache-2.0
"""The methods that are compared, by name. Nothing heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["METHODS", "MethodInfo"]


@dataclass(frozen=True)
class MethodInfo:
    """A method.

    Attributes:
        title: for tables.
        role: ``method``, a ``control`` that MCDRL must beat for a causal claim, or a ``variant`` of MCDRL.
        network: arguments of its network that make it what it is.
        train: training settings that make it what it is.
        family: which network: ``mcdrl``, ``prompt`` or ``unet``.
    """

    title: str
    role: Literal["method", "control", "variant"]
    network: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    family: Literal["mcdrl", "prompt", "unet"] = "mcdrl"


_PLAIN = {"lambda_causal": 0.0, "lambda_contrast": 0.0}

_ERASED = {"select": False, "intervene": False, "erase": True}

METHODS: dict[str, MethodInfo] = {
    "flexible-unet": MethodInfo("MONAI FlexibleUNet, from scratch", "method", family="unet"),
    "baseline": MethodInfo("Baseline: encoder and head", "method", {"select": False, "intervene": False}, _PLAIN),
    "baseline-equal": MethodInfo(
        "Baseline of equal size: self-attention", "method", {"select": False, "marginalisation": "self"}, _PLAIN
    ),
    "stylip": MethodInfo("StyLIP, adapted", "method", {"method": "stylip"}, family="prompt"),
    "biomedcoop": MethodInfo("BiomedCoOp, adapted", "method", {"method": "biomedcoop"}, family="prompt"),
    "mcdrl": MethodInfo("MCDRL", "method"),
    "random": MethodInfo("dictionary of random vectors", "control", {"dictionary": "random"}),
    "shuffled": MethodInfo("dictionary with shuffled components", "control", {"dictionary": "shuffled"}),
    "irrelevant": MethodInfo("dictionary of irrelevant texts", "control", {"dictionary": "irrelevant"}),
    "learned": MethodInfo("learned dictionary", "control", {"dictionary": "learned"}),
    "no-mtrs": MethodInfo("without MTRS: all cells", "control", {"select": False}),
    # With the other cells left as they are, a selection without an intervention would change nothing: it erases them.
    "no-cdrl": MethodInfo(
        "without CDRL: selected cells as they are", "control", {"intervene": False, "scatter": "zero"}
    ),
    "no-causal-loss": MethodInfo("without the causal loss", "control", train={"lambda_causal": 0.0}),
    "prior": MethodInfo("MCDRL, P(z) beside attention", "variant", {"marginalisation": "prior"}),
    "exact": MethodInfo("MCDRL, exact marginalisation", "variant", {"marginalisation": "exact"}),
    "zero": MethodInfo("MCDRL, other cells erased", "variant", {"scatter": "zero"}),
    "soft": MethodInfo("MCDRL, soft selection", "variant", {"scatter": "soft"}),
    "erased": MethodInfo("Baseline, texts erased from its features", "variant", _ERASED, _PLAIN),
    "erased-random": MethodInfo(
        "Baseline, random directions erased", "variant", {**_ERASED, "dictionary": "random"}, _PLAIN
    ),
    "erased-shuffled": MethodInfo(
        "Baseline, shuffled directions erased", "variant", {**_ERASED, "dictionary": "shuffled"}, _PLAIN
    ),
    "erased-irrelevant": MethodInfo(
        "Baseline, irrelevant texts erased", "variant", {**_ERASED, "dictionary": "irrelevant"}, _PLAIN
    ),
    "erased-prototypes": MethodInfo(
        "Baseline, prototypes of 900 unconfounded images erased",
        "variant",
        {**_ERASED, "dictionary": "prototypes"},
        _PLAIN,
    ),
    "prototypes": MethodInfo("MCDRL, dictionary of prototypes of 900 images", "variant", {"dictionary": "prototypes"}),
    "mcdrl-erased": MethodInfo("MCDRL on features with the texts erased", "variant", {"erase": True}),
}
