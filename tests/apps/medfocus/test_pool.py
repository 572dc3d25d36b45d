# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from monai_causal.apps.medfocus.pool import Reference, ReferencePool

CONCEPTS = tuple(f"concept {k}" for k in range(11))


def reference(name="first", seed=0, concepts=11, shape=(40, 30)):
    generator = np.random.default_rng(seed)
    image = generator.integers(0, 256, shape, dtype=np.uint8)
    return Reference(image, generator.random((concepts, *shape)) < 0.3, name, {"seed": seed})


def test_a_saved_pool_comes_back_to_the_bit(tmp_path):
    pool = ReferencePool([reference(), reference("second", 1, shape=(33, 50))], CONCEPTS, {"licence": "CC0"})
    loaded = ReferencePool.load(pool.save(tmp_path / "pool"))
    assert loaded.concepts == CONCEPTS
    assert loaded.provenance == {"licence": "CC0"}
    assert loaded.digest == pool.digest
    for before, after in zip(pool, loaded, strict=True):
        assert (before.name, before.provenance) == (after.name, after.provenance)
        assert np.array_equal(before.image, after.image)
        assert np.array_equal(before.masks, after.masks)


def test_a_changed_file_is_noticed(tmp_path):
    folder = ReferencePool([reference()], CONCEPTS).save(tmp_path / "pool")
    pixels = np.asarray(Image.open(folder / "000-masks.png")).copy()
    pixels[3, 4, 0] ^= 1
    Image.fromarray(pixels).save(folder / "000-masks.png")
    with pytest.raises(ValueError, match="reference first: its files are not those that were saved"):
        ReferencePool.load(folder)


def test_a_pool_reads_only_files_of_its_own_folder(tmp_path):
    folder = ReferencePool([reference()], CONCEPTS).save(tmp_path / "pool")
    about = json.loads((folder / "pool.json").read_text())
    about["references"][0]["image"] = "../elsewhere.png"
    (folder / "pool.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match="is not a file of this folder"):
        ReferencePool.load(folder)


def test_a_folder_that_is_no_pool(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no pool\.json"):
        ReferencePool.load(tmp_path)
    (tmp_path / "pool.json").write_text('{"schema": "other/1"}')
    with pytest.raises(ValueError, match="its schema is not monai_causal/reference-pool/1"):
        ReferencePool.load(tmp_path)
    with pytest.raises(FileExistsError, match="not empty"):
        ReferencePool([reference()], CONCEPTS).save(tmp_path)


def test_a_concept_nobody_knows_is_an_error_and_one_that_some_know_is_told():
    with_gap = reference("gap")
    with_gap.masks[4] = False
    with pytest.raises(ValueError, match="no reference of the pool knows concept 4"):
        ReferencePool([with_gap], CONCEPTS)
    pool = ReferencePool([with_gap, reference("whole", 1)], CONCEPTS)
    assert pool.missing == {"concept 4": ("gap",)}
    assert pool.known.sum() == 21


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="the pool is empty"):
        ReferencePool([], CONCEPTS)
    with pytest.raises(ValueError, match="two of them are called 'first'"):
        ReferencePool([reference(), reference(seed=1)], CONCEPTS)
    with pytest.raises(ValueError, match="10 masks for 11 concepts"):
        ReferencePool([reference(concepts=10)], CONCEPTS)
    with pytest.raises(ValueError, match="its image is blank"):
        Reference(np.zeros((4, 4), np.uint8), np.zeros((1, 4, 4), bool), "x")
    with pytest.raises(ValueError, match="uint8"):
        Reference(np.eye(4), np.zeros((1, 4, 4), bool), "x")


def test_digest_is_of_the_pixels():
    one, other = reference(), reference()
    assert one.digest == other.digest
    other.masks[10, 3, 3] ^= True
    assert one.digest != other.digest
