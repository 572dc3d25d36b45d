# SPDX-License-Identifier: Apache-2.0
"""A configuration is read whole, and every error names the key, its value and what would do."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from monai_causal.apps.pdcr_study.config import (
    METHODS,
    DonorsConfig,
    MethodConfig,
    as_config,
    read_config,
)
from monai_causal.apps.study.configuration import ConfigError, StatisticsConfig
from tests.guards.checkout import ROOT

WHOLE: dict[str, Any] = {
    "data": {"name": "phantom", "parts": {"explain": 2, "donors": 3}, "options": {"size": [32, 32]}},
    "networks": [{"build": "unet", "options": {"widths": [4]}, "train": {"steps": 3}}],
    "methods": [{"name": "pdcr", "options": {"rule": "paper"}}, {"name": "rise", "label": "RISE"}],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The whole configuration with one place set to something else."""
    content = copy.deepcopy(WHOLE)
    *way, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    place: Any = content
    for step in way:
        place = place[step] if isinstance(step, int) else place.setdefault(step, {})
    place[last] = value
    return content


def test_what_is_left_out_has_its_default() -> None:
    study = as_config(WHOLE)
    assert (study.seed, study.patch_size, study.threshold, study.fills) == (0, 8, 0.5, None)
    assert study.donors == DonorsConfig()
    assert study.statistics == StatisticsConfig()
    assert study.methods[0] == MethodConfig("pdcr", "pdcr", {"rule": "paper"})
    assert [one.name for one in study.networks] == ["unet"]
    assert [one.name for one in study.rois] == ["boundary-32"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("methd", [], r"methd: \[\]: no such key; known are batch_size, data, "),
        ("data.parts.explained", 2, r"data\.parts\.explained: 2: no such key; known are donors, explain, train"),
        ("data.name", "ham", "data.name: 'ham': choose one of ham10000, "),
        ("data.reference", "mask", "data.reference: 'mask': choose 'label' or 'answer'"),
        ("data.parts.explain", 0, "data.parts.explain: 0: explain at least one image"),
        ("networks", [], r"networks: \(\): name at least one network"),
        ("networks.0.train", None, "networks.0..checkpoint: None: give either a checkpoint or train"),
        ("networks.0.train.steps", 0, "networks.0..train.steps: 0: train for at least one step"),
        ("networks.0.name", "a/b", "networks.0..name: 'a/b': letters, digits"),
        ("methods.0.name", "lime", "methods.0..name: 'lime': choose one of pdcr, seg-grad-cam, "),
        ("methods.0.options.taw", 1, "methods.0..options.taw: 1: pdcr takes .*tau"),
        ("methods.0.options.seed", 1, "methods.0..options.seed: 1: pdcr takes"),
        ("methods.1.regions", "components", "methods.1..regions: 'components': only pdcr"),
        ("methods.0.modules", ["head"], "methods.0..modules: .*: say regions: components"),
        ("methods.1.label", "pdcr", r"methods: \['pdcr'\]: give each a name"),
        ("rois", [{"rule": "centre"}], "rois.0..rule: 'centre': choose 'boundary' or 'component' or 'tiles'"),
        ("rois", [{"size": 0}], "rois.0..size: 0: give an edge"),
        ("fills", {"fills": ["zero", "black"]}, "fills.fills: 'black': choose among zero, blur"),
        ("fills", {"draws": 1}, "fills.draws: 1: spread over draws needs at least two"),
        ("verification", {"method": "rise"}, "verification.method: 'rise': choose a pdcr method: pdcr"),
        ("tracing", {"errors": ["miss"]}, "tracing.errors: 'miss': choose among false-positive"),
        ("tracing", {"options": {"fil": 0}}, "tracing.options.fil: 0: take "),
        ("threshold", 1, "threshold: 1.0: give a probability"),
        ("schema", "other/1", "schema: 'other/1' is not read here"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(path: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        as_config(changed(path, value))


def test_training_on_the_spot_is_for_phantoms() -> None:
    with pytest.raises(ConfigError, match=r"networks: .*training on the spot is for data.name: phantom"):
        as_config(changed("data.name", "fives"))


def test_the_record_can_be_read_again_and_holds_no_path() -> None:
    content = changed("data", {"name": "fives", "root": "secret/folder", "parts": {"explain": 1, "donors": 1}})
    content["networks"] = [{"build": "unet", "checkpoint": "secret/unet.pt"}]
    record = as_config(content).record()
    assert "secret" not in json.dumps(record)
    assert as_config(record).methods == as_config(content).methods
    assert as_config(record).networks[0].checkpoint == "given"


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("pdcr_[!t]*.yaml")), ids=lambda path: path.name)
def test_the_configurations_that_come_with_the_package_are_read(path: Path) -> None:
    study = read_config(path)
    assert as_config(study.record()).methods == study.methods


@pytest.mark.parametrize("name", ["ham10000", "fives"])
def test_the_papers_settings(name: str) -> None:
    study = read_config(ROOT / "configs" / f"pdcr_study_{name}.yaml")
    pdcr = next(one for one in study.methods if one.label == "PdCR")
    assert (pdcr.options["rule"], pdcr.options["n_screen"], pdcr.options["n_samples"], pdcr.options["tau"]) == (
        "paper", 3, 50, 0.02,
    )  # fmt: skip
    assert (study.data.image_size, study.patch_size, study.rois[0].size) == (256, 8, 32)
    assert (study.donors.per_image, study.donors.limit, study.donors.grid) == (100, 10000, True)
    counts = {"ham10000": (50, 1965, 8000), "fives": (28, 170, 0)}
    assert (study.data.parts.explain, study.data.parts.donors, study.data.parts.train) == counts[name]


def test_every_method_takes_its_options() -> None:
    for name in METHODS:
        assert MethodConfig(name).label == name
