# SPDX-License-Identifier: Apache-2.0
"""A real ``monailabel start_server`` and its own client: everything that an annotator does with our app, offline."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from monai_causal.apps.explain.weights import digest_of
from monai_causal.data.phantoms import endoscopy
from monai_causal.label import BUNDLES, write_app
from monai_causal.label.explaining import ROI_VALUE
from monai_causal.label.infers import SegmentationTask
from monai_causal.label.scoring import INFO_KEY
from monai_causal.label.served import ServedBundle
from tests.label.server import Label, need_label_environment, served

pytest.importorskip("open_clip", reason="the extra 'clip' is not installed")

# One worker takes the whole file: all its tests ask one server.
pytestmark = [pytest.mark.label, pytest.mark.slow]

MCDRL, DEA = "mcdrl_endoscopy_segmentation", "dea_segmentation_explanation"
SEEDS = (9000003, 9000004, 9000005)  # two polyps, and a fold that is taken for one
LESION, OTHER_LESION, FOLD = (f"frame-{seed}" for seed in SEEDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An app, frames, and what is true of them."""
    need_label_environment()
    folder = tmp_path_factory.mktemp("label")
    write_app(folder / "app")
    for name in ("frames", "truth"):
        (folder / name).mkdir()
    for seed in SEEDS:
        phantom = endoscopy(seed, size=(96, 96))
        pixels = np.rint(255 * np.moveaxis(phantom.image, 0, -1)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "frames" / f"frame-{seed}.png")
        Image.fromarray((phantom.labels > 0).astype(np.uint8) * 255).save(folder / "truth" / f"frame-{seed}.png")
    return folder


@pytest.fixture(scope="module")
def label(folder: Path) -> Iterator[Label]:
    # Scoring runs when a test asks for it, not at each turn.
    settings = {"MONAI_LABEL_AUTO_UPDATE_SCORING": "false"}
    with served(folder / "app", str(folder / "frames"), folder / "home", **settings) as server:
        yield server


def test_the_client_lists_our_models(label: Label) -> None:
    info = label("info")
    assert set(info["models"]) == {f"{name}{kind}" for name in BUNDLES for kind in ("", "_bands", "_map")}
    assert info["models"][MCDRL]["labels"] == {"polyp": 1}
    bands = info["models"][f"{MCDRL}_bands"]
    assert (bands["type"], bands["dimension"]) == ("segmentation", 2)
    assert bands["labels"]["strong support"] == 1
    assert bands["config"]["method"][0] == "pdcr"
    assert {"patch_size", "rule", "roi"} <= set(bands["config"])
    assert info["models"][f"{DEA}_map"]["type"] == "others"
    assert info["models"][f"{DEA}_map"]["config"]["target_layer"] == "up.1"
    assert set(info["trainers"]) == {MCDRL}
    assert "wrong_reason_first" in info["strategies"]
    assert set(info["scoring"]) == {"causal_evidence"}
    assert info["datastore"]["total"] == len(SEEDS)


def test_a_segmentation_is_the_one_that_the_bundle_gives_here(label: Label, folder: Path) -> None:
    file, params = label("infer", MCDRL, LESION, {"device": "cpu"})
    answer = np.asarray(Image.open(file))
    own, _ = SegmentationTask(ServedBundle(folder / "app" / "model" / MCDRL))(
        {"image": str(folder / "frames" / f"{LESION}.png"), "device": "cpu"}
    )
    # numpy of another major version is at work there; a voxel at the threshold may fall differently
    assert (answer != np.asarray(Image.open(own))).mean() < 0.002
    Path(own).unlink()
    assert params["voxels"]["polyp"] == int((answer == 1).sum())
    truth = np.asarray(Image.open(folder / "truth" / f"{LESION}.png")) > 0
    assert 2 * (answer[truth] == 1).sum() / ((answer == 1).sum() + truth.sum()) > 0.5


