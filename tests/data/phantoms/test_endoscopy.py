# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections import Counter
from dataclasses import fields

import numpy as np
import pytest

from monai_causal.data.phantoms import EndoscopyCauses, Phantom, endoscopy
from monai_causal.data.phantoms.endoscopy import (
    CONFOUNDERS,
    LESION_CONFOUNDERS,
    NORMAL_CONFOUNDERS,
    TEMPLATES,
    caption,
    draw_causes,
    render,
)

SIZES = [(48, 48), (40, 52), (96, 96)]
DRAWS = 2000
PHRASES = {
    "white_light": "white-light imaging",
    "motion_blur": "motion blur",
    "compression": "compression artifacts",
    "bright": "bright lighting",
    "dim": "dim lighting",
    "uneven": "uneven lighting",
    "narrow_band": "narrow-band imaging",
    "close_up": "a close-up view",
    "distant": "a distant view",
    "mucus": "mucus",
    "blood": "blood",
    "reflection": "specular reflection",
}

# of one phantom, in grey levels of 255: some pixels of each channel, and the labelled pixels
FIRST_RENDERED = [
    [[140, 152, 147], [74, 104, 184], [157, 196, 161]],
    [[88, 94, 94], [48, 59, 117], [92, 117, 97]],
    [[78, 86, 78], [43, 57, 103], [84, 108, 89]],
]
LABELLED = 138


def changed(before, after):
    """Pixels whose image differs in any bit of any channel, (H, W)."""
    assert before.image.dtype == after.image.dtype == np.float32
    return (before.image.view(np.uint32) != after.image.view(np.uint32)).any(axis=0)


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


def touches_border(mask):
    """Whether a mask reaches the border of the image."""
    return bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())


def clear(seed, size=(96, 96), **changes):
    """A phantom under white light, with a polyp."""
    return endoscopy(seed, size=size).do(**{"confounder": "white_light", "lesion": True, **changes})


def test_the_confounders_and_the_two_sets():
    assert list(CONFOUNDERS.items()) == list(PHRASES.items())
    assert LESION_CONFOUNDERS == ("bright", "uneven", "narrow_band", "close_up", "blood", "reflection")
    assert NORMAL_CONFOUNDERS == ("white_light", "motion_blur", "compression", "dim", "distant", "mucus")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(4))
def test_what_a_phantom_is(size, seed):
    phantom = endoscopy(seed, size=size)
    causes = phantom.causes
    assert isinstance(phantom, Phantom)
    assert isinstance(causes, EndoscopyCauses)
    assert phantom.image.shape == (3, *size)
    assert phantom.image.dtype == np.float32
    assert phantom.image.min() >= 0
    assert phantom.image.max() <= 1
    assert phantom.labels.shape == phantom.maps["bump"].shape == size
    assert phantom.labels.dtype == phantom.maps["bump"].dtype == np.uint8
    polyp, fold = phantom.do(lesion=True), phantom.do(lesion=False)
    np.testing.assert_array_equal(polyp.labels, polyp.maps["bump"])
    np.testing.assert_array_equal(fold.maps["bump"], polyp.maps["bump"])
    assert set(np.unique(polyp.labels)) == {0, 1}
    assert not fold.labels.any()


@pytest.mark.parametrize("size", [(32, 32), (96, 96), (96, 150)])
def test_the_bump_is_whole_and_as_large_and_where_its_causes_say(size):
    for seed in range(12):
        phantom = clear(seed, size)
        bump, shortest = phantom.maps["bump"], min(size)
        assert 0.04 <= phantom.causes.area <= 0.2
        assert bump.sum() / shortest**2 == pytest.approx(phantom.causes.area, rel=0.02, abs=6 / shortest**2)
        assert not touches_border(bump)
        middle = [(np.nonzero(bump)[axis].mean() - (size[axis] - 1) / 2) / shortest for axis in (0, 1)]
        assert middle == pytest.approx(phantom.causes.centre, abs=0.04)


def test_the_scene_is_reddish_with_a_dark_lumen_and_little_is_clipped():
    for seed in range(8):
        image = clear(seed).image
        red, green, blue = image.mean(axis=(1, 2))
        assert red > green + 0.1
        assert green > blue
        assert 0.3 < image.mean() < 0.6
        assert (image == 1).mean() < 0.02
        row, column = (round(47.5 + 96 * x) for x in clear(seed).causes.lumen)
        lumen = image[:, max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4]
        assert lumen.mean() < 0.5 * image.mean()


