# SPDX-License-Identifier: Apache-2.0
"""What is asked: everything that ``monai-causal explain`` can be told, checked before anything is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from monai_causal.apps.explain.methods import METHODS
from monai_causal.apps.explain.models import DEMO
from monai_causal.intervene.regions import Box

__all__ = ["Request", "parse_range", "parse_roi", "parse_sizes"]

RULES = ("boundary", "component")
_SPAN = re.compile(r"\s*(\d+)\s*:\s*(\d+)\s*")


@dataclass(frozen=True)
class Request:
    """A question about one image and one model, which is a ``network`` with its ``checkpoint`` or a ``bundle``.

    Attributes:
        out: folder to write to.
        image: PNG, JPEG, BMP, TIFF (rows, columns) or NIfTI; ``None`` with the network ``"demo"``: its phantom.
        network: a name that ``build_network`` knows, or ``"demo"``.
        checkpoint: its weights.
        bundle: folder of a MONAI bundle. Its expressions are evaluated: only those that you trust.
        out_channels: of the network; its input channels are those of the image.
        intensities: which become 0 and 1, for a NIfTI and a named network; ``None``: the image's own extremes.
        window: edges of a sliding window in voxels, for a named network; ``None``: the whole image at once.
        overlap: of the windows.
        method: one of :data:`METHODS`.
        roi: a box in the image's own array order, ``"boundary"`` or ``"component"``; ``None``: the method's default.
        roi_size: edges of the box that ``"boundary"`` looks for, in voxels of the network's image.
        label: a label map of the image's size; ``None``: the network's own first answer.
        class_idx: the class asked about; ``None``: the foreground class that label or answer hold most of.
        bank: a file that ``DonorBank.save`` wrote.
        donors: a folder of images to cut donors from.
        patch_size: edges of regions in voxels of the network's image; ``None``: 8 in 2-D, 16 in 3-D.
        grid: cells per axis, for ``"dea"``, ``"ria"`` and ``"kernel-shap"``; ``None``: 14, and for the last one 8 in
            2-D and 4 in 3-D; no more than the axis has voxels.
        rule: of PdCR: ``"sequential"``, ``"paper"`` or ``"exhaustive"``.
        n_samples, tau: of PdCR.
        target_layer: of the methods that look at a layer; ``None``: found.
        batch_size: interventions that run at once, or ``"auto"``.
        execution: of the engine: ``"auto"``, ``"dense"``, ``"windows"`` or ``"incremental"``.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` ...; ``None``: a GPU where there is one.
        seed: of every draw.
        progress: show bars where somebody watches.
    """

    out: Path
    image: Path | None = None
    network: str | None = None
    checkpoint: Path | None = None
    bundle: Path | None = None
    out_channels: int = 1
    intensities: tuple[float, float] | None = None
    window: tuple[int, ...] | None = None
    overlap: float = 0.25
    method: str = "pdcr"
    roi: Box | str | None = None
    roi_size: tuple[int, ...] | None = None
    label: Path | None = None
    class_idx: int | None = None
    bank: Path | None = None
    donors: Path | None = None
    patch_size: tuple[int, ...] | None = None
    grid: tuple[int, ...] | None = None
    rule: str = "sequential"
    n_samples: int = 50
    tau: float = 0.02
    target_layer: str | None = None
    batch_size: int | Literal["auto"] = "auto"
    execution: str = "auto"
    device: str | None = None
    seed: int = 0
    progress: bool = False

    def __post_init__(self) -> None:
        if (self.network is None) == (self.bundle is None):
            raise ValueError("give one model: a network with its checkpoint, or a bundle.")
        if self.method not in METHODS:
            raise ValueError(f"there is no method {self.method!r}; known are: {', '.join(METHODS)}.")
        if self.image is None and self.network != DEMO:
            raise ValueError("there is no image: name the file (only the network 'demo' has an image of its own).")
        if isinstance(self.roi, str) and self.roi not in RULES:
            raise ValueError(f"roi={self.roi!r}: {', '.join(RULES)}, or spans such as 72:104,88:120, one per axis.")
        if self.bank is not None and self.donors is not None:
            raise ValueError("donors come from a bank or from a folder: give one of them.")
        if self.method != "pdcr" and (self.bank is not None or self.donors is not None):
            raise ValueError(f"donors serve the method 'pdcr'; {self.method!r} does without: leave them out.")
        if self.bundle is not None:
            own = {"checkpoint": self.checkpoint, "intensities": self.intensities, "window": self.window}
            given = [name for name, value in own.items() if value is not None]
            if given:
                raise ValueError(f"{', '.join(given)}: a bundle brings its own; leave it out.")

    def chosen_device(self) -> torch.device:
        """The device that was named, or the best there is."""
        if self.device is None:
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError, NotImplementedError):
            raise ValueError(f"device={self.device!r}: there is no such device here; 'cpu' always works.") from None
        return device


def parse_roi(text: str | None) -> Box | str | None:
    """A box from spans in array order, half-open, one per axis; any other word as it is.

    Example:
        >>> parse_roi("72:104,88:120"), parse_roi("component")
        (((72, 104), (88, 120)), 'component')
    """
    if text is None or ":" not in text:
        return text
    spans = [_SPAN.fullmatch(part) for part in text.split(",")]
    if not all(spans):
        raise ValueError(f"roi={text!r}: spans start:stop in array order, one per axis, such as 72:104,88:120.")
    return tuple((int(span[1]), int(span[2])) for span in spans if span is not None)


def parse_sizes(text: str | None, name: str) -> tuple[int, ...] | None:
    """Whole numbers, one for all axes or one per axis.

    Example:
        >>> parse_sizes("8", "patch-size"), parse_sizes("96,96,32", "window")
        ((8,), (96, 96, 32))
    """
    if text is None:
        return None
    if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", text):
        raise ValueError(f"{name}={text!r}: a whole number, or one per axis with commas between them.")
    return tuple(int(part) for part in text.split(","))


def parse_range(text: str | None, name: str) -> tuple[float, float] | None:
    """Two numbers, the lower one first.

    Example:
        >>> parse_range("-57:164", "intensities")
        (-57.0, 164.0)
    """
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        raise ValueError(f"{name}={text!r}: two numbers with a colon between them, such as -57:164.") from None
    if not low < high:
        raise ValueError(f"{name}={text!r}: the lower number comes first.")
    return low, high
