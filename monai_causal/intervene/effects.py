# SPDX-License-Identifier: Apache-2.0
"""What came out: the effect of every (region, draw), ``score after - score before`` in the score's own unit.

Negative: the region supports the answer. Positive: it suppresses it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from scipy import stats
from torch import Tensor

from monai_causal.files import draft_of
from monai_causal.intervene.modules import ModuleRegions
from monai_causal.intervene.regions import Regions, plain

__all__ = ["Effects", "RunRecord"]


@dataclass
class RunRecord:
    """How the effects were come by.

    Attributes:
        execution: which one ran.
        reason: why it.
        batch_size: how many interventions ran at once, in the end.
        forwards: runs of the network, whole or partial, over one item each; with sliding windows, over one window.
        untouched: (region, draw) pairs that provably cannot reach the score; they were not run.
        recomputed: pairs run again one by one, whole, because round-off could have decided a hard threshold.
        notes: everything that did not go the straight way, such as a smaller batch after memory ran out.
    """

    execution: str = ""
    reason: str = ""
    batch_size: int = 0
    forwards: int = 0
    untouched: int = 0
    recomputed: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Effects:
    """Effects of ``do(region := fill)`` on a score.

    Attributes:
        data: float64 ``(items, regions, draws, scores)``: after - before.
        before: float64 ``(items, scores)``: the score of the untouched image.
        regions: where; row ``i`` of the values belongs to ``regions[i]``.
        draws: which draws the columns are.
        unit: the score's unit.
        vector: whether the score gives several numbers per item.
        image: the image asked about; its affine places the maps.
        record: which execution ran and why, how many forwards, what was recomputed.
    """

    data: Tensor
    before: Tensor
    regions: Regions | ModuleRegions
    draws: tuple[int, ...]
    unit: str
    vector: bool
    image: Tensor
    record: RunRecord

    @property
    def baseline(self) -> float | Tensor:
        """Score before: a float for one item and one score, else a tensor ``(items,)``, ``(scores,)`` or both."""
        before = self._squeezed(self.before, score_axis=1)
        return float(before) if before.ndim == 0 else before

    @property
    def values(self) -> Tensor:
        """``(regions, draws)``; with several items an axis before, for vector scores an axis after."""
        return self._squeezed(self.data, score_axis=3)

    @property
    def ate(self) -> Tensor:
        """Average treatment effect over the draws: ``(regions,)``, with the axes of :attr:`values`."""
        return self._squeezed(self.data.mean(2), score_axis=2)

    @property
    def standard_error(self) -> Tensor:
        """Standard error of :attr:`ate`; not a number where there is one draw only."""
        return self._squeezed(self._standard_error(), score_axis=2)

    def interval(self, level: float = 0.95) -> Tensor:
        """Student's interval of :attr:`ate` over the draws: its shape with a last axis (low, high)."""
        if not 0 < level < 1:
            raise ValueError(f"level={level}: a confidence level lies between 0 and 1, such as 0.95.")
        count = self.data.shape[2]
        reach = stats.t.ppf((1 + level) / 2, count - 1) if count > 1 else float("nan")
        half = reach * self._standard_error()
        mean = self.data.mean(2)
        low, high = (self._squeezed(bound, score_axis=2) for bound in (mean - half, mean + half))
        return torch.stack([low, high], dim=-1)

    def to_map(self, statistic: Literal["ate", "standard_error"] | Tensor = "ate") -> Tensor:
        """A statistic painted over its regions, ``(items, scores, *spatial)``; a MetaTensor where the image was one.

        Args:
            statistic: a name, or a tensor shaped as :attr:`ate`.
        """
        if isinstance(self.regions, ModuleRegions):
            raise ValueError(
                "effects of network components have no place in the image: read .ate beside .regions.names."
            )
        if isinstance(statistic, Tensor):
            if statistic.shape != self.ate.shape:
                raise ValueError(
                    f"statistic has shape {tuple(statistic.shape)}: it must have that of .ate, {tuple(self.ate.shape)}."
                )
            per_region = plain(statistic).reshape(self.data.shape[0], self.data.shape[1], self.data.shape[3])
        elif statistic == "ate":
            per_region = self.data.mean(2)
        elif statistic == "standard_error":
            per_region = self._standard_error()
        else:
            raise ValueError(f"statistic={statistic!r}: choose 'ate', 'standard_error' or give one value per region.")
        painted = self.regions.to_map(per_region.movedim(1, -1)).to(self.image.device)
        if not isinstance(self.image, MetaTensor):
            return painted
        return MetaTensor(painted).copy_meta_from(self.image)

    def save(self, path: str | os.PathLike, statistic: Literal["ate", "standard_error"] | Tensor = "ate") -> Path:
        """Write a map of one item as NIfTI that lies on its image; several scores become the fourth axis."""
        path = Path(path)
        if not path.name.endswith((".nii", ".nii.gz")):
            raise ValueError(f"{path.name!r} is no NIfTI name: end it in .nii or .nii.gz.")
        if len(self.data) != 1:
            raise ValueError(
                f"a NIfTI holds one image; these are the effects of {len(self.data)}: ask about one at a time."
            )
        array = plain(self.to_map(statistic))[0].float().cpu().numpy()
        array = np.moveaxis(array.reshape(*array.shape, *(1,) * (4 - array.ndim)), 0, -1)
        picture = nib.Nifti1Image(array[..., 0] if array.shape[-1] == 1 else array, self._affine())
        with draft_of(path) as draft:
            nib.save(picture, draft)
        return path

    def _affine(self) -> np.ndarray:
        """The affine of the only image, (4, 4); MONAI's may be one of a batch, or one of two axes."""
        if not isinstance(self.image, MetaTensor):
            return np.eye(4)
        affine = self.image.affine[0] if self.image.affine.ndim == 3 else self.image.affine
        return np.asarray(to_affine_nd(3, affine.double().cpu()))

    def _standard_error(self) -> Tensor:
        count = self.data.shape[2]
        if count < 2:
            return torch.full_like(self.data[:, :, 0], torch.nan)
        return self.data.std(2, unbiased=True) / count**0.5

    def _squeezed(self, values: Tensor, score_axis: int) -> Tensor:
        values = values if self.vector else values.squeeze(score_axis)
        return values.squeeze(0) if len(self.data) == 1 else values
