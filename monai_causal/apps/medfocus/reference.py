# SPDX-License-Identifier: Apache-2.0
"""Which references of a pool a target is compared with, and how their masks are put together on it.

References are ranked by :func:`~monai_causal.apps.medfocus.reference_pose.best_poses`, which also says at which size
and place each fits best; each is placed so, transported, and votes with a weight that falls with its distance from the
best. On real radiographs the choice and the pose do most, many votes do some, and the transport does the rest
(docs/results/concepts-real.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from monai_causal.apps.medfocus.pool import Reference, ReferencePool
from monai_causal.apps.medfocus.reference_pose import Poses, best_poses, placed
from monai_causal.apps.medfocus.transport import UnbalancedTransport
from monai_causal.apps.medfocus.transport_grid import Frame, as_grey, in_frame, min_max, to_grid
from monai_causal.apps.medfocus.transport_mass import local_contrast

__all__ = ["Located", "PoolTransport"]

RANKINGS = ("similarity", "cost")
_RANKING_GRID = 56  # cells per side at which images are compared
_PUBLISHED_GRID = 14
_NEAREST_PIXELS = 224  # masks are put together at this size, or at the target's if that is smaller


@dataclass(frozen=True, eq=False)
class Located:
    """The concepts of a pool on a target.

    Attributes:
        concepts: their names, in the order of the masks.
        soft: votes for each pixel, (C, rows, columns) float32 in [0, 1].
        mask: (C, rows, columns) bool, where at least half of the votes say so.
        references: names of the references used, best first.
        weights: of their votes, in sum 1.
        score: of each: the similarity, or with ``rank="cost"`` the cost.
        known: (references, C), which of them know which concept; the others have no vote there.
        mass: of each transport; None where masks were only placed.
        displacement: of each transport, (references, 2, grid, grid), in cells; None likewise.
        flags: what makes the result doubtful, in words; empty if nothing does.
    """

    concepts: tuple[str, ...]
    soft: Tensor
    mask: Tensor
    references: tuple[str, ...]
    weights: NDArray[np.float64]
    score: NDArray[np.float64]
    known: NDArray[np.bool_]
    mass: Tensor | None
    displacement: Tensor | None
    flags: tuple[str, ...]


class PoolTransport:
    """Carry the concepts of the best references of a pool to a target.

    Args:
        pool: references.
        transport: how; None places the masks only.
        count: at most so many references are used.
        align: place each reference at its best size and shift first.
        rank: ``"similarity"``, or ``"cost"`` of the published transport at a grid of 14, which does not rank.
        temperature: a reference whose score is so much below the best one's has 1 / e of its weight; infinity: equal.
        least_similarity: a best reference below this is flagged.

    Example:
        >>> from monai_causal.apps.medfocus.pool_sources import pool_from_phantoms
        >>> pool = pool_from_phantoms(range(3), size=96)
        >>> located = PoolTransport(pool).locate(pool[1].image)
        >>> located.references[0], located.mask.shape
        ('phantom-1', torch.Size([11, 96, 96]))
    """

    def __init__(
        self,
        pool: ReferencePool,
        transport: UnbalancedTransport | None = None,
        *,
        count: int = 15,
        align: bool = True,
        rank: str = "similarity",
        temperature: float = 0.05,
        least_similarity: float = 0.2,
    ) -> None:
        if rank not in RANKINGS:
            raise ValueError(f"rank={rank!r}: it is one of {', '.join(RANKINGS)}.")
        if count < 1:
            raise ValueError(f"count={count!r}: at least one reference is needed.")
        if not temperature > 0:
            raise ValueError(f"temperature={temperature!r}: a positive number is needed; infinity gives equal weights.")
        self.pool, self.transport, self.count, self.align = pool, transport, count, align
        self.rank, self.temperature, self.least_similarity = rank, temperature, least_similarity

    @cached_property
    def _contrasts(self) -> NDArray[np.float64]:
        return np.stack([_reference_contrast(reference) for reference in self.pool])

    def poses(self, target: Any) -> Poses:
        """How alike each reference of the pool is to the target, and at which size and place."""
        contrast = _contrast(target, "the target")
        if self.align:
            return best_poses(self._contrasts, contrast)
        return best_poses(self._contrasts, contrast, scales=(1.0,), farthest=0.0)

    def costs(self, target: Any) -> NDArray[np.float64]:
        """The published score of each reference, of which the smallest was meant to be best: ``<P, C>`` in cells."""
        images = [reference.image for reference in self.pool]
        fitted = UnbalancedTransport.released(grid=_PUBLISHED_GRID).fit(images, target)
        costs: NDArray[np.float64] = (fitted.cost * fitted.problem.scale).numpy()
        return costs

    def locate(self, target: Any) -> Located:
        """The pool's concepts on a grey image, (rows, columns) or (1, rows, columns), in its own pixels."""
        grey = as_grey(target, "the target", _RANKING_GRID)
        poses = self.poses(grey)
        score = poses.similarity if self.rank == "similarity" else self.costs(grey)
        best_first = np.argsort(-score if self.rank == "similarity" else score, kind="stable")[: self.count]
        used = [self.pool[int(index)] for index in best_first]
        score = score[best_first]
        weights = np.exp(-np.abs(score - score[0]) / self.temperature)
        known = self.pool.known[best_first]

        side = min(max(grey.shape), _NEAREST_PIXELS)
        rows, columns = (max(round(length * side / max(grey.shape)), 1) for length in grey.shape)
        scale, shift = poses.scale[best_first], poses.shift[best_first]
        masks = placed(torch.stack([_square_masks(reference.masks, side) for reference in used]), scale, shift)
        flags = self._flags(known, poses.similarity[best_first[0]])
        if self.transport is None:
            votes, mass, displacement = Frame.around(rows, columns).crop(masks), None, None
        else:
            leaving = np.stack([self.transport.masses(reference.image, reference.name)[0] for reference in used])
            leaving = placed(torch.from_numpy(leaving), scale, shift).numpy()
            whole = Frame(side, 0, 0, side, side)
            fitted = self.transport.fit_masses(
                leaving, self.transport.masses(grey)[0], [whole] * len(used), Frame.around(rows, columns)
            )
            votes = fitted.transport(list(masks)).soft
            mass, displacement = fitted.mass, fitted.displacement
            if not bool(fitted.converged.all()):
                flags.append(f"{int((~fitted.converged).sum())} of {len(used)} transports did not converge")
        soft = interpolate(_fused(votes, weights, known)[None], grey.shape, mode="bilinear")[0]
        return Located(
            concepts=self.pool.concepts,
            soft=soft,
            mask=soft >= 0.5,
            references=tuple(reference.name for reference in used),
            weights=weights / weights.sum(),
            score=score,
            known=known,
            mass=mass,
            displacement=displacement,
            flags=tuple(flags),
        )

    def _flags(self, known: NDArray[np.bool_], similarity: float) -> list[str]:
        flags = []
        if similarity < self.least_similarity:
            flags.append(f"no reference is like this image (similarity {similarity:.2f} < {self.least_similarity:g})")
        for concept, holders in zip(self.pool.concepts, known.T, strict=True):
            if not holders.any():
                flags.append(f"{concept}: none of the references used knows it, so it is not located")
        return flags


