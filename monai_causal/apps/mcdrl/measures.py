# SPDX-License-Identifier: Apache-2.0
"""What a network's answer is worth, image by image, and what a change of the confounder alone does to it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from statistics import fmean
from typing import Any, NamedTuple

import torch
from monai.metrics import compute_average_surface_distance
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d, interpolate

from monai_causal.apps.mcdrl.samples import Sample, Store
from monai_causal.apps.mcdrl.tasks import Scene
from monai_causal.data.phantoms.endoscopy_confounders import GEOMETRIC
from monai_causal.networks.nets.mcdrl import MCDRL

__all__ = [
    "Seen",
    "answer_of",
    "dice_of",
    "look",
    "measure_image",
    "measure_invariance",
    "overlap",
    "recall_of_selection",
]

NEUTRAL = "white_light"
Row = dict[str, Any]


class Seen(NamedTuple):
    """What a network made of an image.

    Attributes:
        logits: ``(1 or K + 1, h, w)`` at the size that it saw.
        kept: ``(1, rows, columns)``, the cells that were selected; None where nothing is selected.
        feature: ``(d,)``, the mean of the intervened map over the selected cells (all, where nothing is selected); None
            for a network without such a map.
    """

    logits: Tensor
    kept: Tensor | None
    feature: Tensor | None


def look(
    network: nn.Module, samples: Sequence[Sample], store: Store, device: torch.device, batch_size: int
) -> Iterator[Seen]:
    """The network's answers, one by one in the samples' order."""
    network.eval()
    for start in range(0, len(samples), batch_size):
        images = store.images(samples[start : start + batch_size]).to(device)
        with torch.no_grad():
            if isinstance(network, MCDRL):
                observed = network.observe(images)
                cells, kept = network.represent(observed.cells)
                logits = network.segment(images, cells)
                features = (cells * kept).sum(dim=(2, 3)) / kept.sum(dim=(2, 3))
                for one, chosen, feature in zip(logits.cpu(), kept.cpu(), features.cpu(), strict=True):
                    yield Seen(one, chosen if network.select else None, feature)
            else:
                for one in network(images).cpu():
                    yield Seen(one, None, None)


def answer_of(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Classes ``(H, W)``: logits resized bilinearly, then a probability of 0.5 or more, or the largest of several."""
    whole = interpolate(logits[None].float(), tuple(size), mode="bilinear", align_corners=False)[0]
    return (whole[0] >= 0).long() if len(whole) == 1 else whole.argmax(dim=0)


def measure_image(seen: Seen, truth: Tensor) -> Row:
    """The measures of an image at its mask's own resolution.

    Of several classes they are means over those that the mask holds. Where it holds none they ask, as the ``any_``
    measure always does, for lesions of any class.

    Args:
        seen: what the network made of it.
        truth: the label ``(H, W)``.
    """
    answer = answer_of(seen.logits, truth.shape)
    lesion, found = truth > 0, answer > 0
    parts = [overlap(one, other) for one, other in _compared(answer, truth, len(seen.logits) > 1)]
    distances = [part["assd"] for part in parts if part["assd"] is not None]
    return {
        "dice": fmean(part["dice"] for part in parts),
        "iou": fmean(part["iou"] for part in parts),
        "accuracy": float((answer == truth).double().mean()),
        "assd": fmean(distances) if distances else None,
        "any_dice": overlap(found, lesion)["dice"],
        "recall": None if seen.kept is None else recall_of_selection(seen.kept, lesion),
        "lesion_share": float(lesion.double().mean()),
    }


def dice_of(logits: Tensor, truth: Tensor) -> float:
    """The Dice of :func:`measure_image`, of logits ``(1 or K + 1, h, w)`` and a label ``(H, W)``: what an epoch is
    chosen by is what is reported."""
    pairs = _compared(answer_of(logits, truth.shape), truth, len(logits) > 1)
    return fmean(_shares(one, other)["dice"] for one, other in pairs)


