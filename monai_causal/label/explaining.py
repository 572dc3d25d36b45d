# SPDX-License-Identifier: Apache-2.0
"""One image, one bundle, one question of a client: its map, and all that a response tells of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor

from monai_causal.apps.explain.bundles import Bundle
from monai_causal.apps.explain.methods import METHODS, Found, Question
from monai_causal.apps.explain.models import Model
from monai_causal.data.banks import DonorBank
from monai_causal.inferers import Explanation
from monai_causal.inferers.saver import figures
from monai_causal.intervene import DonorPatchFill, Fill, InpaintFill, MeanFill
from monai_causal.intervene.regions import bounding_box
from monai_causal.label.bands import LABELS, as_dicts, bands
from monai_causal.label.served import ServedBundle, first_answer
from monai_causal.label.settings import BY_METHOD, OTHER_IMAGES, Settings
from monai_causal.label.studies import Study
from monai_causal.visualize.rois import RoI

__all__ = ["ROI_VALUE", "Explained", "explain_study"]

SCHEMA = "monai_causal/label-explanation/1"
ROI_VALUE = 7
"""In a label map of bands: where the answer was asked about, and no band lies."""

ROWS = 200
"""Effects in a response, the strongest first; a client draws a table of them."""

Donors = Callable[[int], DonorBank | None]
"""``patch size ->`` a bank of other images; ``None`` where there are none."""


@dataclass(frozen=True, eq=False)
class Explained:
    """An explanation on the image's own grid, in array order.

    Attributes:
        heat: float32, in the method's unit.
        bands: uint8: :data:`monai_causal.label.bands.LABELS`, and :data:`ROI_VALUE`.
        params: what the response says beside it, ready for JSON.
    """

    heat: Tensor
    bands: Tensor
    params: dict[str, Any]


def explain_study(
    served: ServedBundle,
    bundle: Bundle,
    study: Study,
    settings: Settings,
    device: torch.device,
    donors: Donors,
    label: Tensor | None = None,
) -> Explained:
    """Ask why the network answered so.

    Args:
        served, bundle: the bundle, and it opened on ``device``.
        study: the image.
        settings: what is asked.
        device: where it runs.
        donors: other images, for PdCR.
        label: the last one, on the network's grid ``(*spatial)``, where ``settings`` need it.
    """
    scene, model, method = study.scene, bundle.model, METHODS[settings.method]
    if settings.needs_label and label is None:
        raise ValueError(
            f"roi={settings.roi!r}, compare_with={settings.compare_with!r}: the image has no label yet; submit one, or "
            "send one with the request."
        )
    compared = label if settings.compare_with == "label" else None
    output = first_answer(model, scene.image, device)
    answer = served.label_map(output, model)
    value = _asked_value(settings.class_value(served), answer if compared is None else compared, served)
    class_idx = None if output.shape[1] == 1 else value - 1 + served.first
    target = (answer if compared is None else compared) == value
    reference = None if compared is None else target
    axes = len(scene.grid.shape)
    fill, replaced_by = _fill(settings, study, donors, method.fill)
    question = Question(
        scene.image,
        model,
        class_idx,
        target,
        _place(settings, study, label, method.roi),
        reference,
        fill,
        (settings.patch_size,) * axes,
        (settings.roi_size,) * axes,
        (settings.cells,) * axes if settings.cells else None,
        settings.rule,
        settings.samples,
        settings.tau,
        settings.target_layer or None,
        settings.seed,
        {"batch_size": "auto", "execution": "auto", "device": device, "progress": False},
    )
    found = method.ask(question)
    heat = scene.back(found.map, method.smooth)
    values, told = bands(heat, method.signed, settings.band_limit or None)
    asked = scene.back(found.roi.to(torch.uint8)) > 0
    values[(values == 0) & asked] = ROI_VALUE
    explanation = Explanation(
        settings.method, scene.image[0], found.map[None], found.roi, target, class_idx, method.signed, method.unit,
        found.result,
    )  # fmt: skip
    params = _told(explanation, found, study, settings, model) | {
        "class": next(name for name, number in served.classes.items() if number == value),
        "compared_with": settings.compare_with,
        "replaced_by": replaced_by,
        "bands": as_dicts(told),
        "label_names": LABELS | {"region of interest": ROI_VALUE},
    }
    return Explained(heat.float(), values, params)


def _asked_value(value: int | None, held: Tensor, served: ServedBundle) -> int:
    """The class asked about; where none was named, the one that most voxels hold."""
    if value is None:
        counts = torch.bincount(held.flatten().long().clamp(min=0), minlength=len(served.classes) + 1)
        counts = counts[1 : len(served.classes) + 1]
        value = 1 + int(counts.argmax())
    if not (held == value).any():
        raise ValueError(f"nothing is answered or labelled with class {value} in this image: nothing to explain.")
    return value


def _place(settings: Settings, study: Study, label: Tensor | None, by_method: str) -> RoI:
    roi = by_method if settings.roi == BY_METHOD else settings.roi
    if roi == "label":
        assert label is not None
        if not (label > 0).any():
            raise ValueError("roi='label': the last label of the image is empty.")
        return bounding_box(label > 0)
    return cast(RoI, roi) if isinstance(roi, str) else study.scene.roi(roi)


def _fill(settings: Settings, study: Study, donors: Donors, hidden_by: str | None) -> tuple[Fill, dict[str, Any]]:
    """What regions are replaced by, and what a response says of it."""
    if settings.method != "pdcr":
        return MeanFill(), {"kind": hidden_by}
    bank = donors(settings.patch_size) if settings.donors == OTHER_IMAGES else None
    if bank is None:
        if settings.rule == "exhaustive":
            raise ValueError("rule='exhaustive' asks about every donor once, and the datastore holds no other image.")
        reason = "" if settings.donors != OTHER_IMAGES else ", for want of other images"
        return InpaintFill(), {"kind": f"the smooth continuation of their surroundings{reason}"}
    bank.check(study.scene.image)
    bank = bank.without(image=study.scene.image[0])
    return DonorPatchFill(bank.patches), {
        "kind": f"patches of {len(bank.images)} other images",
        "donors": len(bank),
        "digests": [image.digest for image in bank.images],
    }


def _told(explanation: Explanation, found: Found, study: Study, settings: Settings, model: Model) -> dict[str, Any]:
    """The effect table and the circumstances, in the image's own voxels."""
    params = figures(explanation)
    rows = params["effects"]
    for row in rows[:ROWS]:
        if "box" in row:
            row["box"] = study.box_on_image(tuple((start, stop) for start, stop in row["box"]))
    if params["roi"]["box"] is not None:
        params["roi"]["box"] = study.box_on_image(tuple((start, stop) for start, stop in params["roi"]["box"]))
    notes = [*study.notes, *([params["note"]] if params["note"] else [])]
    return {
        **{name: value for name, value in params.items() if name not in ("note", "class")},
        "schema": SCHEMA,
        "effects": rows[:ROWS],
        "effects_left_out": max(0, len(rows) - ROWS),
        "spatial_shape": list(study.scene.own.shape),
        "settings": asdict(settings),
        "findings": params["findings"]
        | {key: found.findings[key] for key in ("layer", "grid") if key in found.findings},
        "model": model.record,
        "notes": notes,
    }
