# SPDX-License-Identifier: Apache-2.0
"""From a configuration through MONAI's evaluator to files: the map lies on its image, the figures are the effects."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image
from torch import nn

pytest.importorskip("ignite", reason="the extra 'train' is not installed")

from monai.bundle import ConfigWorkflow

from monai_causal.inferers import ExplanationInferer, ExplanationSaver
from monai_causal.inferers.saver import figures
from monai_causal.intervene import DonorPatchFill, MeanFill
from tests.golden import PlantedContext

SPACING = np.array([[-2.0, 0, 0, 30], [0, 1.5, 0, -7], [0, 0, 3, 11], [0, 0, 0, 1]])
ROI = ((8, 12), (8, 12), (4, 8))
OFFSET = (4, -4, 0)


@pytest.fixture
def volumes(tmp_path: Path) -> list[Path]:
    paths = []
    for seed in range(2):
        values = 0.6 * np.random.default_rng(seed).random((16, 20, 8))
        paths.append(tmp_path / f"volume-{seed}.nii.gz")
        nib.save(nib.Nifti1Image(values.astype(np.float32), SPACING), paths[-1])
        mask = np.zeros((16, 20, 8), np.uint8)
        mask[8:12, 8:12, 4:8] = 1
        nib.save(nib.Nifti1Image(mask, SPACING), tmp_path / f"organ-{seed}.nii.gz")
    return paths


def configuration(volumes: list[Path], out: Path, inferer: dict[str, Any], **evaluator: Any) -> dict[str, Any]:
    """As anyone's bundle has it, with one line changed: the inferer."""
    organs = [path.with_name(path.name.replace("volume", "organ")) for path in volumes]
    return {
        "imports": ["$import torch"],
        "bundle_root": ".",
        "dataset_dir": ".",
        "output_dir": str(out),
        "device": "cpu",
        "network_def": {"_target_": "tests.golden.PlantedContext", "offset": list(OFFSET)},
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": ["image", "organ"], "ensure_channel_first": True},
                {"_target_": "Orientationd", "keys": ["image", "organ"], "axcodes": "RAS"},
                {"_target_": "EnsureTyped", "keys": "image", "dtype": "$torch.float64"},
            ],
        },
        "dataset": {
            "_target_": "Dataset",
            "data": [{"image": str(a), "organ": str(b)} for a, b in zip(volumes, organs, strict=True)],
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 2},
        "inferer": {"_target_": "monai_causal.inferers.ExplanationInferer", **inferer},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {
                    "_target_": "Invertd",
                    "keys": "pred",
                    "transform": "@preprocessing",
                    "orig_keys": "image",
                    "nearest_interp": True,
                },
                {
                    "_target_": "SaveImaged",
                    "keys": "pred",
                    "output_dir": "@output_dir",
                    "output_postfix": "why",
                    "resample": False,
                    "print_log": False,
                },
            ],
        },
        "handlers": [
            {
                "_target_": "monai_causal.inferers.ExplanationSaver",
                "inferer": "@inferer",
                "output_dir": "@output_dir",
                "postfix": "why",
            }
        ],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network_def",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
            **evaluator,
        },
        "run": ["$@evaluator.run()"],
    }


def run(config: dict[str, Any], folder: Path) -> ConfigWorkflow:
    (folder / "inference.json").write_text(json.dumps(config))
    (folder / "metadata.json").write_text(
        json.dumps({"version": "1", "monai_version": "1", "pytorch_version": "1", "numpy_version": "1"})
    )
    names = {"config_file": str(folder / "inference.json"), "meta_file": str(folder / "metadata.json")}
    flow = ConfigWorkflow(**names, logging_file=False, workflow_type="infer")
    flow.initialize()
    assert flow.check_properties() == []
    flow.run()
    return flow