def test_an_explanation_comes_as_bands_and_as_numbers(label: Label) -> None:
    asked = {"device": "cpu", "rule": "paper", "samples": 2, "patch_size": 32}
    file, params = label("infer", f"{MCDRL}_bands", LESION, {**asked, "result_extension": ".nrrd"})
    itk = pytest.importorskip("itk")
    bands = itk.array_from_image(itk.imread(file))[0]
    assert params["replaced_by"]["kind"] == f"patches of {len(SEEDS) - 1} other images"
    assert params["findings"]["baseline"] == 100
    (top, bottom), (left, right) = params["roi"]["box"]
    assert (bands[top:bottom, left:right] == ROI_VALUE).all()
    file, again = label("infer", f"{MCDRL}_map", LESION, asked)
    heat = np.asarray(nib.load(file).dataobj)[..., 0].T
    assert heat.dtype == np.float32
    assert again["effects"] == params["effects"]  # the same question, the same draws
    strongest = np.abs(heat).max()
    for row in params["effects"]:
        inside = tuple(slice(*span) for span in row["box"])
        value = row["value"] if row["relevant"] else 0.0
        np.testing.assert_allclose(heat[inside], value, rtol=1e-5)
        if abs(value) > 2 / 3 * strongest * 1.001:
            assert (bands[inside] == (1 if value < 0 else 6)).all()


def test_a_gradient_method_explains_under_the_server_too(label: Label) -> None:
    file, params = label("infer", f"{DEA}_map", LESION, {"device": "cpu"})
    heat = np.asarray(nib.load(file).dataobj)
    assert (params["method"], params["findings"]["layer"]) == ("dea", "up.1")
    assert heat.max() > 0.3


def test_a_label_is_submitted_and_says_where_to_ask(label: Label, folder: Path) -> None:
    marked = np.zeros((96, 96), np.uint8)
    marked[30:70, 40:72] = 1
    Image.fromarray(marked).save(folder / "marked.png")
    label("save_label", LESION, str(folder / "marked.png"), "final")
    assert label("info")["datastore"]["completed"] == 1
    asked = {"device": "cpu", "method": "ria", "cells": 3, "roi": "label"}
    _, params = label("infer", f"{DEA}_map", LESION, asked)
    (top, bottom), (left, right) = params["roi"]["box"]
    assert 30 <= top < bottom <= 70
    assert 40 <= left < right <= 72


def test_the_next_sample_is_the_one_answered_for_the_wrong_reason(label: Label) -> None:
    request = urllib.request.Request(
        f"{label.url}/scoring/causal_evidence?run_sync=true",
        json.dumps({"model": MCDRL}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        scored = json.load(answer)
    assert (scored["scored"], scored["failed"]) == (len(SEEDS), 0)
    scores = {name: found["score"] for name, found in scored["images"].items()}
    assert scores[FOLD] > scores[OTHER_LESION]
    chosen = label("next_sample", "wrong_reason_first", {})
    assert chosen["id"] == FOLD
    assert chosen["score"] == scores[FOLD]
    assert chosen[INFO_KEY][MCDRL]["disagreement"] > 0
    # Somebody else asks; the labelled one is out.
    assert label("next_sample", "wrong_reason_first", {})["id"] == OTHER_LESION


def test_mcdrl_is_trained_for_an_epoch(label: Label, folder: Path) -> None:
    for name in (LESION, OTHER_LESION, FOLD):
        label("save_label", name, str(folder / "truth" / f"{name}.png"), "final")
    models = folder / "app" / "model" / MCDRL / "models"
    before = digest_of(models / "model.pt")
    label("train_start", MCDRL, {"max_epochs": 1, "device": "cpu"})
    label.wait_for("train")
    assert digest_of(models / "model.pt") != before
    assert digest_of(models / "before_last_training.pt") == before
    trained, untrained = (
        torch.load(models / name, weights_only=True) for name in ("model.pt", "before_last_training.pt")
    )
    weights = trained.get("model", trained)
    old = untrained.get("model", untrained)
    assert weights.keys() == old.keys()
    stats = label("info")["train_stats"][MCDRL]
    assert stats["images"] == {"validation": 1, "training": 2}
    # The server answers with the new weights at once.
    _, params = label("infer", MCDRL, LESION, {"device": "cpu"})
    assert params["model"]["weights"] == digest_of(models / "model.pt")
