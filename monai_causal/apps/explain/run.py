# SPDX-License-Identifier: Apache-2.0
"""From a request to files: read, ask, bring the map back to the image, write."""

from __future__ import annotations

import time
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
import torch
from torch import Tensor

from monai_causal.apps.explain.bundles import Bundle, open_bundle
from monai_causal.apps.explain.methods import METHODS, Method, Question
from monai_causal.apps.explain.models import DEMO, Model, named_model
from monai_causal.apps.explain.pictures import draw
from monai_causal.apps.explain.request import Request
from monai_causal.apps.explain.scenes import Scene, bundle_scene, own_scene, phantom_scene
from monai_causal.apps.explain.weights import digest_of
from monai_causal.data.banks import DonorBank, phantom_bank
from monai_causal.data.readers import PICTURES, VOLUMES
from monai_causal.files import draft_of, write_json
from monai_causal.intervene import DonorPatchFill, Evaluator, Fill, InpaintFill, MeanFill
from monai_causal.intervene.execution.session import is_out_of_memory
from monai_causal.intervene.scores import hard_answer
from monai_causal.versions import versions
from monai_causal.visualize.rois import RoI

__all__ = ["explain", "in_words"]

SCHEMA = "monai_causal/explain/1"
CAVEAT = "This explains a model. It is no statement about a patient."
PATHS = ("out", "image", "checkpoint", "bundle", "label", "bank", "donors")
"""Fields of a request that never reach a file: images and models are known by their digests."""


def explain(request: Request) -> dict[str, Any]:
    """Answer a request.

    Writes to ``request.out``: ``explanation.png``; ``map.nii.gz``, which lies on the image; for PdCR ``pdcr/``, what
    ``PdCRResult.save`` writes, on the network's own grid; and ``summary.json``, whose content is returned.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     summary = explain(Request(Path(folder), network="demo", method="ega"))
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['explanation.png', 'map.nii.gz', 'summary.json']
    """
    started = time.perf_counter()
    device = request.chosen_device()
    scene, model, bundle = _read(request, device)
    if model.channels is not None and model.channels != scene.image.shape[1]:
        raise ValueError(f"the network takes {model.channels} channels, this image has {scene.image.shape[1]}.")
    method = METHODS[request.method]
    label = None if request.label is None else scene.label(request.label)
    output = _first_answer(model, scene, device)
    class_idx = _asked_class(request.class_idx, output, label, model)
    answer = hard_answer(output, class_idx or 0, model.activation, model.threshold)[0].cpu()
    target = answer if label is None else label > 0 if class_idx is None else label == class_idx
    if not target.any():
        holder = "the network's answer" if label is None else "the label"
        raise ValueError(f"{holder} holds nothing of class {class_idx or 1}: there is nothing to explain.")
    axes = len(scene.grid.shape)
    patch_size = _edges(request.patch_size, 8 if axes == 2 else 16, axes, "patch-size")
    fill, replaced_by = (
        _fill(request, scene, bundle, patch_size) if request.method == "pdcr" else (MeanFill(), {"kind": method.fill})
    )
    roi = request.roi or method.roi
    question = Question(
        scene.image,
        model,
        class_idx,
        target,
        cast(RoI, roi) if isinstance(roi, str) else scene.roi(roi),
        label,
        fill,
        patch_size,
        _edges(request.roi_size, 32, axes, "roi-size"),
        None if request.grid is None else _edges(request.grid, 1, axes, "grid"),
        request.rule,
        request.n_samples,
        request.tau,
        request.target_layer,
        request.seed,
        {
            "batch_size": request.batch_size,
            "execution": request.execution,
            "device": device,
            "progress": request.progress,
        },
    )
    found = method.ask(question)
    heat = scene.back(found.map, method.smooth)
    summary = {
        "schema": SCHEMA,
        "method": request.method,
        "unit": method.unit,
        "sign": "after - before: negative supports the answer, positive suppresses it"
        if method.signed
        else "high values support the answer",
        "settings": _settings(request, patch_size),
        "image": {
            "digest": scene.digest,
            "shape": list(scene.own.shape),
            "channels": len(scene.stored),
            "shape_for_the_network": list(scene.grid.shape),
        },
        "model": model.record,
        "label": None if request.label is None else digest_of(request.label),
        "class": class_idx,
        "roi": {
            "asked": _as_list(roi),
            "voxels": int(found.roi.sum()),
            "box": _box(scene.back(found.roi.to(torch.uint8))),
        },
        "replaced_by": replaced_by,
        "findings": {**found.findings, **_extremes(heat, method)},
        "notes": scene.notes,
        "seconds": round(time.perf_counter() - started, 2),
        "versions": versions("monai", "torch", "numpy"),
        "caveat": CAVEAT,
    }
    request.out.mkdir(parents=True, exist_ok=True)
    _save_map(request.out / "map.nii.gz", heat, scene)
    if found.result is not None:
        found.result.save(request.out / "pdcr")
    draw(request.out / "explanation.png", scene, method, found, heat, answer, label, class_idx)
    write_json(request.out / "summary.json", summary)
    return summary