@pytest.mark.parametrize("where", ["fixed", "of the batch"])
def test_one_line_of_a_bundle_explains_volumes(volumes: list[Path], tmp_path: Path, where: str) -> None:
    asked: dict[str, Any] = {"visualizer": "PdCR", "fill": 0.0, "patch_size": 4}
    # Orientationd turns the first axis around: the organ's mask turns with it, a box has to be given where it is then.
    if where == "fixed":
        asked["roi"] = [[4, 8], [8, 12], [4, 8]]
        given: dict[str, Any] = {}
    else:
        keys = {"roi": "organ", "label": "organ"}
        given = {"prepare_batch": {"_target_": "PrepareBatchExtraInput", "extra_keys": keys}}
    for path in volumes:  # in the turned volume the answer at p is read at p - d
        values = nib.load(path).get_fdata()
        turned = values[::-1]
        turned[0:4, 12:16, 4:8] = 1.0
        nib.save(nib.Nifti1Image(values.astype(np.float32), SPACING), path)
    flow = run(configuration(volumes, tmp_path / "out", asked, **given), tmp_path)
    found = flow.parser.get_parsed_content("inferer").explanations
    assert len(found) == 2
    for seed, one in enumerate(found):
        name = f"volume-{seed}"
        folder = tmp_path / "out" / name
        stored = nib.load(folder / f"{name}_why.nii.gz")
        np.testing.assert_allclose(stored.affine, SPACING)
        expected = np.zeros((16, 20, 8))
        expected[12:16, 12:16, 4:8] = -100.0  # of the stored volume, whose first axis was turned around
        np.testing.assert_array_equal(stored.get_fdata(), expected)
        written = json.loads((folder / f"{name}_why.json").read_text())
        first, second = written["effects"][:2]
        assert first["box"] == [[0, 4], [12, 16], [4, 8]]
        assert (first["value"], second["value"]) == (-100.0, 0.0)
        assert (written["roi"]["voxels"], written["roi"]["box"]) == (64, [[4, 8], [8, 12], [4, 8]])
        assert written["findings"]["baseline"] == 100
        assert written["method"] == "PdCR"
        assert written["spatial_shape"] == list(one.roi.shape) == [16, 20, 8]
        assert Image.open(folder / f"{name}_why.png").size[0] > 500


def test_of_chance_there_is_an_interval_and_of_a_single_draw_none() -> None:
    image = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    network, roi = PlantedContext((8, 0)), ((8, 16), (8, 16))
    bank = torch.rand(9, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    several = ExplanationInferer("PdCR", roi, fill=DonorPatchFill(bank), rule="exhaustive")
    several(image, network)
    (one,) = several.explanations
    assert one.result is not None
    row = figures(one)["effects"][0]
    strongest = int(one.result.ate.abs().argmax())
    assert (row["value"], row["draws"]) == (float(one.result.ate[strongest]), 9)
    assert (row["low"], row["high"]) == tuple(one.result.interval()[strongest].tolist())
    single = ExplanationInferer("PdCR", roi, fill=MeanFill())
    single(image, network)
    text = json.dumps(figures(single.explanations[0]), allow_nan=False)  # what is not a number is no JSON
    for row in json.loads(text)["effects"]:
        assert row["low"] is None or math.isfinite(row["low"])


def test_of_a_map_without_regions_the_cells_are_told(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    images = torch.rand(1, 3, 28, 42)
    inferer = ExplanationInferer("DEA", ((0, 14), (0, 42)), 1, target_layers="0", grid=7)
    heat = inferer(images, network)[0, 0]
    written = figures(inferer.explanations[0])
    assert len(written["effects"]) == 14 * 14
    values = [row["value"] for row in written["effects"]]
    assert values == sorted(values, reverse=True)
    (rows, columns) = written["effects"][0]["box"]
    assert values[0] == pytest.approx(float(heat[slice(*rows), slice(*columns)].mean()))
    assert written["sign"] == "high values support the answer"


def test_names_come_from_the_image_or_are_numbers(tmp_path: Path) -> None:
    network, roi = PlantedContext((8, 0)), ((8, 16), (8, 16))
    inferer = ExplanationInferer("PdCR", roi, fill=MeanFill(), on_empty="zeros")
    saver = ExplanationSaver(inferer, tmp_path, picture=False)
    named = MetaTensor(torch.full((1, 24, 24), 0.2).double(), meta={"filename_or_obj": "somewhere/scan.nii.gz"})
    for image in (named, torch.rand(1, 24, 24).double()):
        inferer(image[None], network)
        saver(None)  # type: ignore[arg-type]
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json"))
    assert names == ["1/1_explanation.json", "scan/scan_explanation.json"]
    empty = json.loads((tmp_path / "scan" / "scan_explanation.json").read_text())
    assert "nothing to explain" in empty["note"]
    assert empty["roi"]["voxels"] == 64
    assert all(row["value"] == 0 for row in empty["effects"])
