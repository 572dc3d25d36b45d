# SPDX-License-Identifier: Apache-2.0
"""A MedFocus result as what the DICOM objects are written from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_causal import __version__
from monai_causal.apps.medfocus import concepts as vocabulary
from monai_causal.apps.medfocus.result import Corners, MedFocusResult
from monai_causal.apps.medfocus.segmenter import Concepts
from monai_causal.dicom.geometry import Box
from monai_causal.dicom.objects.content import Algorithm, Code, Concept, ResultContent, canonical
from monai_causal.dicom.projection import Projection

__all__ = ["FINDINGS", "content_of", "finding_in"]

FINDINGS = {
    "pneumothorax": Code("SCT", "36118008", "Pneumothorax"),
    "pleural effusion": Code("SCT", "60046008", "Pleural effusion"),
    "effusion": Code("SCT", "60046008", "Pleural effusion"),
    "cardiomegaly": Code("SCT", "287272002", "Cardiomegaly"),
    "pulmonary edema": Code("SCT", "19242006", "Pulmonary edema"),
    "edema": Code("SCT", "19242006", "Pulmonary edema"),
    "lung opacity": Code("DCM", "112001", "Opacity"),
    "opacity": Code("DCM", "112001", "Opacity"),
    "nodule": Code("SCT", "27925004", "Nodule"),
}
"""What a question may be about, with codes that pydicom's dictionary holds; questions about others have no code."""

_EFFECT_DIGITS, _CONFIDENCE_DIGITS, _MEASURED_DIGITS = 5, 4, 4


def finding_in(question: str) -> Code | None:
    """The one finding that a question names; None where it names none, or several.

    Example:
        >>> finding_in("Is there evidence of pleural effusion in the image?").value
        '60046008'
    """
    words = f" {' '.join(''.join(c if c.isalnum() else ' ' for c in question.lower()).split())} "
    named = {code for name, code in FINDINGS.items() if f" {name} " in words or f" {name}s " in words}
    return named.pop() if len(named) == 1 else None


def content_of(
    result: MedFocusResult,
    concepts: Concepts,
    projection: Projection,
    *,
    picture: NDArray[np.uint8] | None = None,
    heat: NDArray[np.float32] | None = None,
    model_digest: str | None = None,
    moment: tuple[str, str] | None = None,
) -> ResultContent:
    """What a result says, for :func:`~monai_causal.dicom.objects.writing.write_results`.

    Effects are rounded to 5 digits after the point, confidences and what else was measured of the anatomy to 4, so that
    what differs between two processors' last bits does not make another object.

    Args:
        result: of this projection.
        concepts: the anatomy that it was found with.
        projection: that was explained.
        picture: that any viewer shows, such as :func:`~monai_causal.apps.medfocus.picture.overlay` draws.
        heat: a map of the projection's size, if one is to be kept.
        model_digest: SHA-256 of the model's files; by default of what the result records about the model.
        moment: date and time that the objects bear; by default the source's own.

    Raises:
        ValueError: result, concepts and projection are not of the same picture.
    """
    if tuple(projection.pixels.shape) != tuple(result.size):
        raise ValueError(
            f"the result is of a picture of {tuple(result.size)}, the projection {projection.pixels.shape}."
        )
    recorded = result.provenance.get("image", {}).get("pixels_sha256")
    shown = hashlib.sha256(np.ascontiguousarray(projection.pixels, np.float32).tobytes()).hexdigest()
    if recorded not in (None, shown):
        raise ValueError("the result is of another picture than this projection (their pixels' digests differ).")
    names = [one.name for one in result.concepts]
    if names != list(concepts):
        raise ValueError(f"the result speaks of {', '.join(names)}; the concepts given are {', '.join(concepts)}.")
    model = result.provenance["model"]
    settings = dict(result.provenance["settings"])
    measured = _plain(settings.pop("segmentation", {}), _MEASURED_DIGITS)
    return ResultContent(
        question=result.question,
        answer=result.answer.text,
        reading=result.reading,
        concepts=tuple(_concept(result, one, concepts) for one in names),
        algorithm=Algorithm(
            name="MedFocus",
            version=__version__,
            model=str(model.get("source") or model.get("family")),
            model_digest=model_digest or hashlib.sha256(canonical(model)).hexdigest(),
            made_by=concepts.how,
        ),
        configuration={"mode": result.mode, "masking": result.masking, **_plain(settings), "segmentation": measured},
        finding=finding_in(result.question),
        chosen=result.concept,
        picture=picture,
        heat=heat,
        notes=result.notes,
        moment=moment,
    )


def _concept(result: MedFocusResult, name: str, concepts: Concepts) -> Concept:
    row = next(one for one in result.concepts if one.name == name)
    found = concepts[name]
    effects = result.effects
    ranked = sorted(effects, key=lambda one: -effects[one])
    known = None if found.members else concepts.vocabulary.concept(name)
    return Concept(
        name=name,
        code=None if known is None else _code(known.code),
        mask=np.asarray(found.mask, bool),
        box=_box(row.box),
        effect=round(effects[name], _EFFECT_DIGITS) if name in effects else None,
        rank=ranked.index(name) + 1 if name in effects else None,
        laterality=None if known is None else known.laterality,
        region=None if known is None or known.region is None else _code(known.region),
        confidence=round(float(row.confidence), _CONFIDENCE_DIGITS),
        members=tuple(found.members),
        flags=tuple(row.flags),
    )


def _code(code: vocabulary.Code) -> Code:
    return Code(code.scheme, code.value, code.meaning)


def _box(corners: Corners | None) -> Box | None:
    if corners is None:
        return None
    x0, y0, x1, y1 = corners
    return (y0, y1), (x0, x1)


def _plain(settings: Any, places: int | None = None) -> Any:
    """Settings as JSON takes them; real numbers to 10 digits, or measured ones to so many places after the point."""
    if isinstance(settings, Mapping):
        return {str(key): _plain(value, places) for key, value in settings.items()}
    if isinstance(settings, (list, tuple)):
        return [_plain(value, places) for value in settings]
    if isinstance(settings, np.generic):
        return _plain(settings.item(), places)
    if isinstance(settings, float):
        return float(f"{settings:.10g}") if places is None else round(settings, places)
    return settings
