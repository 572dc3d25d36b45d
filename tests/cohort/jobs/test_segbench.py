# SPDX-License-Identifier: Apache-2.0
"""What a cohort measures is what the benchmark's own parts measure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from monai_causal.apps.segbench.evidence import Evidence
from monai_causal.apps.segbench.measure import Measure
from monai_causal.apps.segbench.networks import load_model
from monai_causal.apps.segbench.samples import read_sample
from monai_causal.cohort.items import Item
from monai_causal.cohort.jobs.images import picture_of
from monai_causal.cohort.jobs.segbench import SegBench, SegBenchSettings
from tests.cohort.jobs.workers import done, made, measure

NETWORK = {"name": "tiny", "build": "unet", "options": {"widths": [4, 8]}, "untrained": True}
SETTINGS: dict[str, Any] = {
    "networks": (NETWORK,),
    "methods": ({"name": "gpa"}, {"name": "ria", "options": {"grid": 3}}),
    "size": 32,
    "classes": 2,
    "grid": 2,
    "metrics": {"curve_steps": 3, "perturbations": ["noise"]},
}
PHANTOM = {"phantom": 1_000_000, "options": {"size": [32, 32]}}


def test_the_measures_are_those_of_segbench(tmp_path: Path) -> None:
    (record,) = done(tmp_path / "out", "segbench", SETTINGS, [PHANTOM])
    bench = SegBenchSettings(**SETTINGS).bench()
    data = bench.data[0]
    model = load_model(bench.networks[0], data, 0, 1, (), tmp_path)
    measuring = Measure(Evidence(model, 0, batch_size=28), bench.metrics, 0)
    image, label = picture_of(Item(0, PHANTOM), tmp_path)
    sample = read_sample(data, {"index": 0, "image": str(image), "label": str(label)})
    assert measure(record, "right") == measuring.dice(sample)
    for method in bench.methods:
        content, heat, _ = measuring(method, sample)
        for name, value in content["values"].items():
            if value is not None:
                assert measure(record, name, method=method.label) == pytest.approx(value, abs=1e-6)
        cells = [row["effect"] for row in record["regions"] if row["method"] == method.label]
        means = torch.nn.functional.avg_pool2d(-heat.double(), 16).flatten().tolist()
        assert cells == pytest.approx(means, abs=1e-6)
    assert record["facts"]["shape"] == [32, 32]


def test_maps_are_kept_where_asked_for(tmp_path: Path) -> None:
    reports, _ = made(tmp_path, "segbench", {**SETTINGS, "maps": True, "methods": ({"name": "gpa"},)}, [PHANTOM])
    assert (Path(reports[0].staged) / "tiny-gpa.npz").exists()


def test_an_item_without_a_target_fails_alone_and_networks_are_not_trained_here(tmp_path: Path) -> None:
    image, _ = picture_of(Item(0, PHANTOM), tmp_path)
    reports, _ = made(tmp_path / "out", "segbench", SETTINGS, [{"image": str(image)}])
    assert reports[0].reason == "ValueError: the item has no label: there is no target whose map could be judged."
    trained = {"name": "tiny", "build": "unet", "train": {"steps": 1}}
    with pytest.raises(ValueError, match="keep images apart for the training"):
        SegBench({**SETTINGS, "networks": (trained,)})
