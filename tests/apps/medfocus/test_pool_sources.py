# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from monai_causal.apps.medfocus.pool_sources import pool_from_imagenome, pool_from_masks, pool_from_phantoms
from monai_causal.data.phantoms.chest import CONCEPTS, chest


def test_from_phantoms_has_every_concept_to_the_pixel():
    pool = pool_from_phantoms([3, 4], size=64)
    assert pool.concepts == tuple(CONCEPTS)
    assert pool.missing == {}
    phantom = chest(4, (64, 64), findings=())
    assert np.array_equal(pool[1].masks, phantom.concepts)
    assert pool[1].provenance == {"seed": 4, "style": "plain"}
    grey = phantom.image[0]
    np.testing.assert_allclose(pool[1].image / 255, (grey - grey.min()) / np.ptp(grey), atol=0.5 / 255 + 1e-6)


def test_from_masks_shrinks_and_keeps_what_is_not_known_empty():
    image = np.arange(200.0 * 100).reshape(200, 100)
    square = np.zeros((200, 100))
    square[40:80, 20:60] = 1
    pool = pool_from_masks([image, image[::-1]], [{"a": square, "other": square}, {"b": square}], ["a", "b"], size=50)
    assert pool[0].image.shape == (50, 25)
    assert [reference.name for reference in pool] == ["000", "001"]
    rows, columns = np.nonzero(pool[0].masks[0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 19, 5, 14)
    assert pool.missing == {"a": ("001",), "b": ("000",)}
    with pytest.raises(ValueError, match=r"a of reference 000: a mask of shape \(100, 100\)"):
        pool_from_masks([image], [{"a": square[:100]}], ["a"])


@pytest.fixture
def imagenome(tmp_path):
    """One image in the folders of Chest ImaGenome and of MIMIC-CXR-JPG."""
    regions = {
        "left lung": (60, 10, 95, 80),
        "right lung": (5, 10, 40, 80),
        "trachea": (45, 0, 55, 20),
        "spine": (0, 0, 1, 1),
    }
    objects = [
        {"bbox_name": name, **dict(zip(("original_x1", "original_y1", "original_x2", "original_y2"), box, strict=True))}
        for name, box in regions.items()
    ]
    graphs = tmp_path / "genome" / "silver_dataset" / "scene_graph"
    graphs.mkdir(parents=True)
    graph = {"image_id": "abc", "patient_id": 10000001, "study_id": 50000001, "objects": objects}
    (graphs / "abc_SceneGraph.json").write_text(json.dumps(graph))
    images = tmp_path / "jpg" / "files" / "p10" / "p10000001" / "s50000001"
    images.mkdir(parents=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 100), dtype=np.uint8)).save(images / "abc.jpg")
    return tmp_path / "genome", tmp_path / "jpg"


def test_from_imagenome_takes_the_boxes_and_no_identifier(imagenome):
    pool = pool_from_imagenome(*imagenome, ["abc"], ["left lung", "right lung"])
    rows, columns = np.nonzero(pool[0].masks[0])
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (60, 10, 95, 80)
    said = json.dumps([pool.provenance, pool[0].name, pool[0].provenance])
    assert "abc" not in said
    assert "10000001" not in said


def test_from_imagenome_says_what_is_missing(imagenome):
    with pytest.raises(FileNotFoundError, match="image 0 of 1: no scene graph"):
        pool_from_imagenome(*imagenome, ["zzz"], ["left lung"])
    with pytest.raises(ValueError, match="no reference of the pool knows mediastinum"):
        pool_from_imagenome(*imagenome, ["abc"], ["left lung", "mediastinum"])
    with pytest.raises(FileNotFoundError, match="its JPEG cannot be read"):
        pool_from_imagenome(imagenome[0], imagenome[0], ["abc"], ["left lung"])