@pytest.mark.parametrize("size", SIZES)
def test_same_seed_same_phantom_and_another_seed_another(size):
    first, again, other = (endoscopy(seed, size=size, strength=0.5) for seed in (11, 11, 12))
    assert same(first, again)
    assert first.causes == again.causes
    assert same(first, first.do())
    assert changed(first, other).mean() > 0.9
    assert not np.array_equal(first.maps["bump"], other.maps["bump"])


@pytest.mark.parametrize("confounder", CONFOUNDERS)
@pytest.mark.parametrize("size", [(40, 52), (33, 47)])
def test_no_severity_is_white_light_and_white_light_has_no_severity(size, confounder):
    phantom = endoscopy(3, size=size).do(lesion=True)
    neutral = phantom.do(confounder="white_light", severity=1.0)
    assert same(phantom.do(confounder=confounder, severity=0.0), neutral)
    assert same(neutral, neutral.do(severity=0.4))
    # and it comes on gradually
    slight, half, full = (phantom.do(confounder=confounder, severity=s).image for s in (0.02, 0.5, 1.0))
    distances = [np.abs(image - neutral.image).mean() for image in (slight, half, full)]
    if confounder == "white_light":
        assert distances == [0, 0, 0]
    else:
        assert distances[0] < 0.015
        assert distances[0] < distances[1] < distances[2]
        assert distances[2] > 0.01


@pytest.mark.parametrize("confounder", [c for c in CONFOUNDERS if c not in ("white_light", "close_up", "distant")])
@pytest.mark.parametrize("seed", [0, 5])
def test_what_does_not_move_the_scene_leaves_labels_and_maps(seed, confounder):
    phantom = clear(seed)
    disturbed = phantom.do(confounder=confounder, severity=1.0)
    np.testing.assert_array_equal(disturbed.labels, phantom.labels)
    np.testing.assert_array_equal(disturbed.maps["bump"], phantom.maps["bump"])
    assert changed(phantom, disturbed).any()
    assert disturbed.causes.zoom == 1


@pytest.mark.parametrize(("confounder", "severity", "scale"), [("close_up", 1.0, 1.5), ("distant", 1.0, 1 / 1.5)])
def test_distance_scales_the_labels(confounder, severity, scale):
    whole = 0
    for seed in range(20):
        phantom = clear(seed)
        scaled = phantom.do(confounder=confounder, severity=severity)
        assert scaled.causes.zoom == pytest.approx(scale)
        labels = scaled.labels
        assert labels.any()
        if touches_border(labels):
            continue  # perhaps cut
        whole += 1
        assert labels.sum() / phantom.labels.sum() == pytest.approx(scale**2, rel=0.06)
        for axis in (0, 1):  # about the middle of the image
            before, after = (np.nonzero(m)[axis].mean() - 47.5 for m in (phantom.labels, labels))
            assert after == pytest.approx(scale * before, abs=0.4)
    assert whole >= 6


@pytest.mark.parametrize("confounder", ["close_up", "distant"])
def test_distance_shows_the_same_scene(confounder):
    """The picture at another scale, where both views show it: rendered anew, not resampled."""
    phantom = clear(1, (97, 97), noise=0.0)
    scaled = phantom.do(confounder=confounder, severity=math.log(1.25, 1.5))
    near, far = (scaled, phantom) if confounder == "close_up" else (phantom, scaled)
    assert near.causes.zoom / far.causes.zoom == pytest.approx(1.25)
    # every fifth pixel about the middle of the near view is every fourth of the far one
    (ours, our_bump), (theirs, their_bump) = (
        (view.image[:, ticks, ticks], view.maps["bump"][ticks, ticks])
        for view, ticks in ((near, slice(8, 89, 5)), (far, slice(16, 81, 4)))
    )
    np.testing.assert_array_equal(our_bump, their_bump)
    assert np.median(np.abs(ours - theirs)) < 0.04  # but for the rim's shade, which is the camera's
    assert np.corrcoef(ours[0].ravel(), theirs[0].ravel())[0, 1] > 0.9


