# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.golden import PlantedContext

# offset, image size, RoI; in some of them RoI - d reaches beyond the image
CASES = [
    ((2, -3), (12, 14), ((5, 9), (4, 8))),
    ((0, 5), (9, 13), ((2, 6), (7, 12))),
    ((-4, 1), (11, 10), ((1, 4), (3, 9))),
    ((3, 3), (10, 11), ((1, 6), (0, 7))),
    ((1, -2), (8, 9), ((0, 8), (0, 9))),
    ((1, -2, 3), (7, 8, 9), ((2, 5), (1, 4), (4, 8))),
    ((0, 0, -4), (5, 6, 10), ((1, 4), (2, 5), (1, 4))),
    ((2, 2, -2), (6, 6, 6), ((0, 4), (1, 6), (2, 6))),
]


@pytest.fixture(params=[(case, seed) for case in CASES for seed in range(2)], ids=lambda p: f"{p[0][0]}-seed{p[1]}")
def setting(request):
    """A model, an image, a fill, a RoI and a reference mask that the model did not make."""
    (offset, size, roi), seed = request.param
    generator = torch.Generator().manual_seed(seed)
    image, fill = torch.rand((2, 1, *size), generator=generator, dtype=torch.float64)
    reference = torch.rand(size, generator=generator) < 0.4
    return PlantedContext(offset, gain=4.0 + seed), image, fill, roi, reference


def dice_of_a_run(model, image, roi, reference):
    """Dice x 100 in the RoI the plain way: run the network, threshold its probability, count."""
    inside = tuple(slice(*span) for span in roi)
    predicted = (torch.sigmoid(model(image[None]))[0, 0] > 0.5)[inside]
    reference = torch.as_tensor(reference)[inside]
    return 100.0 * 2.0 * float((predicted & reference).sum()) / float(predicted.sum() + reference.sum())


def test_logit_is_read_from_the_pixel_at_p_minus_d(setting):
    model, image, *_ = setting
    size = image.shape[1:]
    expected = np.empty(tuple(size))
    for p in np.ndindex(*size):
        q = tuple(a - d for a, d in zip(p, model.offset, strict=True))
        value = float(image[(0, *q)]) if all(0 <= a < n for a, n in zip(q, size, strict=True)) else 0.0
        expected[p] = float(model.convolution.weight.sum()) * (value - 0.5)
    logit = model(image[None])
    assert logit.shape == (1, 1, *size)
    np.testing.assert_allclose(logit[0, 0].numpy(), expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(model.prediction(image), expected > 0)


def test_gain_is_the_slope_of_the_logit():
    row = torch.tensor([[[[0.75, 0.25, 1.0]]]], dtype=torch.float64)
    assert PlantedContext((0, 1), gain=8.0)(row).flatten().tolist() == [-4.0, 2.0, -2.0]


def test_dice_and_its_effects_are_those_of_the_run(setting):
    model, image, fill, roi, reference = setting
    before = dice_of_a_run(model, image, roi, reference)
    assert model.dice(image, roi, reference) == pytest.approx(before, abs=1e-12)
    size = image.shape[1:]
    generator = np.random.default_rng(3)
    boxes = []
    for low in np.ndindex(*(-(-n // 3) for n in size)):
        region = np.zeros(tuple(size), dtype=bool)
        region[tuple(slice(3 * a, 3 * a + 3) for a in low)] = True
        boxes.append(region)
    sparse = [generator.random(tuple(size)) < density for density in (0.05, 0.3, 0.7)]
    effects = []
    for region in [*boxes, *sparse]:
        after = dice_of_a_run(model, torch.where(torch.as_tensor(region), fill, image), roi, reference)
        effects.append(model.dice_effect(image, fill, region, roi, reference))
        assert effects[-1] == pytest.approx(after - before, abs=1e-12)
    assert any(effects)


def test_effects_are_non_zero_exactly_on_regions_that_meet_the_roi_minus_d(setting):
    """Against the model's own first answer, turning any pixel that is read costs Dice, and no other does."""
    model, image, _, roi, _ = setting
    size = tuple(image.shape[1:])
    answer = model.prediction(image)
    touched = np.zeros(size, dtype=bool)
    for pixel in np.ndindex(*size):
        region = np.zeros(size, dtype=bool)
        region[pixel] = True
        effect = model.dice_effect(image, 1.0 - image, region, roi, answer)
        assert effect <= 0
        touched[pixel] = effect != 0
    expected = np.zeros(size, dtype=bool)
    for p in np.ndindex(*size):
        q = tuple(a - d for a, d in zip(p, model.offset, strict=True))
        in_roi = all(start <= a < stop for a, (start, stop) in zip(p, roi, strict=True))
        if in_roi and all(0 <= a < n for a, n in zip(q, size, strict=True)):
            expected[q] = True
    np.testing.assert_array_equal(touched, expected)
    np.testing.assert_array_equal(model.reads(roi, size), expected)


def test_reads_nothing_when_the_roi_minus_d_lies_outside():
    assert not PlantedContext((6, 0)).reads(((0, 3), (0, 3)), (9, 9)).any()
    assert not PlantedContext((-6, 0)).reads(((5, 9), (0, 3)), (9, 9)).any()


def test_by_hand():
    """d = (0, 2): pixels 0 and 2 light up 2 and 4. Truth is 2 and 3, so Dice is 2 * 1 / (2 + 2)."""
    model = PlantedContext((0, 2))
    image = [[[0.9, 0.1, 0.8, 0.2, 0.0, 0.0]]]
    roi = ((0, 1), (2, 6))
    reference = [[0, 0, 1, 1, 0, 0]]

    def effect(pixel, fill):
        region = np.arange(6)[None] == pixel
        return model.dice_effect(image, np.full((1, 1, 6), fill), region, roi, reference)

    assert model.prediction(image).tolist() == [[False, False, True, False, True, False]]
    assert model.dice(image, roi, reference) == 50.0
    assert effect(0, 0.0) == -50.0  # the true positive is lost: pixel 0 supports
    assert effect(2, 0.0) == pytest.approx(200 / 3 - 50)  # the false positive goes: pixel 2 suppresses
    assert effect(1, 1.0) == pytest.approx(400 / 5 - 200 / 4)
    assert effect(1, 0.5) == 0.0  # a half is not above a half
    assert effect(4, 1.0) == 0.0  # inside the RoI, and read from beyond it only


def test_an_empty_reference_is_refused():
    with pytest.raises(ValueError, match=r"empty inside the RoI \(\(0, 2\), \(0, 3\)\): choose"):
        PlantedContext((0, 1)).dice(np.ones((1, 4, 4)), ((0, 2), (0, 3)), np.zeros((4, 4)))


@pytest.mark.parametrize("offset", [(1, -2), (1, -2, 0)])
def test_nothing_is_trained_and_the_only_layer_is_one_convolution(offset):
    model = PlantedContext(offset)
    assert [type(layer) for layer in model.children()] == [torch.nn.Conv2d if len(offset) == 2 else torch.nn.Conv3d]
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert int((model.convolution.weight != 0).sum()) == 1
