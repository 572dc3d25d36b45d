# SPDX-License-Identifier: Apache-2.0
"""What ``monai-causal medground build`` and ``evaluate`` do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from monai_causal.apps.medfocus.baselines.registry import METHODS
from monai_causal.apps.medfocus.vlm.prompts import Mode
from monai_causal.apps.medground.building import Build, BuildConfig, build_benchmark
from monai_causal.apps.medground.candidates import Source
from monai_causal.apps.medground.editors import Editor, InpaintingEditor, load_radedit
from monai_causal.apps.medground.evaluating import default_methods, evaluate_benchmark
from monai_causal.apps.medground.fates import funnel_in_words, read_fates, write_kept
from monai_causal.apps.medground.models import model_of, note_model, noted_model
from monai_causal.apps.medground.results import write_results
from monai_causal.apps.medground.sources import (
    PhantomSource,
    source_from_coco,
    source_from_csv,
    source_from_imagenome,
    source_from_padchest_gr,
    source_from_vindr,
)

__all__ = ["BuildRequest", "EvaluateRequest", "build", "evaluate", "modes_of"]

SOURCES: dict[str, Callable[..., Source]] = {
    "imagenome": source_from_imagenome,
    "vindr_cxr": source_from_vindr,
    "padchest_gr": source_from_padchest_gr,
    "coco": source_from_coco,
    "csv": source_from_csv,
}
"""All but phantoms."""
PHANTOMS = 400
"""Candidates of phantoms, unless another number is asked for."""


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """What is built."""

    out: Path
    vlm: str = "demo"
    source: str = "phantom"
    count: int | None = None
    seed: int = 0
    mode: str = "both"
    size: int = 224
    negatives: float = 0.25
    data: Path | None = None
    images: Path | None = None
    editor: str | None = None
    editor_folder: Path | None = None
    resolution: int | None = None
    seeds: int = 1
    agreement: float = 1.0
    sham: bool = False
    device: str | None = None
    shard: tuple[int, int] = (1, 1)


@dataclass(frozen=True, kw_only=True)
class EvaluateRequest:
    """What is evaluated."""

    folder: Path
    methods: Sequence[str] = ()
    mode: str = "both"
    vlm: str | None = None
    device: str | None = None
    batch_size: int = 16
    detector: Path | None = None
    limit: int | None = None
    shard: tuple[int, int] = (1, 1)


def build(request: BuildRequest) -> str:
    """Build a benchmark, or what is left of it; returns what a person wants to read."""
    count = PHANTOMS if request.count is None and request.source == "phantom" else request.count
    config = BuildConfig(
        count=count,
        modes=modes_of(request.mode),
        negatives=request.negatives,
        resolution=request.resolution,
        seeds=request.seeds,
        agreement=request.agreement,
        sham=request.sham,
    )
    source, editor = _source(request), _editor(request)
    vlm, name = model_of(request.vlm, device=request.device)
    if not (request.out / "build.json").exists():  # of a build with another model the note stays as it is
        request.out.mkdir(parents=True, exist_ok=True)
        note_model(request.out, request.vlm)
    build_benchmark(Build(vlm, name, source, editor), config, request.out, request.shard)
    write_kept(request.out)
    return funnel_in_words(read_fates(request.out))


def evaluate(request: EvaluateRequest) -> str:
    """Evaluate methods on a benchmark, or what is left to do; returns what a person wants to read."""
    unknown = [name for name in request.methods if name not in METHODS]
    if unknown:
        raise ValueError(f"method {unknown[0]!r}: one of {', '.join(METHODS)}.")
    vlm, name = model_of(
        request.vlm or noted_model(request.folder), device=request.device, batch_size=request.batch_size
    )
    modes = None if request.mode == "both" else modes_of(request.mode)
    options: dict[str, dict[str, Any]] = {}
    if request.detector is not None:
        from monai_causal.apps.medfocus.baselines.zero_shot import ZeroShotDetector

        options["prompt-phrases"] = {"detector": ZeroShotDetector(request.detector, device=request.device or "cpu")}
    evaluate_benchmark(
        request.folder,
        vlm,
        name,
        request.methods or default_methods(),
        modes,
        request.shard,
        limit=request.limit,
        options=options,
    )
    return _in_words(write_results(request.folder))


def modes_of(text: str) -> tuple[Mode, ...]:
    """The modes that a word means.

    Example:
        >>> modes_of("both")
        ('direct', 'reasoning')
    """
    known: tuple[Mode, ...] = get_args(Mode)
    if text != "both" and text not in known:
        raise ValueError(f"mode={text!r}: one of {', '.join(known)}, both.")
    return known if text == "both" else tuple(mode for mode in known if mode == text)


def _source(request: BuildRequest) -> Source:
    data, images = request.data, request.images
    if request.source == "phantom":
        return PhantomSource(request.seed, (request.size, request.size), exact=request.editor in (None, "do"))
    if request.source not in SOURCES:
        raise ValueError(f"source={request.source!r}: one of phantom, {', '.join(SOURCES)}.")
    if data is None:
        raise ValueError(f"source={request.source!r} needs --data: its folder, or its box file.")
    if request.source == "imagenome" and images is None:
        raise ValueError("source='imagenome' needs --images: the folder of MIMIC-CXR-JPG that holds files.")
    if request.source in ("vindr_cxr", "padchest_gr") and images is not None:
        raise ValueError(f"source={request.source!r} finds its images under --data; leave --images out.")
    if request.source in ("coco", "csv") and images is None:
        images = data.parent
    source: Source = (
        SOURCES[request.source](data, seed=request.seed)
        if images is None
        else SOURCES[request.source](data, images, seed=request.seed)
    )
    return source


def _editor(request: BuildRequest) -> Editor | None:
    named = request.editor or ("do" if request.source == "phantom" else "inpainting")
    if named == "do" and request.source == "phantom":
        return None
    if named == "inpainting":
        return InpaintingEditor()
    if named == "radedit":
        if request.editor_folder is None:
            raise ValueError("editor='radedit' needs --editor-folder: it holds unet, vae and text_encoder.")
        return load_radedit(request.editor_folder, device=request.device or "cpu")
    raise ValueError(f"editor={named!r}: one of inpainting, radedit, and for phantoms do.")


def _in_words(content: dict[str, Any]) -> str:
    lines = []
    for row in content["rows"]:
        failed = f", {row['failed']} failed" if row["failed"] else ""
        values = (
            f"IoU {row['iou']:.3f} [{_bound(row['iou_low'])}, {_bound(row['iou_high'])}], F1 {row['f1']:.3f}, "
            f"concept hit {row['concept_hit']:.3f}"
            if row["n"]
            else "nothing"
        )
        lines.append(f"{row['mode']:9}  {row['method']:20}  {row['n']} samples{failed}: {values}")
    return "\n".join(lines)


def _bound(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
