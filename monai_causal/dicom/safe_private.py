# SPDX-License-Identifier: Apache-2.0
"""Which private attributes the Retain Safe Private Option (PS3.15 E.3.10) keeps.

Those that the standard's own list (Table E.3.10-1) knows to hold numbers and codes of the acquisition, as far as they
are listed here: of CT, MR and PET. And those that the object itself declares to be free of what identifies somebody
(PS3.3 C.12.1.1.7), unless it declares the block to be unsafe. All others go, as without the option.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai_causal.dicom.tags import codes

__all__ = ["SAFE", "Declared", "declared_blocks", "safe_tags"]

SAFE: Mapping[tuple[int, str], frozenset[int]] = {
    (0x0019, "GEMS_ACQU_01"): frozenset({0x23, 0x24, 0x27, 0x9E}),
    (0x0019, "SIEMENS MR HEADER"): frozenset({0x0C, 0x0D, 0x0E, 0x27}),
    (0x0025, "GEMS_SERS_01"): frozenset({0x07}),
    (0x0043, "GEMS_PARM_01"): frozenset({0x27, 0x39, 0x6F}),
    (0x0045, "GEMS_HELIOS_01"): frozenset({0x01, 0x02}),
    (0x00E1, "ELSCINT1"): frozenset({0x21, 0x50}),
    (0x01E1, "ELSCINT1"): frozenset({0x26}),
    (0x01F1, "ELSCINT1"): frozenset({0x01, 0x07, 0x26, 0x27}),
    (0x0903, "GEIIS PACS"): frozenset({0x10, 0x11, 0x12}),
    (0x2001, "Philips Imaging DD 001"): frozenset({0x03, 0x04}),
    (0x7053, "Philips PET Private Group"): frozenset({0x00, 0x09}),
}
"""By group and private creator the last two digits of the elements."""

_ALL = frozenset(range(0x100))
Declared = Mapping[tuple[int, str], frozenset[int]]


def declared_blocks(dataset: Any) -> Declared:
    """What an object says of its private blocks: by group and creator the safe elements, none of an unsafe block.

    Args:
        dataset: the whole object.
    """
    found: dict[tuple[int, str], frozenset[int]] = {}
    for item in dataset.get("PrivateDataElementCharacteristicsSequence") or ():
        group, creator = item.get("PrivateGroupReference"), str(item.get("PrivateCreatorReference") or "").strip()
        status = next(iter(codes(item, "BlockIdentifyingInformationStatus")), "")
        if group is None or not creator or status not in ("SAFE", "MIXED", "UNSAFE"):
            continue
        listed = item.get("NonidentifyingPrivateElements")
        some = [] if listed is None else [listed] if isinstance(listed, int) else listed
        safe = _ALL if status == "SAFE" else frozenset(map(int, some)) if status == "MIXED" else frozenset()
        place = (int(group), creator)
        found[place] = found.get(place, _ALL) & safe  # what is said twice has to be safe twice
    return found


def safe_tags(dataset: Any, declared: Declared) -> frozenset[int]:
    """The private attributes of a data set, not of those in it, that may be kept; with their private creators.

    Args:
        dataset: of an object, or of an item of a sequence.
        declared: of the whole object.
    """
    kept = set()
    for element in dataset:
        group, number = element.tag.group, element.tag.element
        if not element.tag.is_private or number < 0x1000:
            continue
        holder = dataset.get((group, number >> 8))
        place = (group, "" if holder is None else str(holder.value or "").strip())
        if number & 0xFF in declared.get(place, SAFE.get(place, frozenset())):
            kept |= {int(element.tag), int(holder.tag)}
    return frozenset(kept)
