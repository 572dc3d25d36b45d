# SPDX-License-Identifier: Apache-2.0
"""The bundle trains, evaluates and infers on phantoms; what it ships is worth more than a constant answer."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("open_clip", reason="the extra 'clip' is not installed")
pytest.importorskip("ignite", reason="the extra 'train' is not installed")

from monai.bundle import ConfigParser, ConfigWorkflow

from monai_causal.apps.explain.bundles import open_bundle
from monai_causal.apps.mcdrl.phantom_files import write_phantoms
from monai_causal.apps.mcdrl.transforms import Logitsd
from monai_causal.data.phantoms.endoscopy import endoscopy
from monai_causal.losses import MCDRLLoss
from monai_causal.networks.nets.mcdrl import MCDRLOutput
from tests.bundles.bundle import MCDRL, moment, run
from tests.bundles.bundle import workflow as workflow_of
from tests.networks.blocks.tiny_clip import tiny_clip_folder

CONFIGS = MCDRL / "configs"
OTHER_SEED = 9  # what is shipped was trained on seed 0


workflow = partial(workflow_of, MCDRL)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An encoder, phantoms, and the options that make the bundle take them."""
    return moment(MCDRL, tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def trained(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[ConfigWorkflow, Path]:
    out = tmp_path_factory.mktemp("training")
    flow = workflow("train", "train", out, **tiny, max_epochs=2, switch_epoch=1)
    run(flow)
    return flow, Path(tiny["ckpt_dir"]) / "model.pt"


def test_training_switches_the_intervention_on_and_keeps_the_best(trained: tuple[ConfigWorkflow, Path]) -> None:
    flow, checkpoint = trained
    trainer = flow.parser.get_parsed_content("train#trainer")
    assert trainer.state.epoch == 2
    assert set(trainer.state.metrics) == {"train_mean_dice"}
    network = flow.parser.get_parsed_content("network_def")
    assert bool(network.intervening)
    network.load_state_dict(torch.load(checkpoint, weights_only=True), strict=True)


def test_evaluation_writes_its_figures(
    tiny: dict[str, Any], trained: tuple[ConfigWorkflow, Path], tmp_path: Path
) -> None:
    flow = workflow("train evaluate", "train", tmp_path, **tiny)
    run(flow)
    metrics = flow.parser.get_parsed_content("validate#evaluator").state.metrics
    assert set(metrics) == {"val_mean_dice", "val_lesion_dice"}
    lines = (tmp_path / "val_mean_dice_raw.csv").read_text().splitlines()
    tested = json.loads((Path(tiny["dataset_dir"]) / "dataset.json").read_text())["test"]
    assert [Path(line.split(",")[0]).name for line in lines[1:]] == [Path(entry["image"]).name for entry in tested]
    assert np.mean([float(line.split(",")[1]) for line in lines[1:]]) == pytest.approx(metrics["val_mean_dice"])


def test_only_the_sites_that_were_asked_for(tiny: dict[str, Any], tmp_path: Path) -> None:
    dataset = json.loads((Path(tiny["dataset_dir"]) / "dataset.json").read_text())
    site = dataset["training"][0]["site"]
    flow = workflow("train", "train", tmp_path, **tiny, sites=[site])
    flow.initialize()
    listed = flow.parser.get_parsed_content("train_datalist")
    assert len(listed) == sum(entry["site"] == site for entry in dataset["training"])


def test_a_mask_has_its_images_size(tiny: dict[str, Any], trained: tuple[ConfigWorkflow, Path], tmp_path: Path) -> None:
    image = tmp_path / "wide.png"
    Image.fromarray(np.uint8(255 * np.moveaxis(endoscopy(1, size=(40, 56)).image, 0, -1))).save(image)
    run(workflow("inference", "infer", tmp_path / "out", **tiny, datalist=[str(image)]))
    mask = Image.open(tmp_path / "out" / "wide_lesion.png")
    assert mask.size == (56, 40)
    assert set(np.unique(np.asarray(mask))) <= {0, 255}


def test_a_checkpoint_of_another_encoder_is_refused(
    tiny: dict[str, Any], trained: tuple[ConfigWorkflow, Path], tmp_path: Path
) -> None:
    other = tiny_clip_folder(tmp_path, kind="vit-avg", width=32)
    flow = workflow("inference", "infer", tmp_path, **{**tiny, "encoder": str(other)})
    flow.initialize()
    with pytest.raises(RuntimeError) as raised:  # MONAI's: an expression failed
        flow.run()
    assert str(raised.value.__cause__).startswith("the checkpoint is of an MCDRL with encoder: ")


def test_the_papers_settings_are_merged() -> None:
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / "train.json"), str(CONFIGS / "train_paper.json")])
    assert (parser["max_epochs"], parser["switch_epoch"], parser["learning_rate"]) == (50, 10, 0.005)
    loss = parser.get_parsed_content("loss")
    assert isinstance(loss, MCDRLLoss)
    assert loss.one.lambda_dice == 0
    assert not loss.normalise
    assert parser["lr_scheduler"]["_target_"].endswith("ConstantLR")


