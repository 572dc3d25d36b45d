# SPDX-License-Identifier: Apache-2.0
"""``benchmarks/pdcr_ct.py`` on a real CT: organs and patches are explained window by window, and lie on the CT."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_causal.visualize.pdcr_result import PdCRResult
from tests.guards.checkout import ROOT

pytest.importorskip("itk", reason="the extra 'volumes' is not installed")
pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_the_maps_of_organs_and_patches_open_on_the_ct(real_data: Path, tmp_path: Path) -> None:
    volumes = real_data / "volumes"
    command = [sys.executable, "benchmarks/pdcr_ct.py", "--volumes", str(volumes), "--out", str(tmp_path)]
    subprocess.run([*command, "--steps", "60", "--samples", "4"], cwd=ROOT, check=True, capture_output=True)
    told = json.loads((tmp_path / "ct.json").read_text())
    assert told["windows_against_dense"]["largest_difference"] == 0
    assert told["dice_on_the_same_volume"] > 0.5
    assert str(real_data) not in (tmp_path / "ct.json").read_text()
    ct = nib.load(volumes / "example_ct_sm.nii.gz")
    organs = np.asarray(nib.load(volumes / "example_seg.nii.gz").dataobj)
    roi = tuple(slice(*span) for span in told["roi"])
    for name in ("patches", "organs"):
        result = PdCRResult.load(tmp_path / name)
        assert result.record.execution == "windows"
        written = nib.load(tmp_path / name / "map.nii.gz")
        np.testing.assert_allclose(written.affine, ct.affine)
        assert written.shape == ct.shape
        heat = np.asarray(written.dataobj)
        assert not heat[roi].any()
        assert heat.any()
        for region, effect, relevant in zip(result.regions, result.ate, result.relevant, strict=True):
            inside = heat[region.index[1:]]
            inside = inside if region.mask is None else inside[region.mask.numpy()]
            np.testing.assert_allclose(inside, float(effect) if relevant else 0.0, rtol=1e-5)
    # An organ's region is the organ without the RoI, under its own name.
    liver = next(region for region in result.regions if region.name == "liver")
    beside = organs == 5
    beside[roi] = False
    assert liver.size == int(beside.sum())
    # What lies farther from the RoI than two windows reach has no effect.
    for row in told["rows"]:
        gaps = [
            max(low - stop, start - high, 0) for (low, high), (start, stop) in zip(row["box"], told["roi"], strict=True)
        ]
        assert all(gap < 48 for gap in gaps)
