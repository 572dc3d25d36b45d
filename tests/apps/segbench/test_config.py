# SPDX-License-Identifier: Apache-2.0
"""Configurations: what is wrong is said, with its key, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monai_causal.apps.segbench.config import as_config, read_config
from monai_causal.apps.study.configuration import ConfigError
from tests.apps.segbench.tiny import bench, content
from tests.guards.checkout import ROOT

NETWORK = {"name": "net", "build": "unet"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metods": []}, "metods: []: no such key; known are batch_size, data"),
        ({"data": []}, "data: (): give at least one"),
        ({"seeds": [0, 0]}, "seeds: [0]: give each a name (label) of its own"),
        ({"methods": [{"name": "gpa"}, {"name": "gpa"}]}, "methods: ['gpa']: give each a name"),
        ({"methods": [{"name": "lime"}]}, "methods[0].name: 'lime': choose one of gpa, ega, ria, dea, random"),
        ({"methods": [{"name": "gpa", "options": {"grid": 3}}]}, "methods[0].options.grid: 3: gpa takes none"),
        ({"methods": [{"name": "dea", "options": {"alpha": 1.5}}]}, "options.alpha: 1.5: give a number from 0 to 1"),
        ({"methods": [{"name": "dea", "label": "a/b"}]}, "methods[0].label: 'a/b': letters, digits"),
        ({"data": [{"name": "x", "count": 0}]}, "data[0].count: 0: explain at least one image"),
        ({"data": [{"name": "x", "train": 3}]}, "data[0].count: None: say how many are left to explain"),
        ({"data": [{"name": "x", "normalise": "mean"}]}, "data[0].normalise: 'mean': choose 'none' or 'imagenet'"),
        ({"networks": [{"name": "net"}]}, "say exactly one of torchvision, build, monai and bundle"),
        ({"networks": [NETWORK]}, "say one of checkpoint, train, download, untrained"),
        ({"networks": [{**NETWORK, "train": {"steps": 5}}]}, "keep images apart for the training of net"),
        ({"networks": [{**NETWORK, "download": True}]}, "download: True: only torchvision's networks have it"),
        ({"networks": [{"name": "net", "torchvision": "vgg"}]}, "choose deeplabv3_resnet50, fcn_resnet50, lraspp"),
        (
            {"networks": [{"name": "net", "torchvision": "fcn_resnet50", "untrained": True}]},
            "classes: 2: torchvision's",
        ),
        ({"networks": [{"name": "b", "bundle": "x", "untrained": True}]}, "a bundle has its own weights"),
        ({"metrics": {"top_fraction": 20}}, "metrics.top_fraction: 20.0: give a fraction above 0"),
        ({"metrics": {"perturbations": ["rotate"]}}, "metrics.perturbations: 'rotate': choose among noise"),
        ({"maps": "some"}, "maps: 'some': give a whole number or 'all'"),
        ({"schema": "other/1"}, "schema: 'other/1' is not read here"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        as_config(content(**changes))
    assert message in str(error.value)


def test_a_root_may_name_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bench(data=[{"name": "voc", "root": "$SEGBENCH_TEST_ROOT/voc"}]).data[0]
    monkeypatch.delenv("SEGBENCH_TEST_ROOT", raising=False)
    with pytest.raises(ConfigError, match=r"SEGBENCH_TEST_ROOT/voc' names a variable that is not set"):
        data.place()
    monkeypatch.setenv("SEGBENCH_TEST_ROOT", "there")
    assert data.place() == "there/voc"


def test_the_record_knows_no_place_of_this_machine_and_is_read_again() -> None:
    config = bench(
        data=[{"name": "voc", "root": "/data/voc", "options": {"base_dir": "/data"}}],
        networks=[{**NETWORK, "checkpoint": "/data/net.pt"}, {"name": "b", "bundle": "/data/bundle"}],
        device="cpu",
    )
    assert "/data" not in str(config.record())
    again = as_config(config.record())
    assert again.record() == config.record()
    assert again.digest() == config.digest() != bench().digest()


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("segbench_*.yaml")), ids=lambda path: path.stem)
def test_the_configurations_of_the_project_are_read(path: Path) -> None:
    assert {method.name for method in read_config(path).methods} >= {"gpa", "ega", "ria", "dea"}


def test_the_papers_configurations_hold_its_runs() -> None:
    for name in ("voc", "sbd"):
        config = read_config(ROOT / "configs" / f"segbench_{name}.yaml")
        assert len(config.networks) * len(config.seeds) == 6
        assert {network.torchvision for network in config.networks} == {
            "deeplabv3_resnet50", "fcn_resnet50", "lraspp_mobilenet_v3_large"
        }  # fmt: skip
        ablations = [method.options.get("alpha") for method in config.methods if method.name == "dea"]
        assert {0.5, 0.6, 0.7, 0.8} < set(ablations)
        assert config.data[0].size == 224
        assert config.data[0].normalise == "imagenet"
        assert config.metrics.top_fraction == 0.2
        assert config.metrics.strength == 0.03
