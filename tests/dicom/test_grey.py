# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

from monai_causal.dicom import grey as grey_module
from monai_causal.dicom.grey import (
    Grey,
    Lut,
    Percentiles,
    Rescale,
    Window,
    between,
    displayed,
    looked_up,
    percentiles,
    rescaled,
    stored_values,
    voi_looked_up,
    windowed,
    within,
)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("bits", "high_bit"), [(12, 11), (12, 15), (10, 12), (16, 15), (1, 0), (8, 7)])
def test_stored_values_are_the_bits_between_others(bits: int, high_bit: int, signed: bool) -> None:
    cells = np.random.default_rng(bits).integers(0, 65536, 500).astype(np.uint16)
    expected = []
    for cell in cells.tolist():
        digits = f"{cell:016b}"[15 - high_bit : 15 - high_bit + bits]
        value = int(digits, 2)
        expected.append(value - 2**bits if signed and digits[0] == "1" else value)
    assert stored_values(cells, bits, high_bit, signed).tolist() == expected
    assert stored_values(cells.view(np.int16), bits, high_bit, signed).tolist() == expected


def test_stored_values_of_32_bits() -> None:
    cells = np.array([0, 1, 2**31, 2**32 - 1], np.uint32)
    assert stored_values(cells, 32, 31, False).tolist() == [0, 1, 2**31, 2**32 - 1]
    assert stored_values(cells, 32, 31, True).tolist() == [0, 1, -(2**31), -1]


def test_padding_is_a_range_with_both_ends() -> None:
    values = np.array([-3, -2, -1, 0, 1])
    assert within(values, (-2, 0)).tolist() == within(values, (0, -2)).tolist() == [False, True, True, True, False]


def test_a_lookup_table_ends_go_on() -> None:
    lut = Lut(np.array([7, 9, 65535], np.uint16), -1, 16)
    assert looked_up(np.array([-32768, -2, -1, 0, 1, 2, 65535]), lut).tolist() == [7, 7, 7, 9, 65535, 65535, 65535]
    assert looked_up(np.array([-0.6, -0.4, 0.6]), lut).tolist() == [7, 9, 65535]


def test_a_voi_table_spans_its_bits_not_its_entries() -> None:
    assert voi_looked_up(np.array([0, 1]), Lut(np.array([0, 1023], np.uint16), 0, 12)).tolist() == [0, 1023 / 4095]
    assert voi_looked_up(np.array([0, 1]), Lut(np.array([255, 256], np.uint16), 0, 8)).tolist() == [1, 1]


def test_rescale() -> None:
    assert rescaled(np.array([0, 3]), Rescale(-0.5, 2)).tolist() == [2, 0.5]


def text_of_the_standard(x: float, c: float, w: float, function: str) -> float:
    """PS3.3 C.11.2.1.2.1, C.11.2.1.3.1, C.11.2.1.3.2 with ymin 0 and ymax 1."""
    if function == "SIGMOID":
        return 1 / (1 + math.exp(min(-4 * (x - c) / w, 700)))  # beyond, it is 0 within 1e-300
    if function == "LINEAR":
        if x <= c - 0.5 - (w - 1) / 2:
            return 0
        if x > c - 0.5 + (w - 1) / 2:
            return 1
        return (x - (c - 0.5)) / (w - 1) + 0.5
    if x <= c - w / 2:
        return 0
    if x > c + w / 2:
        return 1
    return (x - c) / w + 0.5


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(
    ("c", "w"), [(2048, 4096), (2047.5, 1), (2048, 1), (0, 2), (-50.25, 100.5), (10, 3), (2000, 3001)]
)
def test_windows_are_those_of_the_standard(function: str, c: float, w: float) -> None:
    x = np.r_[-300:300, 1900:2200, 0:4096:7].astype(np.float64)
    expected = [text_of_the_standard(value, c, w, function) for value in x.tolist()]
    np.testing.assert_allclose(windowed(x, Window(c, w, function)), expected, rtol=0, atol=1e-15)  # type: ignore[arg-type]


