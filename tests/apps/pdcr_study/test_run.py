# SPDX-License-Identifier: Apache-2.0
"""A small study from end to end, whole and in pieces."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from monai_causal import cli
from monai_causal.apps.pdcr_study import run
from monai_causal.apps.pdcr_study.config import NetworkConfig, StudyConfig, as_config
from monai_causal.apps.pdcr_study.findings import read_findings
from monai_causal.apps.pdcr_study.images import read_images
from monai_causal.apps.pdcr_study.report import write_report
from tests.golden import PlantedContext

STUDY: dict[str, Any] = {
    "title": "A tiny study",
    "data": {
        "name": "phantom",
        "options": {"seed": 77, "size": [32, 32]},
        "parts": {"explain": 2, "donors": 3},
    },
    "networks": [{"build": "unet", "name": name, "train": {"steps": 1}} for name in ("near", "far")],
    "rois": [{"rule": "boundary", "size": 8}],
    "donors": {"per_image": 6},
    "methods": [
        {"name": "pdcr", "label": "PdCR", "options": {"rule": "paper", "n_samples": 4}},
        {"name": "rise", "label": "RISE", "options": {"n_masks": 8}},
        {"name": "kernel-shap", "options": {"grid": 2, "n_samples": 14}},
        {"name": "pdcr", "label": "blocks", "regions": "components", "options": {"rule": "paper", "n_samples": 2}},
    ],
    "metrics": {"top": 3, "draws": 2},
    "fills": {"fills": ["zero", "donor"], "draws": 2, "real_patches": 20},
    "verification": {"method": "PdCR", "sets": 2, "draws": 2},
    "tracing": {
        "size": 8,
        "least": 0.05,
        "sets": 2,
        "draws": 2,
        "options": {"rule": "paper", "n_samples": 4, "tau": 0},
    },
    "statistics": {"resamples": 100},
    "examples": 2,
}
OFFSETS = {"near": (2, -3), "far": (10, 7)}
# Everything that a study writes but what it takes to go on; wall-clock times differ by nature.
BESIDE_THE_TABLES = {"timing.csv"}


def planted(study: StudyConfig, network: NetworkConfig, channels: int, kept: Path) -> nn.Module:
    """A network that reads the pixel at p - d, in place of a trained one."""
    return PlantedContext(OFFSETS[network.name]).float()


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "load_network", planted)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, done once for all tests of this file."""
    out = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "load_network", planted)
        run.run_study(as_config(STUDY), out)
    write_report(out)
    return out


@pytest.fixture
def whole(finished: Path, tmp_path: Path) -> Path:
    """A copy of it to go on with."""
    return Path(shutil.copytree(finished, tmp_path / "whole"))


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in BESIDE_THE_TABLES
    }


def test_every_item_has_its_line_and_every_table_its_files(whole: Path) -> None:
    found = read_findings(whole)
    # two networks, two images: four methods and the fills for one RoI, and two kinds of error
    assert (len(found.entries), found.missing, found.failed) == (2 * 2 * 7, 0, [])
    assert [entry["order"] for entry in found.entries] == list(range(28))
    assert len((whole / "timing.csv").read_text().splitlines()) == 29
    names = {path.name for path in whole.iterdir()}
    tables = {"networks", "attribution", "attribution_tests", "curves", "area", "profile", "histogram", "convergence"}
    tables |= {"fills", "verification", "tracing", "components"}
    assert {f"{table}.{suffix}" for table in tables for suffix in ("csv", "md")} <= names
    pictures = ("attribution", "curves", "profile", "histogram", "convergence", "fills", "components", "examples")
    assert {f"{name}.png" for name in pictures} <= names
    assert len(list((whole / "maps").iterdir())) == 12  # two images, three methods with a map, two networks


def test_pdcr_names_only_what_the_planted_network_reads(whole: Path) -> None:
    relevant = 0
    for entry in read_findings(whole).results("method", task="PdCR"):
        kept = whole / "maps" / f"{entry['order']:06d}.npz"
        with np.load(kept) as arrays:
            box = [(int(axis.min()), int(axis.max()) + 1) for axis in np.nonzero(arrays["roi"])]
        read = PlantedContext(OFFSETS[entry["network"]]).reads(box, (32, 32))
        meeting = set(np.flatnonzero(read.reshape(4, 8, 4, 8).any((1, 3))).tolist())
        named = {id for id, effect in zip(entry["result"]["ids"], entry["result"]["effects"], strict=True) if effect}
        assert named <= meeting
        relevant += len(named)
    assert relevant >= 1


class Killed(BaseException):
    """What a kill looks like from inside: no handler of errors sees it."""


