# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_causal.apps.medfocus.pool_folder import pool_from_folder


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures; the lung is known on both, the heart on the second alone."""
    ramp = np.arange(48 * 40).reshape(48, 40) % 251
    save(tmp_path / "images" / "b-smith.png", ramp)
    save(tmp_path / "images" / "a-jones.png", ramp[::-1])
    (tmp_path / "images" / "notes.txt").write_text("no picture")
    for name, rows in (("a-jones", slice(0, 10)), ("b-smith", slice(20, 30))):
        mask = np.zeros((48, 40))
        mask[rows] = 255
        save(tmp_path / "masks" / "lung" / f"{name}.png", mask)
    save(tmp_path / "masks" / "heart" / "b-smith.png", np.full((48, 40), 255))
    return tmp_path


def test_a_mask_belongs_to_its_image(folder: Path) -> None:
    pool = pool_from_folder(folder)
    assert pool.concepts == ("heart", "lung")
    assert pool.missing == {"heart": ("000",)}
    assert [tuple(np.nonzero(one.masks[1].any(axis=1))[0][[0, -1]]) for one in pool] == [(0, 9), (20, 29)]
    assert "smith" not in repr([one.name for one in pool])


def test_concepts_may_be_chosen(folder: Path) -> None:
    assert pool_from_folder(folder, ["lung"]).concepts == ("lung",)


def test_bad_folders(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(ValueError, match="no folder masks/spine"):
        pool_from_folder(folder, ["spine"])
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(ValueError, match="does not hold the folders 'images' and 'masks'"):
        pool_from_folder(empty)
    (empty / "images").mkdir()
    (empty / "masks" / "lung").mkdir(parents=True)
    with pytest.raises(ValueError, match="no picture in 'images'"):
        pool_from_folder(empty)
