# SPDX-License-Identifier: Apache-2.0
"""PdCR on networks whose effects are known on paper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn

from monai_causal.intervene import (
    BlurFill,
    CallableFill,
    DonorPatchFill,
    MeanFill,
    RoIForegroundShare,
    grid_regions,
    label_regions,
    module_regions,
)
from monai_causal.intervene.regions import coverage
from monai_causal.visualize import PdCR
from monai_causal.visualize.rois import boundary_roi
from tests.golden import PlantedContext

# offset, image size, RoI (aligned to the patches or not), patch size
CASES: dict[str, tuple[Any, Any, Any, Any]] = {
    "2-D": ((4, -6), (40, 48), ((16, 24), (8, 16)), 8),
    "2-D, RoI between the patches, ragged border": ((-7, 9), (37, 45), ((13, 22), (17, 28)), (8, 6)),
    "3-D": ((3, 0, -5), (16, 20, 18), ((4, 8), (8, 12), (4, 9)), (4, 4, 6)),
}


def setting(name: str) -> tuple[PlantedContext, Tensor, Tensor, Any, Any]:
    """A network, an image, a bank, a RoI and the patch size."""
    offset, size, roi, patch = CASES[name]
    generator = torch.Generator().manual_seed(3)
    image = torch.rand(1, 1, *size, generator=generator, dtype=torch.float64)
    bank = torch.rand(9, 1, *(12,) * len(size), generator=generator, dtype=torch.float64)
    return PlantedContext(offset), image, bank, roi, patch


@pytest.mark.parametrize("name", CASES)
def test_exhaustive_effects_equal_the_closed_form(name: str) -> None:
    network, image, bank, roi, patch = setting(name)
    label = torch.rand(image.shape[2:], generator=torch.Generator().manual_seed(5)) < 0.5
    result = PdCR(network, DonorPatchFill(bank), patch, "exhaustive").explain(image, roi, label)
    assert result.baseline == pytest.approx(network.dice(image[0], roi, label), abs=1e-12)
    for region, ate in zip(result.regions, result.ate.tolist(), strict=True):
        effects = []
        for donor in bank:
            start = [(n - m) // 2 for n, m in zip(donor.shape[1:], region.shape, strict=True)]
            replaced = image[0].clone()
            crop = tuple(slice(a, a + m) for a, m in zip(start, region.shape, strict=True))
            replaced[region.index] = donor[(slice(None), *crop)]
            covered = coverage(region, image.shape[2:])
            effects.append(network.dice_effect(image[0], replaced, covered, roi, label))
        assert ate == pytest.approx(np.mean(effects), abs=1e-12)


@pytest.mark.parametrize("rule", ["paper", "exhaustive", "sequential"])
@pytest.mark.parametrize("name", CASES)
def test_exactly_the_regions_that_the_roi_reads_are_found(name: str, rule: Any) -> None:
    network, image, bank, roi, patch = setting(name)
    result = PdCR(network, DonorPatchFill(bank), patch, rule).explain(image, roi)
    read = torch.from_numpy(network.reads(roi, image.shape[2:]))
    grid = grid_regions(image.shape[2:], patch)
    assert result.baseline == 100  # against its own first answer
    # What touches the RoI is never intervened on, whatever the RoI's alignment.
    assert result.regions.ids == grid.subset(~grid.touches(roi)).ids
    reads = result.regions.touches(read)
    assert 0 < reads.sum() < len(reads)
    # A region that shares but a voxel or two with what is read may be drawn without changing the answer.
    assert not result.relevant[~reads].any()
    assert result.relevant[torch.tensor([float(r.within(read).sum()) >= 4 for r in result.regions])].all()
    assert (result.ate[~reads] == 0).all()
    assert (result.ate[result.relevant] < 0).all()  # they support what the network itself answered
    heat = result.map[0, 0]
    assert (heat[coverage(roi, heat.shape)] == 0).all()
    for region, called, ate in zip(result.regions, result.relevant, result.ate, strict=True):
        assert set(region.within(heat).tolist()) == {float(ate) if called else 0.0}
    assert result.settled[~result.relevant].all()


def test_the_paper_rule_draws_what_it_says() -> None:
    """Against the loop that one would write from Eqs. 2 and 3."""
    network, image, bank, roi, patch = setting("2-D")
    result = PdCR(network, DonorPatchFill(bank), patch, "paper", n_screen=2, n_samples=6, seed=4).explain(image, roi)
    reference = torch.from_numpy(network.prediction(image[0].numpy()))
    replacement = DonorPatchFill(bank).prepare(image[0], result.regions, 4)
    for region, ate in zip(result.regions, result.ate.tolist(), strict=True):
        effects = []
        for draw in range(8):
            replaced = image[0].clone()
            replaced[region.index] = replacement(region, draw)
            effects.append(network.dice_effect(image[0], replaced, coverage(region, image.shape[2:]), roi, reference))
        passes = max(abs(effect) for effect in effects[:2]) >= 0.02
        mean = np.mean(effects[2:]) if passes else 0.0
        assert ate == pytest.approx(mean if abs(mean) >= 0.02 else 0.0, abs=1e-12)


@pytest.mark.parametrize("rule", ["paper", "sequential"])
def test_same_seed_same_result_whatever_the_batch_and_the_execution(rule: Any) -> None:
    network, image, bank, roi, patch = setting("2-D")
    fill = DonorPatchFill(bank)
    results = [
        PdCR(network, fill, patch, rule, seed=7, batch_size=size, execution=execution).explain(image, roi)
        for size, execution in ((1, "dense"), (16, "dense"), (5, "incremental"))
    ]
    for other in results[1:]:
        torch.testing.assert_close(other.ites, results[0].ites, rtol=0, atol=0, equal_nan=True)
        assert torch.equal(other.map, results[0].map)
    assert results[2].record.execution == "incremental"
    other = PdCR(network, fill, patch, rule, seed=8).explain(image, roi)
    assert not torch.equal(other.ate, results[0].ate)


def test_sliding_windows() -> None:
    """As if the inferer were part of the network."""
    network, image, bank, roi, patch = setting("2-D")
    inferer = SlidingWindowInferer((24, 24), overlap=0.5, mode="gaussian")
    found = PdCR(network, DonorPatchFill(bank), patch, inferer=inferer).explain(image, roi)
    assert found.record.execution == "windows"
    whole = PdCR(lambda batch: inferer(batch, network), DonorPatchFill(bank), patch, batch_size=1).explain(image, roi)
    assert whole.record.execution == "dense"
    torch.testing.assert_close(found.ites, whole.ites, rtol=0, atol=0, equal_nan=True)
    assert found.relevant.sum() >= 3


def test_maps_lie_on_the_image() -> None:
    network, image, bank, roi, patch = setting("3-D")
    affine = torch.tensor([[0, 0, 1.5, 9], [0, 2, 0, -4], [3, 0, 0, 1], [0, 0, 0, 1]], dtype=torch.float64)
    pdcr = PdCR(network, DonorPatchFill(bank), patch)
    heat = pdcr(MetaTensor(image, affine=affine), roi=roi)
    assert isinstance(heat, MetaTensor)
    assert torch.equal(heat.affine, affine)
    assert heat.shape == image.shape
    assert torch.equal(heat.as_tensor(), torch.as_tensor(pdcr(image, roi=roi)))


def test_patches_in_millimetres() -> None:
    network, image, bank, roi, _ = setting("3-D")
    spaced = MetaTensor(image, affine=torch.diag(torch.tensor([2.0, 1.0, 3.0, 1.0], dtype=torch.float64)))
    result = PdCR(network, DonorPatchFill(bank), patch_mm=6.0).explain(spaced, roi)
    assert result.regions[0].box == ((0, 3), (0, 6), (0, 2))
    with pytest.raises(ValueError, match=r"patch_mm=6.0 needs the image's affine"):
        PdCR(network, DonorPatchFill(bank), patch_mm=6.0).explain(image, roi)


def test_any_regions() -> None:
    network, image, _bank, roi, _ = setting("2-D")
    organs = torch.zeros(40, 48, dtype=torch.long)
    organs[10:20, 10:30], organs[30:, 40:], organs[0, 0] = 1, 2, 5  # the first overlaps the RoI in part
    regions = label_regions(organs, names={2: "corner"})
    fill = DonorPatchFill(torch.rand(4, 1, 40, 48, dtype=torch.float64))
    result = PdCR(network, fill, rule="exhaustive").explain(image, roi, regions=regions)
    assert result.regions.names == ("corner", "5")


def test_components_of_a_network() -> None:
    """PdCR over modules: a branch that does nothing has no effect, one that makes the answer has."""

    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = PlantedContext((2, 2)), PlantedContext((-3, 1))

        def forward(self, image: Tensor) -> Tensor:
            return self.used(image) + 0 * self.idle(image)

    network = Branches()
    _, image, _bank, roi, _ = setting("2-D")
    components = module_regions(network, ["used", "idle"])
    result = PdCR(network, MeanFill()).explain(image, roi, regions=components)
    assert result.relevant.tolist() == [True, False]
    assert result.ate[1] == 0
    assert result.ate[0] < -1
    with pytest.raises(ValueError, match="components of a network have no place in the image"):
        _ = result.map


@pytest.mark.parametrize(
    ("fill", "draws"), [(MeanFill(), 1), (BlurFill(2.0), 1), (0.0, 1), ("every", 9), ("random", 0)]
)
def test_what_leaves_nothing_to_chance_is_asked_once(fill: Any, draws: int) -> None:
    network, image, bank, roi, patch = setting("2-D")
    fill = DonorPatchFill(bank, order=fill) if isinstance(fill, str) else fill
    result = PdCR(network, fill, patch).explain(image, roi)
    if draws:
        assert result.rule == {"name": "exhaustive", "n_donors": draws}
        assert (result.draws == draws).all()
    else:
        assert result.rule["name"] == "sequential"
    assert result.relevant.any()


def test_a_roi_found_by_rule() -> None:
    network, image, bank, _, patch = setting("2-D")
    disc = torch.zeros(40, 48, dtype=torch.bool)
    disc[12:30, 14:40] = True
    pdcr = PdCR(network, DonorPatchFill(bank), patch, "paper", roi_size=16)
    assert torch.equal(pdcr.explain(image, "boundary", disc).roi, coverage(boundary_roi(disc, 16, patch), (40, 48)))
    assert torch.equal(pdcr.explain(image, "component", disc.float()[None, None]).roi, disc)
    answer = torch.from_numpy(network.prediction(image[0].numpy()))
    assert torch.equal(pdcr.explain(image, "boundary").roi, coverage(boundary_roi(answer, 16, patch), (40, 48)))


def test_one_class_of_several() -> None:
    """Class 2 reads what the golden network reads, class 1 reads elsewhere."""

    class Classes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.two, self.one = PlantedContext((4, -6)), PlantedContext((-8, 2))

        def forward(self, image: Tensor) -> Tensor:
            return torch.cat([torch.zeros_like(image), self.one(image) / 2, self.two(image)], 1)

    network = Classes()
    _, image, bank, roi, patch = setting("2-D")
    result = PdCR(network, DonorPatchFill(bank), patch, "exhaustive", class_idx=2).explain(image, roi)
    assert result.relevant[result.regions.touches(torch.from_numpy(network.two.reads(roi, (40, 48))))].any()
    with pytest.raises(ValueError, match="the network gives 3 channels: say which with class_idx"):
        PdCR(network, DonorPatchFill(bank), patch).explain(image, roi)


def test_a_missegmented_roi_is_traced_by_its_share() -> None:
    """Where the label is empty the Dice says nothing; the share that is answered does."""
    network, image, bank, roi, patch = setting("2-D")
    fill, label = DonorPatchFill(bank * 0.4), torch.zeros(40, 48)  # dark donors take false answers away
    with pytest.raises(ValueError, match="the reference holds nothing of any class inside the RoI of item 0"):
        PdCR(network, fill, patch).explain(image, roi, label)
    pdcr = PdCR(network, fill, patch, "exhaustive", score=lambda roi, reference: RoIForegroundShare(roi))
    result = pdcr.explain(image, roi, label)
    assert result.unit == "share of the RoI"
    bright = torch.from_numpy(network.prediction(image[0].numpy()))[16:24, 8:16]
    assert result.baseline == float(bright.double().mean())
    assert torch.equal(result.relevant, result.regions.touches(torch.from_numpy(network.reads(roi, (40, 48)))))
    # Each false answer goes with the region that it was read from; those read beside the RoI can be traced.
    traceable = torch.from_numpy(network.reads(roi, (40, 48))) & coverage(result.regions, (40, 48))
    count = int((image[0, 0][traceable] > 0.5).sum())
    assert float(result.ate.sum()) == pytest.approx(-count / 64, abs=1e-12)


def test_the_network_is_left_as_it_was() -> None:
    _, image, bank, roi, patch = setting("2-D")
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Dropout(), nn.Conv2d(2, 1, 1)).double()
    network[1].eval()
    label = torch.ones(40, 48)
    seen = image.clone()
    with torch.no_grad():
        PdCR(network, DonorPatchFill(bank), patch, "paper").explain(seen, roi, label)
    assert [module.training for module in network] == [True, False, True]
    assert torch.equal(seen, image)
    assert not seen.requires_grad
    assert all(p.grad is None for p in network.parameters())
    assert all(not module._forward_hooks for module in network.modules())


ERRORS: dict[str, tuple[Callable[[], Any], str]] = {}


def error(name: str, message: str) -> Callable[[Callable[[], Any]], None]:
    def register(act: Callable[[], Any]) -> None:
        ERRORS[name] = act, message

    return register


def explain(
    fill: Any = None, roi: Any = ((16, 24), (8, 16)), label: Any = None, image: Any = None, **options: Any
) -> Any:
    network, own, bank, _, patch = setting("2-D")
    return PdCR(network, DonorPatchFill(bank) if fill is None else fill, **{"patch_size": patch, **options}).explain(
        own if image is None else image, roi, label
    )


error("empty RoI label", "the reference holds nothing of any class inside the RoI")(
    lambda: explain(label=torch.zeros(40, 48))
)
error("RoI off the image", r"leaves the image: \[32, 48\) on axis 0 of 40 voxels")(
    lambda: explain(roi=((32, 48), (0, 8)))
)
error("label of another size", r"the reference of shape \(40, 47\) does not fit an image of shape \(40, 48\)")(
    lambda: explain(label=torch.ones(40, 47))
)
error("bank of another modality", r"donor 0 has shape \(3, 12, 12\); this image needs \(1, ")(
    lambda: explain(DonorPatchFill(torch.rand(4, 3, 12, 12)))
)
error("bank smaller than a patch", r"donor 0 of shape \(6, 6\) is smaller than the patch \(8, 8\)")(
    lambda: explain(DonorPatchFill(torch.rand(4, 1, 6, 6)))
)
error("several images", r"the image is \(2, 1, 8, 8\): PdCR explains one at a time")(
    lambda: explain(image=torch.rand(2, 1, 8, 8))
)
error("no region beside the RoI", "each of the 1 regions touches the RoI")(lambda: explain(patch_size=(40, 48)))
error("an unknown rule", "rule='best': choose")(lambda: explain(rule="best"))
error("no finite bank", "CallableFill draws from no finite set")(
    lambda: explain(CallableFill(lambda original, region, generator: 0.0), rule="exhaustive")
)
error("an unknown option", "fold")(lambda: explain(fold=3))


@pytest.mark.parametrize("name", ERRORS)
def test_what_is_wrong_is_said(name: str) -> None:
    act, message = ERRORS[name]
    with pytest.raises((ValueError, TypeError), match=message):
        act()