def in_words(summary: dict[str, Any], out: Path) -> str:
    """What came out and where to look, in a few lines."""
    found, unit = summary["findings"], summary["unit"]
    lines = [f"{summary['method']}: a RoI of {summary['roi']['voxels']} voxels, {summary['seconds']} s."]
    if "relevant" in found:
        lines.append(
            f"{found['relevant']} of {found['regions']} regions matter; before: {found['baseline']:.4g} {unit}."
        )
    if "layer" in found:
        lines.append(f"Gradients were taken at the layer {found['layer']!r}.")
    if summary["replaced_by"]["kind"] is not None:
        lines.append(f"Regions were replaced by {summary['replaced_by']['kind']}.")
    for name in ("support", "suppression"):
        if (strongest := found.get(f"strongest_{name}")) is not None:
            lines.append(f"Strongest {name}: {strongest['value']:+.4g} ({unit}) at voxel {strongest['voxel']}.")
    lines += [f"Note: {note}." for note in summary["notes"]]
    lines.append(f"Look at {out / 'explanation.png'}; map.nii.gz lies on the image; all figures are in summary.json.")
    lines.append(summary["caveat"])
    return "\n".join(lines)


def _read(request: Request, device: torch.device) -> tuple[Scene, Model, Bundle | None]:
    if request.bundle is not None:
        assert request.image is not None
        bundle = open_bundle(request.bundle, device)
        return bundle_scene(request.image, bundle), bundle.model, bundle
    assert request.network is not None
    scene = phantom_scene() if request.image is None else own_scene(request.image, request.intensities)
    axes = len(scene.grid.shape)
    window = None if request.window is None else _edges(request.window, 1, axes, "window")
    channels = scene.image.shape[1]
    model = named_model(
        request.network, request.checkpoint, channels, request.out_channels, axes, window, request.overlap
    )
    return scene, model, None


def _first_answer(model: Model, scene: Scene, device: torch.device) -> Tensor:
    """The network's output ``(1, K, *spatial)``; here shows whether the network can take the image at all."""
    try:
        output = Evaluator(model.network, inferer=model.inferer, device=device).answer(scene.image)
    except RuntimeError as error:  # what torch raises where shapes do not fit
        if is_out_of_memory(error):
            raise ValueError(
                f"memory ran out on an image of {tuple(scene.image.shape)}: use a sliding window, or another device."
            ) from error
        raise ValueError(
            f"the network cannot take an image of shape {tuple(scene.image.shape)}: {' '.join(str(error).split())}"
        ) from error
    if output.shape[2:] != scene.image.shape[2:]:
        raise ValueError(
            f"the network answers {tuple(output.shape)} to {tuple(scene.image.shape)}: one answer per voxel is needed."
        )
    return output


def _asked_class(given: int | None, output: Tensor, label: Tensor | None, model: Model) -> int | None:
    """The class; ``None`` for a network of one channel. Where none is given, the one that most voxels hold."""
    count = output.shape[1]
    if given is not None and not 0 <= given < max(count, 2):
        raise ValueError(f"class {given}: the network gives {count} channels.")
    if count == 1 or given is not None:
        return None if count == 1 else given
    if label is None and model.activation == "sigmoid":  # classes of their own, none of them background
        held = torch.stack([hard_answer(output, k, model.activation, model.threshold).sum() for k in range(count)])
    else:
        holder = output.argmax(1) if label is None else label[label < count]
        held = torch.bincount(holder.flatten(), minlength=count)
        held[0] = 0
    if not held.any():
        raise ValueError("neither label nor network find any class in this image: there is nothing to explain.")
    return int(held.argmax())


