# SPDX-License-Identifier: Apache-2.0
"""What a training from the server is made of; a whole one runs in ``test_server.py``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from monai_causal.apps.explain.weights import digest_of
from monai_causal.label.served import ServedBundle
from monai_causal.label.training import PREVIOUS, BundleTraining, can_train
from tests.label.bundles import Store, disc, served_picture_bundle

TRAIN = {"mask_value": 255, "train": {"handlers": [{"_target_": "StatsHandler"}]}}


@pytest.fixture
def served(tmp_path: Path) -> ServedBundle:
    folder = served_picture_bundle(tmp_path / "bundle")
    (folder / "configs" / "train.json").write_text(json.dumps(TRAIN))
    return ServedBundle(folder)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    names = [f"name of patient {number}" for number in range(5)]
    store = Store({name: disc(tmp_path / f"{name}.png", (20, 32), (8, 20), 5, seed) for seed, name in enumerate(names)})
    for number, name in enumerate(names):
        mask = np.zeros((20, 32), np.uint8)
        mask[number, number + 1] = (1, 255)[number % 2]  # clients write the one or the other
        Image.fromarray(mask).save(tmp_path / f"label {number}.png")
        store.labels[name]["final"] = (tmp_path / f"label {number}.png", {})
    return store


def test_images_and_masks_go_out_as_the_bundle_reads_them(
    served: ServedBundle, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def run(self: BundleTraining, data: Path, out: Path, *settings: Any) -> None:
        seen["listed"] = json.loads((data / "dataset.json").read_text())
        seen["settings"] = settings
        for part in ("training", "validation"):
            for item in seen["listed"][part]:
                assert "patient" not in item["image"] + item["label"]
                pixels, mask = (np.asarray(Image.open(data / item[key])) for key in ("image", "label"))
                (row,) = np.argwhere(mask == 255).tolist()
                assert np.unique(mask).tolist() == [0, 255]
                number = row[0]
                assert row == [number, number + 1]
                assert np.array_equal(pixels, np.asarray(Image.open(list(store.images.values())[number])))
                seen.setdefault("numbers", []).append(number)
        out.mkdir()
        torch.save({"model": {"weight": torch.ones(1)}}, out / "model.pt")

    monkeypatch.setattr(BundleTraining, "_run", run)
    before = digest_of(served.weights)
    task = BundleTraining(served)
    assert task.stats() == {}
    told = task({"model": "bundle", "max_epochs": 3, "val_split": 0.4, "device": ["cpu"], "client_id": None}, store)
    assert seen["settings"] == (3, True, 0, torch.device("cpu"))
    assert sorted(seen["numbers"]) == [0, 1, 2, 3, 4]
    assert told["images"] == {"validation": 2, "training": 3}
    assert task.stats() == told
    # The best epoch is served, what was before lies beside it.
    assert torch.load(served.weights, weights_only=True)["model"]["weight"].tolist() == [1.0]
    assert digest_of(served.weights.with_name(PREVIOUS)) == before


def test_a_training_that_fails_leaves_the_weights(
    served: ServedBundle, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BundleTraining, "_run", lambda *_: None)
    before = digest_of(served.weights)
    with pytest.raises(ValueError, match="ended without a checkpoint"):
        BundleTraining(served)({"device": "cpu"}, store)
    assert digest_of(served.weights) == before


def test_what_is_too_little_is_refused(served: ServedBundle, store: Store) -> None:
    task = BundleTraining(served)
    with pytest.raises(ValueError, match=r"max_epochs=0, val_split=0\.2"):
        task({"max_epochs": 0}, store)
    for name in list(store.labels)[1:]:
        del store.labels[name]["final"]
    with pytest.raises(ValueError, match="1 images of the datastore have a final label: two are the least"):
        task({}, store)


def test_which_bundles_can_be_trained(served: ServedBundle, tmp_path: Path) -> None:
    assert can_train(served)
    shutil.copytree(served.folder, tmp_path / "other")
    (tmp_path / "other" / "configs" / "train.json").write_text(json.dumps({"train": {"handlers": []}}))
    assert not can_train(ServedBundle(tmp_path / "other"))
    (tmp_path / "other" / "configs" / "train.json").unlink()
    assert not can_train(ServedBundle(tmp_path / "other"))