def test_the_standards_own_examples() -> None:
    """Window center 2048 and width 4096 is the identity of 12 bits; 0 and 1 is a threshold between -1 and 0."""
    x = np.arange(4096)
    np.testing.assert_allclose(windowed(x, Window(2048, 4096)), x / 4095, atol=1e-15)
    assert windowed(np.array([-1, 0]), Window(0, 1)).tolist() == [0, 1]
    assert windowed(np.array([-50, -49, 48, 49]), Window(0, 100)).tolist() == [0, 1 / 99, 98 / 99, 1]
    exact = windowed(np.array([-50, 0, 50]), Window(0, 100, "LINEAR_EXACT"))
    assert exact.tolist() == [0, 0.5, 1]


def test_a_steep_sigmoid_does_not_warn() -> None:
    assert windowed(np.array([-65536.0, 0, 65536]), Window(0, 0.001, "SIGMOID")).tolist() == [0, 0.5, 1]


def test_between_one_value_is_a_threshold() -> None:
    assert between(np.array([4, 5, 6]), Percentiles(5, 5)).tolist() == [0, 0, 1]
    assert between(np.array([4, 5, 6, 8]), Percentiles(4, 6)).tolist() == [0, 0.5, 1, 1]


@pytest.mark.parametrize("size", [1, 7, 200, 1001])
def test_percentiles_are_the_lowest_values_that_the_share_does_not_exceed(size: int) -> None:
    pixels = np.sort(np.random.default_rng(size).integers(-99, 99, size))
    values, counts = np.unique(pixels, return_counts=True)
    shuffled = np.random.default_rng(1).permutation(len(values))
    expected = np.percentile(pixels, [0.5, 99.5], method="inverted_cdf")
    assert percentiles(values[shuffled], counts[shuffled]) == tuple(expected)


@pytest.mark.parametrize("signed", [False, True])
def test_wide_pixels_are_shown_as_narrow_ones(signed: bool) -> None:
    """A table of all values serves up to 16 bits; beyond, each pixel goes through the pipeline itself."""
    stored = np.random.default_rng(3).integers(-128 if signed else 0, 128 if signed else 256, (9, 7)).astype(np.int64)
    left_out = stored > 100
    for voi in (None, Window(40, 80, "SIGMOID"), Lut(np.arange(200, dtype=np.uint16), -5, 8)):
        narrow, wide = (
            displayed(stored, Grey(bits, bits - 1, signed, Rescale(1.5, -3), voi, True), left_out) for bits in (8, 20)
        )
        np.testing.assert_array_equal(narrow[0], wide[0])
        assert narrow[1] == wide[1]


def test_large_pictures_are_looked_up_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = np.random.default_rng(5).integers(-2048, 2048, (19, 23))
    seen = Grey(12, 11, True)
    whole = displayed(stored, seen)
    monkeypatch.setattr(grey_module, "_BLOCK", 10)
    blocks = displayed(stored, seen)
    np.testing.assert_array_equal(blocks[0], whole[0])
    assert blocks[1] == whole[1] == tuple(np.percentile(stored, [0.5, 99.5], method="inverted_cdf"))


def test_percentiles_are_of_modality_values_and_leave_out_what_is_left_out() -> None:
    stored = np.array([[0, 10, 20, 255]])
    left_out = np.array([[False, False, False, True]])
    falling = Lut(np.arange(255, -1, -1).astype(np.uint16), 0, 16)
    grey = Grey(8, 7, False, falling)
    assert displayed(stored, grey, left_out)[1] == (235, 255)
    assert displayed(stored, grey)[1] == (0, 255)
    assert displayed(stored, grey, np.ones_like(left_out))[1] == (0, 255)  # nothing else is there to go by


def test_polarity_is_the_last_step_and_one_step() -> None:
    stored = np.arange(256)[None]
    window = Window(60, 31)
    plain, inverted = (displayed(stored, Grey(8, 7, False, None, window, flag))[0] for flag in (False, True))
    np.testing.assert_array_equal(inverted, (1 - windowed(stored, window)).astype(np.float32))
    assert not np.array_equal(inverted, displayed(255 - stored, Grey(8, 7, False, None, window))[0])
    assert plain.dtype == np.float32
