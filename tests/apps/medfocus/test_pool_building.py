# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monai_causal.apps.medfocus.pool_building import build_reference
from monai_causal.data.phantoms.chest import CONCEPTS


def test_phantoms_begin_at_the_seed() -> None:
    pool = build_reference(phantoms=2, size=48, seed=7)
    assert [one.provenance["seed"] for one in pool] == [7, 8]
    assert pool.concepts == tuple(CONCEPTS)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({}, "sources given: none"),
        ({"phantoms": 2, "folder": Path("here")}, "sources given: phantoms, folder"),
        ({"imagenome": Path("here")}, "with imagenome, give images"),
        ({"imagenome": Path("here"), "images": Path("there")}, "at least one image's id"),
    ],
)
def test_one_source_and_all_that_it_needs(given: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        build_reference(**given)
