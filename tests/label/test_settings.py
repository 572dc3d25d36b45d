# SPDX-License-Identifier: Apache-2.0
"""What is offered is what a request without a word gets; what cannot be is refused with its remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monai_causal.label.served import ServedBundle
from monai_causal.label.settings import Settings, offered
from tests.apps.explain.bundles import change
from tests.label.bundles import served_picture_bundle


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return served_picture_bundle(tmp_path_factory.mktemp("served") / "reads_left")


@pytest.fixture
def served(folder: Path) -> ServedBundle:
    return ServedBundle(folder)


def test_a_bundle_is_known_by_its_metadata(served: ServedBundle) -> None:
    assert (served.name, served.axes, served.first) == ("reads_left", 2, 1)
    assert served.classes == {"disc": 1}
    assert (served.method, served.shown) == ("pdcr", {})


def test_an_empty_request_gets_what_is_offered(served: ServedBundle) -> None:
    options = offered(served)
    settings = Settings.of({}, served)
    for name, value in options.items():
        assert getattr(settings, name) == (value[0] if isinstance(value, list) else value)
    # clients that know no choice send the whole list back, and numbers as text
    assert Settings.of(options | {"patch_size": "8"}, served) == settings


def test_a_request_is_followed(served: ServedBundle) -> None:
    asked = {"method": "ria", "cells": 6, "roi": [[4, 8], [10, 20]], "class": "disc", "compare_with": "label"}
    settings = Settings.of(asked, served)
    assert (settings.method, settings.cells, settings.roi) == ("ria", 6, ((4, 8), (10, 20)))
    assert settings.class_value(served) == 1
    assert settings.needs_label
    assert Settings.of({"roi": "4:8,10:20"}, served).roi == ((4, 8), (10, 20))
    assert Settings.of({"class": 1}, served).class_value(served) == 1
    assert not Settings.of({}, served).needs_label


def test_a_bundle_says_how_it_is_explained(tmp_path: Path) -> None:
    folder = served_picture_bundle(tmp_path / "bundle")
    change(folder, "inferer", {"_target_": "monai_causal.inferers.ExplanationInferer", "visualizer": "DEA"})
    change(folder, "grid", 10)
    change(folder, "target_layers", "up.1")
    change(folder, "patch_size", 24)
    change(folder, "displayable_configs", {"patch_size": 12, "rule": "paper", "use_amp": True})
    options = offered(ServedBundle(folder))
    assert options["method"][:2] == ["dea", "pdcr"]
    assert (options["cells"], options["patch_size"], options["rule"][0]) == (10, 12, "paper")
    assert "use_amp" not in options
    assert Settings.of({}, ServedBundle(folder)).target_layer == "up.1"
    assert Settings.of({"target_layer": "stem"}, ServedBundle(folder)).target_layer == "stem"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"method": "magic"}, "method='magic': choose one of pdcr"),
        ({"rule": "fast"}, "rule='fast': choose one of sequential"),
        ({"patch_size": 0}, "patch_size=0: a whole number from 1 on"),
        ({"patch_size": 2.5}, "patch_size=2.5: a whole number"),
        ({"tau": "little"}, "tau='little': a number is needed"),
        ({"tau": -1}, "tau=-1: a number from 0 on"),
        ({"roi": "liver"}, "roi='liver': choose one of by method"),
        ({"roi": [[1, 2], [3, 4], [5, 6]]}, r"one \[start, stop\] for each of 2 axes"),
        ({"donors": "surroundings", "rule": "exhaustive"}, "choose donors='other images'"),
    ],
)
def test_what_cannot_be_is_refused(asked: dict[str, Any], said: str, served: ServedBundle) -> None:
    with pytest.raises(ValueError, match=said):
        Settings.of(asked, served)


def test_an_unknown_class_is_answered_with_those_known(served: ServedBundle) -> None:
    with pytest.raises(ValueError, match=r"class='polyp': reads_left answers disc \(1\)"):
        Settings.of({"class": "polyp"}, served).class_value(served)


def test_a_bundle_that_names_no_channels_is_refused(tmp_path: Path) -> None:
    folder = served_picture_bundle(tmp_path / "bundle")
    path = folder / "configs" / "metadata.json"
    content = json.loads(path.read_text())
    del content["network_data_format"]["outputs"]["pred"]["channel_def"]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"name no channels of the output.*channel_def"):
        ServedBundle(folder)
