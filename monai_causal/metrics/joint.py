# SPDX-License-Identifier: Apache-2.0
"""Several regions at once: groups of regions as one region each, every member filled as it would be alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from monai_causal.intervene import Fill, Region, Regions
from monai_causal.intervene.fills import Replacement
from monai_causal.intervene.regions import bounding_box, coverage

__all__ = ["JointFill", "joint_regions"]


def joint_regions(regions: Regions, groups: Sequence[Sequence[int]]) -> Regions:
    """One region per group of positions in ``regions``: the union of its members; its ``id`` is the group's number.

    Example:
        >>> from monai_causal.intervene import grid_regions
        >>> joint_regions(grid_regions((4, 8), 4), [[0], [0, 1]]).sizes
        (16, 32)
    """
    joint = []
    for number, group in enumerate(groups):
        covered = coverage(regions.subset(group), regions.spatial_shape)
        box = bounding_box(covered)
        joint.append(Region(number, box, covered[tuple(slice(start, stop) for start, stop in box)]))
    return Regions(regions.spatial_shape, tuple(joint))


class JointFill(Fill):
    """Fills the regions of :func:`joint_regions` member by member.

    A member's draw belongs to (seed, member, draw) as when it is alone, so joint and single effects share their
    donors, and a donor need only be as large as a member. Where members overlap the later one is written last.

    Args:
        fill: of the members.
        regions: the members.
        groups: which belong together, positions in ``regions``.
    """

    def __init__(self, fill: Fill, regions: Regions, groups: Sequence[Sequence[int]]) -> None:
        self.fill = fill
        self.regions = regions
        self.groups = groups

    @property
    def distinct_draws(self) -> int | None:
        return self.fill.distinct_draws

    def check_draws(self, draws: Sequence[int]) -> None:
        self.fill.check_draws(draws)

    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        members = self.regions.to(image.device)
        alone = self.fill.prepare(image, members, seed)

        def replacement(region: Region, draw: int) -> Tensor:
            written = torch.clone(image[region.index])
            for position in self.groups[region.id]:
                member = members[position]
                place = (
                    slice(start - first, stop - first)
                    for (start, stop), (first, _) in zip(member.box, region.box, strict=True)
                )
                member.write(written[(member.channel_index, *place)], alone(member, draw))
            return written

        return replacement
