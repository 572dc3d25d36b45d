# SPDX-License-Identifier: Apache-2.0
"""The tasks of the server: a bundle's segmentation, and beside it the explanation as bands and as a map.

They have what MONAI Label's server asks of a task (``type``, ``labels``, ``dimension``, ``description``, ``info``,
``config``, ``is_valid``, ``get_path`` and the call itself). Its own tasks for bundles run without gradients, take
whatever inferer stands in the bundle for a segmentation, and show no classes of an explanation: hence these.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from monai_causal.apps.explain.bundles import Bundle
from monai_causal.data.banks import DonorBank
from monai_causal.label.bands import LABELS
from monai_causal.label.devices import device_of, devices
from monai_causal.label.explaining import ROI_VALUE, explain_study
from monai_causal.label.served import ServedBundle, first_answer
from monai_causal.label.settings import Settings, offered
from monai_causal.label.studies import Study, open_study, prepared
from monai_causal.label.writing import extension, save_for_client
from monai_causal.versions import versions

__all__ = ["IMAGE_ID", "ExplanationTask", "SegmentationTask"]

IMAGE_ID = "image_id"
"""Under which the app puts an image's id into a request: the server replaces it by the file before it calls a task."""

DONOR_IMAGES = 8
"""Other images that PdCR's donors are cut from, at most."""

Result = tuple[str, dict[str, Any]]


class _Task:
    """What both kinds of task share."""

    type: str = "segmentation"

    def __init__(self, served: ServedBundle, labels: Mapping[str, int], description: str) -> None:
        self.served = served
        self.labels = dict(labels)
        self.dimension = served.axes
        self.description = description

    def info(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "labels": self.labels,
            "dimension": self.dimension,
            "description": self.description,
            "config": self.config(),
            "version": self.served.version,
        }

    def config(self) -> dict[str, Any]:
        return {"device": devices()}

    def is_valid(self) -> bool:
        return self.served.weights.is_file()

    def get_path(self, validate: bool = True) -> str | None:
        """Of the weights: what a client downloads as the model."""
        return str(self.served.weights) if self.is_valid() or not validate else None

    def _open(self, request: Mapping[str, Any]) -> tuple[Bundle, Study, torch.device]:
        image = request.get("image")
        if not isinstance(image, str) or not image:
            raise ValueError("the request has no image of the datastore: pixels by themselves are not taken.")
        device = device_of(request.get("device"))
        bundle = self.served.open(device)
        return bundle, open_study(Path(image), bundle, self.served.axes), device

    def _result(
        self, values: Tensor, study: Study, request: Mapping[str, Any], params: dict[str, Any], begun: float
    ) -> Result:
        suffix = extension(request.get("result_extension"), Path(request["image"]), values.is_floating_point())
        told = {"label_names": self.labels, "centroids": {}, **params}
        # OHIF and 3D Slicer read these.
        told["latencies"] = {"total": round(time.perf_counter() - begun, 2)}
        return save_for_client(values, study, suffix), told


class SegmentationTask(_Task):
    """A bundle's own answer."""

    def __init__(self, served: ServedBundle) -> None:
        super().__init__(served, served.classes, served.description)

    def __call__(self, request: Mapping[str, Any], callbacks: Any = None) -> Result:
        """The label map's file, and what the response says beside it."""
        begun = time.perf_counter()
        bundle, study, device = self._open(request)
        answer = self.served.label_map(first_answer(bundle.model, study.scene.image, device), bundle.model)
        values = study.scene.back(answer)
        voxels = {name: int((values == value).sum()) for name, value in self.labels.items()}
        params = {
            "voxels": voxels,
            "model": bundle.model.record,
            "notes": list(study.notes),
            "versions": versions("monai", "torch", "numpy"),
        }
        return self._result(values, study, request, params, begun)


class ExplanationTask(_Task):
    """Why a bundle answered so.

    Args:
        served: the bundle.
        kind: ``"bands"``: a label map that 3D Slicer and OHIF show, for which the task calls itself a segmentation;
            ``"map"``: real numbers, for those who read NIfTI themselves; 3D Slicer does not list such a task.
        images: all images of the datastore by their ids, for donors.
        last_label: ``image id ->`` the file of the label that was saved last, ``None`` where there is none.
    """

    def __init__(
        self,
        served: ServedBundle,
        kind: Literal["bands", "map"],
        images: Callable[[], Mapping[str, Callable[[], str]]],
        last_label: Callable[[str], str | None],
    ) -> None:
        shown = "as bands from strong support to strong suppression" if kind == "bands" else "as a map of numbers"
        labels = {**LABELS, "region of interest": ROI_VALUE} if kind == "bands" else {}
        super().__init__(served, labels, f"Which parts of the image made {served.name} answer as it did, {shown}")
        self.kind = kind
        self.type = "segmentation" if kind == "bands" else "others"
        self.images, self.last_label = images, last_label

    def config(self) -> dict[str, Any]:
        return super().config() | offered(self.served)

    def __call__(self, request: Mapping[str, Any], callbacks: Any = None) -> Result:
        """The file of bands or map, and the effect table beside it."""
        begun = time.perf_counter()
        settings = Settings.of(request, self.served)
        extension(request.get("result_extension"), Path(str(request.get("image"))), self.kind == "map")
        bundle, study, device = self._open(request)
        image_id = str(request.get(IMAGE_ID) or "")
        label = study.label(path) if settings.needs_label and (path := self._label(request, image_id)) else None
        others = {name: fetch for name, fetch in self.images().items() if name != image_id}

        def donors(patch_size: int) -> DonorBank | None:
            chosen = sorted(others)[:DONOR_IMAGES]
            if not chosen:
                return None
            items = (
                (number, prepared(Path(others[name]()), bundle, self.served.axes)) for number, name in enumerate(chosen)
            )
            return DonorBank.cut(items, patch_size, seed=settings.seed, source=f"{len(chosen)} images of a datastore")

        found = explain_study(self.served, bundle, study, settings, device, donors, label)
        return self._result(found.bands if self.kind == "bands" else found.heat, study, request, found.params, begun)

    def _label(self, request: Mapping[str, Any], image_id: str) -> Path | None:
        """The label that came with the request, else the one saved last."""
        sent = request.get("label")
        path = sent if isinstance(sent, str) and sent else self.last_label(image_id) if image_id else None
        return None if path is None else Path(path)