def overlap(answer: Tensor, truth: Tensor) -> dict[str, Any]:
    """Dice, IoU and average symmetric surface distance (in pixels) of two masks ``(H, W)``.

    Both empty: Dice and IoU are 1; one of them: 0. A distance from an empty mask is not defined: None.

    Example:
        >>> overlap(torch.tensor([[True, True]]), torch.tensor([[True, False]]))["iou"]
        0.5
    """
    distance = None
    if answer.any() and truth.any():
        found = compute_average_surface_distance(
            answer[None, None].float(), truth[None, None].float(), include_background=True, symmetric=True
        )
        distance = float(found) if math.isfinite(found) else None
    return {**_shares(answer, truth), "assd": distance}


def recall_of_selection(kept: Tensor, lesion: Tensor) -> float | None:
    """MTRS recall at alpha: of the cells that hold a part of the lesion, the share that was selected.

    What is not selected is lost where the other cells are erased. None for an image without a lesion.
    """
    cells = adaptive_max_pool2d(lesion[None].float(), kept.shape[1:])
    return int((cells * kept).sum()) / int(cells.sum()) if bool(lesion.any()) else None


def measure_invariance(
    network: nn.Module, scenes: Sequence[Scene], store: Store, device: torch.device, batch_size: int
) -> list[Row]:
    """The answer under do(confounder), one row for each scene, severity and confounder.

    ``dice`` is that with the image's own mask; ``agreement`` the Dice of the answer with that under white light, which
    says nothing where the confounder moves the scene (None). ``feature`` is the mean distance of the pooled feature
    from those of the same scene under the other confounders, in mean distances between scenes under one confounder: 0
    would be a feature that sees none of it.
    """
    rows: list[Row] = []
    for severity in dict.fromkeys(scene.severity for scene in scenes):
        some = [scene for scene in scenes if scene.severity == severity]
        samples = [view for scene in some for view in scene.views.values()]
        seen = iter(look(network, samples, store, device, batch_size))
        features: list[list[Tensor]] = []
        for scene in some:
            of_scene = {name: (sample, next(seen)) for name, sample in scene.views.items()}
            still = [name for name in of_scene if name not in GEOMETRIC]
            under_white_light = _mask(*of_scene[NEUTRAL], store)
            for name, (sample, one) in of_scene.items():
                answer = _mask(sample, one, store)
                agrees = name in still and name != NEUTRAL
                rows.append(
                    {
                        "scene": scene.name, "severity": severity, "confounder": name,
                        "dice": overlap(answer, store.truth(sample) > 0)["dice"],
                        "agreement": overlap(answer, under_white_light)["dice"] if agrees else None,
                        "feature": None,
                    }
                )  # fmt: skip
            found = [of_scene[name][1].feature for name in still]
            features.append([one for one in found if one is not None])
        if all(features):
            own = [row for row in rows if row["severity"] == severity and row["confounder"] not in GEOMETRIC]
            for row, value in zip(
                own, relative_distances(torch.stack([torch.stack(f) for f in features])), strict=True
            ):
                row["feature"] = value
    return rows


def relative_distances(features: Tensor) -> list[float | None]:
    """From features ``(scenes, confounders, d)``, scene by scene: how far each is from those of the same scene, in mean
    distances between scenes under the same confounder; None where all scenes look alike."""
    features = features.double()
    scenes, confounders = features.shape[:2]
    pairs = list(combinations(range(scenes), 2))
    between = fmean(float((features[a] - features[b]).norm(dim=-1).mean()) for a, b in pairs)
    within = torch.cdist(features, features).sum(dim=2) / (confounders - 1)
    return [value / between if between > 0 else None for value in within.flatten().tolist()]


def _shares(answer: Tensor, truth: Tensor) -> dict[str, float]:
    both, either = int((answer & truth).sum()), int((answer | truth).sum())
    areas = int(answer.sum() + truth.sum())
    return {"dice": 2 * both / areas if areas else 1.0, "iou": both / either if either else 1.0}


def _compared(answer: Tensor, truth: Tensor, several: bool) -> list[tuple[Tensor, Tensor]]:
    """The masks of each class that the truth holds; of one class, or where it holds none, those of any lesion."""
    classes = [int(one) for one in truth.unique() if one > 0] if several else []
    return [(answer == one, truth == one) for one in classes] or [(answer > 0, truth > 0)]


def _mask(sample: Sample, seen: Seen, store: Store) -> Tensor:
    return answer_of(seen.logits, store.truth(sample).shape) > 0
