# SPDX-License-Identifier: Apache-2.0
"""The demo: the main job once, offline, on images whose causes are known."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from monai_causal.apps.demo.chest import ask_chest, chest_in_words, expose_twin, twin_in_words
from monai_causal.apps.demo.endoscopy import explain_endoscopy
from monai_causal.apps.demo.endoscopy import in_words as endoscopy_in_words
from monai_causal.files import write_json
from monai_causal.versions import versions

__all__ = ["in_words", "run_demo"]

SCHEMA = "monai_causal/demo/2"


def run_demo(out: Path, progress: bool = True) -> dict[str, Any]:
    """Explain an endoscopy frame, question a chest study, expose a model that cheats.

    Writes to ``out`` the folders ``endoscopy``, ``chest`` and ``twin``, and ``demo.json``, whose content is returned.
    """
    started = time.perf_counter()
    out = Path(out)
    summary: dict[str, Any] = {
        "schema": SCHEMA,
        "endoscopy": explain_endoscopy(out / "endoscopy", progress),
        "chest": ask_chest(out / "chest", progress),
        "twin": expose_twin(out / "twin", progress),
        "seconds": round(time.perf_counter() - started, 1),
        "versions": versions("monai", "torch", "numpy", "transformers", "pydicom"),
        "caveat": "This explains models. It is no statement about a patient.",
    }
    write_json(out / "demo.json", summary)
    return summary


def in_words(summary: dict[str, Any]) -> str:
    """One line per part."""
    return "\n".join(
        (
            endoscopy_in_words(summary["endoscopy"]),
            chest_in_words(summary["chest"]),
            twin_in_words(summary["twin"]),
        )
    )
