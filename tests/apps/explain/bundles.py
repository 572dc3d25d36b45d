# SPDX-License-Identifier: Apache-2.0
"""Two bundles in the style of MONAI's model zoo, their cause known: the answer at p is read at p - d."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

GAIN = 20.0


def planted(offset: Sequence[int], in_channels: int = 1, classes: int = 2, gain: float = GAIN) -> nn.Module:
    """One convolution: the last class where the mean over channels at p - d exceeds one half."""
    reach = [abs(d) for d in offset]
    kernel = tuple(2 * h + 1 for h in reach)
    convolution = {2: nn.Conv2d, 3: nn.Conv3d}[len(reach)]
    network = convolution(in_channels, classes, kernel, padding=tuple(reach))
    with torch.no_grad():
        network.weight.zero_()
        network.bias.zero_()
        tap = tuple(h - d for h, d in zip(reach, offset, strict=True))
        network.weight[(classes - 1, slice(None), *tap)] = gain / in_channels
        network.bias[classes - 1] = -gain / 2
    return network


def definition(offset: Sequence[int], in_channels: int, classes: int = 2) -> dict[str, Any]:
    """What :func:`planted` builds, as a bundle says it."""
    return {
        "_target_": f"torch.nn.Conv{len(offset)}d",
        "in_channels": in_channels,
        "out_channels": classes,
        "kernel_size": [2 * abs(d) + 1 for d in offset],
        "padding": [abs(d) for d in offset],
    }


def volume_bundle(folder: Path, offset: Sequence[int], spacing: Sequence[float], window: Sequence[int]) -> Path:
    """As ``spleen_ct_segmentation``: RAS, resampled, windowed intensities, sliding window, softmax and argmax."""
    config = _head(folder) | {
        "output_ext": ".nii.gz",
        "network_def": definition(offset, 1),
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {"_target_": "Spacingd", "keys": "image", "pixdim": list(spacing), "mode": "bilinear"},
                {
                    "_target_": "ScaleIntensityRanged",
                    "keys": "image",
                    "a_min": -57,
                    "a_max": 164,
                    "b_min": 0,
                    "b_max": 1,
                    "clip": True,
                },
                {"_target_": "EnsureTyped", "keys": "image"},
            ],
        },
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": list(window), "sw_batch_size": 4, "overlap": 0.5},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "softmax": True},
                {
                    "_target_": "Invertd",
                    "keys": "pred",
                    "transform": "@preprocessing",
                    "orig_keys": "image",
                    "nearest_interp": False,
                    "to_tensor": True,
                },
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
                {
                    "_target_": "SaveImaged",
                    "keys": "pred",
                    "output_dir": "@output_dir",
                    "output_ext": "@output_ext",
                    "output_postfix": "trans",
                    "separate_folder": True,
                },
            ],
        },
    }
    return _write(folder, config, planted(offset), 1)


def picture_bundle(folder: Path, offset: Sequence[int], size: Sequence[int]) -> Path:
    """As ``endoscopic_tool_segmentation``: RGB, columns before rows, resized, scaled; argmax."""
    config = _head(folder) | {
        "network_def": definition(offset, 3),
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "EnsureChannelFirstd", "keys": "image", "channel_dim": -1},
                {"_target_": "Resized", "keys": ["image"], "spatial_size": list(size), "mode": ["bilinear"]},
                {"_target_": "ScaleIntensityd", "keys": ["image"]},
            ],
        },
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {
                    "_target_": "Invertd",
                    "keys": "pred",
                    "transform": "@preprocessing",
                    "orig_keys": "image",
                    "meta_key_postfix": "meta_dict",
                    "nearest_interp": False,
                    "to_tensor": True,
                },
                {"_target_": "AsDiscreted", "argmax": True, "to_onehot": 2, "keys": ["pred"]},
                {"_target_": "Lambdad", "keys": ["pred"], "func": "$lambda x : x[1:]"},
                {
                    "_target_": "SaveImaged",
                    "keys": "pred",
                    "meta_keys": "pred_meta_dict",
                    "output_dir": "@output_dir",
                    "output_ext": ".png",
                    "scale": 255,
                    "squeeze_end_dims": True,
                },
            ],
        },
    }
    return _write(folder, config, planted(offset, 3), 3)


def state(folder: Path) -> dict[str, str]:
    """Every file of a folder and its digest."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def change(folder: Path, name: str, value: Any) -> None:
    """Set an entry of the inference configuration; ``None`` takes it out."""
    path = folder / "configs" / "inference.json"
    config = json.loads(path.read_text())
    if value is None:
        del config[name]
    else:
        config[name] = value
    path.write_text(json.dumps(config, indent=4))


def _head(folder: Path) -> dict[str, Any]:
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "dataset_dir": "/data/nowhere",
        "datalist": "$list(sorted(glob.glob(@dataset_dir + '/imagesTs/*.nii.gz')))",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    }


def _write(folder: Path, config: dict[str, Any], network: nn.Module, channels: int) -> Path:
    config |= {
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': i} for i in @datalist]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 4},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "amp": True,
        },
        "checkpointloader": {
            "_target_": "CheckpointLoader",
            "load_path": "$@bundle_root + '/models/model.pt'",
            "load_dict": {"model": "@network"},
        },
        "initialize": ["$monai.utils.set_determinism(seed=123)", "$@checkpointloader(@evaluator)"],
        "run": ["$@evaluator.run()"],
    }
    for name in ("configs", "models", "docs"):
        (folder / name).mkdir(parents=True)
    (folder / "LICENSE").write_text("Apache-2.0\n")
    (folder / "docs" / "README.md").write_text("# A bundle\n")
    (folder / "configs" / "inference.json").write_text(json.dumps(config, indent=4))
    formats = {"inputs": {"image": {"num_channels": channels}}, "outputs": {"pred": {"num_channels": 2}}}
    metadata = {"name": "A planted cause", "version": "0.1.0", "network_data_format": formats}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata, indent=4))
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    return folder
