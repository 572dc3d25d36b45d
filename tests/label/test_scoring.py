# SPDX-License-Identifier: Apache-2.0
"""Active learning asks for the image whose answer rests on what lies elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from monai_causal.label import scoring
from monai_causal.label.scoring import HELD_FOR, INFO_KEY, CausalEvidence, WrongReasonFirst
from monai_causal.label.served import ServedBundle
from tests.apps.explain.bundles import GAIN, planted
from tests.label.bundles import Store, disc, served_picture_bundle

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return served_picture_bundle(tmp_path_factory.mktemp("scored") / "reads_left", (8, 0))


@pytest.fixture
def bundles(source: Path, tmp_path: Path) -> dict[str, ServedBundle]:
    return {"reads_left": ServedBundle(Path(shutil.copytree(source, tmp_path / "reads_left")))}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    images = {
        name: disc(tmp_path / f"{name}.png", (32, 32), (16, 8), radius, seed=number)
        for number, (name, radius) in enumerate((("b", 3.9), ("a", 3.0)))
    }
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "c.png")
    images["c"] = tmp_path / "c.png"
    return Store(images)


def test_every_image_is_scored_once(
    bundles: dict[str, ServedBundle], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, ...]] = []
    original = scoring.evidence_of

    def counted(served: Any, model: Any, image: torch.Tensor, device: Any) -> Any:
        asked.append(tuple(image.shape))
        return original(served, model, image, device)

    monkeypatch.setattr(scoring, "evidence_of", counted)
    method = CausalEvidence(bundles, "reads_left", CPU)
    store.infos["a"]["strategy"] = {"random": {"ts": 3}}
    found = method({}, store)
    assert (found["model"], found["scored"], found["failed"]) == ("reads_left", 3, 0)
    told = store.infos["b"][INFO_KEY]["reads_left"]
    assert told == found["images"]["b"]
    # The answer lies eight of the network's columns from what it reads, and no cell holds something of both.
    assert told["outside"] == pytest.approx(1.0)
    assert told["score"] == pytest.approx((told["outside"] + told["disagreement"]) / 2)
    assert store.infos["c"][INFO_KEY]["reads_left"]["outside"] is None
    assert store.infos["a"]["strategy"] == {"random": {"ts": 3}}
    assert len(asked) == 3
    assert method({"model": "reads_left"}, store)["images"] == found["images"]
    assert len(asked) == 3
    # Other weights, other answers.
    weights = bundles["reads_left"].weights
    network = planted((8, 0), 3)
    with torch.no_grad():
        network.weight.zero_()
        network.weight[1, :, 8, 0] = GAIN / 3  # the middle of its 17 columns
    torch.save(network.state_dict(), weights)
    again = method({}, store)
    assert len(asked) == 6
    assert again["images"]["b"]["outside"] < 0.5  # what of the cells lies beyond the disc
    assert again["images"]["b"]["weights"] != told["weights"]


def test_one_damaged_image_does_not_end_the_work(
    bundles: dict[str, ServedBundle], store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.images["a"].write_bytes(b"nothing")
    found = CausalEvidence(bundles, "reads_left", CPU)({}, store)
    assert (found["scored"], found["failed"]) == (2, 1)
    assert INFO_KEY not in store.infos["a"]
    assert "image 1 of the datastore was not scored" in caplog.text
    assert str(store.images["a"]) not in caplog.text


def scored(store: Store, **scores: float) -> None:
    for name, score in scores.items():
        store.infos[name][INFO_KEY] = {"reads_left": {"score": score, "outside": 1 - score, "disagreement": 0.5}}


def test_the_highest_score_is_asked_for_first(bundles: dict[str, ServedBundle], store: Store) -> None:
    now = 1_000_000.0
    strategy = WrongReasonFirst(bundles, "reads_left", lambda: now)
    scored(store, a=0.2, b=0.7)
    first = strategy({"strategy": "wrong_reason_first"}, store)
    assert first == {"id": "b", "model": "reads_left", "by": "score", "score": 0.7, "not_scored": 1}
    assert store.refreshed == 1
    assert strategy({"by": "outside"}, store)["id"] == "a"  # type: ignore[index]
    # Equal scores go by the id.
    assert strategy({"by": "disagreement"}, store)["id"] == "a"  # type: ignore[index]
    # Handed out a moment ago: somebody else gets the next one, and this one again when it was long ago.
    store.infos["b"]["strategy"] = {"wrong_reason_first": {"ts": now - 5}}
    assert strategy({}, store)["id"] == "a"  # type: ignore[index]
    store.infos["b"]["strategy"] = {"wrong_reason_first": {"ts": now - HELD_FOR - 1}}
    assert strategy({}, store)["id"] == "b"  # type: ignore[index]
    # Labelled images are out; those without a score come last, before none at all.
    for name in ("a", "b"):
        store.labels[name]["final"] = (Path("x"), {})
    assert strategy({}, store) == {"id": "c", "model": "reads_left", "by": "score", "score": None, "not_scored": 1}
    store.labels["c"]["final"] = (Path("x"), {})
    assert strategy({}, store) is None


def test_bad_requests_are_refused(bundles: dict[str, ServedBundle], store: Store) -> None:
    with pytest.raises(ValueError, match="model='other': choose one of reads_left"):
        CausalEvidence(bundles, "reads_left", CPU)({"model": "other"}, store)
    with pytest.raises(ValueError, match="model='other': choose one of reads_left"):
        WrongReasonFirst(bundles, "reads_left")({"model": "other"}, store)
    with pytest.raises(ValueError, match="by='luck': choose score"):
        WrongReasonFirst(bundles, "reads_left")({"by": "luck"}, store)
