# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from monai_causal.data.phantoms import Phantom, ShapesCauses, shapes
from monai_causal.data.phantoms.shapes import draw_causes

SIZES = [(48, 56), (32, 40, 36)]

# of two phantoms, in grey levels of 255: some pixels, the means, and the voxels in labels, object and cue
PLANAR = [[68, 95, 104, 90], [67, 77, 93, 102], [77, 101, 172, 103], [82, 97, 105, 104]]
VOLUME = [[68, 88, 86, 88], [83, 73, 82, 77], [91, 108, 83, 80]]
MEANS = [95.6, 87.0]
COUNTS = [83, 114, 29, 117, 170, 175]


def changed(before, after):
    """Voxels whose image differs in any bit, (*spatial)."""
    assert before.image.dtype == after.image.dtype == np.float32
    return (before.image.view(np.uint32) != after.image.view(np.uint32))[0]


def same(before, after):
    """Bitwise the same image, labels and maps."""
    return (
        not changed(before, after).any()
        and np.array_equal(before.labels, after.labels)
        and before.maps.keys() == after.maps.keys()
        and all(np.array_equal(before.maps[name], after.maps[name]) for name in before.maps)
    )


def within_five_sigma(successes, trials, probability):
    """Whether a count is within z = 5 of a binomial's mean."""
    return abs(successes - trials * probability) <= 5 * math.sqrt(trials * probability * (1 - probability))


@pytest.mark.parametrize("size", SIZES)
def test_what_a_phantom_is(size):
    phantom = shapes(4, size=size)
    assert isinstance(phantom, Phantom)
    assert phantom.image.shape == (1, *size)
    assert phantom.image.dtype == np.float32
    assert phantom.labels.shape == phantom.maps["object"].shape == phantom.maps["cue"].shape == size
    assert set(np.unique(phantom.labels)) == {0, phantom.causes.resolved_class}
    assert set(np.unique(phantom.maps["cue"])) == {0, phantom.causes.cue}
    assert set(np.unique(phantom.maps["object"])) == {0, 1}
    # the object is brighter than what surrounds it by its contrast, the marker by more
    background = (phantom.maps["object"] == 0) & (phantom.maps["cue"] == 0)
    image = phantom.image[0]
    step = image[phantom.labels > 0].mean() - image[background].mean()
    assert step == pytest.approx(phantom.causes.contrast, abs=0.08)
    assert image[phantom.maps["cue"] > 0].mean() > image[background].mean() + 0.2


@pytest.mark.parametrize("size", SIZES)
def test_same_seed_same_phantom_and_another_seed_another(size):
    first, again, other = shapes(11, size=size), shapes(11, size=size), shapes(12, size=size)
    assert same(first, again)
    assert first.causes == again.causes
    assert changed(first, other).mean() > 0.9


def test_the_same_everywhere():
    """Positions and 8-bit intensities as first rendered; one grey level of play for other machines' last bits."""
    planar = shapes(2, size=(48, 56), strength=0.5, evidence=0.5)
    volume = shapes(7, size=(24, 28, 26), strength=0.5)
    bytes_of = [np.round(255 * phantom.image[0].astype(np.float64)) for phantom in (planar, volume)]
    np.testing.assert_allclose(bytes_of[0][::12, ::14], PLANAR, rtol=0, atol=1)
    np.testing.assert_allclose(bytes_of[1][::8, 14, ::8], VOLUME, rtol=0, atol=1)
    assert [round(grey.mean(), 1) for grey in bytes_of] == pytest.approx(MEANS, abs=0.2)
    counts = [int((m > 0).sum()) for p in (planar, volume) for m in (p.labels, p.maps["object"], p.maps["cue"])]
    assert counts == pytest.approx(COUNTS, abs=1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_do_cue_changes_the_cue_alone(size, seed):
    phantom = shapes(seed, size=size)
    held = phantom.causes.resolved_class
    other = phantom.do(cue=3 - phantom.causes.cue)
    absent = phantom.do(cue=0)
    assert not absent.maps["cue"].any()
    footprint = (phantom.maps["cue"] > 0) | (other.maps["cue"] > 0)
    assert not (changed(phantom, other) & ~footprint).any()
    assert changed(phantom, other)[footprint].mean() > 0.25
    # removing the cue changes all but the voxels that it hardly covers
    assert not (changed(phantom, absent) & (phantom.maps["cue"] == 0)).any()
    assert changed(phantom, absent)[phantom.maps["cue"] > 0].mean() > 0.95
    # the class follows, unless it is held
    assert other.labels.max() == 3 - held
    assert phantom.do(cue=3 - phantom.causes.cue, object_class=held).labels.max() == held


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "changes", [{"object_radius": 8.5}, {"object_contrast": 0.1}, {"object_class": 1, "evidence": 1.0}, {"moved": 3}]
)
def test_do_object_changes_the_object_alone(size, changes):
    phantom = shapes(5, size=size)
    if "moved" in changes:
        changes = {"object_centre": tuple(x + changes["moved"] for x in phantom.causes.object_centre)}
    other = phantom.do(**changes)
    footprint = (phantom.maps["object"] > 0) | (other.maps["object"] > 0)
    assert not (changed(phantom, other) & ~footprint).any()
    assert changed(phantom, other)[footprint].mean() > 0.25
    np.testing.assert_array_equal(phantom.maps["cue"], other.maps["cue"])


