# SPDX-License-Identifier: Apache-2.0
"""What a user names is opened as what it is, or refused with what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_causal.studio.opening import Start, open_start
from monai_causal.studio.radiograph import RadiographSession
from monai_causal.studio.segmentation import DONORS, SegmentationSession
from tests.guards.checkout import ROOT

BUNDLES = ROOT / "bundles"


def test_nothing_is_the_phantom_of_the_demo_with_its_donors() -> None:
    session = open_start(Start(device="cpu"))
    assert isinstance(session, SegmentationSession)
    assert session.fills[0] == DONORS
    assert session.picture.shape == (1, 128, 128)
    assert [part.class_idx for part in session.parts] == [2]


def test_a_bundle_is_opened_with_its_first_sample() -> None:
    folder = BUNDLES / "pdcr_segmentation_explanation"
    session = open_start(Start(folder, device="cpu"))
    assert isinstance(session, SegmentationSession)
    first = min((folder / "sample").iterdir())
    assert np.array_equal(np.rint(255 * session.picture[0]), np.asarray(Image.open(first).convert("L")))


def test_the_bundle_that_asks_about_radiographs_is_known() -> None:
    session = open_start(Start(BUNDLES / "medfocus_cxr"))
    assert isinstance(session, RadiographSession)
    assert session.picture.shape == (1, 224, 224)


def test_a_picture_is_opened_with_the_model_that_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 64), 90, dtype=np.uint8)).save(tmp_path / "p.png")
    by_name = open_start(Start(tmp_path / "p.png", "demo", device="cpu"))
    bundle = BUNDLES / "pdcr_segmentation_explanation"
    of_bundle = open_start(Start(tmp_path / "p.png", str(bundle), device="cpu"))
    assert isinstance(by_name, SegmentationSession)
    assert isinstance(of_bundle, SegmentationSession)
    assert by_name.opened.model.record["name"] == "demo"
    assert of_bundle.opened.model.record["kind"] == "bundle"
    assert of_bundle.fills[0] == "inpaint"  # no donors were given


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (Start(Path("absent")), "no such file or folder"),
        (Start(Path("p.png")), "needs a model"),
        (Start(Path("p.png"), "no-such-network"), "weights"),
        (Start(Path("empty-bundle")), "brings no sample"),
        (Start(Path("empty")), "radiograph|DICOM"),
    ],
)
def test_what_cannot_be_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Start, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty-bundle" / "configs").mkdir(parents=True)
    (tmp_path / "empty-bundle" / "configs" / "inference.json").write_text("{}")
    Image.fromarray(np.full((64, 64), 90, dtype=np.uint8)).save(tmp_path / "p.png")
    with pytest.raises((ValueError, OSError), match=message):
        open_start(start)
