# SPDX-License-Identifier: Apache-2.0
"""Thin branching trees, in 2-D and 3-D, with any one branch removable.

A trunk starts at ``root`` along ``heading``, bends, and splits in two, ``depth`` levels deep. Branches are numbered as
in a heap: the trunk is 1 and branch i splits into 2i and 2i + 1. How a branch bends and how long it is belong to
(``tree_seed``, its number), so a branch stays where it is when the tree loses others. In 3-D each split turns the plane
of the next.

The structural equations::

    branches := grow(tree_seed, root, heading, depth, length, branch_angle, radius)
    cover    := maximum over the branches that are not in ``gap``
    scene    := background(noise_seed) + contrast * cover
    image    := clip(scene * light(illumination) + noise * grain(noise_seed))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from monai_causal.data.phantoms.fields import Field, expose, stream, texture
from monai_causal.data.phantoms.phantom import Causes, Phantom, Rendered, require

__all__ = ["Branch", "VesselsCauses", "draw_causes", "grow", "render", "vessels"]

BACKGROUND = 0.3
STEPS = 6  # straight pieces per branch
SHRINK = 0.79  # of the radius at each split: Murray's law for two equal children, 2 ** (-1 / 3)
SHORTEN = 0.8  # of the length at each split
THINNEST = 0.6  # voxels: thinner branches would fall between the voxels


@dataclass(frozen=True, kw_only=True)
class VesselsCauses(Causes):
    """What causes a vessel tree. Lengths are in voxels, in array order; angles in degrees; intensities of [0, 1]."""

    size: tuple[int, ...]
    tree_seed: int
    root: tuple[float, ...]
    heading: tuple[float, ...]
    """The trunk's direction, of any length but 0."""
    depth: int
    length: float
    """The trunk's length; each level is 0.8 times as long."""
    radius: float
    """The trunk's radius at the root; each level ends at 0.79 times the radius that it began with."""
    branch_angle: float = 32.0
    """Between a branch and each of its two children, before a random fifth more or less."""
    gap: int | tuple[int, ...] = ()
    """The branches that are left out, by number; those beyond them stay."""
    contrast: float = 0.4
    illumination: float = 0.0
    noise: float = 0.02
    noise_seed: int

    def __post_init__(self) -> None:
        axes = len(self.size)
        require(axes in (2, 3), "size", self.size, "give two or three sides")
        require(min(self.size) >= 1, "size", self.size, "give sides of at least 1 voxel")
        require(1 <= self.depth <= 10, "depth", self.depth, "give 1 (the trunk alone) to 10 levels")
        inside = len(self.root) == axes and all(0 <= x < n for x, n in zip(self.root, self.size, strict=True))
        require(inside, "root", self.root, f"give a point inside the image of size {self.size}")
        somewhere = len(self.heading) == axes and 0 < sum(x * x for x in self.heading) < float("inf")
        require(somewhere, "heading", self.heading, f"give {axes} finite numbers, not all 0")
        require(self.length > 0, "length", self.length, "give a length above 0 voxels")
        require(self.radius > 0, "radius", self.radius, "give a radius above 0 voxels")
        require(abs(self.contrast) <= 1, "contrast", self.contrast, "give a number from -1 to 1")
        require(abs(self.illumination) <= 1, "illumination", self.illumination, "give a number from -1 to 1; 0 is even")
        require(self.noise >= 0, "noise", self.noise, "give a standard deviation of 0 or more")
        last = 2**self.depth - 1
        require(all(1 <= i <= last for i in self.gaps), "gap", self.gap, f"the branches are numbered from 1 to {last}")

    @property
    def gaps(self) -> tuple[int, ...]:
        """``gap`` as a tuple: one number is a tuple of one."""
        return (self.gap,) if isinstance(self.gap, int) else tuple(self.gap)


def vessels(seed: int, *, size: Sequence[int] = (128, 128), depth: int = 5) -> Phantom[VesselsCauses]:
    """A tree that grows from the far end of the first axis towards its beginning.

    Args:
        seed: what all exogenous draws belong to.
        size: (\\*spatial), two or three sides.
        depth: levels of branches; there are 2 ** depth - 1 branches.

    Returns:
        A phantom with ``labels`` 0 background, 1 vessel; and in ``maps["branches"]`` the number of the branch that each
        voxel shows, soft edge included, 0 where there is none.

    >>> tree = vessels(0)
    >>> cut = tree.do(gap=5)
    >>> changed = (tree.image != cut.image)[0]
    >>> sorted(set(tree.maps["branches"][changed].tolist()))
    [5]
    """
    return Phantom.of(draw_causes(seed, size=size, depth=depth), render)


