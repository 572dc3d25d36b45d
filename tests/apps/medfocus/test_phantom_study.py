# SPDX-License-Identifier: Apache-2.0
"""A phantom's study is a valid one, and is read back as the picture that was rendered."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from monai_causal.apps.medfocus.phantom_study import KINDS, Kind, truth_of, write_phantom_study
from monai_causal.data.phantoms.chest import chest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from monai_causal.dicom import read_projection, select_projection

SIZE = (301, 280)
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
def test_it_is_read_back_as_it_was_rendered(tmp_path: Path, kind: Kind) -> None:
    folder = write_phantom_study(5, tmp_path, SIZE, kind)
    projection = read_projection(folder / "image.dcm")
    assert np.abs(projection.pixels - chest(5, size=SIZE).image[0]).max() <= 0.501 / 4095
    assert (projection.view, projection.provenance.inverted) == ("PA", kind == "cr")
    assert projection.detector_spacing == pytest.approx((1.25, 1.25))
    assert projection.remarks == ()


@each_kind
def test_it_is_the_image_that_is_chosen(tmp_path: Path, kind: Kind) -> None:
    folder = write_phantom_study(5, tmp_path, SIZE, kind)
    chosen = select_projection(folder)
    assert (chosen.rule, chosen.read().view) == ("frontal, PA", "PA")


def test_the_same_phantom_is_the_same_file(tmp_path: Path) -> None:
    first, again, other = (
        (write_phantom_study(seed, tmp_path / place, SIZE) / "image.dcm").read_bytes()
        for seed, place in ((5, "a"), (5, "b"), (6, "a"))
    )
    assert first == again
    assert first != other


def test_another_content_is_another_study(tmp_path: Path) -> None:
    uids = set()
    for name, found in (("with", ["cardiomegaly"]), ("without", [])):
        header = read_projection(write_phantom_study(5, tmp_path / name, SIZE, findings=found) / "image.dcm").header
        uids |= {header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID}
    assert len(uids) == 6


def test_the_truth_lies_beside_it(tmp_path: Path) -> None:
    folder = write_phantom_study(5, tmp_path, SIZE, findings=["cardiomegaly"])
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    phantom = chest(5, size=SIZE, findings=["cardiomegaly"])
    assert truth["answers"] == phantom.answers
    assert truth == {"schema": truth["schema"], "seed": 5, "kind": "dx", **json.loads(json.dumps(truth_of(phantom)))}
    x0, y0, x1, y1 = truth["findings"]["cardiomegaly"]["box"]
    mask = phantom.findings["cardiomegaly"].mask
    assert mask[y0:y1, x0:x1].sum() == mask.sum() > 0


@each_kind
@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
def test_the_standard_s_verifier_finds_no_error(tmp_path: Path, kind: Kind) -> None:
    path = write_phantom_study(5, tmp_path, SIZE, kind) / "image.dcm"
    said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False).stderr
    assert [line for line in said.splitlines() if line.startswith(("Error", "Warning"))] == []


@pytest.mark.parametrize(("wrong", "match"), [({"kind": "mg"}, "kind='mg'"), ({"seed": -1}, "seed=-1")])
def test_bad_input(tmp_path: Path, wrong: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        write_phantom_study(**{"seed": 5, "out": tmp_path, "size": SIZE, **wrong})  # type: ignore[arg-type]
