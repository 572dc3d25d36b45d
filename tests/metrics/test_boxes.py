# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from monai_causal.metrics import box_overlap, saliency_to_boxes

Box = tuple[int, int, int, int]


def covered(boxes: list[Box]) -> set[tuple[int, int]]:
    return {(x, y) for x0, y0, x1, y1 in boxes for x in range(x0, x1) for y in range(y0, y1)}


def random_boxes(generator: np.random.Generator, count: int) -> list[Box]:
    corners = generator.integers(0, 20, (count, 2, 2))
    low, high = corners.min(1), corners.max(1)
    return [(int(a), int(b), int(c), int(d)) for (a, b), (c, d) in zip(low, high, strict=True)]


@pytest.mark.parametrize("seed", range(30))
def test_whole_boxes_agree_with_counting_pixels(seed: int) -> None:
    """Overlapping boxes, boxes in boxes, boxes without an area; and any other unit of length gives the same."""
    generator = np.random.default_rng(seed)
    predicted, truth = random_boxes(generator, seed % 4 + 1), random_boxes(generator, seed % 3 + 1)
    ours, theirs = covered(predicted), covered(truth)
    common = len(ours & theirs)
    precision = common / len(ours) if ours else 0.0
    recall = common / len(theirs) if theirs else 0.0
    expected = {
        "iou": common / len(ours | theirs) if ours | theirs else 0.0,
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if common else 0.0,
    }
    assert box_overlap(predicted, truth) == pytest.approx(expected, rel=1e-12)
    scaled = [[tuple(0.137 * c - 3 for c in box) for box in side] for side in (predicted, truth)]
    assert box_overlap(*scaled) == pytest.approx(expected, rel=1e-9)


def test_by_hand() -> None:
    """Half pixels matter, nothing is rasterised; what two boxes of a side cover counts once."""
    assert box_overlap([(0, 0, 1, 1)], [(0.25, 0, 1.25, 1)])["iou"] == 0.6
    assert box_overlap([(0, 0, 2, 2), (1, 0, 3, 2)], [(0, 0, 3, 4)]) == {
        "iou": 0.5,
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
    }
    assert box_overlap([(5, 5, 9, 9)], [(5, 5, 9, 9)]) == dict.fromkeys(("iou", "precision", "recall", "f1"), 1.0)
    assert set(box_overlap([(0, 0, 1, 1)], [(1, 0, 2, 1)]).values()) == {0.0}
    assert box_overlap(np.array([[0, 0, 4, 1]]), [(0, 0, 1, 4)])["precision"] == 0.25


@pytest.mark.parametrize(
    ("predicted", "truth"),
    [([], [(0, 0, 1, 1)]), ([(0, 0, 1, 1)], []), ([], []), ([(1, 1, 1, 4)], [(0, 0, 3, 3)]), ([(1, 1, 1, 4)], [])],
)
def test_where_a_side_covers_nothing_all_are_zero(predicted: list[Box], truth: list[Box]) -> None:
    assert box_overlap(predicted, truth) == {"iou": 0.0, "precision": 0.0, "recall": 0.0, "f1": 0.0}


@pytest.mark.parametrize(
    "box", [(3, 0, 1, 2), (0, 3, 2, 1), (0, 0, 1), (0, 0, float("nan"), 1), (0, 0, float("inf"), 1)]
)
def test_no_boxes_are_refused(box: tuple[float, ...]) -> None:
    for sides, name in (((box,), ()), "predicted"), (((), (box,)), "truth"):
        with pytest.raises(ValueError, match=rf"{name} box .*: four finite numbers x0 y0 x1 y1 with x0 <= x1"):
            box_overlap(*sides)


def slow_boxes(heat: NDArray, quantile: float, min_area: int, max_boxes: int) -> list[Box]:
    """As published, pixel by pixel: flood fill over eight neighbours."""
    scaled = (heat - heat.min()) / (heat.max() - heat.min())
    positive = sorted(float(value) for value in scaled.ravel() if value > 0)
    place = quantile * (len(positive) - 1)
    low = int(place)
    above = positive[min(low + 1, len(positive) - 1)]
    threshold = positive[low] + (place - low) * (above - positive[low])
    left = {pixel for pixel in np.ndindex(*heat.shape) if scaled[pixel] >= threshold}
    parts = []
    for start in np.ndindex(*heat.shape):
        if start not in left:
            continue
        part, edge = [], [start]
        left.discard(start)
        while edge:
            row, column = edge.pop()
            part.append((row, column))
            for near in [(row + a, column + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]:
                if near in left:
                    left.discard(near)
                    edge.append(near)
        if len(part) >= min_area:
            rows, columns = zip(*part, strict=True)
            mean = sum(float(scaled[pixel]) for pixel in part) / len(part)
            parts.append((mean, (min(columns), min(rows), max(columns), max(rows))))
    return [box for _, box in sorted(parts, key=lambda part: -part[0])][:max_boxes]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("quantile", "min_area", "max_boxes"), [(0.9, 16, 10), (0.6, 4, 3), (0.5, 1, 100)])
def test_boxes_of_a_map_are_the_slow_ones(seed: int, quantile: float, min_area: int, max_boxes: int) -> None:
    generator = np.random.default_rng(seed)
    heat = generator.standard_normal((50, 61))
    for axis in (0, 1):
        heat = sum(np.roll(heat, step, axis) for step in range(9))
    heat = np.maximum(heat, 0)
    found = saliency_to_boxes(heat, quantile, min_area, max_boxes)
    assert found == slow_boxes(heat, quantile, min_area, max_boxes)
    assert found
    assert saliency_to_boxes(torch.as_tensor(7 * heat - 3)[None, None], quantile, min_area, max_boxes) == found


def test_saliency_by_hand() -> None:
    """Three squares of 16 pixels and one of 15: the hottest first, of two equals the upper, corners inclusive; a
    diagonal step joins."""
    heat = np.zeros((40, 40))
    heat[20:24, 2:6] = 0.8
    heat[2:6, 30:34] = 0.8
    heat[30:34, 30:34] = 1.0
    heat[2:5, 2:7] = 0.9
    assert saliency_to_boxes(heat, quantile=0) == [(30, 30, 33, 33), (30, 2, 33, 5), (2, 20, 5, 23)]
    assert saliency_to_boxes(heat, quantile=0, min_area=15)[1] == (2, 2, 6, 4)
    assert saliency_to_boxes(heat, quantile=0, max_boxes=1) == [(30, 30, 33, 33)]
    # Of the 63 positive values, sorted, the .75 quantile is number 46.5: between .9 and 1.
    assert saliency_to_boxes(heat, quantile=0.75) == [(30, 30, 33, 33)]
    heat[34:38, 34:38] = 1.0
    assert saliency_to_boxes(heat, quantile=0.9) == [(30, 30, 37, 37)]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("heat", [np.zeros((8, 8)), np.full((8, 8), 0.3), np.eye(8)])
def test_maps_without_a_box(heat: NDArray) -> None:
    """A constant map; a diagonal of eight pixels, too few."""
    assert saliency_to_boxes(heat) == []


def test_no_maps_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a map of shape \(2, 8, 8\): one \(H, W\) is needed"):
        saliency_to_boxes(np.zeros((2, 8, 8)))
    with pytest.raises(ValueError, match="the map holds 2 values that are NaN or infinite"):
        saliency_to_boxes(np.array([[0, np.nan], [np.inf, 1]]))
    with pytest.raises(ValueError, match="quantile=90: a fraction"):
        saliency_to_boxes(np.eye(8), quantile=90)
