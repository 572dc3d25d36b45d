# SPDX-License-Identifier: Apache-2.0
"""An object whose class depends on a planted cue elsewhere in the image, in 2-D and 3-D.

The structural equations, all noise on the right-hand sides exogenous::

    cue          := 1 or 2, a fair coin                            a marker near a corner: 1 a ring, 2 a cross, 0 none
    coin         := 1 or 2, a fair coin
    follows_cue  := [u < strength],  u uniform on [0, 1)
    object_class := cue if follows_cue and cue is not 0, else coin
    contrast     := object_contrast + 0.05 * evidence * (+1 if object_class is 2, else -1)
    object_contrast := uniform on [0.2, 0.3)
    scene        := background(noise_seed) + contrast * object(centre, radius, noise_seed),  the marker painted on top
    image        := clip(scene * light(illumination) + noise * grain(noise_seed))

So with probability ``strength`` the class is read from the cue, otherwise it is a fair coin that knows nothing of the
cue: P(class = cue) = (1 + strength) / 2. ``evidence`` is what the object shows of its class by itself: nothing at 0,
everything at 1, and the best guess from the object's contrast alone is right with probability (1 + evidence) / 2.

``do(cue=...)`` lets the class follow, as the equations say (the total effect); ``do(cue=..., object_class=...)``
holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monai_causal.data.phantoms.fields import Field, expose, grid, smoothstep, stream, texture, value_noise
from monai_causal.data.phantoms.phantom import Causes, Phantom, Rendered, require

__all__ = ["ShapesCauses", "draw_causes", "render", "shapes"]

BACKGROUND = 0.35
MARKER = 0.8
SMALLEST_SIDE = 24  # below this the marker is a smudge and comes too close to the object


@dataclass(frozen=True, kw_only=True)
class ShapesCauses(Causes):
    """What causes a shapes image. Positions and radii are in voxels, in array order; intensities are of [0, 1]."""

    size: tuple[int, ...]
    cue: int
    cue_position: tuple[float, ...]
    cue_radius: float
    follows_cue: bool
    coin: int
    object_class: int | None = None
    """1 or 2 sets the class against its equation; None leaves it to the equation (see :attr:`resolved_class`)."""
    object_centre: tuple[float, ...]
    object_radius: float
    object_contrast: float
    evidence: float = 0.0
    illumination: float = 0.0
    noise: float = 0.02
    noise_seed: int

    def __post_init__(self) -> None:
        require(len(self.size) in (2, 3), "size", self.size, "give two or three sides")
        require(min(self.size) >= SMALLEST_SIDE, "size", self.size, f"give sides of at least {SMALLEST_SIDE} voxels")
        require(self.cue in (0, 1, 2), "cue", self.cue, "0 is no cue, 1 a ring, 2 a cross")
        require(self.coin in (1, 2), "coin", self.coin, "the classes are 1 and 2")
        require(self.object_class in (None, 1, 2), "object_class", self.object_class, "give 1, 2 or None, the equation")
        for name in ("cue_position", "object_centre"):
            point = getattr(self, name)
            inside = len(point) == len(self.size) and all(0 <= x < n for x, n in zip(point, self.size, strict=True))
            require(inside, name, point, f"give a point inside the image of size {self.size}")
        for name in ("cue_radius", "object_radius"):
            require(getattr(self, name) > 0, name, getattr(self, name), "give a radius above 0 voxels")
        require(abs(self.object_contrast) <= 1, "object_contrast", self.object_contrast, "give a number from -1 to 1")
        require(0 <= self.evidence <= 1, "evidence", self.evidence, "give a number from 0 to 1")
        require(abs(self.illumination) <= 1, "illumination", self.illumination, "give a number from -1 to 1; 0 is even")
        require(self.noise >= 0, "noise", self.noise, "give a standard deviation of 0 or more")

    @property
    def resolved_class(self) -> int:
        """The object's class, 1 or 2, after the structural equations."""
        if self.object_class is not None:
            return self.object_class
        return self.cue if self.follows_cue and self.cue else self.coin

    @property
    def contrast(self) -> float:
        """How much brighter than the background the object is, after the structural equations."""
        return self.object_contrast + 0.05 * self.evidence * (1 if self.resolved_class == 2 else -1)


