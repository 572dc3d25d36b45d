# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_causal.apps.medfocus.concepts import chest_vocabulary
from monai_causal.apps.medfocus.segmenter import ConceptSegmenter, as_image
from monai_causal.apps.medfocus.segmenters.base import Segmented
from monai_causal.apps.medfocus.segmenters.given import GivenMasks
from monai_causal.data.phantoms.chest import COMPOSITES, CONCEPTS, chest

PHANTOM = chest(985_000, size=(120, 160))
GIVEN = GivenMasks({name: PHANTOM.maps[name] for name in CONCEPTS})
IMAGE = PHANTOM.image[0]


def test_concepts_and_composites_have_masks_boxes_and_say_how_they_were_found() -> None:
    concepts = ConceptSegmenter(GIVEN)(IMAGE)
    assert list(concepts) == [*CONCEPTS, *COMPOSITES]
    assert concepts.how == "given masks"
    for name in CONCEPTS:
        rows, columns = np.nonzero(PHANTOM.maps[name])
        one = concepts[name]
        assert one.box == ((rows.min(), rows.max() + 1), (columns.min(), columns.max() + 1))
        assert one.corners == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert one.plausible
        np.testing.assert_array_equal(one.mask, PHANTOM.maps[name])
    for name, members in COMPOSITES.items():
        one = concepts[name]
        assert one.members == members
        assert one.boxes == tuple(concepts[member].box for member in members)
        np.testing.assert_array_equal(one.mask, PHANTOM.concept(name))
        rows, columns = np.nonzero(PHANTOM.concept(name))
        assert one.corners == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_a_composite_is_as_sure_as_its_least_sure_member_and_says_its_flags() -> None:
    class Unsure:
        name = "unsure"

        def __call__(self, image: Any) -> Segmented:
            found = GIVEN(image)
            masks = dict(found.masks) | {"left lung": np.zeros(image.shape, bool)}
            return Segmented(masks, dict(found.confidence) | {"left lung": 0.0, "right lung": 0.8}, ("unsure",))

    lungs = ConceptSegmenter(Unsure())(IMAGE)["both lungs"]
    assert lungs.confidence == 0.0
    assert lungs.flags == ("left lung: not found",)
    assert len(lungs.boxes) == 1
    assert not lungs.plausible


def test_a_refinement_comes_after_and_is_named() -> None:
    class Emptied:
        name = "emptied"

        def __call__(self, image: Any, found: Segmented) -> Segmented:
            return found.then(self.name, {name: np.zeros_like(mask) for name, mask in found.masks.items()})

    concepts = ConceptSegmenter(GIVEN, Emptied())(IMAGE)
    assert concepts.how == "given masks + emptied"
    assert concepts["left lung"].box is None
    assert concepts["left lung"].corners is None
    assert concepts.flags[0].startswith("11 of 11 concepts are implausible")
    json.dumps(concepts.as_dict())


def test_what_lies_in_space_stays_there() -> None:
    affine = np.diag([0.2, 0.3, 1, 1.0])
    concepts = ConceptSegmenter(GIVEN)(MetaTensor(torch.from_numpy(PHANTOM.image), affine=torch.from_numpy(affine)))
    stack = concepts.stack()
    np.testing.assert_allclose(stack.affine.numpy(), affine)
    np.testing.assert_array_equal(stack.numpy(), PHANTOM.concepts)
    assert ConceptSegmenter(GIVEN)(IMAGE).affine is None


def test_images_of_every_kind_become_the_same_grey() -> None:
    exact = np.rint(IMAGE * 255).astype(np.uint8)
    grey = exact.astype(np.float32) / 255
    shown = SimpleNamespace(pixels=grey, view="PA")
    for image in (exact, exact[None], torch.from_numpy(exact)[None, None], grey, shown):
        found, affine, notes = as_image(image)
        np.testing.assert_allclose(found, grey, atol=1e-7)
        assert affine is None
        assert notes == ()
    found, _, notes = as_image(1000 * grey.astype(np.float64) - 500)
    np.testing.assert_allclose(found, (grey - grey.min()) / (grey.max() - grey.min()), atol=1e-5)
    low, high = 1000 * float(grey.min()) - 500, 1000 * float(grey.max()) - 500
    assert notes == (f"grey values from {low:g} to {high:g} were brought to [0, 1]",)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.full((100, 100), 0.3, np.float32), "the image is blank"),
        (np.zeros((100, 100), np.uint8), "the image is blank"),
        (np.random.default_rng(0).random((16, 16)), "an image of 16 x 16 pixels: give at least 32 per side"),
        (np.random.default_rng(0).random((64, 64, 3)), r"an image of shape \(64, 64, 3\): one grey image"),
        (np.where(np.eye(64) > 0, np.nan, 0.5), "the image holds 64 values that are NaN or infinite"),
        (np.full((64, 64), 1j), "an image of type complex128"),
        (SimpleNamespace(pixels=IMAGE, view="LL"), r"a lateral view \(LL\)"),
    ],
)
def test_what_is_no_image_is_refused(image: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ConceptSegmenter(GIVEN)(image)


def test_masks_of_another_size_or_of_unknown_concepts_are_refused() -> None:
    class Wrong:
        name = "wrong"

        def __init__(self, concept: str, shape: tuple[int, int]) -> None:
            self.concept, self.shape = concept, shape

        def __call__(self, image: Any) -> Segmented:
            return Segmented({self.concept: np.ones(self.shape, bool)}, {self.concept: 1.0}, ("wrong",))

    with pytest.raises(ValueError, match=r"wrong: the mask of left lung is \(5, 5\), the image is \(120, 160\)"):
        ConceptSegmenter(Wrong("left lung", (5, 5)))(IMAGE)
    with pytest.raises(ValueError, match="wrong finds 'spleen', which is no concept of the chest radiograph"):
        ConceptSegmenter(Wrong("spleen", (120, 160)))(IMAGE)


def test_an_unknown_name_is_answered_with_what_was_looked_for() -> None:
    with pytest.raises(KeyError, match="'spleen': looked for were cardiac silhouette, left lung"):
        ConceptSegmenter(GIVEN)(IMAGE)["spleen"]


def test_the_default_is_the_network_at_the_images_own_size() -> None:
    concepts = ConceptSegmenter()(IMAGE)
    assert concepts.steps[0].startswith("network ")
    assert concepts.vocabulary == chest_vocabulary()
    found = concepts["left lung"].mask
    assert found.shape == (120, 160)
    assert (found & PHANTOM.maps["left lung"]).sum() / (found | PHANTOM.maps["left lung"]).sum() > 0.7


def test_an_upside_down_image_is_doubted_and_an_upright_one_is_not() -> None:
    segmenter = ConceptSegmenter()
    for seed in range(985_001, 985_005):
        image = chest(seed, size=(160, 128)).image[0]
        assert segmenter(image).flags == ()
        assert "the network is surer of the image turned upside down" in segmenter(image[::-1].copy()).flags
