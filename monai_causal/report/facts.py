# SPDX-License-Identifier: Apache-2.0
"""Settings, versions and records of any depth as pairs of a name and a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai_causal.report.content import Fact

__all__ = ["facts_of", "said"]

_MOST = 200


def facts_of(content: Mapping[str, Any], prefix: str = "") -> tuple[Fact, ...]:
    """Nested mappings flattened, in their own order; what is empty is left out.

    Example:
        >>> facts_of({"model": {"name": "unet", "layers": [1, 2]}, "seed": 0, "label": None})
        (('model name', 'unet'), ('model layers', '1, 2'), ('seed', '0'))
    """
    found: list[Fact] = []
    for name, value in content.items():
        label = f"{prefix} {name}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            found += facts_of(value, label)
        elif (text := said(value)) != "":
            found.append((label, text))
    return tuple(found[:_MOST])


def said(value: Any) -> str:
    """A value of JSON in words; nothing for what there is not.

    Example:
        >>> said([1, [2, 3]]), said(True), said(None), said(0.25)
        ('1, (2, 3)', 'yes', '', '0.25')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(f"({said(one)})" if isinstance(one, list | tuple) else said(one) for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {said(one)}" for name, one in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)
