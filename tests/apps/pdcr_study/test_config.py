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
    StatisticsConfig,
    as_config,
    parse_shard,
    read_config,
)
from monai_causal.apps.pdcr_study.reading import ConfigError
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
        ("data.window", [1], r"data.window: \[1\]: give a list of 2"),
        ("data.image_size", "big", "data.image_size: 'big': give a whole number or a list"),
        ("data.parts.explain", 0, "data.parts.explain: 0: explain at least one image"),
        ("seed", "1", "seed: '1': give a whole number"),
        ("seed", True, "seed: True: give a whole number"),
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
        ("statistics", {"level": 95}, "statistics.level: 95.0: give a confidence level"),
        ("threshold", 1, "threshold: 1.0: give a probability"),
        ("batch_size", "all", "batch_size: 'all': give a whole number or 'auto'"),
        ("schema", "other/1", "schema: 'other/1' is not read here"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(path: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        as_config(changed(path, value))


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match=r"data\.parts\.donors is missing: it has no default"):
        as_config({**WHOLE, "data": {"name": "phantom", "parts": {"explain": 1}}})


def test_training_on_the_spot_is_for_phantoms() -> None:
    with pytest.raises(ConfigError, match=r"networks: .*training on the spot is for data.name: phantom"):
        as_config(changed("data.name", "fives"))


@pytest.mark.parametrize("content", [None, [], "study"])
def test_a_file_without_keys_is_refused(content: Any) -> None:
    with pytest.raises(ConfigError, match=r"the configuration: .*: give keys and values"):
        as_config(content)


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(json.dumps(WHOLE))
    (tmp_path / "study.yaml").write_text(json.dumps(WHOLE, indent=1))  # JSON is YAML
    assert read_config(tmp_path / "study.json") == read_config(tmp_path / "study.yaml") == as_config(WHOLE)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "a: [", "a.yaml is no YAML"),
        ("a.json", "{", "a.json is no JSON"),
        ("a.yaml", "!!python/object/apply:os.system [ls]", "a.yaml is no YAML"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_config(tmp_path / name)
    with pytest.raises(ConfigError, match=r"b\.yaml: there is no such configuration"):
        read_config(tmp_path / "b.yaml")


def test_the_record_can_be_read_again_and_holds_no_path() -> None:
    content = changed("data", {"name": "fives", "root": "secret/folder", "parts": {"explain": 1, "donors": 1}})
    content["networks"] = [{"build": "unet", "checkpoint": "secret/unet.pt"}]
    record = as_config(content).record()
    assert "secret" not in json.dumps(record)
    assert as_config(record).methods == as_config(content).methods
    assert as_config(record).networks[0].checkpoint == "given"


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("pdcr_*.yaml")), ids=lambda path: path.name)
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


def test_shards() -> None:
    assert parse_shard("2/4") == (2, 4)
    for text in ("5/4", "0/4", "1", "a/b", "1/0"):
        with pytest.raises(ConfigError, match=f"shard: '{text}': give i/n"):
            parse_shard(text)
