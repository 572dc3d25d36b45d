# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from monai_causal.apps.medfocus.baselines import build_method
from monai_causal.apps.medfocus.vlm.interface import Trace
from tests.apps.medfocus import scene
from tests.apps.medfocus.golden import BoxReader
from tests.apps.medfocus.scene import BOXES, SIZE

QUESTION = "Is there evidence of pleural effusion in the image?"


class NearSighted(BoxReader):
    """Its last layer looks at each position alone, as a sliding window that ends before the image does."""

    def trace(self, *args: Any, **options: Any) -> Trace:
        found = super().trace(*args, **options)
        assert found.attentions is not None
        slopes = found.attention_gradients
        return replace(
            found, attentions=found.attentions[::-1], attention_gradients=None if slopes is None else slopes[::-1]
        )


@pytest.mark.parametrize("name", ["attention", "gradient-attention"])
def test_the_last_layer_that_reaches_the_image_is_taken(name: str) -> None:
    far, near = (
        build_method(name, kind(SIZE, (BOXES["left lung"],))).attribute(scene.picture(), QUESTION)
        for kind in (BoxReader, NearSighted)
    )
    assert far.heat is not None
    assert near.heat is not None
    assert torch.equal(far.heat, near.heat)
    assert float(near.heat.max()) > 0
    assert (far.provenance["settings"]["layer"], near.provenance["settings"]["layer"]) == (1, 0)
