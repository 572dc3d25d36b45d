# SPDX-License-Identifier: Apache-2.0
"""Planes of volumes: the right way round for every orientation, and as thick as they are."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_causal.visualize.render import Outline, Panel, save_montage, save_planes
from monai_causal.visualize.render.volumes import planes
from tests.visualize.render.drawn import Drawings, reddish

SPACING = (1.0, 2.0, 4.0)
VOLUME = np.random.default_rng(0).random((6, 5, 4))
"""Along R, A, S."""


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_however_a_volume_is_stored_its_planes_are_the_same(order: tuple[int, ...]) -> None:
    wanted = {
        # rows run from A to P or from S to I, columns from R to L or from A to P
        "axial": VOLUME[::-1, ::-1, 1].T,
        "coronal": VOLUME[::-1, 2, ::-1].T,
        "sagittal": VOLUME[4, ::-1, ::-1].T,
    }
    edges = {"axial": ("R", "L", "A", "P"), "coronal": ("R", "L", "S", "I"), "sagittal": ("A", "P", "S", "I")}
    aspect = {"axial": 2.0, "coronal": 4.0, "sagittal": 2.0}
    base = nib.Nifti1Image(VOLUME, np.diag([*SPACING, 1.0]))
    for signs in product((1, -1), repeat=3):
        # nibabel's doing is the reference: axis i of the canonical volume becomes axis order[i], flipped or not
        turned = base.as_reoriented(np.array(list(zip(order, signs, strict=True)), dtype=float))
        stored, affine = np.asarray(turned.dataobj), turned.affine
        centre = [0, 0, 0]
        for axis, (place, sign, index) in enumerate(zip(order, signs, (4, 2, 1), strict=True)):
            centre[place] = index if sign > 0 else VOLUME.shape[axis] - 1 - index
        cuts = planes(stored.shape, centre, affine)
        assert [cut.name.partition(",")[0] for cut in cuts] == list(wanted)
        for cut in cuts:
            name = cut.name.partition(",")[0]
            np.testing.assert_array_equal(cut.cut(stored), wanted[name])
            assert cut.edges == edges[name]
            assert cut.aspect == pytest.approx(aspect[name])


def test_an_oblique_volume_says_so_and_one_without_affine_names_its_axes() -> None:
    angle = np.deg2rad(20)
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[:3, :3] = [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]] @ affine[:3, :3]
    names = [cut.name for cut in planes((8, 8, 8), (4, 4, 4), affine)]
    assert names == ["near axial, slice 5 of 8", "near coronal, slice 5 of 8", "sagittal, slice 5 of 8"]
    bare = planes((6, 5, 4), (0, 1, 2))
    assert [(cut.name, cut.edges[0], cut.edges[3]) for cut in bare][1] == (
        "axis 1, slice 2 of 5",
        "axis 0\n↓",
        "axis 2 →",
    )
    np.testing.assert_array_equal(bare[1].cut(VOLUME), VOLUME[:, 1, :])
    with pytest.raises(ValueError, match="slice 9 of axis 1"):
        planes((6, 5, 4), (0, 9, 2))
    with pytest.raises(ValueError, match="three axes"):
        planes((6, 5), (0, 9))


def _panel() -> Panel:
    volume = np.random.default_rng(0).random((40, 40, 12))
    effects = np.zeros(volume.shape)
    effects[:8, 32:, 3:9] = -2.0
    roi = np.zeros(volume.shape, bool)
    roi[16:24, 16:24, 4:8] = True
    return Panel(volume, "a volume", effects, "Dice points", [Outline(roi, "yellow", "RoI")])


def test_planes_are_as_thick_as_they_are_and_share_the_volumes_scale(tmp_path: Path, drawings: Drawings) -> None:
    path = save_planes(tmp_path / "one.png", _panel(), (20, 20, 5), np.diag([1.0, 1.0, 4.0, 1.0]), caption="A caption.")
    drawing = drawings.of(path)
    drawing.assert_tidy()
    coronal = drawing.panel("coronal")
    across, up = coronal.transData.transform((1, 0)) - coronal.transData.transform((0, 0)), coronal.transData
    assert abs((up.transform((0, 1)) - up.transform((0, 0)))[1]) == pytest.approx(4 * across[0], rel=0.02)
    # None of the three planes meets the effect: their scale is the volume's all the same.
    assert drawing.bars[0].get_ylim() == (-2.0, 2.0)
    assert [len(axes.patches) for axes in drawing.figure.axes[:3]] == [1, 1, 1]


def test_a_montage_shows_the_slices_that_tell_something(tmp_path: Path, drawings: Drawings) -> None:
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    drawing = drawings.of(save_montage(tmp_path / "one.png", _panel(), affine, slices=4, columns=2))
    drawing.assert_tidy()
    shown = [axes for axes in drawing.figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in shown] == [f"axial, slice {number} of 12" for number in (4, 6, 7, 9)]
    # The effect lies at the low end of R and the high end of A: on the right, on top.
    assert all(reddish(drawing.at(axes, 35, 4)) and not reddish(drawing.at(axes, 4, 4)) for axes in shown)
    chosen = drawings.of(save_montage(tmp_path / "two.png", _panel(), axis=0, slices=[2, 30]))
    chosen.assert_tidy()
    assert [axes.get_title() for axes in chosen.figure.axes[:2]] == ["axis 0, slice 3 of 40", "axis 0, slice 31 of 40"]
    # Rows are axis 1, columns axis 2.
    assert reddish(chosen.at(chosen.figure.axes[0], 5, 36))
    assert not reddish(chosen.at(chosen.figure.axes[1], 5, 36))
