# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_causal.apps.medfocus.segmenters.bundled import BundleSegmenter
from tests.apps.explain.bundles import picture_bundle

COLUMNS, ROWS = 48, 64


def image() -> Any:
    picture = np.zeros((ROWS, COLUMNS), np.float32)
    picture[10:22, 30:41] = 1
    return picture


def name_channels(folder: Path, channels: dict[str, str]) -> None:
    path = folder / "configs" / "metadata.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["network_data_format"]["outputs"] = {"pred": {"channel_def": channels}}
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize("enlarged", [1, 3])
def test_the_answer_lies_on_the_image_and_its_labels_are_translated(tmp_path: Path, enlarged: int) -> None:
    # The bundle's answer at p is read at p - (3, -5), columns first.
    folder = picture_bundle(tmp_path / "bundle", (3, -5), (COLUMNS, ROWS))
    name_channels(folder, {"0": "background", "1": "Heart"})
    segmenter = BundleSegmenter(folder)
    found = segmenter(np.kron(image(), np.ones((enlarged, enlarged), np.float32)))
    expected = np.kron(np.roll(image(), (-5, 3), axis=(0, 1)), np.ones((enlarged, enlarged))) > 0
    assert list(found.masks) == ["cardiac silhouette"]
    assert (found.masks["cardiac silhouette"] != expected).sum() <= (enlarged - 1) * 4
    assert found.confidence["cardiac silhouette"] == pytest.approx(1 / (1 + np.exp(-10)), abs=1e-4)
    assert found.notes == ("the bundle's labels background are no concepts",)
    assert found.steps[0].startswith("bundle ")
    assert found.details["bundle"]["kind"] == "bundle"


def test_labels_may_be_given(tmp_path: Path) -> None:
    folder = picture_bundle(tmp_path / "bundle", (0, 0), (COLUMNS, ROWS))
    found = BundleSegmenter(folder, {1: "left_lung"})(image())
    np.testing.assert_array_equal(found.masks["left lung"], image() > 0)
    assert found.notes == ()


def test_nothing_found_is_an_empty_mask_without_confidence(tmp_path: Path) -> None:
    folder = picture_bundle(tmp_path / "bundle", (0, 0), (COLUMNS, ROWS))
    weak = image()
    weak[0, 0] = 0.4
    found = BundleSegmenter(folder, {0: "left lung", 1: "heart"})(1 - np.ones_like(weak) + 0 * weak)
    assert not found.masks["cardiac silhouette"].any()
    assert found.confidence["cardiac silhouette"] == 0


def test_labels_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    folder = picture_bundle(tmp_path / "bundle", (0, 0), (COLUMNS, ROWS))
    with pytest.raises(ValueError, match=r"labels \['spleen'\] are none of the chest radiograph"):
        BundleSegmenter(folder, {1: "spleen"})
    with pytest.raises(ValueError, match="two channels mean 'left lung'"):
        BundleSegmenter(folder, {0: "left lung", 1: "lung left"})
    with pytest.raises(ValueError, match="the bundle gives 2 channels, there is no number 2"):
        BundleSegmenter(folder, {2: "left lung"})(image())
    name_channels(folder, {})
    with pytest.raises(ValueError, match="name no channels of its output: give labels"):
        BundleSegmenter(folder)
