# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_causal.losses import MCDRLLoss, causal_loss, contrastive_loss
from monai_causal.losses.mcdrl import image_classes, pooled
from monai_causal.networks.nets.mcdrl import MCDRLOutput

Array = NDArray[np.float64]
IMAGES, WIDTH, GRID, SIDE = 4, 5, 4, 8


def output(classes: int, *, intervening: bool = True) -> MCDRLOutput:
    draw = torch.Generator().manual_seed(classes)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64).requires_grad_()

    kept = (torch.rand(IMAGES, 1, GRID, GRID, generator=draw) < 0.6).double()
    kept[3] = 0
    kept[3, 0, 3, 3] = 1  # which holds nothing of the lesion
    return MCDRLOutput(
        logits=drawn(IMAGES, 1 if classes == 1 else classes + 1, SIDE, SIDE),
        cells=drawn(IMAGES, WIDTH, GRID, GRID),
        kept=kept,
        image=drawn(IMAGES, WIDTH),
        classes=drawn(classes + 1, WIDTH),
        causal_targets=drawn(classes, WIDTH),
        intervening=torch.tensor(intervening),
    )


def labels(classes: int) -> Tensor:
    """Two images of the last class, one of none, one of the first; a few pixels of another class in the first one."""
    found = torch.zeros(IMAGES, 1, SIDE, SIDE)
    found[0, 0, 1:5, 2:7] = classes
    found[0, 0, 6, 0] = 1
    found[1, 0, 0:3, 0:3] = classes
    found[3, 0, 2:4, 1:4] = 1
    return found


SHOWN = {1: (0, 0, 1, 0), 3: (2, 2, 3, 0)}


def unit(vector: Array) -> Array:
    return vector / math.sqrt(sum(vector**2))


def cross_entropy(logits: Array, truth: Array) -> float:
    """Eq. 10, pixel by pixel; one channel is the logit of the lesion against the background."""
    total = 0.0
    for image in range(IMAGES):
        for row in range(SIDE):
            for column in range(SIDE):
                at, k = logits[image, :, row, column], int(truth[image, 0, row, column])
                at = np.array([0.0, at[0]]) if len(at) == 1 else at
                total -= math.log(math.exp(at[k]) / sum(math.exp(one) for one in at))
    return total / (IMAGES * SIDE * SIDE)


def dice(logits: Array, truth: Array) -> float:
    """Mean over images and channels, the background's among them."""
    channels = logits.shape[1]
    total = 0.0
    for image in range(IMAGES):
        exponents = np.exp(logits[image])
        shares = 1 / (1 + np.exp(-logits[image])) if channels == 1 else exponents / exponents.sum(axis=0)
        for channel in range(channels):
            target = (truth[image, 0] == (1 if channels == 1 else channel)).astype(float)
            both = (shares[channel] * target).sum()
            total += 1 - (2 * both + 1e-5) / (shares[channel].sum() + target.sum() + 1e-5)
    return total / (IMAGES * channels)


def pooled_by_loops(cells: Array, kept: Array, truth: Array | None) -> Array:
    """A cell is two by two pixels."""
    out = np.zeros((IMAGES, WIDTH))
    for image in range(IMAGES):
        chosen = [(r, c) for r in range(GRID) for c in range(GRID) if kept[image, 0, r, c]]
        if truth is not None:
            holding = [(r, c) for r, c in chosen if truth[image, 0, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].any()]
            chosen = holding or chosen
        out[image] = sum(cells[image, :, r, c] for r, c in chosen) / len(chosen)
    return out


def replica(given: MCDRLOutput, truth: Array, count: int, *, paper: bool, lesion: bool = False) -> dict[str, float]:
    at = {name: getattr(given, name).detach().numpy() for name in MCDRLOutput._fields}
    segmentation = cross_entropy(at["logits"], truth) + (0 if paper else dice(at["logits"], truth))
    features = pooled_by_loops(at["cells"], at["kept"], truth if lesion else None)
    causal, contrast = [], []
    for image, k in enumerate(SHOWN[count]):
        if k < count:
            pair = (features[image], at["causal_targets"][k])
            one, other = pair if paper else (unit(pair[0]), unit(pair[1]))
            causal.append(sum((one - other) ** 2))
        else:
            causal.append(0.0)
        cosines = [float(unit(at["image"][image]) @ unit(text)) for text in at["classes"]]
        exponents = [math.exp(cosine / 0.5) for cosine in cosines]
        contrast.append(-math.log(exponents[k] / sum(exponents)))
    parts = {"segmentation": segmentation, "causal": float(np.mean(causal)), "contrast": float(np.mean(contrast))}
    return parts | {"total": parts["segmentation"] + 0.5 * parts["causal"] + 0.1 * parts["contrast"]}


