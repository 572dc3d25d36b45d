# SPDX-License-Identifier: Apache-2.0
"""BiomedCoOp: a learned context that is held near many written prompts of each class.

Semantic consistency by contextual mapping (SCCM) holds the learned text near the mean of its class's prompts; knowledge
distillation with selective prompting (KDSP) holds what it says of an image near what those prompts say that are no
outliers for this image.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, mse_loss, normalize

__all__ = ["consistency_loss", "distillation_loss", "kept_prompts", "prompt_ensemble"]

TEMPLATES = (
    "an endoscopic view of {}",
    "{} in front of the endoscope",
    "a still from an endoscopy video with {} in it",
    "{} under the light of the endoscope",
    "the inner wall of a hollow organ, and on it {}",
)
OF_LESION = (
    *("a small", "a large", "a flat", "a raised", "a reddish", "a pale", "a smooth", "an uneven", "a clearly bounded"),
    "a hardly visible",
)
OF_NO_LESION = (
    *("smooth", "pink", "moist and shining", "even", "intact", "pale pink", "finely veined", "gently folded", "clean"),
    "unremarkable",
)
# The deviation of a normal distribution is so many times its median absolute deviation.
NORMAL = 1.4826


def prompt_ensemble(name: str, *, lesion: bool = True) -> list[str]:
    """Fifty prompts of a class.

    Example:
        >>> prompt_ensemble("polyp")[0], prompt_ensemble("normal mucosa", lesion=False)[6]
        ('an endoscopic view of a small polyp', 'pink normal mucosa in front of the endoscope')
    """
    kinds = OF_LESION if lesion else OF_NO_LESION
    return [template.format(f"{kind} {name}") for kind in kinds for template in TEMPLATES]


def kept_prompts(similar: Tensor, threshold: float = 1.5) -> Tensor:
    """Prompts that are no outliers: a z-score from median and median absolute deviation of at most ``threshold``.

    Args:
        similar: ``(..., P)``, an image's similarity with the P prompts of a class.

    Returns:
        true or false for each; true for half of them at least, if the threshold is 0.6745 or more.
    """
    distance = (similar - _median(similar)).abs()
    return distance <= threshold * NORMAL * _median(distance)


def consistency_loss(learned: Tensor, prompts: Tensor) -> Tensor:
    """SCCM: mean squared difference of the learned texts ``(J, d)`` and the prompts' means, from ``(J, P, d)``.

    Unit vectors on both sides.
    """
    return mse_loss(normalize(learned, dim=-1), normalize(prompts.mean(dim=1), dim=-1))


def distillation_loss(
    images: Tensor, learned: Tensor, prompts: Tensor, scale: Tensor | float, threshold: float = 1.5
) -> Tensor:
    """KDSP: divergence of what the learned texts say of an image from what its kept prompts say, mean over images.

    It is KL(kept || learned), between the softmaxes over the classes of ``scale`` times the cosines.

    Args:
        images: ``(B, d)``.
        learned: ``(J, d)``.
        prompts: ``(J, P, d)``, unit vectors.
        scale: CLIP's own.
        threshold: see :func:`kept_prompts`; an image chooses among the prompts of each class apart.
    """
    images = normalize(images, dim=-1)
    with torch.no_grad():
        kept = kept_prompts(torch.einsum("bd,jpd->bjp", images, prompts), threshold).to(prompts.dtype)
        remaining = normalize(torch.einsum("bjp,jpd->bjd", kept, prompts), dim=-1)
        theirs = log_softmax(scale * torch.einsum("bd,bjd->bj", images, remaining), dim=1)
    ours = log_softmax(scale * images @ normalize(learned, dim=-1).T, dim=1)
    return kl_div(ours, theirs, reduction="batchmean", log_target=True)


def _median(values: Tensor) -> Tensor:
    # Of an even number the mean of the middle two; torch's own quantile does not take half precision.
    ordered, count = values.sort(dim=-1).values, values.shape[-1]
    return (ordered[..., (count - 1) // 2, None] + ordered[..., count // 2, None]) / 2
