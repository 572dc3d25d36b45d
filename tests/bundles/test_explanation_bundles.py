# SPDX-License-Identifier: Apache-2.0
"""The two explanation bundles point at what the phantoms know to be the cause, and take a user's own things."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("ignite", reason="the extra 'train' is not installed")
pytest.importorskip("open_clip", reason="the extra 'clip' is not installed")

from monai.networks.nets import BasicUNet

from monai_causal.apps.explain.bundles import open_bundle
from monai_causal.data.phantoms import endoscopy, shapes
from monai_causal.inferers import Explanation
from monai_causal.intervene.regions import coverage
from tests.bundles.bundle import DEA, PDCR, save_picture, workflow

SIZE = (96, 96)
RENDERED = {PDCR: ("shapes", shapes), DEA: ("endoscopy", endoscopy)}
both = pytest.mark.parametrize("bundle", [PDCR, DEA], ids=["pdcr", "dea"])


def explained(bundle: Path, out: Path, **options: Any) -> list[Explanation]:
    """What the bundle's inference finds of each image, one after the other."""
    flow = workflow(bundle, "inference", "infer", out, **options)
    flow.initialize()
    evaluator = flow.parser.get_parsed_content("evaluator")
    found: list[Explanation] = []
    from ignite.engine import Events

    evaluator.add_event_handler(
        Events.ITERATION_COMPLETED, lambda: found.extend(flow.parser.get_parsed_content("inferer").explanations)
    )
    assert flow.check_properties() == []
    flow.run()
    flow.finalize()
    return found


def seeds_of(bundle: Path) -> Iterator[int]:
    for path in sorted((bundle / "sample").glob("*.png")):
        yield int(re.fullmatch(r"[a-z]+-(\d+)", path.stem)[1])  # type: ignore[index]


@both
def test_the_sample_is_the_phantoms_that_it_says(bundle: Path) -> None:
    name, render = RENDERED[bundle]
    seeds = list(seeds_of(bundle))
    assert len(seeds) == 2
    for seed in seeds:
        stored = np.asarray(Image.open(bundle / "sample" / f"{name}-{seed}.png"))
        image = np.rint(255 * np.moveaxis(render(seed, size=SIZE).image, 0, -1))
        assert np.array_equal(stored, image[..., 0] if image.shape[-1] == 1 else image)
        assert str(seed) in (bundle / "docs" / "README.md").read_text().replace(",", "")


def test_pdcr_points_at_the_marker(tmp_path: Path) -> None:
    found = explained(PDCR, tmp_path)
    for seed, one in zip(seeds_of(PDCR), found, strict=True):
        phantom = shapes(seed, size=SIZE)
        result = one.result
        assert result is not None
        assert one.class_idx == phantom.causes.resolved_class
        strongest = int(result.ate.argmin())
        assert bool(result.relevant[strongest])
        assert (coverage(result.regions[strongest], SIZE).numpy() & (phantom.maps["cue"] > 0)).any()
        others = result.ate.clone()
        others[strongest] = 0
        assert result.ate[strongest] < 3 * others.min()
        folder = tmp_path / f"shapes-{seed}"
        stored = nib.load(folder / f"shapes-{seed}_pdcr.nii.gz")
        assert np.allclose(np.squeeze(stored.get_fdata()), np.squeeze(np.asarray(one.map)), atol=1e-5)
        table = json.loads((folder / f"shapes-{seed}_pdcr.json").read_text())
        assert table["effects"][0]["value"] == pytest.approx(float(result.ate[strongest]))
        assert table["effects"][0]["box"] == [list(span) for span in result.regions[strongest].box]
        assert Image.open(folder / f"shapes-{seed}_pdcr.png").size[0] > 500


def test_dea_points_at_the_polyp(tmp_path: Path) -> None:
    for seed, one in zip(seeds_of(DEA), explained(DEA, tmp_path), strict=True):
        polyp = torch.from_numpy(endoscopy(seed, size=SIZE).labels > 0)
        heat = torch.as_tensor(np.asarray(one.map))[0]
        assert polyp[np.unravel_index(int(heat.argmax()), SIZE)]
        assert heat[polyp].mean() > 3 * heat[~polyp].mean()
        folder = tmp_path / f"endoscopy-{seed}"
        stored = nib.load(folder / f"endoscopy-{seed}_dea.nii.gz")
        assert np.allclose(np.squeeze(stored.get_fdata()), heat.numpy(), atol=1e-6)
        assert (folder / f"endoscopy-{seed}_dea.png").is_file()


