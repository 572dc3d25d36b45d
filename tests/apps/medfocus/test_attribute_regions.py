# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_causal.apps.medfocus.attribute_regions import By, Places, concept_regions
from monai_causal.apps.medfocus.segmenter import ConceptSegmenter
from monai_causal.apps.medfocus.segmenters.given import GivenMasks
from tests.apps.medfocus import scene
from tests.apps.medfocus.scene import BOXES, SIZE

CONCEPTS = scene.segmenter()(scene.picture())


def test_boxes_and_composites_of_boxes() -> None:
    regions = concept_regions(CONCEPTS, "box")
    assert regions is not None
    assert set(regions.names) == {*BOXES, "both lungs", "clavicles"}
    by_name = dict(zip(regions.names, regions, strict=True))
    for name, box in BOXES.items():
        assert by_name[name].box == box
        assert by_name[name].mask is None
    lungs = torch.zeros(SIZE, dtype=torch.bool)
    for name in ("left lung", "right lung"):
        rows, columns = BOXES[name]
        lungs[slice(*rows), slice(*columns)] = True
    both = by_name["both lungs"]
    assert both.box == ((8, 56), (8, 88))
    assert both.mask is not None
    assert torch.equal(both.mask, lungs[both.index[1:]])


def test_outlines() -> None:
    regions = concept_regions(CONCEPTS, "mask")
    assert regions is not None
    for region in regions:
        covered = np.zeros(SIZE, bool)
        inside = np.ones(region.shape, bool) if region.mask is None else region.mask.numpy()
        covered[region.index[1:]] = inside
        np.testing.assert_array_equal(covered, CONCEPTS[region.name].mask)


def test_a_region_keeps_its_number_when_others_are_missing() -> None:
    some = ConceptSegmenter(GivenMasks({"left lung": scene.masks()["left lung"]}))(scene.picture())
    fewer, all_of_them = concept_regions(some), concept_regions(CONCEPTS)
    assert fewer is not None
    assert all_of_them is not None
    number = dict(zip(all_of_them.names, all_of_them.ids, strict=True))
    assert fewer.names == ("left lung", "both lungs")
    assert fewer.ids == (number["left lung"], number["both lungs"])


def test_nothing_found_and_a_wrong_name() -> None:
    nothing = ConceptSegmenter(GivenMasks({"left lung": np.zeros(SIZE)}))(scene.picture())
    assert concept_regions(nothing) is None
    with pytest.raises(ValueError, match="by='outline'"):
        concept_regions(CONCEPTS, "outline")  # type: ignore[arg-type]


@pytest.mark.parametrize("by", ["box", "mask"])
def test_places_count_what_is_replaced_and_know_what_lies_inside(by: By) -> None:
    regions = concept_regions(CONCEPTS, by)
    assert regions is not None
    places = Places(regions)
    covered = {}
    for region in regions:
        whole = np.zeros(regions.spatial_shape, dtype=bool)
        whole[tuple(slice(*span) for span in region.box)] = True if region.mask is None else region.mask.numpy()
        covered[region.name] = whole
    for one, mine in covered.items():
        assert places.sizes[one] == mine.sum()
        for other, theirs in covered.items():
            assert places.inside(one, other) == (one == other or (mine & theirs).sum() > mine.sum() / 2)
    assert places.inside("left lung", "both lungs")
    assert not places.inside("both lungs", "left clavicle")
    assert Places(None).sizes == {}
