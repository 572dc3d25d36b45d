# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from monai_causal.data.phantoms import vessels
from monai_causal.data.phantoms.vessels import draw_causes, grow

SIZES = [(64, 56), (40, 44, 36)]

# of two trees, in grey levels of 255: some pixels, the means, and the voxels in labels and branches
PLANAR = [[72, 81, 87, 81], [77, 69, 78, 76], [90, 81, 186, 172], [85, 88, 120, 67]]
VOLUME = [[89, 95, 70], [83, 74, 66], [91, 54, 82], [71, 72, 83]]
MEANS = [86.1, 76.9]
COUNTS = [308, 497, 170, 428]


def changed(before, after):
    """Voxels whose image differs in any bit, (*spatial)."""
    assert before.image.dtype == after.image.dtype == np.float32
    return (before.image.view(np.uint32) != after.image.view(np.uint32))[0]


def same(before, after):
    """Bitwise the same image, labels and map of branches."""
    return (
        not changed(before, after).any()
        and np.array_equal(before.labels, after.labels)
        and np.array_equal(before.maps["branches"], after.maps["branches"])
    )


@pytest.mark.parametrize("size", SIZES)
def test_what_a_tree_is(size):
    tree = vessels(1, size=size, depth=4)
    branches = tree.maps["branches"]
    assert tree.image.shape == (1, *size)
    assert tree.labels.shape == branches.shape == size
    assert set(np.unique(tree.labels)) == {0, 1}
    assert set(np.unique(branches)) == set(range(16))
    assert (branches[tree.labels > 0] > 0).all()
    # thin, and brighter than the background by the contrast
    assert distance_transform_edt(tree.labels).max() <= tree.causes.radius + 1
    noiseless = tree.do(noise=0.0, illumination=0.0)
    step = (noiseless.image - noiseless.do(contrast=0.0).image)[0]
    np.testing.assert_array_equal(step > 0, branches > 0)
    assert step.max() == pytest.approx(tree.causes.contrast, abs=1e-6)
    np.testing.assert_array_equal(step >= 0.5 * tree.causes.contrast - 1e-6, tree.labels > 0)


@pytest.mark.parametrize("size", SIZES)
def test_same_seed_same_tree_and_another_seed_another(size):
    first, again, other = vessels(11, size=size), vessels(11, size=size), vessels(12, size=size)
    assert same(first, again)
    assert first.causes == again.causes
    assert changed(first, other).mean() > 0.9
    assert not np.array_equal(first.labels, other.labels)


def test_the_same_everywhere():
    """Positions and 8-bit intensities as first rendered; a little play for sine and cosine of other machines."""
    planar, volume = vessels(2, size=(64, 56), depth=5), vessels(3, size=(28, 32, 30), depth=4)
    grey = [np.round(255 * tree.image[0].astype(np.float64)) for tree in (planar, volume)]
    np.testing.assert_allclose(grey[0][::16, ::14], PLANAR, rtol=0, atol=1)
    np.testing.assert_allclose(grey[1][::9, 16, ::10], VOLUME, rtol=0, atol=1)
    assert [round(values.mean(), 1) for values in grey] == pytest.approx(MEANS, abs=0.2)
    counts = [int((values > 0).sum()) for tree in (planar, volume) for values in (tree.labels, tree.maps["branches"])]
    assert counts == pytest.approx(COUNTS, abs=2)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("gap", [1, 2, 5, 12, 15])
def test_a_gap_removes_exactly_one_branch(size, gap):
    tree = vessels(0, size=size, depth=4)
    cut = tree.do(gap=gap)
    shown = tree.maps["branches"] == gap
    assert not (changed(tree, cut) & ~shown).any()
    alone = vessels(0, size=size, depth=4).do(gap=tuple(i for i in range(1, 16) if i != gap))
    assert set(np.unique(alone.maps["branches"])) == {0, gap}
    # the mask that is left, and the mask of what was removed, make the whole
    np.testing.assert_array_equal(cut.labels | alone.labels, tree.labels)
    assert set(np.unique(cut.maps["branches"])) == set(range(16)) - {gap}
    gone = shown & (cut.maps["branches"] == 0)
    assert gone.sum() > 0.4 * shown.sum()
    assert changed(tree, cut)[gone].mean() > 0.95
    np.testing.assert_array_equal(cut.maps["branches"][~shown], tree.maps["branches"][~shown])


@pytest.mark.parametrize("size", SIZES)
def test_several_gaps_and_back(size):
    tree = vessels(4, size=size, depth=4)
    cut = tree.do(gap=(2, 6))
    assert not (changed(tree, cut) & ~np.isin(tree.maps["branches"], (2, 6))).any()
    assert not same(tree, cut)
    assert same(tree, cut.do(gap=()))
    assert same(tree.do(gap=6), tree.do(gap=(6,)))
    assert same(cut.do(gap=[6, 2]), cut)