def draw_causes(seed: int, *, size: Sequence[int], depth: int) -> VesselsCauses:
    """Causes drawn at random: where the root is, where it heads, how long, wide and bright the trunk is."""
    uniform = stream(seed, "causes").random
    shortest = min(size)
    sideways = [length * (0.4 + 0.2 * uniform()) for length in size[1:]]
    return VesselsCauses(
        size=tuple(size),
        tree_seed=seed,
        root=(size[0] - 1.0, *sideways),
        heading=(-1.0, *(0.4 * (uniform() - 0.5) for _ in sideways)),
        depth=depth,
        length=shortest * (0.24 + 0.06 * uniform()),
        radius=max(1.5, shortest * (0.018 + 0.006 * uniform())),
        contrast=0.35 + 0.1 * uniform(),
        illumination=0.3 * (uniform() - 0.5),
        noise_seed=seed,
    )


def render(causes: VesselsCauses) -> Rendered:
    """Image (1, \\*spatial), vessel mask and map of branches (\\*spatial): a pure function of the causes."""
    cover: Field = np.zeros(causes.size)
    branches = np.zeros(causes.size, dtype=np.int16)
    for branch in grow(causes):
        if branch.number not in causes.gaps:
            paint(branch, cover, branches)
    scene = BACKGROUND + 0.1 * texture(causes.noise_seed, causes.size) + causes.contrast * cover
    image = expose(scene, illumination=causes.illumination, noise=causes.noise, noise_seed=causes.noise_seed)
    return image, (cover >= 0.5).astype(np.uint8), {"branches": branches}


class Branch(NamedTuple):
    """One branch: its number, the points of its centre line (STEPS + 1, axes), and the radius at each of them."""

    number: int
    points: Field
    radii: Field


def grow(causes: VesselsCauses) -> Iterator[Branch]:
    """All branches of the tree, the gaps too, each before its children."""
    direction = unit(np.array(causes.heading, dtype=np.float64))
    level = np.zeros(len(causes.size))
    level[np.argmin(np.abs(direction))] = 1.0  # the axis that the trunk follows least
    normal = unit(level - (level * direction).sum() * direction)
    yield from _grow(causes, 1, np.array(causes.root, dtype=np.float64), direction, normal)


def _grow(causes: VesselsCauses, number: int, start: Field, direction: Field, normal: Field) -> Iterator[Branch]:
    generation = number.bit_length() - 1
    bend, stretch, twist, left, right = stream(causes.tree_seed, f"branch {number}").random(5)
    step = causes.length * SHORTEN**generation * (0.8 + 0.4 * stretch) / STEPS
    points = [start]
    for _ in range(STEPS):
        direction, normal = turn(direction, normal, 40.0 * (bend - 0.5) / STEPS)
        points.append(points[-1] + step * direction)
    first = causes.radius * SHRINK**generation
    yield Branch(number, np.stack(points), np.maximum(np.linspace(first, first * SHRINK, STEPS + 1), THINNEST))
    if generation + 1 < causes.depth:
        if len(causes.size) == 3:
            normal, _ = turn(normal, np.cross(direction, normal), 60.0 + 60.0 * twist)
        for child, angle in ((2 * number, 0.8 + 0.4 * left), (2 * number + 1, -0.8 - 0.4 * right)):
            yield from _grow(causes, child, points[-1], *turn(direction, normal, causes.branch_angle * angle))


def turn(direction: Field, normal: Field, degrees: float) -> tuple[Field, Field]:
    """Two perpendicular unit vectors, both turned in their plane, the first towards the second."""
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return cosine * direction + sine * normal, cosine * normal - sine * direction


def unit(vector: Field) -> Field:
    """The vector at length 1."""
    return vector / np.sqrt((vector * vector).sum())


def paint(branch: Branch, cover: Field, branches: np.ndarray) -> None:
    """Draw a branch into ``cover`` and its number into ``branches``, in place, where it covers most so far."""
    pieces = zip(branch.points[:-1], branch.points[1:], branch.radii[:-1], branch.radii[1:], strict=True)
    for start, end, first, last in pieces:
        low = np.maximum(np.floor(np.minimum(start, end) - first - 1), 0).astype(int)
        high = np.minimum(np.ceil(np.maximum(start, end) + first + 2), cover.shape).astype(int)
        if (low >= high).any():
            continue  # the piece lies outside the image
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        offsets = [x - s for x, s in zip(np.ogrid[box], start, strict=True)]
        chord = end - start
        along = sum(o * c for o, c in zip(offsets, chord, strict=True)) / (chord * chord).sum()
        along = np.clip(along, 0.0, 1.0)
        distance = np.sqrt(sum((o - along * c) ** 2 for o, c in zip(offsets, chord, strict=True)))
        covered = np.clip(first + along * (last - first) + 0.5 - distance, 0.0, 1.0)  # one voxel from edge to edge
        more = covered > cover[box]
        cover[box] = np.where(more, covered, cover[box])
        branches[box] = np.where(more, branch.number, branches[box])
