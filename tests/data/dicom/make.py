# SPDX-License-Identifier: Apache-2.0
"""Encode the computed chest of ``tests/dicom/syntaxes.py`` with dcmtk and OpenJPH; see README.md beside this file.

Example:
    python -m tests.data.dicom.make
"""

from __future__ import annotations

import io
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import imagecodecs
import pydicom
from pydicom.encaps import encapsulate

from tests.dicom.syntaxes import FOLDER, chest, plain

DCMTK = {
    "jpeg-baseline": (8, ["dcmcjpeg", "+eb", "+q", "95"]),
    "jpeg-extended": (12, ["dcmcjpeg", "+ee", "+bt", "+q", "95"]),
    "jpeg-lossless": (16, ["dcmcjpeg", "+el"]),
    "jpeg-lossless-sv1": (16, ["dcmcjpeg", "+e1"]),
    "jpeg-ls": (16, ["dcmcjpls", "+el"]),
    "jpeg-ls-near": (12, ["dcmcjpls", "+en", "+md", "2"]),
}
OPENJPH: dict[str, tuple[str, dict[str, Any]]] = {
    "htj2k-lossless": ("1.2.840.10008.1.2.4.201", {"reversible": True}),
    "htj2k-lossless-rpcl": ("1.2.840.10008.1.2.4.202", {"reversible": True, "tlm": True}),
    "htj2k": ("1.2.840.10008.1.2.4.203", {"reversible": False, "level": 0.005}),
}


def main() -> None:
    """Write all files anew."""
    with tempfile.TemporaryDirectory() as folder:
        for name, (bits, command) in DCMTK.items():
            source = Path(folder) / "plain.dcm"
            source.write_bytes(plain(bits))
            subprocess.run([*command, "+un", str(source), str(FOLDER / f"{name}.dcm")], check=True)
    for name, (syntax, options) in OPENJPH.items():
        dataset = pydicom.dcmread(io.BytesIO(plain(16)))
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate([imagecodecs.htj2k_encode(chest(16), **options)])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        if name == "htj2k":
            dataset.LossyImageCompression = "01"
        dataset.save_as(FOLDER / f"{name}.dcm")


if __name__ == "__main__":
    main()
