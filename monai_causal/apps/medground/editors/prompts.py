# SPDX-License-Identifier: Apache-2.0
"""What editors are told, in the published words."""

from __future__ import annotations

__all__ = ["NOTHING_ABNORMAL", "absent", "denied"]

NOTHING_ABNORMAL = "No abnormality"
"""The second background edit."""

_DENIAL = "No "


def absent(attribute: str) -> str:
    """The prompt under which an attribute goes: of the foreground edit and of the first background edit.

    Example:
        >>> absent("cardiomegaly")
        'No cardiomegaly'
    """
    return _DENIAL + attribute


def denied(prompt: str) -> str | None:
    """What a prompt denies; None where it denies nothing.

    Example:
        >>> denied("No cardiomegaly"), denied("cardiomegaly")
        ('cardiomegaly', None)
    """
    return prompt.removeprefix(_DENIAL) if prompt.startswith(_DENIAL) else None
