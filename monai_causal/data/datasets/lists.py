# SPDX-License-Identifier: Apache-2.0
"""Lists in the decathlon's format, of any images."""

from __future__ import annotations

import json
import os
from pathlib import Path

from monai.data import load_decathlon_datalist

from monai_causal.data.datasets.layout import Item, Layout, require_files
from monai_causal.data.readers import suffixless


def _decathlon(
    layout: Layout,
    root: Path,
    split: str | None,
    base_dir: str | os.PathLike[str] | None = None,
) -> list[Item]:
    path = root / "dataset.json" if root.is_dir() else root
    section = split or "training"
    if not path.is_file():
        raise layout.error("the file 'dataset.json' is missing.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise layout.error("its list is not JSON.") from None
    sections = [key for key, value in content.items() if isinstance(value, list)] if isinstance(content, dict) else []
    if section not in sections:
        raise layout.error(f"its list has no section {section!r}; it has {', '.join(sections) or 'none'}.")
    try:
        listed = load_decathlon_datalist(path, data_list_key=section, base_dir=base_dir)
    except TypeError:
        raise layout.error(f"section {section!r} does not hold dictionaries with an 'image'.") from None
    items: list[Item] = []
    places: list[Path] = []
    for number, entry in enumerate(listed):
        if not entry.get("image"):
            raise layout.error(f"entry {number} of section {section!r} has no 'image'.")
        first = entry["image"] if isinstance(entry["image"], str) else entry["image"][0]
        items.append({"label_type": "auto", "id": suffixless(Path(first)), **entry})
        places.append(Path(os.path.relpath(first, base_dir or path.parent)))
    require_files(layout, items)
    if len({item["id"] for item in items}) < len(items):  # the same names in several folders
        items = [
            {**item, "id": entry.get("id", place.with_name(suffixless(place)).as_posix())}
            for item, entry, place in zip(items, listed, places, strict=True)
        ]
    return items


DECATHLON = Layout(
    title="a list in the decathlon's format",
    page="http://medicaldecathlon.com",
    tree="""\
    dataset.json          {"training": [{"image": "imagesTr/NAME.nii.gz", "label": "labelsTr/NAME.nii.gz"}, ...]}
    imagesTr/             NAME.nii.gz ...
    labelsTr/             NAME.nii.gz ...""",
    load=_decathlon,
)
