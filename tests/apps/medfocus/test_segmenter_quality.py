# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from monai_causal.apps.medfocus.concepts import chest_vocabulary
from monai_causal.apps.medfocus.segmenter_quality import concept_flags, image_flags
from monai_causal.apps.medfocus.segmenters.base import Segmented
from monai_causal.data.phantoms.chest import chest

CHEST = chest_vocabulary()


def truth(seed: int = 980_000, **details: Any) -> Segmented:
    phantom = chest(seed, size=(160, 160))
    masks = {name: phantom.maps[name].astype(bool) for name in CHEST.names}
    return Segmented(masks, dict.fromkeys(masks, 0.9), ("truth",), details)


def changed(found: Segmented, **masks: Any) -> Segmented:
    return found.then("changed", {**found.masks, **{name.replace("_", " "): mask for name, mask in masks.items()}})


@pytest.mark.parametrize("seed", range(980_000, 980_012))
def test_nothing_is_said_of_true_masks(seed: int) -> None:
    found = truth(seed)
    flags = concept_flags(found, CHEST)
    assert {name: said for name, said in flags.items() if said} == {}
    assert image_flags(found, flags) == ()


def test_each_rule_speaks_of_its_own_concepts_only() -> None:
    found = truth()
    nothing = np.zeros((160, 160), bool)
    assert flagged(changed(found, left_clavicle=nothing)) == {"left clavicle": ("not found",)}

    speck = nothing.copy()
    speck[tuple(np.argwhere(found.masks["upper mediastinum"]).mean(0).astype(int))] = True
    assert flagged(changed(found, upper_mediastinum=speck)) == {
        "upper mediastinum": ("covers 0.00% of the image, usual is 0.30% to 15%",)
    }

    unsure = Segmented(found.masks, dict(found.confidence) | {"left lung": 0.41}, ("x",))
    assert flagged(unsure) == {"left lung": ("confidence 0.41 is below 0.6",)}

    swapped = changed(
        found,
        left_hilar_structures=found.masks["right hilar structures"],
        right_hilar_structures=found.masks["left hilar structures"],
    )
    assert flagged(swapped) == {
        "right hilar structures": ("is not left of left hilar structures on the picture",),
        "left hilar structures": ("right hilar structures is not left of it on the picture",),
    }

    both = found.masks["left lung"] | found.masks["right lung"]
    said = flagged(changed(found, right_lung=both))["right lung"]
    assert "shares 100% with left lung" in said


def flagged(found: Segmented) -> dict[str, tuple[str, ...]]:
    return {name: said for name, said in concept_flags(found, CHEST).items() if said}


def test_what_the_segmenter_does_not_know_is_said_and_no_reason_to_doubt_the_image() -> None:
    found = truth()
    known = ("left lung", "right lung")
    few = Segmented({n: found.masks[n] for n in known}, dict.fromkeys(known, 0.9), ("few",))
    flags = concept_flags(few, CHEST)
    assert flags["mediastinum"] == ("the segmenter does not know it",)
    assert flags["left lung"] == ()
    assert image_flags(few, flags) == ()


@pytest.mark.parametrize("turned", [np.flipud, np.fliplr, np.transpose])
def test_a_body_that_lies_otherwise_is_doubted(turned: Any) -> None:
    found = truth()
    masks = {name: turned(mask) for name, mask in found.masks.items()}
    odd = Segmented(masks, found.confidence, ("turned",))
    (said,) = image_flags(odd, concept_flags(odd, CHEST))
    assert said.endswith("perhaps no upright frontal view of what the vocabulary describes")


def test_an_image_that_is_clearer_upside_down_is_doubted() -> None:
    for given, turned, expected in (
        (0.010, 0.014, ()),
        (0.014, 0.010, ("the network is surer of the image turned upside down",)),
    ):
        found = truth(network={"uncertainty": {"as given": given, "upside down": turned}})
        assert image_flags(found, concept_flags(found, CHEST)) == expected


def test_a_transport_that_lost_or_moved_too_much_is_doubted() -> None:
    quiet = truth(transport={"mass": 0.7, "displacement": 0.05})
    assert image_flags(quiet, concept_flags(quiet, CHEST)) == ()
    loud = truth(transport={"mass": 0.31, "displacement": 0.2})
    assert image_flags(loud, concept_flags(loud, CHEST)) == (
        "the transport carried a mass of 0.31 only: image and references differ too much",
        "the transport moved the references by 20% of the image in the mean",
    )