@pytest.mark.parametrize("confounder", CONFOUNDERS)
def test_do_confounder_keeps_the_scene_and_the_way_back_is_exact(confounder):
    phantom = endoscopy(7, size=(48, 48), strength=1.0)
    there = phantom.do(confounder=confounder, severity=0.8)
    assert same(there.do(confounder=phantom.causes.confounder, severity=phantom.causes.severity), phantom)
    differing = {
        f.name for f in fields(there.causes) if getattr(there.causes, f.name) != getattr(phantom.causes, f.name)
    }
    assert differing <= {"confounder", "severity"}
    assert there.causes.lesion == phantom.causes.lesion


@pytest.mark.parametrize("confounder", CONFOUNDERS)
def test_without_evidence_polyp_and_fold_look_alike(confounder):
    phantom = endoscopy(8, size=(48, 48), evidence=0.0).do(confounder=confounder, lesion=True)
    fold = phantom.do(lesion=False)
    assert fold.causes.confounder == confounder
    assert not changed(phantom, fold).any()
    assert phantom.labels.any()
    assert not fold.labels.any()


@pytest.mark.parametrize("confounder", [c for c in CONFOUNDERS if c not in ("motion_blur", "compression")])
def test_do_lesion_changes_the_surface_of_the_bump_alone(confounder):
    polyp = clear(8, confounder=confounder, severity=0.5, evidence=1.0)
    fold = polyp.do(lesion=False)
    inside = polyp.maps["bump"] > 0
    assert not (changed(polyp, fold) & ~inside).any()
    assert changed(polyp, fold)[inside].mean() > 0.6
    assert same(fold.do(lesion=True), polyp)


def test_evidence_grades_the_difference():
    for seed in range(5):
        fold = clear(seed, lesion=False)
        inside = fold.maps["bump"] > 0
        steps = []
        for evidence in (0.25, 0.5, 1.0):
            polyp = fold.do(lesion=True, evidence=evidence)
            assert same(fold, fold.do(evidence=evidence))
            steps.append((fold.image - polyp.image)[1][inside].mean())
        assert steps == pytest.approx([0.25 * steps[2], 0.5 * steps[2], steps[2]], rel=0.02)
        assert 0.02 < steps[2] < 0.15


@pytest.mark.parametrize(("evidence", "low", "high"), [(1.0, 0.85, 1.0), (0.5, 0.6, 0.85), (0.0, 0.3, 0.65)])
def test_a_simple_rule_finds_polyps_the_better_the_more_evidence(evidence, low, high):
    """The bump against its surroundings in hue, the area under its ROC curve on 60 phantoms under white light."""
    scores, lesions = [], []
    for seed in range(60):
        causes = draw_causes(seed, size=(64, 64), evidence=evidence).do(confounder="white_light")
        image, _, maps = render(causes)
        hue, inside = image[1] / (image[0] + 0.01), maps["bump"] > 0
        scores.append(hue[~inside].mean() - hue[inside].mean())
        lesions.append(causes.lesion)
    ranks = np.argsort(np.argsort(scores))[np.array(lesions)]
    count = sum(lesions)
    area_under_curve = (ranks.sum() - count * (count - 1) / 2) / (count * (len(lesions) - count))
    assert low <= area_under_curve <= high


@pytest.mark.parametrize("strength", [1.0, 0.5, 0.0, -0.3, -1.0])
def test_the_law_of_the_confounder(strength):
    drawn = [draw_causes(seed, strength=strength) for seed in range(DRAWS)]
    assert within_five_sigma(sum(causes.lesion for causes in drawn), DRAWS, 0.5)
    for lesion in (True, False):
        values = Counter(causes.confounder for causes in drawn if causes.lesion == lesion)
        own = LESION_CONFOUNDERS if lesion == (strength >= 0) else NORMAL_CONFOUNDERS
        trials = sum(values.values())
        for name in CONFOUNDERS:
            probability = abs(strength) / 6 * (name in own) + (1 - abs(strength)) / 12
            assert within_five_sigma(values[name], trials, probability), (lesion, name)
        in_own = sum(values[name] for name in own)
        assert within_five_sigma(in_own, trials, (1 + abs(strength)) / 2)


