# SPDX-License-Identifier: Apache-2.0
"""The app's folder is written whole or not at all, with bundles of its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monai_causal import cli
from monai_causal.label import BUNDLES, in_words, write_app
from tests.apps.explain.bundles import state
from tests.label.bundles import served_picture_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return served_picture_bundle(tmp_path / "one")


def test_an_app_has_copies_and_a_thin_main(bundle: Path, tmp_path: Path) -> None:
    (bundle / "data").mkdir()
    (bundle / "data" / "a patient.png").write_bytes(b"")
    app = tmp_path / "new" / "app"
    assert write_app(app, [bundle]) == ["one"]
    assert sorted(path.name for path in app.iterdir()) == ["main.py", "model"]
    copied = state(app / "model" / "one")
    assert copied == {name: digest for name, digest in state(bundle).items() if not name.startswith("data")}
    source = (app / "main.py").read_text()
    assert source.startswith("# SPDX-License-Identifier: Apache-2.0\n")
    names = [node.targets[0].id for node in ast.parse(source).body if isinstance(node, ast.Assign)]  # type: ignore[attr-defined]
    assert names == ["CausalApp"]
    assert "--host 127.0.0.1" in in_words(["one"], app)


def test_the_command_writes_the_checkout_s_bundles(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.app, ["label-app", str(tmp_path / "app")])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "app" / "model").iterdir()) == sorted(BUNDLES)
    for name in BUNDLES:
        assert (tmp_path / "app" / "model" / name / "models" / "model.pt").stat().st_size > 100_000
    assert f"monailabel start_server --app {tmp_path / 'app'}" in done.output


def test_what_is_there_already_stays(bundle: Path, tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    write_app(app, [bundle])  # empty: taken
    before = state(app)
    with pytest.raises(ValueError, match="not empty"):
        write_app(app, [bundle])
    assert state(app) == before


def test_what_is_no_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"bundle 2 of 2 is no bundle with weights: it has no configs/metadata\.json"):
        write_app(tmp_path / "app", [bundle, tmp_path / "empty"])
    with pytest.raises(ValueError, match="two bundles have one name: one, one"):
        write_app(tmp_path / "app", [bundle, bundle])
    assert not (tmp_path / "app").exists()
