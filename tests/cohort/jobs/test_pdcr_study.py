# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from monai_causal.cohort.items import Item
from monai_causal.cohort.jobs.images import picture_of
from monai_causal.cohort.jobs.pdcr_study import PdCRStudy
from monai_causal.data.phantoms import shapes
from monai_causal.intervene import DonorPatchFill
from monai_causal.networks.nets import build_network
from monai_causal.visualize.pdcr import PdCR
from tests.cohort.jobs.workers import done, made, measure

PHANTOM = {"phantom": 1_000_000, "options": {"size": [32, 32]}}


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "donors").mkdir()
    for seed in range(3):
        grey = np.rint(255 * shapes(seed, size=(32, 32)).image[0]).astype(np.uint8)
        Image.fromarray(grey).save(tmp_path / "donors" / f"{seed}.png")
    torch.manual_seed(0)
    torch.save(build_network("unet", 1, 1, widths=(4, 8)).state_dict(), tmp_path / "model.pt")
    network = {"build": "unet", "name": "tiny", "options": {"widths": [4, 8]}, "checkpoint": str(tmp_path / "model.pt")}
    method = {"name": "pdcr", "options": {"rule": "paper", "n_samples": 3}}
    return {
        "networks": (network,),
        "donors": str(tmp_path / "donors"),
        "methods": (method, {"name": "rise", "options": {"n_masks": 8}}),
        "rois": ({"rule": "boundary", "size": 8},),
        "metrics": {"top": 2, "draws": 2},
    }


def test_effects_are_pdcrs_own_and_worth_is_measured_with_other_draws(tmp_path: Path, settings: dict[str, Any]) -> None:
    (record,) = done(tmp_path / "out", "pdcr-study", settings, [PHANTOM])
    job = PdCRStudy(settings)
    subject = job.read(Item(0, PHANTOM), tmp_path)
    network, _ = job.networks["tiny"]
    fill = DonorPatchFill(job.bank.without(image=subject.image).patches)
    pdcr = PdCR(network, fill, 8, "paper", n_samples=3, roi_size=8)
    found = pdcr.explain(subject.image, "boundary", subject.inside)
    rows = [row for row in record["regions"] if row["method"] == "pdcr"]
    assert [row["region"] for row in rows] == list(found.regions.ids)
    assert [row["effect"] for row in rows] == (found.ate * found.relevant).tolist()
    assert measure(record, "baseline", method="pdcr") == found.baseline
    assert measure(record, "relevant", method="pdcr") == int(found.relevant.sum())
    assert {row["method"] for row in record["measures"] if row["name"] == "area"} == {"pdcr", "rise"}
    assert 0 <= measure(record, "right") <= 1


def test_what_a_cohort_cannot_do_is_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="components of networks are compared within one study"):
        PdCRStudy({**settings, "methods": ({"name": "pdcr", "regions": "components"},)})
    with pytest.raises(ValueError, match="donors: there is no such folder"):
        PdCRStudy({**settings, "donors": str(tmp_path / "none")})
    image, _ = picture_of(Item(0, PHANTOM), tmp_path)
    reports, _ = made(tmp_path / "out", "pdcr-study", settings, [{"image": str(image)}])
    assert "the item has no label" in reports[0].reason
