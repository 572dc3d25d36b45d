# SPDX-License-Identifier: Apache-2.0
"""Which transfer syntaxes can be decoded here, by what, and what to install for the others."""

from __future__ import annotations

import importlib.metadata
from typing import Any, NamedTuple

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.safety import NATIVE, syntax_name
from monai_causal.extras import install_command, require

__all__ = ["COMPRESSED", "Decoder", "available", "decoder_for", "report"]

COMPRESSED = (
    "JPEGBaseline8Bit",
    "JPEGExtended12Bit",
    "JPEGLossless",
    "JPEGLosslessSV1",
    "JPEGLSLossless",
    "JPEGLSNearLossless",
    "JPEG2000Lossless",
    "JPEG2000",
    "HTJ2KLossless",
    "HTJ2KLosslessRPCL",
    "HTJ2K",
    "RLELossless",
)
# The first that is there decodes. pydicom's RLE is plain Python and cannot crash; OpenJPEG by itself gives all bits,
# where Pillow, made for pictures, converts; gdcm comes last because it has ended the process on broken files.
_PREFERENCE = ("pydicom", "pyjpegls", "pylibjpeg", "pillow", "gdcm")
_DISTRIBUTIONS = {"pyjpegls": "pyjpegls", "pillow": "pillow", "gdcm": "python-gdcm"}
_DICOM = f"{install_command('dicom')} (highdicom in it brings pillow and pyjpegls)"
_GPL = f"or take pylibjpeg-libjpeg, which is under the GPL: {install_command('jpeg-gpl')}"
_CONVERT = "decompress the file first (dcmdjpeg of dcmtk)"
_ADVICE = {
    "JPEGBaseline8Bit": _DICOM,
    "JPEGExtended12Bit": f"{_CONVERT}, {_GPL}",
    "JPEGLossless": f"{_CONVERT}, or pip install python-gdcm, {_GPL}",
    "JPEGLosslessSV1": f"{_CONVERT}, or pip install python-gdcm, {_GPL}",
    "JPEGLSLossless": _DICOM,
    "JPEGLSNearLossless": _DICOM,
    "JPEG2000Lossless": _DICOM,
    "JPEG2000": _DICOM,
    "HTJ2KLossless": _DICOM,
    "HTJ2KLosslessRPCL": _DICOM,
    "HTJ2K": _DICOM,
    "RLELossless": _DICOM,
}


class Decoder(NamedTuple):
    """What decodes a transfer syntax: pydicom's name of the plug-in, and the distribution that it comes from.

    ``package`` is None where pydicom decodes without help.
    """

    name: str
    package: str | None


def available() -> dict[str, Decoder]:
    """The transfer syntaxes that can be decoded here, by UID.

    Example:
        >>> available()["1.2.840.10008.1.2.5"]
        Decoder(name='pydicom', package=None)
    """
    found = {uid: Decoder("pydicom", None) for uid in NATIVE}
    for keyword in COMPRESSED:
        uid = str(getattr(require("pydicom.uid"), keyword))
        decoder = _choose(uid, keyword, bits_stored=12 if keyword == "JPEGExtended12Bit" else 8)
        if decoder is not None:
            found[uid] = decoder
    return found


def decoder_for(uid: str, bits_stored: int = 8) -> Decoder:
    """The decoder for a transfer syntax.

    Raises:
        DicomError: there is none here; the message names the transfer syntax and what to install.
    """
    if uid in NATIVE:
        return Decoder("pydicom", None)
    keyword = require("pydicom.uid").UID(uid).keyword
    decoder = _choose(uid, keyword, bits_stored) if keyword in COMPRESSED else None
    if decoder is not None:
        return decoder
    advice = _ADVICE.get(keyword, "no still picture of this kind is read here")
    bits = f" with {bits_stored} bits" if keyword == "JPEGExtended12Bit" else ""
    raise DicomError(f"no decoder is installed for its transfer syntax, {syntax_name(uid)}{bits}: {advice}")


def report() -> dict[str, Any]:
    """What ``monai-causal doctor`` shows: pydicom's plug-ins for each compressed transfer syntax, and what others need.

    Returns:
        ``{"pydicom": version or None, "problem": None or text, "transfer_syntaxes": [{"keyword", "uid", "plugins",
        "needs", "advice"}]}``; ``advice`` is None where a plug-in is there.
    """
    found: dict[str, Any] = {"pydicom": None, "problem": None, "transfer_syntaxes": []}
    try:
        found["pydicom"] = importlib.metadata.version("pydicom")
        get_decoder, uids = require("pydicom.pixels").get_decoder, require("pydicom.uid")
    except ImportError as error:  # absent, or older than 3, which has no pydicom.pixels
        found["problem"] = " ".join(f"{type(error).__name__}: {error}".split())
        return found
    usable = available()
    for keyword in COMPRESSED:
        uid = getattr(uids, keyword)
        decoder = get_decoder(uid)
        found["transfer_syntaxes"].append(
            {
                "keyword": keyword,
                "uid": str(uid),
                "plugins": list(decoder.available_plugins),
                "needs": list(decoder.missing_dependencies),
                "advice": None if uid in usable else _ADVICE[keyword],
            }
        )
    return found


def _choose(uid: str, keyword: str, bits_stored: int) -> Decoder | None:
    plugins = _plugins(uid)
    if keyword == "JPEGExtended12Bit" and bits_stored > 8:
        plugins = tuple(name for name in plugins if name == "pylibjpeg")  # the others give 8 bits, or nothing
    for name in _PREFERENCE:
        if name in plugins:
            return Decoder(name, _package(name, keyword))
    return None


def _plugins(uid: str) -> tuple[str, ...]:
    return tuple(require("pydicom.pixels").get_decoder(uid).available_plugins)


def _package(plugin: str, keyword: str) -> str | None:
    if plugin == "pylibjpeg":  # a shell around one package for each family
        if keyword == "RLELossless":
            return "pylibjpeg-rle"
        return "pylibjpeg-openjpeg" if keyword.startswith(("JPEG2000", "HTJ2K")) else "pylibjpeg-libjpeg"
    return _DISTRIBUTIONS.get(plugin)
