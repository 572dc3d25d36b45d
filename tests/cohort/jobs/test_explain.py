# SPDX-License-Identifier: Apache-2.0
"""What a cohort says of an image is what ``explain`` says of it, whoever its neighbours in a batch are."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from monai_causal.apps.explain import Request, explain
from monai_causal.cohort.items import Item
from monai_causal.cohort.jobs.explain import Explain
from monai_causal.cohort.jobs.images import picture_of
from monai_causal.data.phantoms import shapes
from tests.cohort.jobs.workers import done, made, measure

SIZE = {"size": [64, 64], "evidence": 1.0}
PHANTOMS = [{"phantom": 1_000_000 + number, "options": SIZE} for number in range(3)]


def test_pdcr_of_a_cohort_is_that_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "donors").mkdir()
    for seed in range(3):
        grey = np.rint(255 * shapes(seed, size=(64, 64)).image[0]).astype(np.uint8)
        Image.fromarray(grey).save(tmp_path / "donors" / f"{seed}.png")
    settings: dict[str, Any] = {"network": "demo", "patch_size": [16], "roi_size": [16], "rule": "paper"}
    settings |= {"n_samples": 4, "donors": str(tmp_path / "donors")}
    records = done(tmp_path / "out", "explain", settings, PHANTOMS[:2])
    image, label = picture_of(Item(1, PHANTOMS[1]), tmp_path)
    request = Request(
        out=tmp_path / "alone",
        image=image,
        label=label,
        network="demo",
        patch_size=(16,),
        roi_size=(16,),
        rule="paper",
        n_samples=4,
        donors=tmp_path / "donors",
    )
    summary = explain(request)
    with (tmp_path / "alone" / "pdcr" / "effects.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = records[1]["regions"]
    assert [row["box"] for row in found] == [row["box"] for row in rows]
    assert [row["effect"] for row in found] == [float(row["ate"]) for row in rows]
    assert [row["relevant"] for row in found] == [row["relevant"] == "1" for row in rows]
    assert measure(records[1], "baseline") == summary["findings"]["baseline"]
    assert {row["model"] for row in found} == {"demo"}
    staged = tmp_path / "out" / "00000001-item-00000001"
    assert (staged / "map.nii.gz").exists()
    assert (staged / "explanation.png").exists()


def test_offsets_lead_from_the_roi_to_the_regions(tmp_path: Path) -> None:
    settings = {
        "network": "demo",
        "patch_size": [16],
        "roi_size": [16],
        "rule": "paper",
        "n_samples": 2,
        "files": False,
    }
    (record,) = done(tmp_path, "explain", settings, PHANTOMS[:1])
    # A RoI of one cell of the grid: its own middle is the one that no region has.
    middles = {tuple(16 * (index + 0.5) for index in place) for place in np.ndindex(4, 4)}
    own = {
        tuple(sum(map(int, axis.split(":"))) / 2 for axis in row["box"].split(" ")): row["offset"]
        for row in record["regions"]
    }
    (centre,) = middles - set(own)
    assert all(
        offset == [at - middle for at, middle in zip(place, centre, strict=True)] for place, offset in own.items()
    )


def test_neighbours_in_a_batch_change_nothing(tmp_path: Path) -> None:
    settings = {"network": "demo", "methods": ["ega", "ria"], "grid": [4], "patch_size": [16], "files": False}
    small = {"phantom": 1_000_009, "options": {"size": [64, 96], "evidence": 1.0}}
    together = done(tmp_path / "together", "explain", settings, [*PHANTOMS[:2], small])
    for number, content in enumerate([*PHANTOMS[:2], small]):
        (alone,) = done(tmp_path / f"alone-{number}", "explain", settings, [content])
        assert len(alone["regions"]) == len(together[number]["regions"]) == 2 * (24 if number == 2 else 16)
        for one, other in zip(alone["regions"], together[number]["regions"], strict=True):
            assert one["effect"] == pytest.approx(other["effect"], abs=1e-5)
            assert (one["method"], one["box"], one["unit"]) == (other["method"], other["box"], other["unit"])
        assert measure(alone, "right", method="ega") == measure(together[number], "right", method="ega")


def test_evidence_supports_where_it_is_high(tmp_path: Path) -> None:
    settings = {"network": "demo", "methods": ["ria"], "grid": [4], "patch_size": [16], "files": False}
    (record,) = done(tmp_path, "explain", settings, PHANTOMS[:1])
    effects = [row["effect"] for row in record["regions"]]
    assert min(effects) == -1.0
    assert max(effects) <= 0.0


def test_shapes_that_agree_run_together_and_others_apart(tmp_path: Path) -> None:
    job = Explain({"network": "demo", "methods": ["ega"], "files": False})
    forwards: list[tuple[int, ...]] = []
    job.model.network.register_forward_pre_hook(lambda module, given: forwards.append(tuple(given[0].shape)))
    samples = [job.read(Item(number, content), tmp_path) for number, content in enumerate(PHANTOMS)]
    assert len({job.together(sample) for sample in samples}) == 1
    job.evaluator.answer(torch.cat([sample.scene.image for sample in samples]).as_tensor())
    assert forwards == [(3, 1, 64, 64)]
    sliding = Explain({"network": "demo", "methods": ["ega"], "window": [32], "files": False})
    assert sliding.together(sliding.read(Item(0, PHANTOMS[0]), tmp_path)) is None


def test_an_item_that_cannot_be_explained_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "colour.png")
    contents = [
        {"image": str(tmp_path / "broken.png")},
        PHANTOMS[0],
        {"image": str(tmp_path / "colour.png")},
        {"site": "a"},
    ]
    settings = {"network": "demo", "methods": ["ega"], "files": False}
    reports, records = made(tmp_path / "out", "explain", settings, contents)
    assert [one.status for one in reports] == ["failed", "done", "failed", "failed"]
    assert len(records) == 1
    assert "broken" not in reports[0].reason
    assert reports[2].reason == "ValueError: the network takes 1 channels, this image has 3."
    assert reports[3].reason == "ValueError: the item names no image, study or phantom."
    # What failed leaves nothing behind.
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if "item" in path.name) == [
        "00000001-item-00000001"
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": "unet"}, "needs its weights"),
        ({"network": "demo", "methods": ["magic"]}, "there is no method 'magic'"),
        ({"network": "demo", "methods": []}, "methods: .*name at least one"),
        ({"network": "demo", "colour": 1}, r"job\.settings\.colour: 1: no such key"),
        ({}, "give one model"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_before_any_item(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Explain(settings)