def test_several_devices_are_parsed(tiny: dict[str, Any], tmp_path: Path) -> None:
    flow = workflow("train multi_gpu_train", "train", tmp_path, **tiny)
    assert flow.parser["network"]["_target_"] == "torch.nn.parallel.DistributedDataParallel"
    # early stopping is every process's, files are those of the first one
    assert flow.parser["validate#handlers"][0] == "@early_stop"
    assert "[: 1 if" in flow.parser["validate#evaluator#val_handlers"]
    last = [handler["_target_"] for handler in flow.parser["train#handlers"][-2:]]
    assert last == ["StatsHandler", "TensorBoardStatsHandler"]


@pytest.mark.slow
def test_two_processes_train(tiny: dict[str, Any], tmp_path: Path) -> None:
    options = {**tiny, "ckpt_dir": str(tmp_path / "models"), "output_dir": str(tmp_path / "out")}
    options |= {"bundle_root": str(MCDRL), "max_epochs": 1, "batch_size": 2}
    names = [str(CONFIGS / "train.json"), str(CONFIGS / "multi_gpu_train.json")]
    worker = tmp_path / "worker.py"
    worker.write_text(f"from monai.bundle import run\nrun(config_file={names!r}, **{options!r})\n")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(worker)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=MCDRL, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "models" / "model.pt").is_file()


def test_what_is_shipped_is_better_than_a_constant(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "data", 60, seed=OTHER_SEED)
    flow = workflow("train evaluate", "train", tmp_path / "out", dataset_dir=str(tmp_path / "data"))
    flow.parser["val_datalist"] = flow.parser["train_datalist"]  # more than the tenth that is the test
    run(flow)
    metrics = flow.parser.get_parsed_content("validate#evaluator").state.metrics
    masks = [Image.open(path) for path in sorted((tmp_path / "data" / "masks").iterdir())[:40]]
    full = [np.asarray(mask).mean() / 255 for mask in masks]
    everything = np.mean([2 * share / (1 + share) for share in full])
    nothing = np.mean([share == 0 for share in full])
    assert metrics["val_mean_dice"] > max(everything, nothing) + 0.05
    assert metrics["val_lesion_dice"] > 0.6


def test_what_is_shipped_answers_where_the_lesion_is(tmp_path: Path) -> None:
    seed = next(s for s in range(50_000_000, 50_000_100) if _askew(s))
    phantom = endoscopy(seed, size=(96, 144)).do(confounder="white_light")
    Image.fromarray(np.uint8(255 * np.moveaxis(phantom.image, 0, -1))).save(tmp_path / "one.png")
    run(workflow("inference", "infer", tmp_path, datalist=[str(tmp_path / "one.png")]))
    mask = np.asarray(Image.open(tmp_path / "one_lesion.png")) > 0
    truth = phantom.labels > 0
    dice = {name: 2 * (view & truth).sum() / (view.sum() + truth.sum()) for name, view in _views(mask).items()}
    assert max(dice, key=lambda name: dice[name]) == "as it is"
    assert dice["as it is"] > 0.5


