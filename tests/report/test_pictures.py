# SPDX-License-Identifier: Apache-2.0
"""Pictures keep their values while there is room, give way when there is not, and keep the sign's colours."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_causal.report.pictures import encode_file, encode_image, encode_map, extent


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_a_small_picture_is_kept_without_loss() -> None:
    values = np.random.default_rng(0).integers(0, 255, (40, 60), dtype=np.uint8)
    assert (np.asarray(opened(encode_image(values, 100_000)).convert("L")) == values).all()


def test_a_large_picture_gives_way_until_it_fits() -> None:
    values = np.random.default_rng(0).integers(0, 255, (600, 800), dtype=np.uint8)
    uri = encode_image(values, 20_000)
    assert len(base64.b64decode(uri.partition(",")[2])) <= 20_000
    width, height = opened(uri).size
    assert width < 800
    assert width / height == pytest.approx(800 / 600, rel=0.02)


def test_support_is_red_suppression_blue_and_nothing_is_seen_through() -> None:
    shown = np.asarray(opened(encode_map(np.array([[-2.0, 0.0, 2.0, np.nan]]), True, 2.0, 10_000)).convert("RGBA"))[0]
    assert shown[0, 0] > shown[0, 2] + 50
    assert shown[2, 2] > shown[2, 0] + 50
    assert shown[:, 3].tolist() == [235, 0, 235, 0]


def test_a_map_of_regions_is_made_smaller_without_mixing_them() -> None:
    values = np.where(np.indices((2000, 2000)).sum(0) % 2, 1.0, -1.0)
    shown = np.asarray(opened(encode_map(values, True, 1.0, 100_000)).convert("RGBA"))
    assert set(shown[..., 3].ravel().tolist()) == {235}


def test_the_scale_ends_where_the_map_does() -> None:
    assert extent(np.array([-3.0, 1.0, np.nan]), True) == 3.0
    assert extent(np.array([-3.0, 1.0]), False) == 1.0
    assert extent(np.array([np.nan]), True) == 0.0


def test_what_is_no_picture_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match="cannot be read as a picture"):
        encode_file(tmp_path / "a.png", 1000)
