# SPDX-License-Identifier: Apache-2.0
"""Values of a header as plain numbers and codes, whatever a vendor made of them; what is unusable counts as absent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from monai_causal.extras import require

__all__ = ["class_name", "codes", "number", "numbers", "sequence"]


def numbers(dataset: Any, keyword: str) -> tuple[float, ...]:
    """Finite numbers of an attribute; none where it is absent, empty, or one of them is no finite number.

    Example:
        >>> numbers({"PixelSpacing": ["0.14", 0.15]}, "PixelSpacing"), numbers({"PixelSpacing": ""}, "PixelSpacing")
        ((0.14, 0.15), ())
    """
    try:
        found = tuple(float(value) for value in _values(dataset, keyword))
    except (TypeError, ValueError, OverflowError):
        return ()
    return found if all(math.isfinite(value) for value in found) else ()


def number(dataset: Any, keyword: str) -> float | None:
    """The first number of an attribute, or None."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def codes(dataset: Any, keyword: str) -> tuple[str, ...]:
    """The code strings of an attribute, stripped and in capitals.

    Example:
        >>> codes({"PatientOrientation": ["l ", "F"]}, "PatientOrientation")
        ('L', 'F')
    """
    return tuple(str(value).strip(" \0").upper() for value in _values(dataset, keyword))


def sequence(dataset: Any, keyword: str) -> tuple[Any, ...]:
    """The items of a sequence."""
    items = _values(dataset, keyword)
    return tuple(item for item in items if hasattr(item, "get"))


def class_name(uid: str) -> str:
    """Name of a SOP class or a transfer syntax, as messages show it; one of a vendor's own is not shown.

    Example:
        >>> class_name("1.2.840.10008.5.1.4.1.1.88.33"), class_name("1.2.3")
        ('Comprehensive SR Storage', 'an object of an unknown kind')
    """
    known = require("pydicom.uid").UID_dictionary.get(uid)
    return str(known[0]) if known else "an object of an unknown kind"


def _values(dataset: Any, keyword: str) -> Iterable[Any]:
    value = dataset.get(keyword)
    if value is None or isinstance(value, (bytes, Mapping)) or (isinstance(value, str) and not value.strip(" \0")):
        return ()
    if isinstance(value, str) or not isinstance(value, Iterable):
        return (value,)
    return value
