# SPDX-License-Identifier: Apache-2.0
"""From a request to files: read, ask, bring the map back to the image, write."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from monai_causal.apps.explain.bundles import Bundle
from monai_causal.apps.explain.methods import METHODS, Found, Method, Question
from monai_causal.apps.explain.models import DEMO, Model
from monai_causal.apps.explain.opened import Opened, edges, open_image
from monai_causal.apps.explain.pictures import draw
from monai_causal.apps.explain.request import Request
from monai_causal.apps.explain.scenes import Scene
from monai_causal.apps.explain.weights import digest_of
from monai_causal.data.banks import DonorBank, phantom_bank
from monai_causal.data.readers import PICTURES, VOLUMES
from monai_causal.files import draft_of, write_json
from monai_causal.intervene import DonorPatchFill, Fill, InpaintFill, MeanFill
from monai_causal.intervene.scores import hard_answer
from monai_causal.versions import versions
from monai_causal.visualize.rois import RoI

__all__ = ["Explanation", "ask", "donors_of", "explain", "in_words"]

SCHEMA = "monai_causal/explain/1"
CAVEAT = "This explains a model. It is no statement about a patient."
PATHS = ("out", "image", "checkpoint", "bundle", "label", "bank", "donors")
"""Fields of a request that never reach a file: images and models are known by their digests."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """An answer, before it is written.

    Attributes:
        found: on the network's grid.
        map: ``(*spatial)``, on the stored image's.
        summary: what ``summary.json`` will hold.
        opened: what was asked about.
        answer: the network's own, bool ``(*spatial)`` on its grid.
    """

    found: Found
    map: Tensor
    summary: dict[str, Any]
    opened: Opened
    answer: Tensor

    def write(self, out: Path) -> None:
        """Write the folder that :func:`explain` describes."""
        scene, label, method = self.opened.scene, self.opened.label, METHODS[self.summary["method"]]
        out.mkdir(parents=True, exist_ok=True)
        _save_map(out / "map.nii.gz", self.map, scene)
        _save_image(out, scene)
        if self.found.result is not None:
            self.found.result.save(out / "pdcr")
        class_idx = self.summary["class"]
        draw(out / "explanation.png", scene, method, self.found, self.map, self.answer, label, class_idx)
        write_json(out / "summary.json", self.summary)


def explain(request: Request) -> dict[str, Any]:
    """Answer a request.

    Writes to ``request.out``: ``explanation.png``; ``map.nii.gz``, which lies on the image; the image itself as it is
    shown, ``image.png`` or of a volume ``image.nii.gz``; for PdCR ``pdcr/``, what ``PdCRResult.save`` writes, on the
    network's own grid; and ``summary.json``, whose content is returned.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     summary = explain(Request(Path(folder), network="demo", method="ega"))
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['explanation.png', 'image.png', 'map.nii.gz', 'summary.json']
    """
    explanation = ask(open_image(request), request)
    explanation.write(request.out)
    return explanation.summary


def ask(opened: Opened, request: Request, replaced: tuple[Fill, dict[str, Any]] | None = None) -> Explanation:
    """Answer a request about an image and a model that are open already; nothing is written.

    Args:
        opened: what :func:`open_image` made of this request, or of one that differs in the question only.
        request: the question.
        replaced: what PdCR replaces regions by in place of the request's donors, and what the summary says of it.
    """
    started = time.perf_counter()
    scene, model, device = opened.scene, opened.model, opened.device
    method = METHODS[request.method]
    label = opened.label
    class_idx = _asked_class(request.class_idx, opened.output, label, model)
    answer = opened.answer(class_idx)
    target = answer if label is None else label > 0 if class_idx is None else label == class_idx
    if not target.any():
        holder = "the network's answer" if label is None else "the label"
        raise ValueError(f"{holder} holds nothing of class {class_idx or 1}: there is nothing to explain.")
    axes = len(scene.grid.shape)
    patch_size = edges(request.patch_size, 8 if axes == 2 else 16, axes, "patch-size")
    if request.method != "pdcr":
        replaced = (MeanFill(), {"kind": method.fill})
    fill, replaced_by = replaced or donors_of(request, opened, patch_size)
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
        edges(request.roi_size, 32, axes, "roi-size"),
        None if request.grid is None else edges(request.grid, 1, axes, "grid"),
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
        "seconds": round(opened.seconds + time.perf_counter() - started, 2),
        "versions": versions("monai", "torch", "numpy"),
        "caveat": CAVEAT,
    }
    return Explanation(found, heat, summary, opened, answer)


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


def donors_of(request: Request, opened: Opened, patch_size: tuple[int, ...]) -> tuple[Fill, dict[str, Any]]:
    """What the request replaces regions by, and what a summary says of it."""
    scene, bundle = opened.scene, opened.bundle
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


def _save_image(out: Path, scene: Scene) -> None:
    """The image as it is shown, for pages that show the results: 8 bits, colour where there are three channels."""
    stored = scene.stored.float().clamp(0, 1).numpy()
    shown = np.rint(255 * (np.moveaxis(stored, 0, -1) if len(stored) == 3 else stored[0])).astype(np.uint8)
    if len(scene.own.shape) == 2:
        with draft_of(out / "image.png") as draft:
            Image.fromarray(shown).save(draft)
    else:
        with draft_of(out / "image.nii.gz") as draft:
            nib.save(nib.Nifti1Image(shown, scene.affine), draft)


def _save_map(path: Path, heat: Tensor, scene: Scene) -> None:
    array = heat.float().numpy()
    array = array.reshape(*array.shape, *(1,) * (3 - array.ndim))  # a picture is a volume of one slice
    with draft_of(path) as draft:
        nib.save(nib.Nifti1Image(array, scene.affine), draft)
