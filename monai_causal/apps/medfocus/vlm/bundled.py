# SPDX-License-Identifier: Apache-2.0
"""The small models that come along: one that answers honestly about phantoms, and one that is known to cheat."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

__all__ = ["BUNDLED", "bundled_model"]

BUNDLED = ("demo", "demo-shortcut")
"""Their names. They know synthetic phantoms and eight findings, and nothing clinical."""


def bundled_model(name: str) -> Path:
    """The folder of a model that comes along; they lie in the bundle ``medfocus_cxr``.

    Args:
        name: one of :data:`BUNDLED`.
    """
    folder = Path(str(files("monai_causal.apps.medfocus") / "models" / name))
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"the model {name!r} did not come along with this installation. Make it with "
            "'monai-causal medfocus train-demo-vlm --out FOLDER --work PHANTOMS' and give the folder instead."
        )
    return folder