@lru_cache(maxsize=1024)  # 25 kB each; pools that share references, as when one is left out, share them
def _reference_contrast(reference: Reference) -> NDArray[np.float64]:
    return _contrast(reference.image, f"reference {reference.name}")


def _contrast(image: Any, what: str) -> NDArray[np.float64]:
    grey = as_grey(image, what, _RANKING_GRID)
    frame = Frame.around(*grey.shape)
    signed = local_contrast(in_frame(min_max(grey), frame), in_frame(np.ones(grey.shape, bool), frame))
    return to_grid(signed, _RANKING_GRID, "area")


def _square_masks(masks: NDArray[np.bool_], side: int) -> Tensor:
    """(C, rows, columns) -> (C, side, side), float32, padded as images are."""
    square = in_frame(masks.astype(np.float32), Frame.around(*masks.shape[1:]))
    return interpolate(torch.from_numpy(square)[None], (side, side), mode="area")[0]


def _fused(votes: Tensor, weights: NDArray[np.float64], known: NDArray[np.bool_]) -> Tensor:
    """(references, C, rows, columns) -> (C, rows, columns): a weighted mean over those that know the concept."""
    shares = torch.from_numpy(weights[:, None] * known).to(votes)
    shares = shares / shares.sum(0).clamp(min=torch.finfo(shares.dtype).tiny)
    return (votes * shares[..., None, None]).sum(0)
