# SPDX-License-Identifier: Apache-2.0
"""How a radiograph lies and how large its pixels are, as the header says; doubts become remarks.

The field of view's rotation and flip (0018,7032 and 7034) tell how the picture came from the detector.
PatientOrientation holds for the picture as stored, after them, so they are recorded but turn nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from monai_causal.dicom.geometry import Orientation
from monai_causal.dicom.remarks import Remark, remark
from monai_causal.dicom.tags import codes, number, numbers, sequence

__all__ = ["FRONTAL", "Spacing", "SpacingKind", "laterality_of", "orientation_of", "spacing_of", "view_of"]

SpacingKind: TypeAlias = Literal["calibrated", "detector", "film", "unspecified", "none"]
"""Where a spacing holds: in a plane of the patient, on the detector, on a film, unsaid, or nowhere."""

FRONTAL = ("PA", "AP", "FRONTAL")

# Views of PS3.16 CID 4010 that a chest radiograph may have.
_VIEWS = {
    "399033003": "FRONTAL",
    "272479007": "PA",
    "399348003": "AP",
    "399067008": "LAT",
    "399173006": "LL",
    "399198007": "RL",
    "R-10202": "FRONTAL",
    "R-10214": "PA",
    "R-10206": "AP",
    "R-10228": "LAT",
    "R-10236": "LL",
    "R-10232": "RL",
}
_MORE_EXACT = {"FRONTAL": ("PA", "AP"), "LAT": ("LL", "RL")}
_POSITIONS = ("PA", "AP", "LL", "RL", "LAT", "LLO", "RLO", "LLD", "RLD")
_SPACINGS = (0.02, 2.0)
"""mm; from dental sensors to thumbnails of a chest"""
_MAGNIFICATIONS = (1.0, 3.0)


@dataclass(frozen=True)
class Spacing:
    """Distance of pixel centres in mm, between rows and between columns, and where it holds.

    Args:
        pixel: what to measure with; None if there is nothing usable.
        kind: where ``pixel`` holds.
        detector: at the detector's front, where it is known.
        magnification: how much larger the patient's shadow is on the detector.
    """

    pixel: tuple[float, float] | None = None
    kind: SpacingKind = "none"
    detector: tuple[float, float] | None = None
    magnification: float | None = None

    @property
    def patient(self) -> tuple[float, float] | None:
        """In the patient: as calibrated, else the detector's by the magnification, else unknown.

        Example:
            >>> Spacing((0.2, 0.2), "detector", (0.2, 0.2), 1.25).patient
            (0.16, 0.16)
        """
        if self.kind == "calibrated":
            return self.pixel
        if self.detector is None or self.magnification is None:
            return None
        return self.detector[0] / self.magnification, self.detector[1] / self.magnification

    def turned(self, orientation: Orientation) -> Spacing:
        """The spacing of the turned picture."""

        def swapped(pair: tuple[float, float] | None) -> tuple[float, float] | None:
            return (pair[1], pair[0]) if pair is not None and orientation.transposes else pair

        return Spacing(swapped(self.pixel), self.kind, swapped(self.detector), self.magnification)


def view_of(dataset: Any) -> tuple[str | None, list[Remark]]:
    """The view, from ViewCodeSequence, else ViewPosition: ``"PA"``, ``"AP"``, ``"FRONTAL"``, ``"LL"``, ``"RL"`` ...

    A code that only says frontal or lateral is made exact by a ViewPosition of that kind.

    Example:
        >>> view_of({"ViewPosition": "pa"})
        ('PA', [])
    """
    position = next(iter(codes(dataset, "ViewPosition")), "")
    for item in sequence(dataset, "ViewCodeSequence"):
        for code in codes(item, "CodeValue"):
            if code in _VIEWS:
                view = _VIEWS[code]
                return (position if position in _MORE_EXACT.get(view, ()) else view), []
    return (position, []) if position in _POSITIONS else (None, [remark("view-missing")])


def laterality_of(dataset: Any) -> str | None:
    """The side examined, ``"L"``, ``"R"``, ``"B"`` (both) or ``"U"`` (unpaired), the image's before the series'."""
    for keyword in ("ImageLaterality", "Laterality"):
        side = next(iter(codes(dataset, keyword)), "")
        if side in ("L", "R", "B", "U"):
            return side
    return None


def orientation_of(dataset: Any, view: str | None = None) -> tuple[Orientation, list[Remark]]:
    """What brings the stored picture upright: feet down and, seen from front or back, the patient's left on the right.

    A lateral view is turned but never mirrored: both its sides are shown somewhere, and no rule prefers one.

    Args:
        dataset: a header; PatientOrientation and AnatomicalOrientationType are read.
        view: from :func:`view_of`.

    Example:
        >>> orientation_of({"PatientOrientation": ["R", "F"]})
        (<Orientation.MIRROR: (False, False, True)>, [])
    """
    given = codes(dataset, "PatientOrientation")
    if not any(given):
        return Orientation.IDENTITY, [remark("orientation-missing")]
    if "QUADRUPED" in codes(dataset, "AnatomicalOrientationType"):
        return Orientation.IDENTITY, [remark("quadruped")]
    # A letter more, as in LA, is a tilt within the direction of the first.
    right, down = (value[:1] for value in given) if len(given) == 2 else ("", "")
    transpose = right in ("H", "F")
    across, along = (down, right) if transpose else (right, down)
    if along not in ("H", "F") or across not in ("L", "R", "A", "P"):
        return Orientation.IDENTITY, [remark("orientation-unusable")]
    upside_down = along == "H"
    if across in ("L", "R"):
        return Orientation((transpose, upside_down, across == "R")), []
    # The number of reversals, the transposition among them, is made even: no mirror image.
    remarks = [remark("orientation-contradicts-view")] if view in FRONTAL else []
    return Orientation((transpose, upside_down, transpose != upside_down)), remarks


def spacing_of(dataset: Any) -> tuple[Spacing, list[Remark]]:
    """Pixel spacing of the stored picture, and where it holds (PS3.3 10.7).

    PixelSpacing counts as calibrated if PixelSpacingCalibrationType says so or if it differs from ImagerPixelSpacing;
    if they agree it is the detector's. Nothing is divided by a magnification here; see :attr:`Spacing.patient`.

    Example:
        >>> spacing_of({"ImagerPixelSpacing": [0.2, 0.2], "EstimatedRadiographicMagnificationFactor": 1.25})[0].patient
        (0.16, 0.16)
    """
    remarks: list[Remark] = []
    pixel = _spacing(dataset, "PixelSpacing", remarks)
    detector = _spacing(dataset, "ImagerPixelSpacing", remarks)
    film = _spacing(dataset, "NominalScannedPixelSpacing", remarks)
    calibrated = bool(set(codes(dataset, "PixelSpacingCalibrationType")) & {"GEOMETRY", "FIDUCIAL"})
    kind: SpacingKind
    if pixel is not None and (calibrated or (detector is not None and not _same(pixel, detector))):
        chosen, kind = pixel, "calibrated"
    elif detector is not None:
        chosen, kind = detector, "detector"
    elif film is not None:
        chosen, kind = film, "film"
        remarks.append(remark("scanned-film"))
    elif pixel is not None:
        chosen, kind = pixel, "unspecified"
        remarks.append(remark("unspecified-spacing"))
    else:
        return Spacing(), [*remarks, remark("no-spacing")]
    if not _same((chosen[0], chosen[0]), chosen):
        remarks.append(remark("anisotropic-spacing", rows=chosen[0], columns=chosen[1]))
    return Spacing(chosen, kind, detector, _magnification(dataset, remarks)), remarks


def _spacing(dataset: Any, keyword: str, remarks: list[Remark]) -> tuple[float, float] | None:
    given = numbers(dataset, keyword)
    if len(given) != 2:
        return None
    low, high = _SPACINGS
    if not (low <= given[0] <= high and low <= given[1] <= high):
        remarks.append(remark("implausible-spacing", rows=given[0], columns=given[1]))
        return None
    return given


def _magnification(dataset: Any, remarks: list[Remark]) -> float | None:
    factor = number(dataset, "EstimatedRadiographicMagnificationFactor")
    if factor is None:
        detector, patient = (number(dataset, f"DistanceSourceTo{end}") for end in ("Detector", "Patient"))
        if not detector or not patient:
            return None
        factor = detector / patient
    low, high = _MAGNIFICATIONS
    if low <= factor <= high:
        return factor
    remarks.append(remark("implausible-magnification", factor=factor))
    return None


def _same(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) <= 0.01 * b for a, b in zip(one, other, strict=True))
