# SPDX-License-Identifier: Apache-2.0
"""What PdCR, DEA and the other methods found, as what DICOM objects are written from.

A result on a CT or MR series, however it lies in space::

    image = LoadImage(reader=SafeSeriesReader(), image_only=True, ensure_channel_first=True)("series")
    found = PdCR(network, patch_size=16).explain(image[None], roi="boundary")
    write_volume_objects("series", volume_content(found, "PdCR", "liver", digest_of("liver.pt")), "objects")

and one on a radiograph::

    projection = read_projection("film.dcm")
    found = DEA(network)(torch.as_tensor(projection.pixels)[None, None], class_idx=None, mask=lung)
    content = radiograph_content(found, "DEA", "lungs", digest_of("lungs.pt"))
    write_results(projection, content, "objects", kinds=("seg", "sr", "gsps", "pm"))

Maps keep their sign: an effect is after - before, so negative values support the answer, and the objects say so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_causal import __version__
from monai_causal.apps.explain.grids import affine_of
from monai_causal.apps.explain.written import Written, read_written
from monai_causal.dicom.geometry import Box
from monai_causal.dicom.objects.content import Algorithm, Code, Concept, MapMeaning, ResultContent
from monai_causal.dicom.objects.volumes import VolumeContent, VolumeRegion
from monai_causal.intervene.regions import plain
from monai_causal.visualize.pdcr_result import PdCRResult

__all__ = ["radiograph_content", "volume_content", "written_content"]

SPATIAL = Code("SCT", "309825002", "Spatial and Relational Concept")
SUPPORTS = Code("99MCAUSAL", "supports", "Supports the model's answer")
SUPPRESSES = Code("99MCAUSAL", "suppresses", "Suppresses the model's answer")
INTEREST = Code("99MCAUSAL", "roi", "Region of interest that was asked about")
EFFECT = Code("99MCAUSAL", "effect", "Effect of replacing this on the answer")
_DICE = "Dice points"
_QUESTION = "Which parts of the image does the model's answer in the region of interest depend on?"
_UNITS = {_DICE: "{Dice x 100}"}


@dataclass(frozen=True, eq=False)
class _Said:
    """A map with what is known of it; ``places`` by name: code, mask, and the strongest value inside."""

    heat: NDArray[np.float32]
    affine: NDArray[np.float64]
    means: MapMeaning
    configuration: dict[str, Any]
    places: dict[str, tuple[Code, NDArray[np.bool_], float | None]]


def volume_content(
    found: PdCRResult | Tensor,
    method: str,
    model: str,
    model_digest: str,
    *,
    configuration: Mapping[str, Any] | None = None,
    threshold: float = 0.5,
) -> VolumeContent:
    """A result on a volume, for :func:`~monai_causal.dicom.objects.volumes.write_volume_objects`.

    Segments are what supports the answer, what suppresses it, and the region of interest of a PdCR result; of another
    map, what has evidence of at least ``threshold``. The affine tells which voxel is which pixel of which slice.

    Args:
        found: of PdCR; or a map ``(1, 1, *spatial)`` whose high values support the answer, a MetaTensor with the
            image's affine.
        method: its name.
        model: name of the model that is explained.
        model_digest: SHA-256 of its weights, such as ``monai_causal.apps.explain.weights.digest_of`` gives it.
        configuration: what else decided the result, as JSON takes it; another one gives other UIDs.
        threshold: of evidence, for maps that are not PdCR's.

    Raises:
        ValueError: it is not of a volume, or nothing tells where it lies.
    """
    if found.affine is None if isinstance(found, PdCRResult) else not hasattr(found, "affine"):
        raise ValueError("the result has no affine, so that nothing tells where it lies: explain a MetaTensor.")
    return _volume(_said(found, threshold), _algorithm(method, model, model_digest), configuration)


def written_content(folder: str | os.PathLike[str], *, threshold: float = 0.5) -> VolumeContent:
    """The same of what ``monai-causal explain`` wrote about a volume.

    Args:
        folder: with ``map.nii.gz`` and ``summary.json``.
        threshold: see :func:`volume_content`.

    Raises:
        ValueError: it holds no such result, or one on a picture.
    """
    found = read_written(folder)
    said = _of_written(found, threshold)
    return _volume(said, _algorithm(found.method, found.model, found.model_digest), None)


def radiograph_content(
    found: PdCRResult | Tensor,
    method: str,
    model: str,
    model_digest: str,
    *,
    configuration: Mapping[str, Any] | None = None,
    threshold: float = 0.5,
    picture: NDArray[np.uint8] | None = None,
) -> ResultContent:
    """A result on the pixels of a projection, for :func:`~monai_causal.dicom.objects.writing.write_results`.

    Args:
        found: see :func:`volume_content`; of the projection's ``pixels``, no affine needed.
        method: its name.
        model: name of the model that is explained.
        model_digest: SHA-256 of its weights.
        configuration: what else decided the result.
        threshold: see :func:`volume_content`.
        picture: (rows, columns, 3) for the secondary capture, where one is to be written.

    Raises:
        ValueError: it is not of a picture.
    """
    said = _said(found, threshold)
    if said.heat.ndim != 2:
        raise ValueError(f"the result is of {said.heat.ndim} axes; a radiograph has two.")
    concepts = tuple(
        Concept(name, code, mask, _box(mask), strongest, None, category=SPATIAL)
        for name, (code, mask, strongest) in said.places.items()
    )
    first, signed = concepts[0], isinstance(found, PdCRResult)
    return ResultContent(
        question=_QUESTION,
        answer=f"A segmentation{_reached(found)}",
        reading="",
        concepts=concepts,
        algorithm=_algorithm(method, model, model_digest),
        configuration={**said.configuration, **(configuration or {})},
        chosen=first.name if first.box is not None else None,
        effect_unit=said.means.unit.value,
        effect_name="Strongest effect inside (after - before)" if signed else "Highest evidence inside",
        picture=picture,
        heat=said.heat,
        heat_means=said.means,
    )


def _reached(found: PdCRResult | Tensor) -> str:
    return f" of {found.baseline:.4g} {found.unit} there" if isinstance(found, PdCRResult) else ""


def _volume(said: _Said, algorithm: Algorithm, configuration: Mapping[str, Any] | None) -> VolumeContent:
    if said.heat.ndim != 3:
        raise ValueError(f"the result is of {said.heat.ndim} axes; a volume has three.")
    return VolumeContent(
        affine=said.affine,
        algorithm=algorithm,
        configuration={**said.configuration, **(configuration or {})},
        description=f"{algorithm.name}: what the model's answer depends on",
        regions=tuple(VolumeRegion(name, code, mask, SPATIAL) for name, (code, mask, _) in said.places.items()),
        heat=said.heat,
        heat_means=said.means,
    )


def _said(found: PdCRResult | Tensor, threshold: float) -> _Said:
    if not isinstance(found, PdCRResult):
        return _evidence(_flat(found), affine_of(found), threshold, {})
    configuration = {"rule": found.rule, "regions": len(found.regions), "baseline": round(found.baseline, 3)}
    affine = np.eye(4) if found.affine is None else found.affine.numpy()
    return _effects(_flat(found.map), affine, found.unit, found.roi.numpy(), configuration)


def _of_written(found: Written, threshold: float) -> _Said:
    if not found.signed:
        return _evidence(found.heat, found.affine, threshold, found.configuration)
    return _effects(found.heat, found.affine, found.unit, found.roi, found.configuration)


def _effects(
    heat: NDArray[np.float32],
    affine: NDArray[np.float64],
    unit: str,
    roi: NDArray[np.bool_] | None,
    configuration: dict[str, Any],
) -> _Said:
    """A signed map: negative supports."""
    supporting, suppressing = heat < 0, heat > 0
    places: dict[str, tuple[Code, NDArray[np.bool_], float | None]] = {
        "supporting regions": (SUPPORTS, supporting, float(heat.min()) if supporting.any() else None),
        "suppressing regions": (SUPPRESSES, suppressing, float(heat.max()) if suppressing.any() else None),
    }
    if roi is not None:
        places["region of interest"] = (INTEREST, roi.astype(bool), None)
    means = MapMeaning(
        Code("UCUM", _UNITS.get(unit, "{score}"), unit[:64]), EFFECT, "Effect (after - before); negative supports"
    )
    return _Said(heat, affine, means, configuration, places)


def _evidence(
    heat: NDArray[np.float32], affine: NDArray[np.float64], threshold: float, configuration: dict[str, Any]
) -> _Said:
    """A map whose high values support."""
    if not threshold > 0:
        raise ValueError(f"threshold={threshold}: evidence of nothing is everywhere; give a value above 0.")
    strong = heat >= threshold
    means = MapMeaning(says="Evidence; high values support the model's answer")
    places = {"supporting regions": (SUPPORTS, strong, float(heat.max()) if strong.any() else None)}
    return _Said(heat, affine, means, {**configuration, "threshold": threshold}, places)


def _flat(heat: Tensor) -> NDArray[np.float32]:
    if heat.ndim not in (4, 5) or tuple(heat.shape[:2]) != (1, 1):
        raise ValueError(f"a map of shape {tuple(heat.shape)}: give one image's, (1, 1, *spatial).")
    return plain(heat)[0, 0].detach().cpu().to(torch.float32).numpy()


def _algorithm(method: str, model: str, digest: str) -> Algorithm:
    return Algorithm(method, __version__, model, digest, method)


def _box(mask: NDArray[np.bool_]) -> Box | None:
    if not mask.any():
        return None
    (top, bottom), (left, right) = ((int(at.min()), int(at.max()) + 1) for at in np.nonzero(mask))
    return (top, bottom), (left, right)
