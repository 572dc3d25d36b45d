# SPDX-License-Identifier: Apache-2.0
"""What a chest phantom promises: true masks and answers, and a ``do`` that changes what it names and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from monai_causal.data.phantoms import ChestCauses, ChestPhantom, chest
from monai_causal.data.phantoms.chest import (
    ARTEFACTS,
    COMPOSITES,
    CONCEPTS,
    FINDING_CONCEPTS,
    FINDING_PHRASES,
    FINDINGS,
    STYLES,
)

SIZE = (80, 88)
CLEAN = {"marker": "none", "tube": "none", "electrodes": (), "collimation": (0.0,) * 4, "clutter": 0}
# what moves or adds each artefact
ARTEFACT_CHANGES = {
    "marker": {"marker": "R", "marker_position": (-0.3, -0.35)},
    "tube": {"tube": "nasogastric"},
    "electrodes": {"electrodes": ((0.1, 0.2), (-0.2, -0.3))},
    "collimation": {"collimation": (0.04, 0.02, 0.0, 0.05)},
    "clutter": {"clutter": 6},
}
# what moves each finding that can be moved
MOVES = {
    "pneumothorax": ("pneumothorax_side", "left", "right"),
    "consolidation": ("consolidation_zone", "left upper", "right lower"),
    "nodule": ("nodule_position", (0.3, 0.5), (0.6, 0.7)),
    "hilar_enlargement": ("hilar_enlargement_side", "left", "right"),
}
OWN_CONCEPTS = {
    "cardiomegaly": {"cardiac silhouette", "mediastinum"},
    "wide_mediastinum": {"upper mediastinum", "mediastinum"},
    "hilar_enlargement": {"left hilar structures", "right hilar structures"},
}


def bare(seed, style="plain", size=SIZE, **changes):
    """A phantom without findings and artefacts."""
    return chest(seed, size, style=style, findings=[]).do(**{**CLEAN, **changes})


def changed(before, after):
    """Pixels whose image differs in any bit, (H, W)."""
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


def grown(mask, margin):
    """The mask and all within ``margin`` pixels of it."""
    return ndimage.maximum_filter(mask, 2 * margin + 1)


def test_the_names():
    assert CONCEPTS == (
        "cardiac silhouette",
        "left lung",
        "right lung",
        "mediastinum",
        "upper mediastinum",
        "left clavicle",
        "right clavicle",
        "left hilar structures",
        "right hilar structures",
        "left costophrenic angle",
        "right costophrenic angle",
    )
    assert list(COMPOSITES) == ["both lungs", "clavicles", "hila", "costophrenic angles"]
    assert {name for members in COMPOSITES.values() for name in members} == {c for c in CONCEPTS if " " in c} - {
        "cardiac silhouette",
        "upper mediastinum",
    }
    assert tuple(FINDING_PHRASES) == FINDINGS
    assert {name for concepts in FINDING_CONCEPTS.values() for name in concepts} <= set(CONCEPTS)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [(64, 64), (113, 97)])
def test_what_a_phantom_is(size, style):
    phantom = chest(5, size, style=style, prevalence=1.0)
    assert isinstance(phantom, ChestPhantom)
    assert isinstance(phantom.causes, ChestCauses)
    assert phantom.image.shape == (1, *size)
    assert phantom.image.dtype == np.float32
    assert phantom.image.min() >= 0
    assert phantom.image.max() <= 1
    assert phantom.concepts.shape == (11, *size)
    assert phantom.concepts.dtype == np.bool_
    for index, name in enumerate(CONCEPTS):
        np.testing.assert_array_equal(phantom.concepts[index], phantom.concept(name))
    for name, members in COMPOSITES.items():
        np.testing.assert_array_equal(phantom.concept(name), phantom.maps[members[0]] | phantom.maps[members[1]])
    assert phantom.labels.shape == size
    assert all(mask.shape == size and mask.dtype == np.bool_ for mask in phantom.maps.values())


def test_same_seed_same_phantom_and_another_seed_another():
    first, again, other = (chest(seed, SIZE, prevalence=0.5) for seed in (7, 7, 8))
    assert same(first, again)
    assert same(first, first.do())
    assert changed(first, other).mean() > 0.8


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("finding", FINDINGS)
def test_a_finding_changes_its_own_place_alone_and_goes_without_a_trace(finding, style):
    for seed in range(2):
        without = bare(seed, style, consolidation_seed=seed)
        present = without.do(**{finding: 0.8})
        difference, mask = changed(without, present), present.maps[finding]
        assert difference.any()
        assert not (difference & ~grown(mask, without.causes.margin)).any()
        assert same(present.do(**{finding: 0.0}), without)
        assert present.answers == {name: name == finding for name in FINDINGS}
        for name in set(CONCEPTS) - OWN_CONCEPTS.get(finding, set()):
            np.testing.assert_array_equal(present.maps[name], without.maps[name])


@pytest.mark.parametrize("finding", MOVES)
def test_a_moved_finding_leaves_the_one_place_and_takes_the_other(finding):
    cause, here, there = MOVES[finding]
    first = bare(3).do(**{finding: 0.9, cause: here})
    second = first.do(**{cause: there})
    touched = grown(first.maps[finding] | second.maps[finding], first.causes.margin)
    assert not (changed(first, second) & ~touched).any()
    assert not np.array_equal(first.maps[finding], second.maps[finding])
    assert same(first.do(**{finding: 0.0}), second.do(**{finding: 0.0, cause: here}))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("artefact", ARTEFACTS)
def test_an_artefact_changes_its_own_place_alone_and_goes_without_a_trace(artefact, style):
    for seed in range(2):
        without = bare(seed, style, nodule=0.7)
        present = without.do(**ARTEFACT_CHANGES[artefact])
        difference, mask = changed(without, present), present.maps[artefact]
        assert difference.any()
        assert not (difference & ~grown(mask, without.causes.margin)).any()
        assert list(present.artefacts) == [artefact]
        np.testing.assert_array_equal(present.concepts, without.concepts)
        np.testing.assert_array_equal(present.maps["nodule"], without.maps["nodule"])
        back = {name: getattr(without.causes, name) for name in ARTEFACT_CHANGES[artefact]}
        assert same(present.do(**back), without)


@pytest.mark.parametrize(
    "changes",
    [
        {"shift": (0.02, -0.03)},
        {"tilt": 5.0},
        {"turn": 0.9},
        {"width": 0.7},
        {"height": 0.6},
        {"apex": 3.2},
        {"inspiration": -1.0},
        {"dome": 0.25},
        {"dome_gap": 0.0},
        {"heart": 0.55},
        {"heart_axis": 15.0},
        {"pedicle": 1.4},
        {"aorta": 2.0},
        {"rib_slope": 0.1},
        {"rib_gap": 0.1},
        {"rib_width": 0.02},
        {"clavicle_rise": 0.0},
        {"clavicle_level": 0.2},
        {"flesh": 0.4},
        {"breast": 1.0},
        {"gas": 0.9},
        {"vessels": 0.0},
        {"warp": 0.03},
        {"anatomy_seed": 77},
        {"haze": (0.4, 0.0)},
        {"exposure": 0.2},
        {"contrast": 0.5},
        {"bone": 0.1},
        {"air": 0.6},
        {"scatter": 0.3},
        {"gamma": 2.0},
        {"shading": (0.1, 0.0)},
        {"sharpening": 2.0},
        {"blur": 0.01},
        {"noise": 0.1},
        {"noise_seed": 77},
        {"inverted": True},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_cause_acts_and_do_back_gives_the_original(changes):
    phantom = bare(1, size=(64, 64))
    there = phantom.do(**changes)
    assert changed(phantom, there).any()
    assert same(there.do(**{name: getattr(phantom.causes, name) for name in changes}), phantom)


def test_findings_say_where_they_are_and_what_shows_them():
    phantom = bare(2, nodule=0.6, nodule_side="left", effusion_right=0.5)
    assert list(phantom.findings) == ["effusion_right", "nodule"]
    nodule = phantom.findings["nodule"]
    assert (nodule.name, nodule.strength, nodule.side, nodule.concepts) == ("nodule", 0.6, "left", ("left lung",))
    (top, bottom), (left, right) = nodule.box
    inside = np.zeros(SIZE, dtype=bool)
    inside[top:bottom, left:right] = True
    assert not (nodule.mask & ~inside).any()
    for line in (nodule.mask[top], nodule.mask[bottom - 1], nodule.mask[:, left], nodule.mask[:, right - 1]):
        assert line.any()
    assert phantom.findings["effusion_right"].concepts == ("right costophrenic angle", "right lung")
    assert set(phantom.labels[nodule.mask]) == {1 + FINDINGS.index("nodule")}


def test_what_lies_outside_the_frame_is_not_there():
    phantom = bare(2, nodule=0.6, nodule_side="left", nodule_position=(0.1, 0.5))
    assert phantom.answers["nodule"]
    assert not phantom.do(shift=(-0.9, 0.0)).answers["nodule"]


@pytest.mark.parametrize("seed", range(4))
def test_every_finding_lies_where_its_concepts_are(seed):
    for finding in FINDINGS:
        phantom = bare(seed, **{finding: 0.8})
        thing = phantom.findings[finding]
        for name in thing.concepts:
            shared = (thing.mask & phantom.concept(name)).sum()
            # an effusion begins in the angle and goes on in the lung; all else lies in its concept wholly
            covers = phantom.concept(name).sum() if name.endswith("angle") else thing.mask.sum()
            assert shared >= (0.4 if name.endswith("angle") else 0.9) * covers, (finding, name)


def test_drawn_findings_can_be_seen():
    """Each finding that is drawn changes the grey of its place, also beside all others."""
    seen = dict.fromkeys(FINDINGS, 0)
    for seed in range(25):
        phantom = chest(seed, (96, 96), prevalence=0.4)
        for name, thing in phantom.findings.items():
            difference = np.abs(phantom.image - phantom.do(**{name: 0.0}).image)[0]
            assert difference[thing.mask].mean() > 0.012, (seed, name)
            assert (difference[thing.mask] > 0.04).sum() >= 10, (seed, name)
            seen[name] += 1
    assert min(seen.values()) >= 4


def test_errors_name_the_value_and_the_remedy():
    with pytest.raises(ValueError, match=r"concept='spleen': the concepts are: cardiac silhouette, .*both lungs"):
        chest(0, (32, 32)).concept("spleen")
    with pytest.raises(ValueError, match="ChestCauses has no cause 'spleen'; its causes are: size, shift"):
        chest(0, (32, 32)).do(spleen=1)
