# SPDX-License-Identifier: Apache-2.0
"""MiSuRe (Hasany et al. 2024) for a region of interest: a minimally sufficient region of the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_causal.intervene import Fill, MeanFill, RoIDice, grid_regions
from monai_causal.intervene.execution.base import crop
from monai_causal.intervene.execution.session import Session
from monai_causal.intervene.fills import as_fill
from monai_causal.intervene.regions import Box, coverage, plain
from monai_causal.intervene.scores import Activation, hard_answer, output_tensor
from monai_causal.visualize.normalise import on_image

__all__ = ["MiSuRe", "total_variation"]


def total_variation(mask: Tensor) -> Tensor:
    """The sum of absolute differences between neighbours along each axis of ``(*spatial)``."""
    return torch.stack([mask.diff(dim=axis).abs().sum() for axis in range(mask.ndim)]).sum()


class MiSuRe:
    """A mask m in [0, 1], the least of the image that keeps the answer in the RoI::

        1 - Dice_RoI(f(m x + (1 - m) b), reference) + l1 |m| / |m_0| + tv TV(m) / |m_0|

    b is what stands where m hides. The Dice is soft, of probabilities and never of an argmax, which has no gradient.
    First the network's answer in the RoI is dilated until it suffices: m_0. Then Adam lowers the loss from there, m
    being cut to [0, 1] after each step. The publication's weights are relative to nothing, and reimplementations
    disagree; over |m_0| they mean the same for every image: a voxel stays if it gives more Dice than l1 times an even
    share. The mask starts at 1 and 0, where a sigmoid would have no slope, hence the cutting.

    Args:
        network: a module or any differentiable callable. Through a ``SlidingWindowInferer`` all windows are held in
            memory at once.
        fill: b: ``MeanFill()`` (default: it takes most away), ``BlurFill()``, ``ConstantFill()`` ...
        class_idx, activation, threshold: of the Dice, see :class:`RoIDice`.
        steps, lr: of Adam: 100 steps of at most 0.1 can take every voxel from 1 to 0 and back several times.
        l1: 0.1: a sufficient mask without use costs a tenth of the Dice.
        tv: 0.01: smooths single voxels away, and no more.
        dilation: voxels per step of the first stage, each of which costs a forward.
        sufficient: share of the soft Dice that m_0 must keep.
        inferer, device: as of :class:`Evaluator`.

    Example:
        >>> misure = MiSuRe(nn.Conv2d(1, 1, 3, padding=1, bias=False), steps=2, threshold=0.2)
        >>> misure(torch.rand(1, 1, 16, 16), roi=((4, 8), (4, 8))).shape
        torch.Size([1, 1, 16, 16])
    """

    def __init__(
        self,
        network: nn.Module | Callable[[Tensor], Any],
        fill: Fill | float | None = None,
        *,
        class_idx: int | None = None,
        activation: Activation = "auto",
        threshold: float = 0.5,
        steps: int = 100,
        lr: float = 0.1,
        l1: float = 0.1,
        tv: float = 0.01,
        dilation: int = 4,
        sufficient: float = 0.9,
        inferer: Any = None,
        device: torch.device | None = None,
        seed: int = 0,
    ) -> None:
        if steps < 0 or dilation < 1 or lr <= 0 or not 0 < sufficient <= 1:
            raise ValueError(
                f"steps={steps}, dilation={dilation}, lr={lr}, sufficient={sufficient}: steps from 0, dilation from 1, "
                "lr above 0, and a share above 0 and up to 1."
            )
        self.network, self.inferer, self.device, self.seed = network, inferer, device, seed
        self.fill = MeanFill() if fill is None else as_fill(fill)
        self.class_idx, self.activation, self.threshold = class_idx, activation, threshold
        self.steps, self.lr, self.l1, self.tv = steps, lr, l1, tv
        self.dilation, self.sufficient = dilation, sufficient

    def __call__(self, image: Tensor, roi: Box | Tensor | np.ndarray, label: Tensor | None = None) -> Tensor:
        """The mask ``(1, 1, *spatial)`` in [0, 1]; high where the image is needed.

        Args:
            image: ``(1, C, *spatial)``.
            roi: where the Dice is taken: a box ``((start, stop), ...)`` or a mask ``(*spatial)``.
            label: the reference; ``None``: the network's own first answer.
        """
        if image.ndim < 3 or len(image) != 1:
            raise ValueError(f"the image is {tuple(image.shape)}: MiSuRe explains one at a time, (1, C, *spatial).")
        shape = tuple(image.shape[2:])
        score = RoIDice(roi, label, self.activation, self.threshold, self.class_idx, soft=True)
        score.check(shape, 1)
        session = Session(self.network, self.inferer, self.device)
        session.device = session.device or image.device
        with session.borrowed():
            x = plain(image).detach().to(session.device, copy=True)
            whole = grid_regions(shape, cells=1)
            hidden = self.fill.prepare(x[0], whole, self.seed)(whole[0], 0)
            output = _answer(session, x)
            bound = score.bind(output, 0)

            def dice(mask: Tensor) -> Tensor:
                answer = _answer(session, mask * x + (1 - mask) * hidden)
                return bound.value(crop(answer, bound.box))[0] / 100

            inside = coverage(roi, shape).to(x.device) & self._own(output).to(x.device)
            if not inside.any():
                raise ValueError("the network answers nothing inside the RoI, where MiSuRe starts: choose another RoI.")
            start = self._sufficient(inside.to(x), dice, bound.value(crop(output, bound.box))[0] / 100)
            return on_image(self._minimal(start, dice)[None, None], image)

    def _own(self, output: Tensor) -> Tensor:
        index = 0 if output.shape[1] == 1 else self.class_idx or 0
        return hard_answer(output, index, self.activation, self.threshold)[0]

    def _sufficient(self, mask: Tensor, dice: Callable[[Tensor], Tensor], whole: Tensor) -> Tensor:
        pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[mask.ndim]
        while not mask.all() and dice(mask) < self.sufficient * whole:
            mask = pool(mask[None], 2 * self.dilation + 1, 1, self.dilation)[0]
        return mask

    def _minimal(self, start: Tensor, dice: Callable[[Tensor], Tensor]) -> Tensor:
        mask, size = start.clone().requires_grad_(), start.sum()
        optimiser = torch.optim.Adam([mask], lr=self.lr)
        for _ in range(self.steps):
            with torch.enable_grad():
                loss = 1 - dice(mask) + (self.l1 * mask.sum() + self.tv * total_variation(mask)) / size
                (mask.grad,) = torch.autograd.grad(loss, mask)
            optimiser.step()
            mask.clamp_(0, 1)
        return mask.detach()


def _answer(session: Session, image: Tensor) -> Tensor:
    """The network's answer, through which a gradient comes back: MONAI's inferer multiplies windows in place."""
    if session.inferer is None:
        return output_tensor(session.call(image))
    return output_tensor(session.inferer(image, lambda *window: output_tensor(session.call(*window)).clone()))
