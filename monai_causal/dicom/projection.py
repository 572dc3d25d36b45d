# SPDX-License-Identifier: Apache-2.0
"""Read a projection radiograph as a radiologist sees it: the right grey, upright, and with the way back to its file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_causal.dicom import grey_tags
from monai_causal.dicom.decoders import decoder_for
from monai_causal.dicom.decoding import decode_frames
from monai_causal.dicom.errors import DicomError, guarded
from monai_causal.dicom.geometry import Orientation, Placement
from monai_causal.dicom.grey import PERCENTILES, Grey, Lut, Percentiles, Window, displayed, stored_values, within
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.position import SpacingKind, laterality_of, orientation_of, spacing_of, view_of
from monai_causal.dicom.remarks import Remark, remark
from monai_causal.dicom.safety import EXPLICIT_BIG, NATIVE, OpenedFile, open_dicom
from monai_causal.dicom.shutter import hidden_by
from monai_causal.dicom.tags import class_name, codes, number

__all__ = ["FOR_PROCESSING", "PROJECTIONS", "RADIOGRAPHS", "SECONDARY", "Projection", "Provenance", "read_projection"]

PROJECTIONS = {
    "1.2.840.10008.5.1.4.1.1.1": "CR",
    "1.2.840.10008.5.1.4.1.1.1.1": "DX for presentation",
    "1.2.840.10008.5.1.4.1.1.12.2": "XRF",
}
FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
SECONDARY = ("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.2", "1.2.840.10008.5.1.4.1.1.7.3")
RADIOGRAPHS = ("CR", "DX", "RG", "RF")
"""Modalities whose secondary captures are read."""
# JPEG baseline and extended lose something by their nature; of the others not named, some files do and some do not.
_STREAMS = "1.2.840.10008.1.2.4."
_LOSSY = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
_LOSSLESS = (
    *NATIVE,
    "1.2.840.10008.1.2.5",
    *(f"1.2.840.10008.1.2.4.{number}" for number in (57, 70, 80, 90, 201, 202)),
)


@dataclass(frozen=True)
class Provenance:
    """Where the pixels come from and by which rules; plain values, made for JSON.

    Args:
        file_sha256: of the whole file.
        stored_sha256: of the stored values, little endian, 4 bytes each, row by row: the same for every lossless
            transfer syntax.
        transfer_syntax: its UID.
        decoder: what decoded it.
        sop_class: its UID.
        modality: ``"lut"``, ``"rescale"`` or ``"identity"``.
        voi: ``"lut"``, ``"window"`` or ``"percentile"``.
        voi_parameters: center, width and function; percentiles and their values; or the table's size.
        inverted: the last step exchanged black and white.
        left_out: pixels of padding, shutter and collimator, left out of percentiles.
        orientation: name of the :class:`~monai_causal.dicom.geometry.Orientation` that brought it upright.
        field_of_view: rotation and flip from the detector, as recorded; they turn nothing here.
    """

    file_sha256: str
    stored_sha256: str
    transfer_syntax: str
    decoder: str
    sop_class: str
    modality: str
    voi: str
    voi_parameters: Mapping[str, Any]
    inverted: bool
    left_out: int
    orientation: str
    field_of_view: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Projection:
    """A radiograph as shown on a calibrated display, upright.

    Args:
        pixels: (rows, columns), float32 in [0, 1], black to white.
        view: ``"PA"``, ``"AP"``, ``"FRONTAL"``, ``"LL"``, ``"RL"``, ``"LAT"`` ..., or None if unknown.
        orientation: what was done to the stored picture to bring it upright.
        laterality: ``"L"``, ``"R"``, ``"B"``, ``"U"`` or None.
        spacing: mm between rows and between columns of ``pixels``, or None.
        spacing_kind: where it holds; see :class:`~monai_causal.dicom.position.Spacing`.
        detector_spacing: the same at the detector, or None where that is unknown.
        magnification: of the patient on the detector, where known.
        left_out: (rows, columns), True where padding, shutter or collimator lie; None where there are none.
        placement: how the stored picture lies in ``pixels``.
        remarks: what is doubtful.
        provenance: digests and rules.
        header: the file's data set without pixels, for those who write results beside it. It holds patient data.
    """

    pixels: NDArray[np.float32]
    view: str | None
    orientation: Orientation
    laterality: str | None
    spacing: tuple[float, float] | None
    spacing_kind: SpacingKind
    detector_spacing: tuple[float, float] | None
    magnification: float | None
    left_out: NDArray[np.bool_] | None
    placement: Placement
    remarks: tuple[Remark, ...]
    provenance: Provenance
    header: Any = field(repr=False)

    def __repr__(self) -> str:
        rows, columns = self.pixels.shape
        return f"Projection({self.provenance.file_sha256[:12]}, {rows} x {columns}, view {self.view})"

    def to_source(self, found: Any) -> Any:
        """A box, mask or map found in ``pixels`` as it lies in the stored picture; exact, see :class:`Placement`."""
        return self.placement.to_source(found)

    def to_view(self, found: Any) -> Any:
        """A box, mask or map of the stored picture as it lies in ``pixels``."""
        return self.placement.to_view(found)

    def resized(self, size: int | tuple[int, int], keep_aspect: bool = True) -> Projection:
        """The same radiograph in another size, padded with black; ``to_source`` still leads to the stored picture.

        Args:
            size: rows and columns, or one number for both.
            keep_aspect: pad instead of stretching.
        """
        shape = (self.pixels.shape[0], self.pixels.shape[1])
        if shape != self.placement.turned:
            raise ValueError(f"this projection is resized already, to {shape}: resize the one that was read.")
        fitted = Placement.fit(self.placement.source, size, self.orientation, keep_aspect)
        upright = Placement(shape, resized=fitted.resized, padding=fitted.padding)
        rows, columns = fitted.resized or shape

        def larger(spacing: tuple[float, float] | None) -> tuple[float, float] | None:
            return None if spacing is None else (spacing[0] * shape[0] / rows, spacing[1] * shape[1] / columns)

        return replace(
            self,
            pixels=upright.render(self.pixels),
            left_out=None if self.left_out is None else upright.to_view(self.left_out),
            spacing=larger(self.spacing),
            detector_spacing=larger(self.detector_spacing),
            placement=fitted,
        )


def read_projection(
    source: str | os.PathLike[str] | bytes | Any,
    limits: Limits | None = None,
    *,
    for_processing: bool = False,
    upright: bool = True,
) -> Projection:
    """Read a projection radiograph.

    CR, DX for presentation and single XRF pictures are read; secondary captures if their Modality is a radiograph's.

    Args:
        source: path, content, or a pydicom ``Dataset``; or what ``open_dicom`` returned.
        limits: what the file may ask for.
        for_processing: read also a DX for processing, whose grey values are not meant to be looked at.
        upright: turn the picture by its PatientOrientation; otherwise leave it as stored.

    Raises:
        DicomError: not a file, not a radiograph, or not one that is understood.

    Example:
        >>> import numpy as np
        >>> from pydicom.dataset import Dataset, FileMetaDataset
        >>> ds = Dataset()
        >>> ds.file_meta = FileMetaDataset()
        >>> ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        >>> ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = "1.2.840.10008.5.1.4.1.1.1", "1.2.3", "CR"
        >>> ds.Rows = ds.Columns = 2
        >>> ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation, ds.SamplesPerPixel = 8, 8, 7, 0, 1
        >>> ds.PhotometricInterpretation, ds.WindowCenter, ds.WindowWidth = "MONOCHROME1", 128, 256
        >>> ds.PatientOrientation = ["R", "F"]
        >>> ds.PixelData = bytes([0, 255, 255, 0])
        >>> projection = read_projection(ds)
        >>> projection.pixels.tolist(), projection.to_source(((0, 1), (0, 1)))
        ([[0.0, 1.0], [1.0, 0.0]], ((0, 1), (1, 2)))
    """
    opened = source if isinstance(source, OpenedFile) else open_dicom(source, limits)
    with guarded("reading it as a radiograph", item=opened.item):
        return _read(opened, limits or Limits(), for_processing, upright)


def _read(opened: OpenedFile, limits: Limits, for_processing: bool, upright: bool) -> Projection:
    header = opened.dataset
    sop_class, remarks = _accepted(header, for_processing)
    remarks += _unreadable(opened)
    pixels = opened.pixels
    if pixels is None:
        raise DicomError("it has no pixel data of whole numbers")
    if pixels.frames != 1:
        raise DicomError(f"it has {pixels.frames} frames; a projection radiograph has one")
    grey, more = grey_tags.grey_of(header, little=opened.transfer_syntax != EXPLICIT_BIG)
    remarks += more
    decoded = decode_frames(opened, limits)[0]
    # Beside raw values the unused bits may hold an overlay; a JPEG stream has none of these, but for a sign.
    in_stream = opened.transfer_syntax.startswith(_STREAMS) and not grey.signed
    if in_stream and int(decoded.max()) >> (grey.high_bit + 1):
        remarks.append(remark("more-bits-than-declared"))
    stored = stored_values(decoded, grey.bits, grey.high_bit, grey.signed)
    shape = (stored.shape[0], stored.shape[1])
    shutter, more = hidden_by(header, "Shutter", shape)
    remarks += more
    collimator, more = hidden_by(header, "Collimator", shape)
    remarks += more
    padding = None if grey.padding is None else within(stored, grey.padding)
    left_out = _any(shutter, collimator, padding)
    if left_out is not None and left_out.all():
        remarks.append(remark("all-left-out"))
        padding, left_out = None, _any(shutter, collimator)
    shown, voi = displayed(stored, grey, left_out)
    if isinstance(voi, Percentiles) and voi.low == voi.high:
        remarks.append(remark("constant-picture"))
    if padding is not None and padding.any():
        # Padding is outside the grey pipeline (C.7.5.1.1.2). Its value lies at the dark end, so that viewers that
        # know nothing of it show it black as well; a file where it does not is worth a remark.
        if shown[padding].mean() > 0.5:
            remarks.append(remark("padding-bright"))
        shown[padding] = 0
    if shutter is not None:
        # What is outside a shutter is a grey of its own, given as a P-value of 16 bits; black where it is not given.
        shown[shutter] = min(max((number(header, "ShutterPresentationValue") or 0) / 65535, 0), 1)

    view, more = view_of(header)
    remarks += more
    orientation, more = orientation_of(header, view)
    remarks += more
    if not upright:
        orientation = Orientation.IDENTITY
    if orientation is not Orientation.IDENTITY:
        remarks.append(remark("turned"))
    spacing, more = spacing_of(header)
    spacing = spacing.turned(orientation)
    return Projection(
        pixels=np.ascontiguousarray(orientation.apply(shown)),
        view=view,
        orientation=orientation,
        laterality=laterality_of(header),
        spacing=spacing.pixel,
        spacing_kind=spacing.kind,
        detector_spacing=spacing.detector,
        magnification=spacing.magnification,
        left_out=None if left_out is None else np.ascontiguousarray(orientation.apply(left_out)),
        placement=Placement(shape, orientation),
        remarks=tuple(remarks + more + _quality(header, opened.transfer_syntax)),
        provenance=_provenance(opened, sop_class, grey, voi, stored, left_out, orientation),
        header=header,
    )


def _accepted(header: Any, for_processing: bool) -> tuple[str, list[Remark]]:
    sop_class = str(header.get("SOPClassUID") or "").strip(" \0")
    if not header.get("SOPInstanceUID"):
        raise DicomError("it has no SOPInstanceUID, so that no result could refer to it")
    if sop_class in PROJECTIONS or (sop_class == FOR_PROCESSING and for_processing):
        return sop_class, []
    if sop_class == FOR_PROCESSING:
        raise DicomError(
            "it is a DX image for processing, not for presentation: ask for the processed image, or give "
            "for_processing=True"
        )
    if sop_class in SECONDARY:
        if not set(codes(header, "Modality")) & set(RADIOGRAPHS):
            raise DicomError(f"it is a secondary capture whose Modality is none of {', '.join(RADIOGRAPHS)}")
        return sop_class, [remark("secondary-capture")]
    raise DicomError(
        f"it is no projection radiograph but {class_name(sop_class)}; what is read: "
        f"{', '.join(PROJECTIONS.values())}, secondary captures of radiographs"
    )


def _unreadable(opened: OpenedFile) -> list[Remark]:
    found = []
    for text in opened.remarks:
        group, element = (int(part, 16) for part in (text[1:5], text[6:10]))
        found.append(remark("unreadable-attribute", group=group, element=element))
    return found


def _quality(header: Any, transfer_syntax: str) -> list[Remark]:
    found = []
    burned_in = codes(header, "BurnedInAnnotation")
    if "YES" in burned_in:
        found.append(remark("burned-in-text"))
    elif "NO" not in burned_in:
        found.append(remark("burned-in-unknown"))
    if "YES" in codes(header, "RecognizableVisualFeatures"):
        found.append(remark("recognizable-features"))
    lossy = codes(header, "LossyImageCompression")
    if "01" in lossy or transfer_syntax in _LOSSY:
        found.append(remark("lossy"))
    elif "00" not in lossy and transfer_syntax not in _LOSSLESS:
        found.append(remark("lossy-unknown"))
    return found


def _any(*masks: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    given = [mask for mask in masks if mask is not None and mask.any()]
    return np.logical_or.reduce(given) if given else None


def _provenance(
    opened: OpenedFile,
    sop_class: str,
    grey: Grey,
    voi: Lut | Window | Percentiles,
    stored: NDArray[Any],
    left_out: NDArray[np.bool_] | None,
    orientation: Orientation,
) -> Provenance:
    parameters: dict[str, Any]
    if isinstance(voi, Lut):
        rule, parameters = "lut", {"entries": len(voi.entries), "first": voi.first, "bits": voi.bits}
    elif isinstance(voi, Window):
        rule, parameters = "window", voi._asdict()
    else:
        rule, parameters = "percentile", {"percentiles": list(PERCENTILES), "values": list(voi)}
    pixels = opened.pixels
    assert pixels is not None
    decoder = decoder_for(opened.transfer_syntax, pixels.bits_stored)
    rotation, flip = number(opened.dataset, "FieldOfViewRotation"), codes(opened.dataset, "FieldOfViewHorizontalFlip")
    return Provenance(
        file_sha256=opened.digest,
        stored_sha256=hashlib.sha256(np.ascontiguousarray(stored, "<i4").data).hexdigest(),
        transfer_syntax=opened.transfer_syntax,
        decoder=decoder.package or decoder.name,
        sop_class=sop_class,
        modality="lut" if isinstance(grey.modality, Lut) else "identity" if grey.modality is None else "rescale",
        voi=rule,
        voi_parameters=parameters,
        inverted=grey.inverted,
        left_out=0 if left_out is None else int(left_out.sum()),
        orientation=orientation.name,
        field_of_view={"rotation": rotation, "flip": flip[0] if flip and flip[0] in ("YES", "NO") else None},
    )