def test_ones_own_image_roi_patches_and_donors(tmp_path: Path) -> None:
    phantom = shapes(5, size=(80, 104))
    mine = save_picture(tmp_path / "mine" / "odd.png", phantom.image)
    donors = {"_target_": "monai_causal.data.banks.DonorBank.from_folder", "folder": str(tmp_path / "donors")}
    save_picture(tmp_path / "donors" / "one.png", shapes(6, size=SIZE).image)
    save_picture(tmp_path / "donors" / "two.png", shapes(7, size=SIZE).image)
    middle = [int(x) for x in phantom.causes.object_centre]
    roi = [[x - 8, x + 8] for x in middle]
    (one,) = explained(
        PDCR,
        tmp_path / "out",
        datalist=[str(mine)],
        roi=roi,
        patch_size=16,
        rule="paper",
        donors={**donors, "patch_size": "@patch_size"},
    )
    result = one.result
    assert result is not None
    assert result.rule["name"] == "paper"
    assert {region.shape for region in result.regions} == {(16, 16)}
    assert torch.equal(one.roi, coverage(tuple(map(tuple, roi)), (96, 128)))
    stored = nib.load(tmp_path / "out" / "odd" / "odd_pdcr.nii.gz")
    assert np.squeeze(stored.get_fdata()).shape == (80, 104)  # what the network's padding added is gone again
    assert np.allclose(np.squeeze(stored.get_fdata()), np.asarray(one.map)[0, :80, :104], atol=1e-5)


def test_ones_own_network(tmp_path: Path) -> None:
    options: dict[str, Any] = {"spatial_dims": 2, "in_channels": 3, "out_channels": 1}
    options["features"] = [8, 8, 16, 16, 16, 8]
    torch.manual_seed(0)
    network = BasicUNet(**options)
    with torch.no_grad():
        network.final_conv.bias.fill_(10.0)  # it answers everywhere
    torch.save({"model": network.state_dict()}, tmp_path / "my.pt")
    (one,) = explained(
        DEA,
        tmp_path / "out",
        datalist=[str(next((DEA / "sample").glob("*.png")))],
        network_def={"_target_": "BasicUNet", **options},
        ckpt_path=str(tmp_path / "my.pt"),
        target_layers="upcat_2",
        grid=4,
        roi=[[0, 48], [0, 96]],
    )
    assert one.answer.all()
    assert one.roi[:48].all()
    assert not one.roi[48:].any()


def test_an_image_without_an_answer_is_said_to_have_none(tmp_path: Path) -> None:
    blank = save_picture(tmp_path / "blank.png", np.full((3, 96, 96), 0.5))
    (one,) = explained(DEA, tmp_path / "out", datalist=[str(blank)])
    assert not one.map.any()
    written = json.loads((tmp_path / "out" / "blank" / "blank_dea.json").read_text())
    assert written["note"] == one.note != ""


def commands(bundle: Path) -> list[str]:
    """What the README says to run."""
    blocks = re.findall(r"```\n(.*?)```", (bundle / "docs" / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return list(dict.fromkeys(line for line in lines if line.startswith(("python ", "torchrun "))))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bundle", "command"),
    [(bundle, command) for bundle in (PDCR, DEA) for command in commands(bundle)],
    ids=lambda value: value.name[:4] if isinstance(value, Path) else value.split("configs/", 1)[-1][:60],
)
def test_every_command_of_its_readme_runs(bundle: Path, command: str, tmp_path: Path) -> None:
    """As it stands there, in the bundle's folder; trainings only for a moment."""
    here = tmp_path / bundle.name
    shutil.copytree(bundle, here, ignore=shutil.ignore_patterns("eval"))
    _, render = RENDERED[bundle]
    for name in ("my.png", "my_images/a.png", "my_images/b.png"):
        save_picture(here / name, render(len(name), size=SIZE).image)
    shutil.copy(here / "models" / "model.pt", here / "my.pt")
    torch.manual_seed(0)
    channels = {PDCR: (1, 3), DEA: (3, 1)}[bundle]
    torch.save(BasicUNet(2, *channels, features=(8, 8, 16, 16, 16, 8)).state_dict(), here / "my_network.pt")
    if "train.json" in command:
        count = "" if "evaluate.json" in command else " --max_epochs 1 --train_count 16 --batch_size 4"
        command += f"{count} --val_count 8"
    if "my_network.pt" in command:  # not trained, it may answer everywhere: there would be no patch beside its answer
        command += " --roi [[8,32],[56,80]]"
    launcher = f"{sys.executable} -m torch.distributed.run"
    command = command.replace("torchrun", launcher).replace("python -m monai", f"{sys.executable} -m monai")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        ["bash", "-c", command], cwd=here, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]


@both
def test_it_runs_by_command_from_outside_its_folder(bundle: Path, tmp_path: Path) -> None:
    configs = bundle / "configs"
    places = {
        "config_file": configs / "inference.json",
        "meta_file": configs / "metadata.json",
        "logging_file": configs / "logging.conf",
        "bundle_root": bundle,
        "output_dir": "here",
    }
    command = [sys.executable, "-m", "monai.bundle", "run"]
    command += [part for name, value in places.items() for part in (f"--{name}", str(value))]
    command += ["--datalist", str([str(next((bundle / "sample").glob("*.png")))])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    written = sorted(path.name.split("_")[-1] for path in (tmp_path / "here").rglob("*") if path.is_file())
    method = "pdcr" if bundle == PDCR else "dea"
    assert written == [f"{method}.json", f"{method}.nii.gz", f"{method}.png"]


@both
def test_explain_takes_the_network_and_not_the_explanation(bundle: Path) -> None:
    """Or the map of a map would be made."""
    opened = open_bundle(bundle, torch.device("cpu"))
    assert opened.model.inferer is None
    assert opened.model.record["inferer"] != "ExplanationInferer"
