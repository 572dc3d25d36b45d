# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monai_causal.apps.study.configuration import ConfigError
from monai_causal.cohort.config import as_config, read_config, with_workers
from monai_causal.cohort.jobs import load_job
from monai_causal.cohort.jobs.trivial import Trivial
from monai_causal.cohort.registry import JOBS
from tests.guards.checkout import ROOT

ITEMS = {"kind": "numbers", "count": 2}


def explain(folder: Path, **settings: Any) -> Any:
    return as_config({"items": ITEMS, "job": {"name": "explain", "settings": settings}}, folder)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("cohort_*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_read(path: Path) -> None:
    assert read_config(path).job.name in JOBS


def test_a_record_knows_files_by_their_content_and_not_by_their_place(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "model.pt").write_bytes(b"weights")
    one, two = (explain(tmp_path / place, network="unet", checkpoint="model.pt") for place in ("one", "two"))
    assert one.job.settings["checkpoint"] == str(tmp_path / "one" / "model.pt")
    assert str(tmp_path) not in str(one.record())
    assert one.digest() == two.digest()
    (tmp_path / "two" / "model.pt").write_bytes(b"other weights")
    assert one.digest() != two.digest()


def test_how_it_is_run_decides_nothing() -> None:
    base = {"items": ITEMS, "job": {"name": "trivial"}}
    run = {"workers": 7, "gpus": 0.25, "timeout": 1, "attempts": 9, "threads": 3}
    assert as_config({**base, "run": run, "title": "other"}).digest() == as_config(base).digest()
    assert as_config({**base, "batch": 2}).digest() != as_config(base).digest()
    assert with_workers(as_config(base), 5).run.workers == 5


def test_a_name_that_is_no_file_stays_a_name(tmp_path: Path) -> None:
    config = as_config({"items": ITEMS, "job": {"name": "medfocus", "settings": {"vlm": "demo"}}}, tmp_path)
    assert config.job.settings == {"vlm": "demo"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"items": ITEMS, "job": {"name": "magic"}}, "job.name: 'magic': choose explain, segbench, medfocus"),
        ({"items": ITEMS, "job": {"name": "trivial"}, "batch": 0}, "batch: 0: give 1 to 256"),
        ({"items": ITEMS, "job": {"name": "trivial"}, "run": {"workers": 0}}, "run.workers: 0: give at least 1"),
        ({"items": ITEMS, "job": {"name": "trivial"}, "run": {"timeout": 0}}, "run.timeout: 0.0: give seconds above"),
        ({"items": ITEMS}, "job is missing"),
        ({"job": {"name": "trivial"}}, "items is missing"),
        ({"items": ITEMS, "job": {"name": "trivial"}, "schema": "x/1"}, "schema: 'x/1' is not read here"),
    ],
)
def test_what_cannot_be_run_says_why(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        as_config(content)


def test_jobs_are_found_by_name_and_nothing_else_is_taken() -> None:
    assert load_job("trivial") is Trivial
    assert load_job("tests.cohort.faulty:Faulty").__name__ == "Faulty"
    for name in ("tests.cohort.faulty:Missing", "tests.cohort.nowhere:Faulty"):
        with pytest.raises(ConfigError, match="there is no such class"):
            load_job(name)
    with pytest.raises(ConfigError, match="is no monai_causal"):
        load_job("tests.cohort.faulty:NoJob")
    with pytest.raises(ConfigError, match="choose explain"):
        load_job("os;system:x")
