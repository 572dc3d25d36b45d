# SPDX-License-Identifier: Apache-2.0
"""Write the folder that ``monailabel start_server --app`` is given: a thin ``main.py``, and copies of the bundles."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

__all__ = ["BUNDLES", "in_words", "write_app"]

BUNDLES = ("dea_segmentation_explanation", "mcdrl_endoscopy_segmentation", "pdcr_segmentation_explanation")
"""The segmentation bundles of a checkout, which an app holds where none are named."""

MAIN = '''# SPDX-License-Identifier: Apache-2.0
"""The app of this folder. What it does is in monai_causal.label; the bundles in model/ are its own copies."""

from monai_causal.label.app import application

CausalApp = application()
'''
NEEDED = ("configs/metadata.json", "models")


def write_app(folder: Path, bundles: Sequence[Path] = ()) -> list[str]:
    """Write an app folder, and return the names of its bundles.

    Bundles are copied, since a training from the server changes their weights.

    Args:
        folder: a new or empty folder.
        bundles: folders of segmentation bundles; none: those of this checkout.
    """
    chosen = [Path(one) for one in bundles] or _own()
    for number, bundle in enumerate(chosen, start=1):
        missing = [name for name in NEEDED if not (bundle / name).exists()]
        if missing:
            raise ValueError(f"bundle {number} of {len(chosen)} is no bundle with weights: it has no {missing[0]}.")
    names = [bundle.resolve().name for bundle in chosen]
    if len(set(names)) < len(names):
        raise ValueError(f"two bundles have one name: {', '.join(sorted(names))}; a server knows them by it.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError("the app's folder is not empty: name a new one, or remove it first.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".draft-") as draft:
        app = Path(draft) / "app"
        for bundle, name in zip(chosen, names, strict=True):
            shutil.copytree(bundle, app / "model" / name, ignore=shutil.ignore_patterns("__pycache__", "eval", "data"))
        (app / "main.py").write_text(MAIN, encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        app.rename(folder)
    return names


def in_words(names: Sequence[str], folder: Path) -> str:
    """What was written, and how to start it."""
    return "\n".join(
        (
            f"An app with {', '.join(names)} is in {folder}. In MONAI Label's environment (make label):",
            f"  monailabel start_server --app {folder} --studies IMAGES --host 127.0.0.1",
            "More, DICOMweb and logins among it: docs/how-to/monai-label.md.",
        )
    )


def _own() -> list[Path]:
    """The bundles beside the package."""
    place = Path(__file__).resolve().parents[2] / "bundles"
    found = [place / name for name in BUNDLES if (place / name).is_dir()]
    if not found:
        raise ValueError("no bundles lie beside the package: name some with --bundle FOLDER.")
    return found
