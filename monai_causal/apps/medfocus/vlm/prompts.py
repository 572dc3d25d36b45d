# SPDX-License-Identifier: Apache-2.0
"""The questions that MedFocus asks, in the published words (section 3.1 and the released code)."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["Mode", "finding_question", "worded"]

Mode = Literal["direct", "reasoning"]

_ENDINGS: dict[str, str] = {
    "direct": "Answer directly with yes or no without any explanation.",
    "reasoning": "Think step by step and answer with yes or no.",
}


def finding_question(finding: str) -> str:
    """The binary question about a finding.

    Example:
        >>> finding_question("cardiomegaly")
        'Is there evidence of cardiomegaly in the image?'
    """
    return f"Is there evidence of {finding} in the image?"


def worded(question: str, mode: Mode) -> str:
    """A question with what tells the model how to answer it: directly, or after thinking aloud.

    Example:
        >>> worded("Is there a tube?", "direct")
        'Is there a tube? Answer directly with yes or no without any explanation.'
    """
    if mode not in _ENDINGS:
        raise ValueError(f"mode={mode!r}: one of {', '.join(get_args(Mode))}.")
    return f"{question} {_ENDINGS[mode]}"
