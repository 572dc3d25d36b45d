# SPDX-License-Identifier: Apache-2.0
"""A benchmark from its configuration to its report, in seconds: interrupted, in shards, with failures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from monai_causal import cli
from monai_causal.apps.segbench import run as run_module
from monai_causal.apps.segbench.config import BenchConfig
from monai_causal.apps.segbench.plan import Run
from monai_causal.apps.segbench.report import in_words, write_report
from monai_causal.apps.segbench.run import map_file, run_bench
from monai_causal.apps.study import journal as journal_module
from monai_causal.networks.nets import build_network
from monai_causal.visualize import DEA
from tests.apps.segbench.tiny import bench, content


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a report but the times."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "timing" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def entries(folder: Path) -> dict[str, dict[str, Any]]:
    lines = [line for path in folder.glob("journal*.jsonl") for line in path.read_text().splitlines()]
    return {entry["key"]: entry for entry in map(json.loads, lines)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark that nothing happened to, with its report."""
    folder = tmp_path_factory.mktemp("whole")
    run_bench(bench(), folder)
    write_report(folder)
    return folder


def test_a_line_stands_for_itself(whole: Path) -> None:
    lines = entries(whole)
    assert len(lines) == 1 + 3 * 4
    network = lines["network|shapes|net|seed 0"]
    assert (network["class"], network["parameters"]) == ("UNet", sum(p.numel() for p in _network().parameters()))
    line = lines["shapes|net|seed 0|image-00001|dea"]
    assert (line["schema"], line["study"], line["seed"]) == ("monai_causal/segbench/1", bench().digest(), 0)
    assert line["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert line["status"] == "ok"
    assert len(line["deletion"]) == 3


def test_kept_maps_are_the_methods_own(whole: Path) -> None:
    run = Run("shapes", "net", 0)
    assert not map_file(whole, run, "image-00002", "dea").exists()  # maps: 2
    with np.load(map_file(whole, run, "image-00000", "dea"), allow_pickle=False) as file:
        image, mask = torch.from_numpy(file["image"])[None], torch.from_numpy(file["mask"])
        target = entries(whole)["shapes|net|seed 0|image-00000|dea"]["target"]
        wanted = DEA(_network(), grid=3, batch_size=28)(image, target["class"], mask)
        assert np.allclose(file["heat"], wanted[0, 0].numpy(), rtol=0, atol=2e-7)
    assert int(mask.sum()) == target["pixels"]


def test_the_report_is_there(whole: Path) -> None:
    report = whole / "report"
    page = (report / "report.md").read_text()
    assert "3 of 3 complete" in page
    assert "| shapes | dea | 1 |" in page
    for name in ("tradeoff.png", "curves.png", "timing/runtime.png"):
        assert (report / name).stat().st_size > 5000
    for name in ("table1", "runs", "means", "comparisons", "wins", "run_differences", "networks", "images"):
        assert (report / f"{name}.csv").read_text().count("\n") > 1, name
    (first, *_) = json.loads((report / "runs.json").read_text())["rows"]
    assert (first["method"], first["images"]) == ("gpa", 3)
    assert "seconds" not in page.replace("wall-clock", "")
    assert (report / "timing" / "runtime.csv").read_text().startswith("data,method,explanations,median_seconds")
    wins = [line for line in (report / "wins.csv").read_text().splitlines() if ",tdd,ega,dea," in line]
    assert in_words(whole).splitlines()[0] == "3 of 3 complete"
    ahead = int(wins[0].split(",")[6])  # of EGA's losses
    assert f"TDD of dea above ega in {ahead} of 1 runs." in in_words(whole)


class Killed(BaseException):
    """The machine went away."""


@pytest.mark.parametrize("after", [0, 1, 5, 12])
def test_a_killed_run_goes_on_to_the_same_bytes(
    after: int, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, count = journal_module.Journal.append, 0

    def append_until_killed(self: Any, key: str, content: Any) -> None:
        nonlocal count
        if "timing" not in self.path.name:
            count += 1
            if count > after:
                with self.path.open("ab") as file:
                    file.write(b'{"key": "torn')
                raise Killed
        append(self, key, content)

    with monkeypatch.context() as patch:
        patch.setattr(journal_module.Journal, "append", append_until_killed)
        with pytest.raises(Killed):
            run_bench(bench(), tmp_path)
    run_bench(bench(), tmp_path)
    write_report(tmp_path)
    assert (tmp_path / "journal.jsonl").read_bytes() == (whole / "journal.jsonl").read_bytes()
    assert contents(tmp_path / "report") == contents(whole / "report")


def test_a_finished_run_asks_nothing_again(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(whole)
    monkeypatch.setattr(run_module, "_Worker", None)
    run_bench(bench(), whole)
    assert contents(whole) == before


def test_shards_are_one_run(whole: Path, tmp_path: Path) -> None:
    for part in (2, 1):
        run_bench(bench(), tmp_path, (part, 2))
    assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == [
        "journal-1-of-2.jsonl", "journal-2-of-2.jsonl", "timing-1-of-2.jsonl", "timing-2-of-2.jsonl"
    ]  # fmt: skip
    write_report(tmp_path)
    assert entries(tmp_path) == entries(whole)
    assert contents(tmp_path / "report") == contents(whole / "report")


def test_a_folder_of_another_benchmark_is_not_gone_on_with(whole: Path) -> None:
    before = contents(whole)
    with pytest.raises(ValueError, match="holds a benchmark with another"):
        run_bench(replace(bench(), seeds=(1,)), whole)
    assert contents(whole) == before


def test_other_weights_are_refused(tmp_path: Path) -> None:
    config = _of_checkpoint(tmp_path)
    run_bench(config, tmp_path / "out")
    path = tmp_path / "out" / "journal.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    torch.manual_seed(5)
    torch.save(_network(seed=5).state_dict(), tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"the weights of network 'net' are not those .* begun with"):
        run_bench(config, tmp_path / "out")


def test_a_checkpoint_that_is_not_there_shows_at_once(tmp_path: Path) -> None:
    config = _of_checkpoint(tmp_path)
    (tmp_path / "net.pt").unlink()
    with pytest.raises(ValueError, match="network 'net': its weights are not where the configuration says"):
        run_bench(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_image_that_fails_is_recorded_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = run_module.read_sample

    def read_or_fail(data: Any, item: dict[str, Any]) -> Any:
        if item["index"] == 1:
            raise FileNotFoundError(2, "No such file or directory", "/data/anna_smith.png")
        return read(data, item)

    monkeypatch.setattr(run_module, "read_sample", read_or_fail)
    run_bench(bench(), tmp_path)
    line = entries(tmp_path)["shapes|net|seed 0|image-00001|gpa"]
    assert (line["status"], line["reason"]) == ("failed", "FileNotFoundError: No such file or directory")
    page = write_report(tmp_path).read_text()
    assert "2 of 3 complete, 1 failed" in page
    assert "| shapes | net | 0 | image-00001 | gpa | FileNotFoundError: No such file or directory |" in page


def test_stability_may_be_measured_on_the_first_images_only(tmp_path: Path) -> None:
    settings = {"curve_steps": 0, "perturbations": ["flip"], "stability_images": 1}
    run_bench(bench(metrics=settings, methods=[{"name": "ega"}, {"name": "random"}]), tmp_path)
    measured = [key for key, entry in entries(tmp_path).items() if "stability" in entry.get("values", {})]
    assert measured == [f"shapes|net|seed 0|image-00000|{method}" for method in ("ega", "random")]


def test_the_commands(tmp_path: Path) -> None:
    config = tmp_path / "bench.json"
    config.write_text(json.dumps(content(methods=[{"name": "ega"}, {"name": "dea", "options": {"grid": 2}}])))
    out = str(tmp_path / "out")
    run = CliRunner().invoke(cli.app, ["segbench", "run", "--config", str(config), "--out", out, "--shard", "1/2"])
    assert (run.exit_code, run.output.startswith("done; tables and figures: ")) == (0, True), run.output
    report = CliRunner().invoke(cli.app, ["segbench", "report", out])
    assert report.output.startswith("2 of 3 complete, 1 unfinished\nshapes: TDD of dea above ega in "), report.output
    wrong = CliRunner().invoke(cli.app, ["segbench", "run", "--config", str(config), "--out", out, "--shard", "3/2"])
    assert "give i/n" in str(wrong.exception)


def test_nothing_to_report_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="this folder holds no benchmark"):
        write_report(tmp_path)
    (tmp_path / "study.json").write_bytes((json.dumps(_study())).encode())
    with pytest.raises(
        ValueError, match=r"of 2 images and networks not one is complete \(0 of 2 complete, 2 unfinished\)"
    ):
        write_report(tmp_path)


def _study() -> dict[str, Any]:
    config: BenchConfig = bench()
    runs = [{"data": "shapes", "network": "net", "seed": 0, "samples": ["a", "b"]}]
    return {"digest": config.digest(), "config": config.record(), "versions": {}, "runs": runs, "units": {}}


def _network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return build_network("unet", 1, 3, widths=[3]).eval()


def _of_checkpoint(folder: Path) -> BenchConfig:
    torch.save(_network().state_dict(), folder / "net.pt")
    network = {"name": "net", "build": "unet", "options": {"widths": [3]}, "checkpoint": str(folder / "net.pt")}
    return bench(networks=[network], methods=[{"name": "ega"}], metrics={"curve_steps": 0, "perturbations": []})
