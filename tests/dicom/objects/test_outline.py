# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from matplotlib.path import Path

from monai_causal.dicom.objects.outline import outlines, simplified


def filled(lines: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centres lie within an odd number of the lines."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    centres = np.c_[columns.ravel(), rows.ravel()]
    inside = np.zeros(len(centres), bool)
    for line in lines:
        inside ^= Path(line).contains_points(centres)
    return inside.reshape(shape)


@pytest.mark.parametrize("seed", range(8))
def test_the_lines_enclose_exactly_the_mask_holes_and_specks_included(seed: int) -> None:
    mask = np.random.default_rng(seed).random((13, 17)) < (0.2 + 0.08 * seed)
    lines = outlines(mask)
    np.testing.assert_array_equal(filled(lines, mask.shape), mask)
    for line in lines:
        assert line[0].tolist() == line[-1].tolist()
        steps = np.diff(line, axis=0)
        assert ((steps == 0).sum(1) == 1).all()  # along one axis each
        turns = steps[:-1, 0] * steps[1:, 0] + steps[:-1, 1] * steps[1:, 1]
        assert (turns == 0).all()  # corners only
    around = [np.abs(np.diff(line, axis=0)).sum() for line in lines]
    assert around == sorted(around, reverse=True)


def test_pixels_that_meet_at_a_corner_are_two_lines_and_nothing_is_none() -> None:
    assert len(outlines(np.eye(2, dtype=bool))) == 2
    assert outlines(np.zeros((3, 3), bool)) == []
    (line,) = outlines(np.ones((2, 3), bool))
    assert line.tolist() == [[0, 0], [3, 0], [3, 2], [0, 2], [0, 0]]


@pytest.mark.parametrize("tolerance", [0.3, 0.75, 2.0])
def test_a_simpler_line_stays_within_the_tolerance(tolerance: float) -> None:
    rows, columns = np.mgrid[:60, :60]
    (line,) = outlines((rows - 30) ** 2 + (columns - 28) ** 2 < 500)
    short = simplified(line, tolerance)
    assert len(short) < len(line) / 2 or tolerance < 0.5
    assert short[0].tolist() == short[-1].tolist()
    kept = {tuple(point) for point in line.tolist()}
    assert all(tuple(point) in kept for point in short.tolist())
    starts, ends = short[:-1], short[1:]
    for point in line:
        along = ends - starts
        share = np.clip(((point - starts) * along).sum(1) / (along**2).sum(1), 0, 1)
        nearest = np.linalg.norm(point - starts - share[:, None] * along, axis=1).min()
        assert nearest <= tolerance + 1e-9