def shapes(
    seed: int, *, size: Sequence[int] = (128, 128), strength: float = 1.0, evidence: float = 0.0
) -> Phantom[ShapesCauses]:
    """A phantom drawn from the structural causal model (see the module).

    Args:
        seed: what all exogenous draws belong to. Seeds share nothing; the same seed at another strength differs in
            ``follows_cue`` alone.
        size: (\\*spatial), two or three sides.
        strength: the probability that the class is read from the cue.
        evidence: how much the object's contrast tells of its class.

    Returns:
        A phantom with ``labels`` 0 background, 1 or 2 the object by its class; and every voxel that a thing writes to,
        soft edge included, in ``maps["object"]`` (0, 1) and ``maps["cue"]`` (0, or the cue's value).

    >>> phantom = shapes(0, size=(32, 48, 40), strength=1.0)
    >>> phantom.causes.resolved_class == phantom.causes.cue == int(phantom.labels.max())
    True
    """
    return Phantom.of(draw_causes(seed, size=size, strength=strength, evidence=evidence), render)


def draw_causes(seed: int, *, size: Sequence[int], strength: float, evidence: float = 0.0) -> ShapesCauses:
    """Causes drawn from the model: the cue near a corner, the object around the middle, on the far side from it."""
    require(0 <= strength <= 1, "strength", strength, "give a probability from 0 to 1")
    uniform = stream(seed, "causes").random
    shortest = min(size)
    cue, coin = (1 + int(uniform() < 0.5) for _ in range(2))
    follows_cue = bool(uniform() < strength)
    middle = [(length - 1) / 2 for length in size]
    towards_cue = [length if uniform() < 0.5 else -length for length in size]
    return ShapesCauses(
        size=tuple(size),
        cue=cue,
        coin=coin,
        follows_cue=follows_cue,
        cue_position=tuple(m + d * (0.33 + 0.02 * uniform()) for m, d in zip(middle, towards_cue, strict=True)),
        cue_radius=max(3.0, 0.06 * shortest),
        object_centre=tuple(m - d * 0.14 * uniform() for m, d in zip(middle, towards_cue, strict=True)),
        object_radius=shortest * (0.10 + 0.05 * uniform()),
        object_contrast=0.2 + 0.1 * uniform(),
        evidence=evidence,
        illumination=0.3 * (uniform() - 0.5),
        noise_seed=seed,
    )


def render(causes: ShapesCauses) -> Rendered:
    """Image (1, \\*spatial), labels and the maps of object and cue (\\*spatial): a pure function of the causes."""
    scene = BACKGROUND + 0.12 * texture(causes.noise_seed, causes.size)
    blob = object_cover(causes)
    scene = scene + causes.contrast * blob
    marker = cue_cover(causes)
    scene = scene * (1.0 - marker) + MARKER * marker
    image = expose(scene, illumination=causes.illumination, noise=causes.noise, noise_seed=causes.noise_seed)
    labels = np.where(blob >= 0.5, causes.resolved_class, 0).astype(np.uint8)
    maps = {"object": (blob > 0).astype(np.uint8), "cue": np.where(marker > 0, causes.cue, 0).astype(np.uint8)}
    return image, labels, maps


def object_cover(causes: ShapesCauses) -> Field:
    """How much of each voxel the object covers, (\\*spatial) in [0, 1]: a ball with a lumpy outline and a soft edge."""
    offsets = [(x - c) / causes.object_radius for x, c in zip(grid(causes.size), causes.object_centre, strict=True)]
    # the lumps live in the object's own frame, so that they move and grow with it
    frame = [np.clip(1.5 * offset.ravel() + 2.5, 0.0, 5.0) for offset in offsets]
    lumps = value_noise(stream(causes.noise_seed, "outline"), [6] * len(frame), frame)
    distance = norm(offsets) / (1.0 + 0.2 * lumps)
    return smoothstep((1.15 - distance) / 0.3)


def cue_cover(causes: ShapesCauses) -> Field:
    """How much of each voxel the marker covers, (\\*spatial) in [0, 1]: a ring (a shell in 3-D) or a cross."""
    offsets = [(x - p) / causes.cue_radius for x, p in zip(grid(causes.size), causes.cue_position, strict=True)]
    if causes.cue == 0:
        return np.zeros(causes.size)
    if causes.cue == 1:
        inside = 0.2 - np.abs(norm(offsets) - 0.8)
    else:
        *_, across, along = np.sort(np.abs(np.stack(np.broadcast_arrays(*offsets))), axis=0)
        inside = np.minimum(0.2 - across, 1.0 - along)
    return np.clip(causes.cue_radius * inside + 0.5, 0.0, 1.0)  # one voxel from edge to edge


def norm(components: Sequence[Field]) -> Field:
    """Euclidean length, by exactly rounded operations only."""
    return np.sqrt(sum((component * component for component in components), start=np.zeros(())))
