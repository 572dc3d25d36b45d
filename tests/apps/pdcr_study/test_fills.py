# SPDX-License-Identifier: Apache-2.0
"""The fills' measures where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_causal.apps.pdcr_study.config import FillsConfig
from monai_causal.apps.pdcr_study.fills import (
    UNTOUCHED,
    RealPatches,
    agreements,
    compare_fills,
    describe,
    disruption,
    make_fills,
    reliability,
    seam_step,
)
from monai_causal.intervene import CallableFill, DonorPatchFill, grid_regions
from tests.apps.pdcr_study.questions import noise, planted_question

SETTINGS = FillsConfig(draws=4, real_patches=60)


def smooth(seed: int, size: int = 40) -> torch.Tensor:
    """A gentle slope of its own direction with little grain (1, 1, size, size): patches alike from image to image."""
    generator = torch.Generator().manual_seed(seed)
    slope = torch.linspace(0.3, 0.7, size, dtype=torch.float64).expand(1, 1, size, size)
    return slope + 0.01 * torch.rand(1, 1, size, size, generator=generator, dtype=torch.float64)


def test_a_fill_that_changes_nothing_disrupts_nothing_and_is_as_plausible_as_what_was_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    question = planted_question(noise(3))
    idle = {"idle": CallableFill(lambda original, region, generator: original)}
    monkeypatch.setattr("monai_causal.apps.pdcr_study.fills.make_fills", lambda settings, donors: idle)
    found = compare_fills(question, SETTINGS)
    assert (found["idle"]["disruption"], found["idle"]["unchanged"], found["idle"]["seam"]) == (0.0, 1.0, 1.0)
    assert found["idle"]["plausible"] == found[UNTOUCHED]["plausible"]
    assert found["idle"]["effect"] == 0.0
    assert found["idle"]["reliability"] is found["idle"]["agreement"] is None  # nothing varies


def test_disruption_is_in_units_of_the_images_spread() -> None:
    image = noise(4)
    question = planted_question(image)
    (zero,) = (compare_fills(question, FillsConfig(("zero",), real_patches=60))["zero"],)
    patches = [image[0][region.index].numpy() for region in question.regions]
    expected = np.mean([np.sqrt((patch**2).mean()) for patch in patches]) / image.numpy().std()
    assert zero["disruption"] == pytest.approx(expected, rel=1e-12)
    assert zero["unchanged"] == 0.0
    assert zero["reliability"] is None


def test_blur_fails_to_change_a_flat_image_and_zero_a_black_one() -> None:
    """What the paper complains of (Fig. 2), in numbers: half of the image is flat, or black."""
    flat = noise(5)
    flat[..., :20] = 0.5
    black = noise(5)
    black[..., :20] = 0.0
    settings = FillsConfig(("zero", "blur", "noise"), blur_sigma=1.0, noise_sd=0.3, draws=2, real_patches=60)
    on_flat, on_black = (compare_fills(planted_question(image), settings) for image in (flat, black))
    assert on_flat["blur"]["unchanged"] == pytest.approx(10 / 24)  # 2 of 5 columns of patches lie in the flat half
    assert on_black["zero"]["unchanged"] == pytest.approx(10 / 24)
    assert on_flat["zero"]["unchanged"] == on_flat["noise"]["unchanged"] == 0.0


def test_real_patches_are_plausible_and_black_holes_are_not() -> None:
    images = [smooth(seed)[0] for seed in range(8)]
    real = RealPatches(images, 8, limit=10_000)
    arrays = [image.numpy() for image in images]
    regions = grid_regions((40, 40), 8)
    assert real.plausible(describe(arrays[0], region) for region in regions) == 1.0  # of the reference themselves
    new = [describe(smooth(seed)[0].numpy(), region) for seed in range(90, 110) for region in regions]
    assert real.plausible(new) == pytest.approx(0.95, abs=0.05)  # the reach comes from a hundred patches
    holes = arrays[0].copy()
    holes[:, 8:16, 8:16] = 0.0
    assert real.plausible([describe(holes, regions[6])]) == 0.0


def test_by_construction_95_per_cent_of_the_real_ones_are_within_reach() -> None:
    images = [noise(seed)[0] for seed in range(10)]
    real = RealPatches(images, 8, limit=10_000)
    beside = [describe(image.numpy(), region) for image in images[1::2] for region in grid_regions((40, 40), 8)]
    assert real.plausible(beside) == pytest.approx(0.95, abs=0.01)


def test_the_seam_is_the_step_across_the_border() -> None:
    image = np.zeros((2, 12, 12))
    region = grid_regions((12, 12), 4)[4]  # the middle one
    assert seam_step(image, region) == 0.0
    image[:, 4:8, 4:8] = 3.0
    assert seam_step(image, region) == 3.0
    corner = grid_regions((12, 12), 4)[0]
    image[:, :4, :4] = 1.0
    assert seam_step(image, corner) == 1.0  # two faces, both beside zeros
    assert seam_step(image, grid_regions((12, 12), 12)[0]) == 0.0  # the whole image has no border


def test_a_patch_in_numbers() -> None:
    image = np.zeros((1, 6, 6))
    image[0, 2:4, 2:4] = [[1.0, 3.0], [1.0, 3.0]]
    region = grid_regions((6, 6), 2)[4]
    mean, spread, steps, grain, seam, contrast = describe(image, region)
    assert (mean, spread, grain) == (2.0, 1.0, 0.0)  # two voxels have no second difference
    assert steps == 1.0  # 0 down, 2 across
    assert seam == 2.0
    assert contrast == 2.0


def test_disruption_of_one_region() -> None:
    before = np.zeros((1, 4, 4))
    after = before.copy()
    after[0, 0, 0] = 4.0
    assert disruption(before, after, grid_regions((4, 4), 2)[0]) == 2.0  # sqrt(16 / 4)
    assert disruption(before, after, grid_regions((4, 4), 2)[1]) == 0.0


def test_reliability_is_the_intraclass_correlation() -> None:
    # Shrout and Fleiss's (1979) example: six targets, four judges, ICC(1) = .17
    ratings = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
    assert reliability(ratings) == pytest.approx(0.17, abs=0.005)
    assert reliability(np.array([[1.0, 1.0], [2.0, 2.0]])) == 1.0
    assert reliability(np.array([[1.0, 2.0], [2.0, 1.0]])) == 0.0
    assert reliability(np.zeros((3, 4))) is None


def test_agreement_is_with_the_ranks_of_the_others() -> None:
    """All fills darken the one patch that is read; they agree, as far as the ties of the others allow."""
    image = torch.full((1, 1, 40, 40), 0.9, dtype=torch.float64)
    found = compare_fills(planted_question(image), FillsConfig(("zero", "donor"), draws=4, real_patches=60))
    assert found["zero"]["agreement"] == found["donor"]["agreement"] == pytest.approx(1.0)
    assert found["zero"]["effect"] == pytest.approx(100 / 24)


def test_agreement_leaves_the_fill_itself_out() -> None:
    effects = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([3.0, 2.0, 1.0]), "c": np.array([1.0, 3.0, 2.0])}
    found = agreements(effects)
    # The others' mean ranks are (2, 2.5, 1.5), (1, 2.5, 2.5) and (2, 2, 2).
    assert found["a"] == pytest.approx(-0.5)
    assert found["b"] == pytest.approx(-(0.75**0.5))
    assert found["c"] is None
    assert agreements({"a": effects["a"]}) == {"a": None}


def test_every_fill_has_its_name() -> None:
    donors = DonorPatchFill(torch.zeros(2, 1, 8, 8))
    assert list(make_fills(FillsConfig(), donors)) == ["zero", "blur", "noise", "donor", "inpaint"]
    assert make_fills(FillsConfig(("donor",)), donors)["donor"] is donors


def test_one_donor_image_is_too_few() -> None:
    with pytest.raises(ValueError, match="1 donor images"):
        RealPatches([noise(0)[0]], 8, 100)
