# SPDX-License-Identifier: Apache-2.0
"""From what a user names - an image, a study, a bundle, or nothing - to something that can be asked about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from monai_causal.apps.explain.bundles import CONFIGS
from monai_causal.apps.explain.models import DEMO
from monai_causal.apps.explain.request import Request
from monai_causal.data.readers import PICTURES, VOLUMES
from monai_causal.studio.radiograph import RadiographSession
from monai_causal.studio.segmentation import SegmentationSession

__all__ = ["Session", "Start", "open_start"]

Session = SegmentationSession | RadiographSession


@dataclass(frozen=True)
class Start:
    """What a studio begins with; its page may open something else later.

    Attributes:
        source: a picture or NIfTI volume, a DICOM study or file (a chest radiograph), or a bundle, whose first sample
            is opened; ``None``: the phantom of the demo.
        model: for a picture or volume: a bundle's folder, ``"demo"``, or the name of a network.
        checkpoint: of a network by name.
        out_channels: of a network by name.
        chest: a picture is a chest radiograph to ask about, not one to segment.
        vlm: who answers about radiographs: ``demo``, ``demo-shortcut``, or a folder.
        donors: a folder of images to cut donors from.
        device: where models run; ``None``: for segmentations a GPU where there is one.
        out: folder that results are saved below.
    """

    source: Path | None = None
    model: str | None = None
    checkpoint: Path | None = None
    out_channels: int = 1
    chest: bool = False
    vlm: str = "demo"
    donors: Path | None = None
    device: str | None = None
    out: Path = Path("studio_out")


def open_start(start: Start) -> Session:
    """Open it.

    Raises:
        ValueError: it cannot be opened, with what to do.
    """
    source = start.source
    if source is None:
        return SegmentationSession(_request(start, None, start.model or DEMO))
    if not source.exists():
        raise FileNotFoundError("there is no such file or folder: give an image, a DICOM study or a MONAI bundle.")
    if source.is_dir() and any((source / name).is_file() for name in CONFIGS):
        return _bundle(start, source)
    picture = source.is_file() and source.name.lower().endswith(PICTURES)
    if start.chest or not (picture or source.name.lower().endswith(VOLUMES)):
        return RadiographSession(source, start.vlm, start.device)
    if start.model is None:
        raise ValueError(
            "an image needs a model that segments it: name a bundle's folder, or the network 'demo' for its phantoms; "
            "or say that it is a chest radiograph."
        )
    return SegmentationSession(_request(start, source, start.model))


def _request(start: Start, image: Path | None, model: str) -> Request:
    own: dict[str, Any] = (
        {"bundle": Path(model)}
        if Path(model).is_dir()
        else {"network": model, "checkpoint": start.checkpoint, "out_channels": start.out_channels}
    )
    return Request(start.out, image, donors=start.donors, device=start.device, **own)


def _bundle(start: Start, folder: Path) -> Session:
    """A bundle with an image of its own: one that segments, or the one that asks about radiographs."""
    config = ConfigParser()
    config.read_config(next(folder / name for name in CONFIGS if (folder / name).is_file()))
    target = (config.get("case") or {}).get("_target_", "")
    if target.endswith("attribute_case.Case"):
        config.set(str(folder), "bundle_root")
        return RadiographSession(
            Path(config.get_parsed_content("study")), config.get_parsed_content("vlm"), start.device
        )
    samples = sorted(path for path in folder.glob("sample/*") if path.name.lower().endswith((*PICTURES, *VOLUMES)))
    if not samples:
        raise ValueError("this bundle brings no sample: name an image, and the bundle's folder as its model.")
    return SegmentationSession(_request(start, samples[0], str(folder)))