def test_a_study_that_is_killed_again_and_again_ends_with_the_same_bytes(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "killed"
    real = run._outcome
    for after in (0, 3, 1, 9):
        left = iter(range(10_000))

        def outcome(*arguments: Any, left: Iterator[int] = left, after: int = after) -> Any:
            if next(left) == after:
                raise Killed
            return real(*arguments)

        monkeypatch.setattr(run, "_outcome", outcome)
        with pytest.raises(Killed):
            run.run_study(as_config(STUDY), out)
        with (out / "journal.jsonl").open("ab") as journal:  # and a line torn in the middle
            journal.write(b'{"key": "near|image')
        write_report(out)  # a report in between changes nothing later
    assert len(read_findings(out).entries) == 13
    monkeypatch.setattr(run, "_outcome", real)
    run.run_study(as_config(STUDY), out)
    write_report(out)
    assert content(out) == content(whole)


def test_what_is_done_is_not_done_again(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(whole)

    def asked(*arguments: Any) -> Any:
        raise AssertionError("nothing is left to ask")

    monkeypatch.setattr(run, "_outcome", asked)
    run.run_study(as_config(STUDY), whole)
    assert content(whole) == before


def test_shards_make_the_whole_study(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    for part in (2, 3, 1):
        run.run_study(as_config(STUDY), out, (part, 3))
    write_report(out)
    journals = {f"journal-{part}-of-3.jsonl" for part in (1, 2, 3)}
    assert journals <= set(content(out))
    apart = {name for name in content(out) if name.startswith(("journal", "timing"))}
    ours = {name: text for name, text in content(out).items() if name not in apart}
    assert ours == {name: text for name, text in content(whole).items() if name != "journal.jsonl"}


def test_another_configuration_does_not_go_on_there(whole: Path) -> None:
    with pytest.raises(ValueError, match="begun with another config"):
        run.run_study(as_config({**STUDY, "seed": 1}), whole)


def test_other_weights_do_not_go_on_there(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (whole / "journal.jsonl").read_text().splitlines(keepends=True)
    (whole / "journal.jsonl").write_text("".join(lines[:-1]))
    other = PlantedContext(OFFSETS["far"], gain=3.0).float()
    monkeypatch.setattr(run, "load_network", lambda *arguments: other)
    with pytest.raises(ValueError, match="the weights of network 'far' are not those"):
        run.run_study(as_config(STUDY), whole)


def test_an_item_that_fails_is_recorded_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = as_config({**STUDY, "methods": STUDY["methods"][:2], "fills": None, "tracing": None})
    real = run.ask

    def ask(question: Any, method: Any) -> tuple[dict[str, Any], Tensor | None]:
        if method.label == "RISE" and question.subject.unit == 1:
            raise FileNotFoundError(2, "No such file", "patient-name.png")
        return real(question, method)

    monkeypatch.setattr(run, "ask", ask)
    run.run_study(study, tmp_path)
    found = write_report(tmp_path)
    assert [(entry["task"], entry["unit"], entry["reason"]) for entry in found.failed] == [
        ("RISE", 1, "FileNotFoundError: No such file")
    ] * 2
    assert len(found.entries) == 8
    page = (tmp_path / "report.md").read_text()
    assert "- 2 x FileNotFoundError: No such file (near / " in page
    assert "patient-name" not in page


def test_an_image_without_an_object_is_recorded_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = as_config({**STUDY, "methods": STUDY["methods"][:1], "fills": None, "tracing": None})
    images = read_images(study)
    images.subjects[0].inside.zero_()
    monkeypatch.setattr(run, "read_images", lambda study: images)
    run.run_study(study, tmp_path)
    found = write_report(tmp_path)
    assert len(found.failed) == 2
    assert all("no RoI: the segmentation" in entry["reason"] for entry in found.failed)
    assert {entry["unit"] for entry in found.results("method")} == {1}


def test_tiles_give_several_rois_per_image(tmp_path: Path) -> None:
    content = {**STUDY, "methods": STUDY["methods"][:1], "fills": None, "tracing": None, "verification": None}
    study: StudyConfig = as_config(
        {**content, "rois": [{"rule": "tiles", "size": 8, "limit": 2}, {"rule": "component"}]}
    )
    items = run.plan(study, read_images(study).subjects)
    assert {item.rule for item in items} == {"tiles-8", "component"}
    assert all(sum(item.subject is one.subject and item.network is one.network for item in items) == 3 for one in items)
    assert len({item.key for item in items}) == len(items) == 12


def test_attributions_are_measured_with_draws_that_made_no_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []
    real = run.ask

    def ask(question: Any, method: Any) -> Any:
        seeds.append((question.evaluator.seed, question.study.seed))
        return real(question, method)

    monkeypatch.setattr(run, "ask", ask)
    run.run_study(as_config({**STUDY, "seed": 5, "fills": None, "tracing": None}), tmp_path)
    assert set(seeds) == {(6, 5)}


def test_the_command_runs_and_reports(tmp_path: Path) -> None:
    config = tmp_path / "study.json"
    config.write_text(json.dumps({**STUDY, "fills": None, "tracing": None}))
    out = tmp_path / "out"
    done = CliRunner().invoke(cli.app, ["pdcr-study", "run", "--config", str(config), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("16 of 16 items done, 0 failed.")
    page = (out / "report.md").read_bytes()
    (out / "report.md").unlink()
    done = CliRunner().invoke(cli.app, ["pdcr-study", "report", str(out)])
    assert done.exit_code == 0
    assert (out / "report.md").read_bytes() == page


def test_a_folder_without_a_study_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no journal of a study"):
        write_report(tmp_path)


def test_torch_draws_nothing_of_a_study(whole: Path, tmp_path: Path) -> None:
    """Whatever state torch's own generator is in: draws belong to the seed."""
    torch.manual_seed(123)
    run.run_study(as_config(STUDY), tmp_path / "again")
    assert (tmp_path / "again" / "journal.jsonl").read_bytes() == (whole / "journal.jsonl").read_bytes()
