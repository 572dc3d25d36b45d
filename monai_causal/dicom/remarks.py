# SPDX-License-Identifier: Apache-2.0
"""What is doubtful about a picture that was read all the same: a code for programs, a sentence for people.

A sentence is fixed but for numbers, so that no remark can carry what a header says in free text.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["SENTENCES", "Remark", "remark"]

SENTENCES = {
    "all-left-out": "Padding, shutter and collimator would leave nothing of the picture; the padding is ignored.",
    "anisotropic-spacing": "Pixels are {rows:g} mm by {columns:g} mm: not square.",
    "burned-in-text": "The file says that text is burned into the pixels; it may identify the patient.",
    "burned-in-unknown": "The file does not say whether text is burned into the pixels.",
    "collimator-ignored": "The collimator's edges do not lie in the picture; they are ignored.",
    "constant-picture": "All pixels that count have one value; without a window nothing can be shown.",
    "high-bit-assumed": "HighBit is missing or impossible; the lowest bits are taken.",
    "implausible-magnification": "The magnification {factor:g} is implausible and is ignored.",
    "implausible-spacing": "A spacing of {rows:g} mm by {columns:g} mm is implausible and is ignored.",
    "lossy": "The picture was once compressed with loss.",
    "lossy-unknown": "Its transfer syntax allows compression with loss, and the file does not say if there was any.",
    "modality-lut-and-rescale": "Both a modality lookup table and a rescale are present; the table is used.",
    "more-bits-than-declared": "The compressed values need more bits than the header declares; the rest is cut off.",
    "no-spacing": "No usable pixel spacing is given; lengths cannot be measured.",
    "orientation-contradicts-view": "A frontal view whose PatientOrientation names anterior or posterior; check it.",
    "orientation-missing": "PatientOrientation is missing; the picture is taken to be upright as stored.",
    "orientation-unusable": "PatientOrientation does not say where the feet are; the picture is left as stored.",
    "overflowing-lut": "The VOI lookup table holds entries above its declared {bits} bits; they are shown as white.",
    "padding-bright": "The padding's value would be shown bright, as no padding should be; it is shown black.",
    "padding-without-value": "PixelPaddingRangeLimit stands without PixelPaddingValue; no padding is left out.",
    "photometric-assumed": "PhotometricInterpretation is missing; MONOCHROME2 is assumed.",
    "polarity-contradiction": "PresentationLUTShape contradicts PhotometricInterpretation; the former is followed.",
    "quadruped": "The patient is a quadruped; orientation is left as stored.",
    "recognizable-features": "The file says that the patient may be recognized from the picture.",
    "rescale-incomplete": "Rescale slope or intercept is missing or unusable; 1 and 0 stand in.",
    "scanned-film": "The picture is a scanned film.",
    "secondary-capture": "A secondary capture: what happened to its grey values before is unknown.",
    "several-voi-luts": "{count} VOI lookup tables are given; the first is used.",
    "several-windows": "{count} windows are given; the first is used.",
    "shutter-unusable": "The display shutter's numbers are incomplete; it is ignored.",
    "turned": "The picture was turned or mirrored to stand upright; to_source maps back.",
    "unknown-window-function": "VOILUTFunction is none of the three defined; LINEAR is used.",
    "unreadable-attribute": "An attribute could not be read: ({group:04X},{element:04X}); it counts as missing.",
    "unspecified-spacing": "PixelSpacing does not say whether it holds at the detector or in the patient.",
    "view-missing": "The file does not say which view this is.",
    "voi-lut-unusable": "The VOI lookup table is damaged and is ignored.",
    "window-exact": "A LINEAR window of width {width:g}, which must be 1 or more, is taken as LINEAR_EXACT.",
    "window-missing": "Neither a VOI lookup table nor a window is given; percentiles stand in.",
    "window-unusable": "Window center and width are incomplete or impossible; they are ignored.",
}


class Remark(NamedTuple):
    """One remark: ``code`` is stable, ``sentence`` may be reworded."""

    code: str
    sentence: str


def remark(code: str, **numbers: int | float) -> Remark:
    """The remark of this code.

    Raises:
        KeyError: the code is not one of :data:`SENTENCES`.
        TypeError: something else than a number was to go into the sentence.

    Example:
        >>> remark("several-windows", count=3).sentence
        '3 windows are given; the first is used.'
    """
    for name, value in numbers.items():
        if not isinstance(value, (int, float)):
            raise TypeError(f"{name} is a {type(value).__name__}: a remark holds numbers only, no text of a file.")
    return Remark(code, SENTENCES[code].format(**numbers))
