# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import stats

from monai_causal.intervene import (
    DonorPatchFill,
    MeanFill,
    box_regions,
    label_regions,
    mask_regions,
    module_regions,
)
from monai_causal.visualize import PdCR, PdCRResult
from tests.golden import PlantedContext

ROI = ((8, 14), (9, 17))


def image_of(shape: tuple[int, ...]) -> MetaTensor:
    generator = torch.Generator().manual_seed(1)
    affine = torch.tensor([[0, 1.5, 0, 9], [2, 0, 0, -4], [0, 0, 3, 1], [0, 0, 0, 1]], dtype=torch.float64)
    return MetaTensor(torch.rand(1, 1, *shape, generator=generator, dtype=torch.float64), affine=affine)


def result_of(rule: Any = "sequential", regions: Any = None, shape: tuple[int, ...] = (24, 30), roi: Any = ROI) -> Any:
    bank = torch.rand(6, 1, *shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    network = PlantedContext((5, -4, 3)[: len(shape)])
    return PdCR(network, DonorPatchFill(bank), 5, rule).explain(image_of(shape), roi, regions=regions)


RESULTS: dict[str, Any] = {
    "sequential": result_of,
    "paper": lambda: result_of("paper"),
    "exhaustive": lambda: result_of("exhaustive"),
    "3-D": lambda: result_of(shape=(12, 14, 10), roi=((4, 8), (4, 8), (4, 8))),
    "labels": lambda: result_of(regions=label_regions(lumps(), names={2: "two"})),
    "boxes that overlap": lambda: result_of(regions=box_regions((24, 30), [((0, 6), (0, 9)), ((3, 8), (5, 20))])),
}


def lumps() -> np.ndarray:
    """Labels in odd shapes, away from the RoI."""
    rows, columns = np.indices((24, 30))
    labels = 1 + ((rows + columns) // 9 + (rows > 18)) % 4
    labels[6:16, 7:19] = 9
    return labels


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_comes_back_from_disk(name: str, tmp_path: Path) -> None:
    check_round_trip(RESULTS[name](), tmp_path)


def test_overlapping_masks_come_back_too(tmp_path: Path) -> None:
    labels = lumps()
    masks = np.stack([labels == 1, labels < 3, (labels == 3) | (labels == 1)])
    check_round_trip(result_of(regions=mask_regions(masks)), tmp_path)


def check_round_trip(result: PdCRResult, folder: Path) -> None:
    back = PdCRResult.load(result.save(folder / "out"))
    assert torch.equal(back.map, result.map)
    assert isinstance(back.map, MetaTensor)
    assert torch.equal(back.map.affine, result.map.affine)
    for name in ("ites", "ate", "standard_error", "p_values", "relevant", "settled", "roi"):
        torch.testing.assert_close(getattr(back, name), getattr(result, name), rtol=0, atol=0, equal_nan=True)
    assert back.regions.ids == result.regions.ids
    for one, other in zip(back.regions, result.regions, strict=True):
        assert one.box == other.box
        assert (one.mask is None) == (other.mask is None)
        assert one.mask is None or torch.equal(one.mask, other.mask)
    assert (back.baseline, back.unit, back.rule, back.record) == (
        result.baseline,
        result.unit,
        result.rule,
        result.record,
    )
    assert back.profile() == result.profile()
    torch.testing.assert_close(back.interval(), result.interval(), rtol=0, atol=0, equal_nan=True)


def test_components_come_back_from_disk(tmp_path: Path) -> None:
    network = PlantedContext((2, 3))
    regions = module_regions(network, "convolution", channels=True)
    result = PdCR(network, MeanFill()).explain(image_of((24, 30)), ROI, regions=regions)
    back = PdCRResult.load(result.save(tmp_path))
    assert back.regions == result.regions
    assert torch.equal(back.ate, result.ate)


def test_volumes_lie_on_the_image(tmp_path: Path) -> None:
    result = result_of(shape=(12, 14, 10), roi=((4, 8), (4, 8), (4, 8)))
    result.save(tmp_path)
    for name in ("map", "ate", "standard_error", "roi"):
        volume = nib.load(tmp_path / f"{name}.nii.gz")
        assert volume.shape == (12, 14, 10)
        np.testing.assert_allclose(volume.affine, image_of((12, 14, 10)).affine.numpy())
    np.testing.assert_allclose(nib.load(tmp_path / "map.nii.gz").get_fdata(), result.map[0, 0].numpy(), atol=1e-5)


def test_tables(tmp_path: Path) -> None:
    result = result_of("paper")
    result.save(tmp_path)
    with (tmp_path / "effects.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["id"]) for row in rows] == list(result.regions.ids)
    assert [float(row["ate"]) for row in rows] == result.ate.tolist()
    assert [int(row["draws"]) for row in rows] == result.draws.tolist()
    assert rows[1]["box"] == "0:5 5:10"
    with (tmp_path / "ites.csv").open() as file:
        assert sum(1 for _ in file) == 1 + result.evaluations
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["schema"] == "monai_causal/pdcr/1"
    assert content["relevant"] == int(result.relevant.sum())
    assert content["profile"]["supporting"] == result.profile().supporting


def test_intervals_are_student_s() -> None:
    result = result_of("paper")
    passed = (result.draws > 3).nonzero().flatten().tolist()
    assert passed
    for row in passed:
        if not result.relevant[row]:
            continue
        drawn = result.ites[row, 3:].numpy()
        # of the 50 fresh draws; the degrees of freedom count the screening too
        low, high = stats.t.interval(0.9, 52, drawn.mean(), stats.sem(drawn))
        np.testing.assert_allclose(result.interval(0.9)[row], [low, high], rtol=1e-9)
    exact = result_of("exhaustive")
    assert torch.equal(exact.interval()[:, 0], exact.ate)
    with pytest.raises(ValueError, match=r"level=1.5"):
        result.interval(1.5)


def test_evaluations_are_counted_and_compared_with_the_paper_s() -> None:
    result = result_of("sequential")
    assert result.evaluations == int((~result.ites.isnan()).sum())
    passed = (result.ites[:, :3].abs() >= 0.02).any(1).sum()
    assert result.evaluations_of_paper() == 3 * len(result.ate) + 50 * int(passed)
    with pytest.raises(ValueError, match="n_screen=7: some region was drawn fewer times"):
        result_of("exhaustive").evaluations_of_paper(n_screen=7)


def test_a_profile_leaves_out_what_was_not_called() -> None:
    result = result_of("sequential")
    found = result.profile()
    assert found.supporting + found.suppressing == int(result.relevant.sum())
    assert found.irrelevant == int((~result.relevant).sum())
    assert 0 < found.supporting < len(result.ate)


def test_what_is_not_ours_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"schema": "other/1"}')
    with pytest.raises(ValueError, match="schema 'other/1': 'monai_causal/pdcr/1' is what can be read here"):
        PdCRResult.load(tmp_path)
