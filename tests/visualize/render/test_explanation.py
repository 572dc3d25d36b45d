# SPDX-License-Identifier: Apache-2.0
"""The standard pictures: every part in its place, in the right colour, and nothing on anything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import pyplot

from monai_causal.visualize.render import save_explanation, save_networks
from tests.visualize.render.drawn import Drawings, bluish, made_result, reddish

CORNER, OPPOSITE = ((0, 8), (56, 64)), ((56, 64), (0, 8))
IMAGE = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))


def test_a_flat_result(tmp_path: Path, drawings: Drawings) -> None:
    result = made_result({CORNER: -3.0, OPPOSITE: 2.0}, spread=0.5)
    answer = torch.zeros(64, 64)
    answer[10:20, 10:50] = 1
    path = save_explanation(
        tmp_path / "one.png", result, IMAGE, answer=answer, reference=answer.bool(), title="A frame"
    )
    drawing = drawings.of(path)
    drawing.assert_tidy()
    effects = drawing.panel("effects: 2 of 60 regions relevant")
    assert reddish(drawing.at(effects, 60, 4))
    assert bluish(drawing.at(effects, 4, 60))
    for x, y in ((4, 4), (60, 60), (32, 32)):
        assert np.ptp(drawing.at(effects, x, y)) < 0.02  # grey: nothing there
    signed, spread = drawing.bars
    assert signed.get_ylim() == (-3.0, 3.0)
    assert signed.get_ylabel() == "effect (Dice points)"
    half = float(result.interval()[result.relevant][0].diff() / 2)
    assert spread.get_ylim() == (0.0, pytest.approx(half))
    words = " ".join(text.get_text() for text in drawing.words())
    for said in ("score before 90 Dice points", "RoI", "the network's answer", "the reference", "A frame", "Red: "):
        assert said in words
    assert "strongest support -3, strongest suppression +2 Dice points" in words.replace("\n", " ")
    # The image itself keeps its grey, and the answer's border lies on it.
    image = drawing.panel("image")
    assert [patch.get_path().get_extents().bounds for patch in image.patches] == [
        (23.5, 23.5, 16.0, 16.0),
        (9.5, 9.5, 40.0, 10.0),
        (9.5, 9.5, 40.0, 10.0),
    ]
    assert pyplot.get_fignums() == []


def test_a_coloured_image_is_coloured_alone_and_grey_under_its_map(tmp_path: Path, drawings: Drawings) -> None:
    image = torch.stack([torch.ones(64, 64), torch.zeros(64, 64), torch.zeros(64, 64)])
    image[:, :2, :2] = 0.0
    drawing = drawings.of(save_explanation(tmp_path / "one.png", made_result({CORNER: 1.0}), image))
    drawing.assert_tidy()
    np.testing.assert_allclose(drawing.at(drawing.panel("image"), 10, 50), (1, 0, 0), atol=0.01)
    assert np.ptp(drawing.at(drawing.panel("effects"), 10, 50)) < 0.02


def test_a_volume_is_shown_in_planes_through_the_roi_or_the_strongest_effect(
    tmp_path: Path, drawings: Drawings
) -> None:
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    # To the right (R) of the patient, in front (A) and on top (S): at the ends of all axes.
    box = ((24, 32), (24, 32), (8, 12))
    roi = ((8, 16), (8, 16), (0, 4))
    result = made_result({box: -1.0}, (32, 32, 12), (8, 8, 4), roi, affine=affine)
    volume = torch.rand(32, 32, 12, generator=torch.Generator().manual_seed(0))
    first = drawings.of(save_explanation(tmp_path / "one.png", result, volume))
    first.assert_tidy()
    assert [axes.get_title() for axes in first.figure.axes[:3]] == [
        "axial, slice 2 of 12",
        "coronal, slice 12 of 32",
        "sagittal, slice 12 of 32",
    ]
    second = drawings.of(save_explanation(tmp_path / "two.png", result, volume, through="effect"))
    second.assert_tidy()
    axial, coronal, sagittal = [axes for axes in second.figure.axes if ", slice" in axes.get_title()][3:6]
    assert (axial.get_title(), coronal.get_title()) == ("axial, slice 10 of 12", "coronal, slice 28 of 32")
    for plane in (axial, coronal, sagittal):  # R or A is on the left, A or S on top
        assert reddish(second.at(plane, 2, 1))
        for x, y in ((29, 1), (2, plane.get_ylim()[0] - 1), (29, plane.get_ylim()[0] - 1)):
            assert np.ptp(second.at(plane, x, y)) < 0.02


def test_networks_share_a_scale_and_show_what_their_maps_are_made_of(tmp_path: Path, drawings: Drawings) -> None:
    results = {
        "weak": made_result({CORNER: -1.0}),
        "strong": made_result({CORNER: -4.0, OPPOSITE: 2.0}),
        "a network with a rather long name": made_result({OPPOSITE: 0.5}),
    }
    drawing = drawings.of(save_networks(tmp_path / "one.png", results, IMAGE, columns=2))
    drawing.assert_tidy()
    (bar,) = drawing.bars
    assert bar.get_ylim() == (-4.0, 4.0)
    weak, strong = (drawing.at(drawing.panel(name), 60, 4) for name in ("weak", "strong"))
    assert reddish(weak)
    assert np.ptp(strong) > np.ptp(weak) + 0.1
    assert not reddish(drawing.at(drawing.panel("a network"), 60, 4))
    written = [text.get_text() for text in drawing.words()]
    assert {"-1", "-4", "+2", "+0.5"} < set(written)
    elsewhere = made_result({CORNER: -1.0}, roi=((32, 40), (32, 40)))
    with pytest.raises(ValueError, match="different RoIs"):
        save_networks(tmp_path / "two.png", {**results, "elsewhere": elsewhere}, IMAGE)