@pytest.mark.parametrize("size", SIZES)
def test_a_shallower_tree_is_the_same_tree_without_its_last_level(size):
    tree = vessels(5, size=size, depth=5)
    shallow = tree.do(depth=4)
    assert not (changed(tree, shallow) & (tree.maps["branches"] < 16)).any()
    assert same(shallow, tree.do(gap=tuple(range(16, 32))))
    assert same(tree, shallow.do(depth=5))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "changes",
    [{"radius": 2.5}, {"branch_angle": 50.0}, {"length": 8.0}, {"tree_seed": 9}, {"root": (30.0, 20.0, 20.0)}],
    ids=lambda changes: next(iter(changes)),
)
def test_do_geometry_changes_the_vessels_alone_and_back(size, changes):
    tree = vessels(6, size=size, depth=4)
    changes = {name: value[: len(size)] if isinstance(value, tuple) else value for name, value in changes.items()}
    other = tree.do(**changes)
    footprint = (tree.maps["branches"] > 0) | (other.maps["branches"] > 0)
    assert not (changed(tree, other) & ~footprint).any()
    assert changed(tree, other).any()
    assert same(tree, other.do(**{name: getattr(tree.causes, name) for name in changes}))


@pytest.mark.parametrize("size", SIZES)
def test_do_appearance_keeps_the_geometry(size):
    tree = vessels(7, size=size, depth=4)
    for changes in ({"contrast": -0.2}, {"illumination": 0.3}, {"noise": 0.1}, {"noise_seed": 1}):
        other = tree.do(**changes)
        assert changed(tree, other).any()
        np.testing.assert_array_equal(tree.labels, other.labels)
        np.testing.assert_array_equal(tree.maps["branches"], other.maps["branches"])
    darker = tree.do(contrast=-0.2)
    assert not (changed(tree, darker) & (tree.maps["branches"] == 0)).any()


@pytest.mark.parametrize("size", SIZES)
def test_branches_grow_as_the_causes_say(size):
    causes = vessels(8, size=size, depth=4).causes
    branches = {branch.number: branch for branch in grow(causes)}
    assert sorted(branches) == list(range(1, 16))
    np.testing.assert_array_equal(branches[1].points[0], causes.root)
    for number, branch in branches.items():
        generation = number.bit_length() - 1
        steps = np.diff(branch.points, axis=0)
        expected = causes.length * 0.8**generation
        assert 0.8 * expected <= np.linalg.norm(steps, axis=1).sum() <= 1.2 * expected
        assert branch.radii[0] == pytest.approx(max(causes.radius * 0.79**generation, 0.6))
        if number > 1:
            parent = branches[number // 2]
            np.testing.assert_array_equal(branch.points[0], parent.points[-1])
            # from the parent's last piece to the child's first: the branching angle, a fifth of it, and one bend
            before = parent.points[-1] - parent.points[-2]
            cosine = before @ steps[0] / np.linalg.norm(before) / np.linalg.norm(steps[0])
            assert math.degrees(math.acos(cosine)) == pytest.approx(causes.branch_angle, abs=0.2 * 32 + 20 / 6 + 1e-6)


def test_the_trunk_is_as_wide_as_the_image_asks():
    radii = [draw_causes(seed, size=(200, 300), depth=1).radius for seed in range(200)]
    assert [min(radii), max(radii)] == pytest.approx([3.6, 4.8], abs=0.05)
    assert draw_causes(0, size=(40, 300), depth=1).radius == 1.5


def test_a_volume_is_not_flat():
    """In 3-D the children of one branch lie in another plane than the branch and its sibling."""
    tree = vessels(0, size=(40, 40, 40), depth=4)
    points = np.concatenate([branch.points for branch in grow(tree.causes)])
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    assert spread[2] > 0.2 * spread[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 3}, r"VesselsCauses has no cause 'colour'; its causes are: size, tree_seed, root, .*noise_seed$"),
        ({"gap": 8}, r"gap=8: the branches are numbered from 1 to 7"),
        ({"gap": (2, 0)}, r"gap=\(2, 0\): the branches are numbered from 1 to 7"),
        ({"depth": 0}, r"depth=0: give 1 \(the trunk alone\) to 10 levels"),
        ({"root": (3.0, 40.0)}, r"root=\(3.0, 40.0\): give a point inside the image of size \(32, 32\)"),
        ({"heading": (0.0, 0.0)}, r"heading=\(0.0, 0.0\): give 2 finite numbers, not all 0"),
        ({"heading": (1.0, 0.0, 0.0)}, r"heading=\(1.0, 0.0, 0.0\): give 2 finite numbers"),
        ({"length": 0.0}, r"length=0.0: give a length above 0"),
        ({"radius": 0.0}, r"radius=0.0: give a radius above 0"),
        ({"contrast": math.nan}, r"contrast=nan: give a number from -1 to 1"),
        ({"illumination": 1.5}, r"illumination=1.5: give a number from -1 to 1"),
        ({"noise": -1.0}, r"noise=-1.0: give a standard deviation"),
        ({"tree_seed": -3}, r"seed=-3: give a whole number"),
        ({"size": (32,)}, r"size=\(32,\): give two or three sides"),
        ({"size": (0, 32)}, r"size=\(0, 32\): give sides of at least 1 voxel"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_errors_name_the_value_and_the_remedy(changes, message):
    with pytest.raises(ValueError, match=message):
        vessels(0, size=(32, 32), depth=3).do(**changes)