@pytest.mark.parametrize("size", SIZES)
def test_do_with_evidence_is_mediated_by_the_object(size):
    """What the object shows of its class follows the cue: the total effect. With the class held it stays."""
    phantom = shapes(1, size=size, evidence=1.0)
    cue = 3 - phantom.causes.cue
    total = phantom.do(cue=cue)
    direct = phantom.do(cue=cue, object_class=phantom.causes.resolved_class)
    inside = phantom.labels > 0
    assert changed(phantom, total)[inside].all()
    assert not changed(phantom, direct)[inside].any()
    assert total.causes.contrast - phantom.causes.contrast == pytest.approx(0.1 if cue == 2 else -0.1)
    footprint = (phantom.maps["cue"] > 0) | (total.maps["cue"] > 0) | (phantom.maps["object"] > 0)
    assert not (changed(phantom, total) & ~footprint).any()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "changes",
    [
        {"cue": 0},
        {"cue_position": (10.0, 10.0, 10.0)},
        {"cue_radius": 4.5},
        {"object_centre": (20.0, 20.0, 20.0)},
        {"object_radius": 6.0},
        {"object_class": 2},
        {"follows_cue": False, "coin": 2},
        {"evidence": 0.7},
        {"illumination": -0.4},
        {"noise": 0.1},
        {"noise_seed": 77},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_do_back_gives_the_original(size, changes):
    phantom = shapes(1, size=size)
    changes = {name: value[: len(size)] if isinstance(value, tuple) else value for name, value in changes.items()}
    there = phantom.do(**changes)
    assert not same(phantom, there)
    back = there.do(**{name: getattr(phantom.causes, name) for name in changes})
    assert same(phantom, back)
    assert same(phantom, phantom.do())


@pytest.mark.parametrize("size", SIZES)
def test_an_object_keeps_its_form_wherever_it_is_moved(size):
    """The outline is exogenous: it is cut by the border of the image, not drawn anew."""
    phantom = shapes(3, size=size).do(object_centre=tuple(16.5 for _ in size), object_radius=5.0)
    moved = phantom.do(object_centre=tuple(n - 2.5 for n in size))
    shift = tuple(int(n - 2.5 - 16.5) for n in size)
    stays = tuple(slice(0, n - s) for n, s in zip(size, shift, strict=True))
    arrives = tuple(slice(s, n) for n, s in zip(size, shift, strict=True))
    assert moved.maps["object"].sum() > 4
    np.testing.assert_array_equal(moved.maps["object"][arrives], phantom.maps["object"][stays])
    np.testing.assert_array_equal(moved.labels[arrives], phantom.labels[stays])


@pytest.mark.parametrize("size", SIZES)
def test_illumination_and_noise(size):
    dark = shapes(6, size=size).do(illumination=0.0, noise=0.0)
    lit = dark.do(illumination=0.4)
    light = 1 + 0.4 * np.linspace(-1, 1, size[-1])
    np.testing.assert_allclose(lit.image, np.clip(dark.image * light, 0, 1), rtol=0, atol=1e-6)
    grain = (dark.do(noise=0.02).image - dark.image).astype(np.float64)
    assert grain.std() == pytest.approx(0.02, rel=0.06)
    assert abs(grain.mean()) < 5 * 0.02 / math.sqrt(grain.size)
    # the grain is the noise seed's, whatever is under it
    elsewhere = dark.do(cue=0, object_contrast=0.0)
    np.testing.assert_allclose(elsewhere.do(noise=0.02).image - elsewhere.image, grain, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(24, 24), (128, 96), (24, 30, 27)])
def test_the_cue_is_whole_and_well_away_from_the_object(size):
    gap = 0.2 * min(size)
    for seed in range(40):
        phantom = shapes(seed, size=size)
        for cue in (1, 2):
            marker = phantom.do(cue=cue).maps["cue"] > 0
            assert distance_transform_edt(~marker)[phantom.maps["object"] > 0].min() > gap
            reach = phantom.causes.cue_radius
            for position, length in zip(phantom.causes.cue_position, size, strict=True):
                assert reach <= position + 0.5 <= length - reach
        labels, footprint = phantom.labels > 0, phantom.maps["object"] > 0
        assert (footprint | ~labels).all()
        assert labels.sum() < footprint.sum()


