# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from monai_causal.intervene import (
    CallableScore,
    DonorPatchFill,
    Evaluator,
    InpaintFill,
    MeanFill,
    Regions,
    grid_regions,
    mask_regions,
)
from monai_causal.intervene.fills import as_fill
from monai_causal.metrics import JointFill, joint_regions

SIZE = (9, 8)
GENERATOR = torch.Generator().manual_seed(0)
IMAGE = torch.rand(1, 2, *SIZE, generator=GENERATOR, dtype=torch.float64)
BANK = torch.rand(6, 2, 4, 4, generator=GENERATOR, dtype=torch.float64)
SCATTERED = mask_regions(torch.rand(5, *SIZE, generator=GENERATOR) < 0.2)
GRID = grid_regions(SIZE, 4)


def test_a_joint_region_is_the_union_of_its_members() -> None:
    groups = [[0], [4, 1], [2, 0, 3]]
    joint = joint_regions(SCATTERED, groups)
    assert joint.ids == (0, 1, 2)
    ones = torch.ones(SIZE)
    for group, region in zip(groups, joint, strict=True):
        expected = torch.zeros(SIZE)
        for position in group:
            member = SCATTERED[position]
            expected[member.index[1:]] += ones[member.index[1:]] if member.mask is None else member.mask.float()
        assert torch.equal(
            mask_regions([expected > 0]).to_map(torch.ones(1)), Regions(SIZE, (region,)).to_map(torch.ones(1))
        )


@pytest.mark.parametrize("regions", [GRID, SCATTERED], ids=["grid", "overlapping masks"])
@pytest.mark.parametrize("name", ["donors", "mean", "region mean", "inpaint", "function"])
def test_each_member_gets_what_it_would_get_alone(regions: Regions, name: str) -> None:
    """Whatever else is in its group, the intervened image holds what do(member) alone puts there, draw by draw; where
    members overlap, the last one's."""
    fill = {
        "donors": DonorPatchFill(BANK, resize=True),
        "mean": MeanFill(),
        "region mean": MeanFill(over="region"),
        "inpaint": InpaintFill(),
        "function": as_fill(
            lambda original, region, generator: torch.as_tensor(generator.random(tuple(original.shape)))
        ),
    }[name]
    groups = [[1], [3, 0, 2], [2, 3, 0]]
    whole = CallableScore(lambda output: output.flatten(1))
    ask = Evaluator(torch.nn.Identity(), seed=7)

    def images(these: Regions, this) -> torch.Tensor:
        """The intervened images, (regions, draws, 2, *SIZE)."""
        after = ask(IMAGE, these, this, whole, draws=3).values + IMAGE.flatten()
        return after.reshape(len(these), 3, 2, *SIZE)

    alone = images(regions, fill)
    together = images(joint_regions(regions, groups), JointFill(fill, regions, groups))
    expected = IMAGE[0].expand(len(groups), 3, 2, *SIZE).clone()
    for row, group in enumerate(groups):
        for position in group:
            covered = Regions(SIZE, (regions[position],)).to_map(torch.ones(1)) > 0
            expected[row][..., covered] = alone[position][..., covered]
    torch.testing.assert_close(together, expected, rtol=0, atol=1e-15)
    assert torch.equal(together[1], together[2]) == (regions is GRID or name == "mean")


def test_what_draws_there_are_is_the_members_matter() -> None:
    every = DonorPatchFill(BANK, order="every", resize=True)
    joint = JointFill(every, GRID, [[0, 1]])
    assert joint.distinct_draws == 6
    assert JointFill(DonorPatchFill(BANK), GRID, [[0]]).distinct_draws is None
    with pytest.raises(ValueError, match="draw 6 of a bank of 6 donors"):
        Evaluator(torch.nn.Identity())(
            IMAGE, joint_regions(GRID, [[0, 1]]), joint, lambda x: x.mean((1, 2, 3)), draws=7
        )
