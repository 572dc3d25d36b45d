# SPDX-License-Identifier: Apache-2.0
"""Bring what an item names to this machine: a study on a DICOMweb server becomes the file of its radiograph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from monai_causal.cohort.items import CREDENTIALS, Item

__all__ = ["fetched"]


def fetched(item: Item, scratch: Path) -> Item:
    """The item with all its files here.

    Args:
        item: any.
        scratch: a folder to put files into.
    """
    if "address" not in item.content:
        return item
    from monai_causal.dicom.selection import select_projection
    from monai_causal.dicom.study_web import WebStudy
    from monai_causal.dicom.web import Credentials, DicomWeb

    client = DicomWeb(str(item.content["address"]), Credentials.from_environment(CREDENTIALS))
    chosen = select_projection(WebStudy(client, str(item.content["uid"]))).chosen
    content = chosen.fetch()
    replace(chosen, fetch=lambda: content).open()  # checked to be the one that was chosen
    path = scratch / f"{item.name}.dcm"
    path.write_bytes(content)
    # What was answered about is known by its bytes, and not by the server that gave it.
    rest = {key: value for key, value in item.content.items() if key not in ("address", "uid")}
    return replace(item, content={**rest, "study": str(path)})
