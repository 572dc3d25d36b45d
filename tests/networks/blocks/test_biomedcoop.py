# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import statistics

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from monai_causal.networks.blocks.biomedcoop import (
    consistency_loss,
    distillation_loss,
    kept_prompts,
    prompt_ensemble,
)

Array = NDArray[np.float64]


def drawn(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slowly_kept(similar: list[float], threshold: float) -> list[bool]:
    median = statistics.median(similar)
    deviation = statistics.median(abs(one - median) for one in similar) / statistics.NormalDist().inv_cdf(0.75)
    return [abs(one - median) / deviation <= threshold for one in similar]


class TestPromptEnsemble:
    @pytest.mark.parametrize("lesion", [True, False])
    def test_fifty_different_prompts_that_name_the_class(self, lesion: bool) -> None:
        prompts = prompt_ensemble("anything", lesion=lesion)
        assert len(set(prompts)) == len(prompts) == 50
        assert all("anything" in one and "{" not in one for one in prompts)
        assert prompts == prompt_ensemble("anything", lesion=lesion)

    def test_what_is_said_of_a_lesion_is_not_said_of_none(self) -> None:
        assert not set(prompt_ensemble("mucosa")) & set(prompt_ensemble("mucosa", lesion=False))


class TestKeptPrompts:
    @pytest.mark.parametrize("threshold", [0.8, 1.5, 3.0])
    @pytest.mark.parametrize("count", [50, 7])
    def test_against_a_slow_replica(self, threshold: float, count: int) -> None:
        similar = drawn(3, 2, count, seed=count) ** 3

        kept = kept_prompts(similar, threshold)

        expected = [[slowly_kept(row, threshold) for row in rows] for rows in similar.tolist()]
        assert kept.tolist() == expected
        assert 0 < int(kept.sum()) < kept.numel()

    def test_the_threshold_is_one_and_a_half(self) -> None:
        similar = drawn(4, 50)
        assert torch.equal(kept_prompts(similar), kept_prompts(similar, 1.5))

    def test_an_outlier_on_either_side_goes(self) -> None:
        kept = kept_prompts(torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 40.0, -40.0]))
        assert kept.tolist() == [True] * 5 + [False] * 2

    def test_of_equal_ones_none_goes(self) -> None:
        assert kept_prompts(torch.full((2, 6), 0.3)).all()
        assert kept_prompts(torch.tensor([0.3, 0.3, 0.3, 0.9])).tolist() == [True, True, True, False]

    def test_half_precision(self) -> None:
        similar = drawn(5, 50)
        assert torch.equal(kept_prompts(similar.bfloat16()), kept_prompts(similar.bfloat16().double()))


class TestConsistencyLoss:
    def test_against_a_replica(self) -> None:
        learned, prompts = drawn(3, 8), normalize(drawn(3, 50, 8, seed=1) + 0.5, dim=-1)

        loss = consistency_loss(learned, prompts)

        total = 0.0
        for text, those in zip(learned.numpy(), prompts.numpy(), strict=True):
            mean = sum(those) / 50
            total += float(((text / np.linalg.norm(text) - mean / np.linalg.norm(mean)) ** 2).sum())
        assert loss.item() == pytest.approx(total / (3 * 8), abs=1e-14)

    def test_the_mean_itself_costs_nothing(self) -> None:
        prompts = normalize(drawn(3, 50, 8) + 0.5, dim=-1)
        assert consistency_loss(prompts.mean(dim=1), prompts).item() == pytest.approx(0, abs=1e-30)


class TestDistillationLoss:
    images, learned = drawn(4, 8), drawn(3, 8, seed=1)
    prompts = normalize(drawn(3, 50, 8, seed=2) + drawn(3, 1, 8, seed=3), dim=-1)

    @pytest.mark.parametrize("threshold", [1.5, 0.8, 100.0])
    def test_against_a_replica(self, threshold: float) -> None:
        loss = distillation_loss(self.images, self.learned, self.prompts, 10.0, threshold)
        assert loss.item() == pytest.approx(self.replica(threshold), abs=1e-12)

    def test_pruning_matters(self) -> None:
        assert abs(self.replica(1.5) - self.replica(100.0)) > 1e-4

    def test_each_image_apart(self) -> None:
        alone = [distillation_loss(one[None], self.learned, self.prompts, 10.0) for one in self.images]
        together = distillation_loss(self.images, self.learned, self.prompts, 10.0)
        assert together.item() == pytest.approx(torch.stack(alone).mean().item(), abs=1e-12)

    def test_the_gradient_goes_to_the_learned_texts_alone(self) -> None:
        learned, prompts = self.learned.clone().requires_grad_(), self.prompts.clone().requires_grad_()
        distillation_loss(self.images, learned, prompts, 10.0).backward()
        assert prompts.grad is None
        assert learned.grad is not None
        assert learned.grad.abs().max() > 0

    def test_who_says_what_the_prompts_say_pays_nothing(self) -> None:
        one = self.prompts[:, :1]
        loss = distillation_loss(self.images, 3 * one[:, 0], one.expand(-1, 50, -1), 10.0)
        assert loss.item() == pytest.approx(0, abs=1e-12)

    def replica(self, threshold: float) -> float:
        total = 0.0
        for image in self.images.numpy():
            image = image / np.linalg.norm(image)
            theirs, ours = [], []
            for text, those in zip(self.learned.numpy(), self.prompts.numpy(), strict=True):
                kept = those[slowly_kept((those @ image).tolist(), threshold)]
                mean = kept.mean(axis=0)
                theirs.append(10 * image @ mean / np.linalg.norm(mean))
                ours.append(10 * image @ text / np.linalg.norm(text))
            p, q = softmax(np.array(theirs)), softmax(np.array(ours))
            total += float((p * np.log(p / q)).sum())
        return total / len(self.images)


def softmax(values: Array) -> Array:
    return np.asarray(np.exp(values) / np.exp(values).sum())