def _fill(
    request: Request, scene: Scene, bundle: Bundle | None, patch_size: tuple[int, ...]
) -> tuple[Fill, dict[str, Any]]:
    """What regions are replaced by, and what a summary says of it."""
    if request.bank is not None:
        bank = DonorBank.load(request.bank)
    elif request.donors is not None:
        options: dict[str, Any] = {"seed": request.seed, "progress": request.progress}
        if bundle is None:
            bank = DonorBank.from_folder(request.donors, patch_size, window=request.intensities, **options)
        else:
            bank = _prepared_donors(request.donors, bundle, patch_size, options)
    elif request.network == DEMO:
        bank = phantom_bank(request.seed, patch_size=patch_size)
    else:
        if request.rule == "exhaustive":
            raise ValueError("the rule 'exhaustive' asks about every donor once: give a bank or a folder of donors.")
        return InpaintFill(), {
            "kind": "the smooth continuation of their surroundings with texture of the same image, for want of donors"
        }
    bank.check(scene.image)
    bank = bank.without(image=scene.image[0])
    record = {"kind": f"patches of {len(bank.images)} other images", "donors": len(bank), "source": bank.source}
    return DonorPatchFill(bank.patches), record


def _prepared_donors(folder: Path, bundle: Bundle, patch_size: tuple[int, ...], options: dict[str, Any]) -> DonorBank:
    """Donors as the bundle's network sees them."""
    if not folder.is_dir():
        raise ValueError("the donors' folder is not there: give a folder of pictures or NIfTI volumes.")
    known = (*PICTURES, *VOLUMES)
    paths = sorted(path for path in folder.iterdir() if path.name.lower().endswith(known) and path.name[0] != ".")
    items = ((number, bundle.read(path)[1]) for number, path in enumerate(paths))
    return DonorBank.cut(items, patch_size, source=f"{len(paths)} files through a bundle's pre-processing", **options)


def _edges(given: tuple[int, ...] | None, default: int, axes: int, name: str) -> tuple[int, ...]:
    edges = (default,) if given is None else given
    edges = edges * axes if len(edges) == 1 else edges
    if len(edges) != axes or min(edges) < 1:
        raise ValueError(f"{name}={given}: one positive number, or one for each of {axes} axes.")
    return edges


def _settings(request: Request, patch_size: tuple[int, ...]) -> dict[str, Any]:
    named = {one.name: getattr(request, one.name) for one in fields(request) if one.name not in PATHS}
    return {**named, "roi": _as_list(request.roi), "patch_size": list(patch_size)}


def _as_list(roi: Any) -> Any:
    return [list(span) for span in roi] if isinstance(roi, tuple) else roi


def _box(mask: Tensor) -> list[list[int]] | None:
    """The smallest box around a mask; ``None`` where it holds nothing."""
    inside = mask.nonzero()
    if not len(inside):
        return None
    return [[int(low), int(high) + 1] for low, high in zip(inside.amin(0), inside.amax(0), strict=True)]


def _extremes(heat: Tensor, method: Method) -> dict[str, Any]:
    """Where the map is strongest, on the stored image; nothing where it says nothing."""
    sides = {"support": -1.0, "suppression": 1.0} if method.signed else {"support": 1.0}
    found = {}
    for name, sign in sides.items():
        value, place = (sign * heat).flatten().max(0)
        if value > 0:
            voxel = [int(index) for index in np.unravel_index(int(place), tuple(heat.shape))]
            found[f"strongest_{name}"] = {"value": sign * float(value), "voxel": voxel}
    return found


def _save_map(path: Path, heat: Tensor, scene: Scene) -> None:
    array = heat.float().numpy()
    array = array.reshape(*array.shape, *(1,) * (3 - array.ndim))  # a picture is a volume of one slice
    with draft_of(path) as draft:
        nib.save(nib.Nifti1Image(array, scene.affine), draft)
