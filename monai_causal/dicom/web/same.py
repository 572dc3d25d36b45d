# SPDX-License-Identifier: Apache-2.0
"""Whether a server keeps what it was sent: the same file, or another file of the same data set."""

from __future__ import annotations

import hashlib
import io
from typing import Any, Literal

from monai_causal.dicom.errors import DicomError, guarded
from monai_causal.dicom.web.reading import read_object
from monai_causal.extras import require

__all__ = ["How", "dataset_digest", "how_same"]

How = Literal["file", "dataset"]


def how_same(sent: bytes, held: bytes) -> How | None:
    """Compare two files.

    Args:
        sent: a file of ours.
        held: what the server gives; it is checked before it is parsed.

    Returns:
        ``"file"`` for the same bytes; ``"dataset"`` where only the file's meta information or the way of writing (group
        lengths, lengths of sequences) differ, as servers may choose them; None for anything else, another transfer
        syntax included.
    """
    if hashlib.sha256(sent).digest() == hashlib.sha256(held).digest():
        return "file"
    try:
        same = dataset_digest(sent) == dataset_digest(held)
    except DicomError:
        return None
    return "dataset" if same else None


def dataset_digest(content: bytes) -> str:
    """SHA-256 of a file's data set, written in one way, and of its transfer syntax."""
    dataset, syntax = read_object(content)
    with guarded("comparing it with what was sent"):
        _plain(dataset)
        pydicom = require("pydicom")
        plain = pydicom.Dataset(dataset)
        plain.file_meta = pydicom.dataset.FileMetaDataset()
        plain.file_meta.TransferSyntaxUID = syntax
        buffer = io.BytesIO()
        # The file's meta information is left out: it says who wrote the file, and nothing of what is in it.
        pydicom.dcmwrite(buffer, plain, enforce_file_format=False)
    return hashlib.sha256(syntax.encode() + buffer.getvalue()).hexdigest()


def _plain(dataset: Any) -> None:
    for tag in list(dataset.keys()):
        if tag.element == 0:
            del dataset[tag]
        elif dataset[tag].VR == "SQ":
            dataset[tag].is_undefined_length = False
            for item in dataset[tag].value:
                item.is_undefined_length_sequence_item = False
                _plain(item)