@pytest.mark.parametrize("variant", ["default", "paper", "lesion"])
@pytest.mark.parametrize("count", [1, 3])
def test_the_loss_and_its_parts_once_more_by_loops(count: int, variant: str) -> None:
    """Eqs. 9 to 12, with one class and with three, and an image without a lesion."""
    loss = {"default": MCDRLLoss(), "paper": MCDRLLoss.paper(), "lesion": MCDRLLoss(pool="lesion")}[variant]
    given, truth = output(count), labels(count)
    expected = replica(given, truth.numpy(), count, paper=variant == "paper", lesion=variant == "lesion")
    found = loss(given, truth)
    assert found.item() == pytest.approx(expected["total"], abs=1e-9)
    for name in ("segmentation", "causal", "contrast"):
        assert loss.parts[name].item() == pytest.approx(expected[name], abs=1e-9)
        assert not loss.parts[name].requires_grad


def test_the_weights_and_the_temperature() -> None:
    given, truth = output(1), labels(1)
    plain = MCDRLLoss()
    plain(given, truth)
    other = MCDRLLoss(lambda_causal=2, lambda_contrast=3, temperature=0.05, dice=0)
    total = other(given, truth)
    parts = other.parts
    assert parts["causal"] == plain.parts["causal"]
    assert parts["contrast"] != plain.parts["contrast"]
    expected = parts["segmentation"] + 2 * parts["causal"] + 3 * parts["contrast"]
    assert total.item() == pytest.approx(expected.item())


def test_without_an_intervention_its_loss_is_zero_and_has_no_gradient() -> None:
    given, loss = output(1, intervening=False), MCDRLLoss()
    loss(given, labels(1)).backward()
    assert loss.parts["causal"] == 0
    assert not given.cells.grad.any()  # type: ignore[union-attr]
    assert given.image.grad.any()  # type: ignore[union-attr]


def test_the_halves_of_a_batch_average_to_the_whole() -> None:
    """As devices do that share it, although one of them has an image without a lesion."""
    given, truth, loss = output(3), labels(3), MCDRLLoss()
    total = loss(given, truth).item()
    images = {"logits", "cells", "kept", "image"}
    halves = [
        loss(given._replace(**{name: getattr(given, name)[half] for name in images}), truth[half]).item()
        for half in (slice(2), slice(2, 4))
    ]
    assert total == pytest.approx(sum(halves) / 2, abs=1e-9)


def test_plain_logits_give_the_segmentation_alone() -> None:
    given, loss = output(3), MCDRLLoss()
    found = loss(given.logits, labels(3))
    assert set(loss.parts) == {"segmentation"}
    loss(given, labels(3))
    assert found.item() == loss.parts["segmentation"].item()


def test_any_label_above_zero_is_the_lesion_where_there_is_one_class() -> None:
    given, loss = output(1), MCDRLLoss()
    assert loss(given, labels(1) * 255).item() == loss(given, labels(1)).item()


def test_the_variance_of_the_cells_is_watched() -> None:
    given, loss = output(1), MCDRLLoss()
    loss(given, labels(1))
    cells = given.cells.detach().numpy()
    expected = np.mean([cells[:, channel].var(ddof=1) for channel in range(WIDTH)])
    assert loss.parts["feature_variance"].item() == pytest.approx(expected)


@pytest.mark.parametrize("count", [1, 3])
def test_a_batch_without_any_lesion_has_no_causal_loss_but_a_finite_gradient(count: int) -> None:
    given, loss = output(count), MCDRLLoss()
    loss(given, torch.zeros(IMAGES, 1, SIDE, SIDE)).backward()
    assert loss.parts["causal"] == 0
    assert all(one.grad.isfinite().all() for one in (given.logits, given.image))  # type: ignore[union-attr]
    assert given.cells.grad is None or not given.cells.grad.any()


def test_an_image_belongs_to_the_class_with_most_pixels() -> None:
    assert tuple(image_classes(labels(3), 3).tolist()) == SHOWN[3]
    assert tuple(image_classes(labels(1), 1).tolist()) == SHOWN[1]


def test_features_at_the_target_have_no_causal_loss() -> None:
    targets, classes = torch.eye(3, dtype=torch.float64)[:2], torch.tensor([0, 1])
    assert causal_loss(targets * 5, targets, classes) == 0
    assert causal_loss(targets * 5, targets, classes, normalise=False) == 16
    assert causal_loss(-targets, targets, classes) == 4


def test_texts_of_each_image_in_the_contrast() -> None:
    given = output(3)
    classes = torch.tensor(SHOWN[3])
    shared = contrastive_loss(given.image, given.classes, classes)
    own = contrastive_loss(given.image, given.classes.expand(IMAGES, -1, -1), classes)
    assert shared.item() == pytest.approx(own.item())
    other = contrastive_loss(given.image, given.classes.expand(IMAGES, -1, -1).flip(2), classes)
    assert other.item() != pytest.approx(own.item())


def test_what_is_pooled_lies_on_the_selected_cells() -> None:
    given = output(1)
    expected = pooled_by_loops(given.cells.detach().numpy(), given.kept.numpy(), None)
    np.testing.assert_allclose(pooled(given).detach().numpy(), expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": 0}, "temperature=0: give a number above 0; the paper's is 0.5"),
        ({"pool": "all"}, "pool='all': choose 'kept' or 'lesion'"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MCDRLLoss(**options)
