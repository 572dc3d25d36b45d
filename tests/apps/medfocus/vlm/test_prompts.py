# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from monai_causal.apps.medfocus.vlm.prompts import finding_question, worded

PUBLISHED = "Is there evidence of pleural effusion in the image?"


@pytest.mark.parametrize(
    ("mode", "ending"),
    [
        ("direct", " Answer directly with yes or no without any explanation."),
        ("reasoning", " Think step by step and answer with yes or no."),
    ],
)
def test_the_published_words(mode: Any, ending: str) -> None:
    assert finding_question("pleural effusion") == PUBLISHED
    assert worded(finding_question("pleural effusion"), mode) == PUBLISHED + ending


def test_an_unknown_mode() -> None:
    with pytest.raises(ValueError, match="mode='both': one of direct, reasoning"):
        worded(PUBLISHED, "both")  # type: ignore[arg-type]