def test_it_can_be_explained(tmp_path: Path) -> None:
    Image.fromarray(np.uint8(255 * np.moveaxis(endoscopy(1).image, 0, -1))).save(tmp_path / "one.png")
    bundle = open_bundle(MCDRL, torch.device("cpu"))
    _, image = bundle.read(tmp_path / "one.png")
    assert (bundle.model.activation, bundle.model.threshold, bundle.notes) == ("sigmoid", 0.5, ())
    with torch.no_grad():
        assert bundle.model.network(image[None]).shape == (1, 1, 96, 96)


def test_only_what_the_network_returns_in_training_is_unpacked() -> None:
    logits = torch.randn(2, 1, 4, 4, requires_grad=True)
    output = MCDRLOutput(logits, *(torch.zeros(1) for _ in range(6)))
    unpacked = Logitsd("pred")({"pred": output, "label": "kept"})
    assert unpacked["label"] == "kept"
    assert torch.equal(unpacked["pred"], logits)
    assert not unpacked["pred"].requires_grad
    assert Logitsd("pred")({"pred": logits})["pred"] is logits


def _askew(seed: int) -> bool:
    causes = endoscopy(seed, size=(96, 144)).causes
    down, right = causes.centre
    return causes.lesion and causes.area > 0.1 and abs(down) > 0.08 and abs(right) > 0.08


def _views(mask: np.ndarray) -> dict[str, np.ndarray]:
    turned = np.asarray(Image.fromarray(mask.T).resize(mask.shape[::-1], Image.Resampling.NEAREST)) > 0
    return {"as it is": mask, "left is right": mask[:, ::-1], "upside down": mask[::-1], "turned": turned}


def commands() -> list[str]:
    """What the README says to run."""
    blocks = re.findall(r"```\n(.*?)```", (MCDRL / "docs" / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return list(dict.fromkeys(line for line in lines if line.startswith(("python ", "torchrun ", "monai-causal "))))


def test_its_readme_has_commands_for_all_that_it_does() -> None:
    together = "\n".join(commands())
    assert all(
        part in together for part in ("train.json", "evaluate.json", "inference.json", "torchrun", "ckpt_export")
    )


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    write_phantoms(folder / "data", 60, seed=OTHER_SEED)
    shutil.copy(sorted((folder / "data" / "images").iterdir())[0], folder / "image.png")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", commands(), ids=lambda command: command.split(" -m ")[-1][:90])
def test_every_command_of_its_readme_runs(command: str, phantoms: Path, tmp_path: Path) -> None:
    """As it stands there, in the bundle's folder; trainings only for a moment."""
    if "openai" in command or "train_paper" in command:
        pytest.skip("the weights of ViT-B-16 come from a hub")
    here = tmp_path / MCDRL.name
    shutil.copytree(MCDRL, here, ignore=shutil.ignore_patterns("eval", "data"))
    shutil.copy(phantoms / "image.png", here / "image.png")
    if "mcdrl phantoms" not in command:
        shutil.copytree(phantoms / "data", here / "data")
    command = command.replace("--count 720", "--count 24")
    if "train.json" in command and "evaluate.json" not in command:
        command += " --max_epochs 1 --batch_size 4"
    if " explain " in command:
        command += " --patch-size 32"
    launcher = f"{sys.executable} -m torch.distributed.run"
    command = command.replace("torchrun", launcher).replace("python -m monai", f"{sys.executable} -m monai")
    command = command.replace("monai-causal ", f"{sys.executable} -m monai_causal ")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        ["bash", "-c", command], cwd=here, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]