def test_the_marker_grows_with_the_shortest_side():
    radii = [draw_causes(0, size=size, strength=1.0).cue_radius for size in ((24, 24), (96, 128), (200, 300, 250))]
    assert radii == pytest.approx([3.0, 5.76, 12.0])


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.8, 1.0])
def test_strength_is_the_probability_that_the_class_is_read_from_the_cue(strength):
    drawn = [draw_causes(seed, size=(32, 32), strength=strength) for seed in range(3000)]
    reads = [causes for causes in drawn if causes.follows_cue]
    others = [causes for causes in drawn if not causes.follows_cue]
    assert within_five_sigma(len(reads), len(drawn), strength)
    assert all(causes.resolved_class == causes.cue for causes in reads)
    agreeing = sum(causes.resolved_class == causes.cue for causes in others)
    assert within_five_sigma(agreeing, len(others), 0.5)
    assert within_five_sigma(sum(c.resolved_class == c.cue for c in drawn), len(drawn), (1 + strength) / 2)
    assert within_five_sigma(sum(c.cue == 1 for c in drawn), len(drawn), 0.5)
    assert within_five_sigma(sum(c.resolved_class == 1 for c in drawn), len(drawn), 0.5)


def test_strength_changes_nothing_else_of_a_seed():
    for seed in range(20):
        weak, strong = (draw_causes(seed, size=(32, 32), strength=strength) for strength in (0.0, 1.0))
        assert weak.do(follows_cue=True) == strong


@pytest.mark.parametrize("evidence", [0.0, 0.5, 1.0])
def test_evidence_is_what_the_contrast_tells_of_the_class(evidence):
    drawn = [draw_causes(seed, size=(32, 32), strength=0.0, evidence=evidence) for seed in range(3000)]
    guessed = sum((2 if causes.contrast > 0.25 else 1) == causes.resolved_class for causes in drawn)
    assert within_five_sigma(guessed, len(drawn), (1 + evidence) / 2)


def test_without_evidence_the_class_leaves_no_trace_in_the_image():
    phantom = shapes(8, size=(40, 40), evidence=0.0)
    other = phantom.do(object_class=3 - phantom.causes.resolved_class)
    assert not changed(phantom, other).any()
    assert other.labels.max() == 3 - phantom.labels.max()


def test_an_absent_cue_leaves_the_class_to_the_coin():
    causes = shapes(0, size=(32, 32)).causes.do(follows_cue=True, cue=1, coin=2)
    assert causes.resolved_class == 1
    assert causes.do(cue=0).resolved_class == 2
    assert causes.do(cue=0, object_class=1).resolved_class == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 3}, r"ShapesCauses has no cause 'colour'; its causes are: size, cue, cue_position, .*noise_seed$"),
        ({"cue": 3}, r"cue=3: 0 is no cue"),
        ({"coin": 0}, r"coin=0: the classes are 1 and 2"),
        ({"object_class": 0}, r"object_class=0: give 1, 2 or None"),
        ({"cue_position": (3.0,)}, r"cue_position=\(3.0,\): give a point inside the image of size \(32, 32\)"),
        ({"object_centre": (3.0, 32.0)}, r"object_centre=\(3.0, 32.0\): give a point inside"),
        ({"object_radius": 0.0}, r"object_radius=0.0: give a radius above 0"),
        ({"cue_radius": math.nan}, r"cue_radius=nan: give a radius above 0"),
        ({"object_contrast": -2.0}, r"object_contrast=-2.0: give a number from -1 to 1"),
        ({"evidence": 1.5}, r"evidence=1.5: give a number from 0 to 1"),
        ({"illumination": 2.0}, r"illumination=2.0: give a number from -1 to 1"),
        ({"noise": -0.1}, r"noise=-0.1: give a standard deviation"),
        ({"noise_seed": -1}, r"seed=-1: give a whole number"),
        ({"size": (16, 32)}, r"size=\(16, 32\): give sides of at least 24 voxels"),
        ({"size": (32,)}, r"size=\(32,\): give two or three sides"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_errors_name_the_value_and_the_remedy(changes, message):
    with pytest.raises(ValueError, match=message):
        shapes(0, size=(32, 32)).do(**changes)


def test_errors_of_drawing():
    with pytest.raises(ValueError, match=r"strength=1.2: give a probability"):
        shapes(0, strength=1.2)
    with pytest.raises(ValueError, match=r"seed=0.5: give a whole number"):
        shapes(0.5)


def test_causes_are_values():
    causes = shapes(0, size=(32, 32)).causes
    assert isinstance(causes, ShapesCauses)
    with pytest.raises(AttributeError):
        causes.cue = 2
    assert causes.do(noise=0.5).noise == 0.5
    assert causes.noise == 0.02
