# SPDX-License-Identifier: Apache-2.0
"""Does a map stay when the image hardly changes? Mean correlation under five small perturbations (DEA, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from monai_causal.intervene.regions import Box, plain
from monai_causal.metrics.correlation import map_correlation
from monai_causal.metrics.items import as_answer

__all__ = ["PERTURBATIONS", "attribution_stability", "perturbed"]

PERTURBATIONS = ("noise", "brightness", "contrast", "blur", "flip")
PAPER_STRENGTH = 0.03


def attribution_stability(
    explain: Callable[..., Tensor],
    image: Tensor,
    heat: Tensor | None = None,
    strength: float = PAPER_STRENGTH,
    perturbations: Sequence[str] = PERTURBATIONS,
    seed: int = 0,
    **spatial: Tensor | np.ndarray | Box,
) -> dict[str, float | Tensor]:
    """Pearson correlation between the maps of an image and of its perturbed copies, and the mean over perturbations.

    The flip mirrors the last axis of the image and of every spatial argument; its map is mirrored back before it is
    compared. What a perturbation does is said in :func:`perturbed`.

    Args:
        explain: ``explain(image, **spatial) -> (B, 1, *spatial)``; whatever else a method needs, such as its class, is
            bound before: ``functools.partial(dea, class_idx=1)``.
        image: ``(B, C, *spatial)``.
        heat: the map of the unperturbed image; ``None``: it is asked for.
        strength: of the perturbations.
        perturbations: some of :data:`PERTURBATIONS`.
        seed: of the noise, which is the same for all items of a batch.
        spatial: arguments that lie on the image, such as ``mask``: tensors whose last axis is the image's, or boxes.

    Returns:
        A correlation for each perturbation, and ``"mean"``: floats for one item, tensors ``(B,)`` for a batch. Where a
        map is constant there is no correlation: that value is not a number, and so is the mean.

    Example:
        >>> found = attribution_stability(lambda x, mask: x * mask, torch.rand(1, 1, 8, 8), mask=torch.ones(8, 8))
        >>> list(found), round(found["flip"], 6)
        (['noise', 'brightness', 'contrast', 'blur', 'flip', 'mean'], 1.0)
    """
    if not perturbations or (unknown := set(perturbations) - set(PERTURBATIONS)):
        named = sorted(unknown) if perturbations else "none"
        raise ValueError(f"perturbations: {named} named; choose from {', '.join(PERTURBATIONS)}.")
    if strength <= 0:
        raise ValueError(f"strength={strength}: a perturbation has a strength above 0, such as 0.03.")
    mirrored = {name: _mirrored(value, name, image.shape[-1]) for name, value in spatial.items()}
    if heat is None:
        heat = explain(image, **spatial)
    rows: dict[str, Tensor] = {}
    for name in perturbations:
        if name == "flip":
            again = torch.flip(explain(torch.flip(image, (-1,)), **mirrored), (-1,))
        else:
            again = explain(perturbed(image, name, strength, seed), **spatial)
        rows[name] = map_correlation(heat, again)
    rows["mean"] = torch.stack(list(rows.values())).mean(0)
    return {name: as_answer(values) for name, values in rows.items()}


def perturbed(image: Tensor, name: str, strength: float = PAPER_STRENGTH, seed: int = 0) -> Tensor:
    """A copy of ``image`` (B, C, *spatial) under one perturbation; nothing is clipped. The paper gives the strength,
    not the formulas. With the item's range r = max - min (1 for an image that fills [0, 1]) and s the strength:

    - ``"noise"``: x + s r n, with n normal;
    - ``"brightness"``: x + s r;
    - ``"contrast"``: mean + (1 + s)(x - mean), mean per item and channel;
    - ``"blur"``: Gaussian, sigma of one voxel at the paper's strength and in proportion to it.
    """
    values = plain(image).detach()
    axes = tuple(range(2, image.ndim))
    reach = (values.amax((1, *axes), keepdim=True) - values.amin((1, *axes), keepdim=True)) * strength
    if name == "noise":
        noise = np.random.default_rng(seed).standard_normal(tuple(image.shape[1:]))
        changed = values + reach * torch.from_numpy(noise).to(values)
    elif name == "brightness":
        changed = values + reach
    elif name == "contrast":
        mean = values.mean(axes, keepdim=True)
        changed = mean + (1 + strength) * (values - mean)
    elif name == "blur":
        sigma = (0, 0, *(strength / PAPER_STRENGTH for _ in axes))
        smooth = ndimage.gaussian_filter(values.cpu().double().numpy(), sigma, mode="nearest")
        changed = torch.from_numpy(smooth).to(values)
    else:
        raise ValueError(f"perturbation {name!r}: choose 'noise', 'brightness', 'contrast' or 'blur'.")
    # Copied into one like the image, so that a MetaTensor keeps its affine.
    return torch.zeros_like(image).copy_(changed)


def _mirrored(value: Any, name: str, length: int) -> Any:
    """A spatial argument mirrored along the last axis."""
    if isinstance(value, Tensor | np.ndarray) and value.ndim and value.shape[-1] == length:
        return torch.flip(value, (-1,)) if isinstance(value, Tensor) else value[..., ::-1].copy()
    if isinstance(value, list | tuple) and value and all(np.shape(span) == (2,) for span in value):
        start, stop = value[-1]
        return (*value[:-1], (length - stop, length - start))
    raise ValueError(
        f"{name} cannot be mirrored with an image whose last axis is {length}: spatial arguments are tensors with that "
        "last axis, or boxes; bind all others to explain before."
    )
