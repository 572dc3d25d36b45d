# SPDX-License-Identifier: Apache-2.0
"""The app's own decisions, which need no server: who may listen, which bundles, which label was the last."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from monai_causal.extras import MissingExtraError
from monai_causal.label.app import EachModality, _bundles, _scored, application, guard_host, last_label
from tests.label.bundles import Store, served_picture_bundle

SERVER = "/anywhere/site-packages/monailabel/main.py"


@pytest.mark.parametrize("host", [[], ["--host", "0.0.0.0"], ["-i", "192.0.2.7"], ["--host=a-name"]])
def test_a_server_does_not_listen_for_everybody_by_an_oversight(host: list[str]) -> None:
    argv = [SERVER, "start_server", "--app", "a", "--studies", "s", *host]
    with pytest.raises(ValueError, match=r"would listen on .*start it with --host 127\.0\.0\.1"):
        guard_host(argv, False, {})
    guard_host(argv, True, {})
    guard_host(argv, False, {"open_to_network": "true"})
    # scoring and training are processes of their own, and listen nowhere
    guard_host(["/anywhere/monailabel/interfaces/utils/app.py", "-m", "train"], False, {})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_loopback_is_taken(host: str) -> None:
    guard_host([SERVER, "start_server", "--app", "a", "--host", host], False, {})


def test_the_last_label_is_the_one_saved_last() -> None:
    store = Store({"a": Path("a.png")})
    assert last_label(store, "a") is None
    store.labels["a"]["original"] = (Path("first.png"), {"ts": 10})
    assert last_label(store, "a") == "first.png"
    store.labels["a"]["final"] = (Path("final.png"), {"ts": 12})
    assert last_label(store, "a") == "final.png"
    store.labels["a"]["original"] = (Path("later.png"), {"ts": 13})
    assert last_label(store, "a") == "later.png"
    store.labels["a"]["final"] = (Path("as late.png"), {"ts": 13})
    assert last_label(store, "a") == "as late.png"


def test_several_modalities_are_asked_for_one_by_one() -> None:
    class Client:
        base_url = "http://127.0.0.1"

        def search_for_series(
            self, limit: int | None = None, search_filters: dict[str, str] | None = None
        ) -> list[Any]:
            return [(limit, search_filters)]

    client = EachModality(Client())
    assert client.base_url == "http://127.0.0.1"
    asked = client.search_for_series(limit=5, search_filters={"Modality": "CR, DX", "PatientID": "x"})
    assert asked == [(5, {"PatientID": "x", "Modality": "CR"}), (5, {"PatientID": "x", "Modality": "DX"})]
    assert client.search_for_series(search_filters={"SeriesInstanceUID": "1"}) == [(None, {"SeriesInstanceUID": "1"})]
    assert client.search_for_series() == [(None, {})]


def test_bundles_are_chosen_by_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        served_picture_bundle(tmp_path / name)
    assert list(_bundles(tmp_path, "")) == ["one", "two"]
    assert list(_bundles(tmp_path, "two")) == ["two"]
    with pytest.raises(ValueError, match="there is no bundle 'three'; here are one, two"):
        _bundles(tmp_path, "one, three")
    with pytest.raises(ValueError, match="holds no bundle"):
        _bundles(tmp_path / "one", "")
    both = _bundles(tmp_path, "")
    assert _scored(both, "") == "one"
    assert _scored(both, "two") == "two"
    with pytest.raises(ValueError, match="scored_model three: choose one of one, two"):
        _scored(both, "three")
    # One that can be trained is what active learning is for.
    (tmp_path / "two" / "configs" / "train.json").write_text('{"mask_value": 255}')
    assert _scored(_bundles(tmp_path, ""), "") == "two"


@pytest.mark.skipif(importlib.util.find_spec("monailabel") is not None, reason="MONAI Label is installed")
def test_without_monai_label_its_extra_is_named() -> None:
    with pytest.raises(MissingExtraError, match=r"monailabel is not installed.*monai-causal\[label\]"):
        application()