def test_the_law_of_severity_and_form():
    drawn = [draw_causes(seed) for seed in range(DRAWS)]
    for name, low, high in (("severity", 0.3, 1.0), ("area", 0.04, 0.2)):
        values = np.array([getattr(causes, name) for causes in drawn])
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
        for lesion in (True, False):  # uniform, and alike for polyps and folds
            chosen = values[[causes.lesion == lesion for causes in drawn]]
            assert within_five_sigma((chosen < (low + high) / 2).sum(), len(chosen), 0.5)
    assert draw_causes(0, severity=0.45).severity == 0.45


def test_strength_changes_the_confounder_alone():
    confounders_differ = 0
    for seed in range(40):
        reference = draw_causes(seed, strength=0.0)
        for strength in (1.0, 0.5, -0.5, -1.0):
            other = draw_causes(seed, strength=strength)
            assert other.do(confounder=reference.confounder) == reference
            confounders_differ += other.confounder != reference.confounder
        assert draw_causes(seed, severity=0.5).do(severity=reference.severity) == reference
        assert draw_causes(seed, evidence=0.2).do(evidence=reference.evidence) == reference
    assert confounders_differ > 80


@pytest.mark.parametrize(
    "changes",
    [
        {"area": 0.1},
        {"centre": (0.1, -0.12)},
        {"elongation": 1.9},
        {"angle": 33.0},
        {"tint": 0.1},
        {"lumen": (0.3, 0.3)},
        {"redness": -0.1},
        {"light": 10.0},
        {"noise": 0.05},
        {"scene_seed": 77},
        {"artifact_seed": 77},
        {"noise_seed": 77},
        {"evidence": 0.1},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_cause_acts_and_do_back_gives_the_original(changes):
    phantom = clear(1, (48, 48), confounder="mucus", severity=0.9)
    there = phantom.do(**changes)
    assert changed(phantom, there).any()
    assert same(there.do(**{name: getattr(phantom.causes, name) for name in changes}), phantom)


@pytest.mark.parametrize(
    "confounder", ["white_light", "bright", "dim", "narrow_band", "compression", "close_up", "distant"]
)
def test_the_artifact_seed_is_of_what_has_a_place_alone(confounder):
    phantom = clear(1, (48, 48), confounder=confounder, severity=0.9)
    assert same(phantom, phantom.do(artifact_seed=5))
    placed = phantom.do(confounder="blood")
    assert not same(placed, placed.do(artifact_seed=5))


def test_captions_name_what_is_there():
    causes = draw_causes(0).do(lesion=True, confounder="mucus", severity=0.3, area=0.15, centre=(0.05, -0.2))
    assert caption(causes) == "An endoscopy image with mucus, showing a large polyp on the left."
    assert caption(causes, 1) == "An endoscopy image with mucus"
    assert caption(causes, 2) == "A polyp with mucus"
    assert caption(causes, 3) == "A polyp in an endoscopic image"
    without = causes.do(lesion=False)
    assert caption(without) == "An endoscopy image with mucus, showing normal mucosa."
    assert caption(without, 2) == "A normal mucosa with mucus"
    assert caption(without, 3) == "A normal mucosa in an endoscopic image"
    assert len(set(TEMPLATES)) >= 6
    for variant in range(len(TEMPLATES)):
        assert caption(causes, variant) == caption(causes, variant + len(TEMPLATES))
        for given in (causes, without):
            words = caption(given, variant)
            assert words[0].isupper()
            assert "{" not in words
            if variant != 1:
                assert ("polyp" in words) == given.lesion
                assert ("normal mucosa" in words) == (not given.lesion)
            if variant != 3:
                assert "with mucus" in words


@pytest.mark.parametrize("confounder", CONFOUNDERS)
def test_captions_say_white_light_where_the_confounder_is_slight(confounder):
    causes = draw_causes(0).do(confounder=confounder)
    assert caption(causes.do(severity=0.3), 1) == f"An endoscopy image with {PHRASES[confounder]}"
    assert caption(causes.do(severity=0.29), 1) == "An endoscopy image with white-light imaging"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"centre": (0.0, -0.2)}, "a large polyp on the left."),
        ({"centre": (0.1, 0.2)}, "a large polyp on the right."),
        ({"centre": (-0.2, 0.1)}, "a large polyp in the upper part."),
        ({"centre": (0.2, 0.1)}, "a large polyp in the lower part."),
        ({"centre": (0.05, -0.05), "area": 0.06}, "a small polyp in the centre."),
    ],
)
def test_captions_say_how_large_and_where(changes, words):
    causes = draw_causes(0).do(lesion=True, confounder="white_light", area=0.15).do(**changes)
    assert caption(causes).endswith(words)
    assert caption(causes.do(confounder="distant", severity=1.0)).endswith(words)  # the scene's, whatever the view
    outline = render(causes)[1]
    middle = [np.nonzero(outline)[axis].mean() / 95 - 0.5 for axis in (0, 1)]
    side = {"left": middle[1] < 0, "right": middle[1] > 0, "upper part": middle[0] < 0, "lower part": middle[0] > 0}
    assert all(holds for name, holds in side.items() if name in words)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 3}, r"EndoscopyCauses has no cause 'colour'; its causes are: size, lesion, .*noise_seed$"),
        ({"confounder": "rain"}, r"confounder='rain': the confounders are: white_light, motion_blur, .*, reflection$"),
        ({"confounder": 3}, r"confounder=3: the confounders are: white_light"),
        ({"confounder": None}, r"confounder=None: the confounders are: white_light"),
        ({"lesion": 2}, r"lesion=2: give True \(polyp\) or False \(fold\)"),
        ({"severity": 1.1}, r"severity=1.1: give a number from 0 to 1"),
        ({"severity": math.nan}, r"severity=nan: give a number from 0 to 1"),
        ({"evidence": -0.1}, r"evidence=-0.1: give a number from 0 to 1"),
        ({"area": 0.0}, r"area=0.0: give a fraction above 0"),
        ({"centre": (0.1,)}, r"centre=\(0.1,\): give \(row, column\) from the middle, inside the image of size"),
        ({"lumen": (0.1, 0.6)}, r"lumen=\(0.1, 0.6\): give \(row, column\)"),
        ({"elongation": 0.5}, r"elongation=0.5: give a ratio from 1 to 3"),
        ({"tint": 0.3}, r"tint=0.3: give a number from -0.2 to 0.2"),
        ({"redness": math.nan}, r"redness=nan: give a number from -0.2 to 0.2"),
        ({"angle": math.inf}, r"angle=inf: give an angle in degrees"),
        ({"light": math.nan}, r"light=nan: give an angle in degrees"),
        ({"noise": -0.1}, r"noise=-0.1: give a standard deviation"),
        ({"noise_seed": -1}, r"seed=-1: give a whole number"),
        ({"scene_seed": 0.5}, r"seed=0.5: give a whole number"),
        ({"size": (31, 40)}, r"size=\(31, 40\): give sides of at least 32 pixels"),
        ({"size": (40, 40, 40)}, r"size=\(40, 40, 40\): give two sides"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_errors_name_the_value_and_the_remedy(changes, message):
    with pytest.raises(ValueError, match=message):
        endoscopy(0, size=(32, 32)).do(**changes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strength": 1.2}, r"strength=1.2: give a number from -1 to 1"),
        ({"strength": math.nan}, r"strength=nan: give a number"),
        ({"severity": 2.0}, r"severity=2.0: give a number from 0 to 1"),
        ({"evidence": 2.0}, r"evidence=2.0: give a number from 0 to 1"),
        ({"size": (16, 16)}, r"size=\(16, 16\): give sides of at least 32"),
        ({"seed": -3}, r"seed=-3: give a whole number"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_errors_of_drawing(arguments, message):
    with pytest.raises(ValueError, match=message):
        endoscopy(**{"seed": 0, **arguments})


def test_the_same_everywhere():
    """8-bit intensities as first rendered; a little play for sine and cosine of other machines."""
    phantom = clear(2, (48, 56))
    grey = np.round(255 * phantom.image.astype(np.float64))
    np.testing.assert_allclose(grey[:, ::16, 14::14], FIRST_RENDERED, rtol=0, atol=1)
    assert int(phantom.labels.sum()) == pytest.approx(LABELLED, abs=1)
