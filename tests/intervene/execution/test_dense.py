# SPDX-License-Identifier: Apache-2.0
"""The plain loop, against a plainer one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from monai_causal.intervene import CallableScore, Evaluator, Region, Regions, RoIDice, grid_regions
from tests.intervene.replicas import Counting, effects_one_by_one


def some_regions(size: tuple[int, ...], channels: int = 2) -> Regions:
    box = tuple((1, 4) for _ in size)
    mask = torch.rand([3 for _ in size], generator=torch.Generator().manual_seed(0)) < 0.5
    return Regions(
        size, (*grid_regions(size, 3), Region(50, box, mask), Region(51, box, None, (channels - 1, channels)))
    )


def all_of(output: Tensor) -> Tensor:
    return output.flatten(1)


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, image: Tensor) -> Any:
        return self.function(image)


KEPT: dict[str, Tensor] = {}


def reusing_its_output(image: Tensor) -> Tensor:
    buffer = KEPT.setdefault(str(len(image)), torch.empty_like(image))
    return torch.mul(image, 2, out=buffer)


NETWORKS: dict[str, Callable[[Tensor], Any]] = {
    "ordinary": lambda image: image.cumsum(2).sin(),
    "writes into its input": lambda image: image.mul_(2).cumsum(3),
    "writes and returns its input": lambda image: image.neg_(),
    "returns its input": lambda image: image,
    "returns a view of it": lambda image: image[:, :1],
    "returns an expanded view": lambda image: image[:, :1].expand(-1, 3, *image.shape[2:]),
    "returns a view in a dict": lambda image: {"out": image.flip(1)[:, :1], "aux": image},
    "keeps and reuses its output": reusing_its_output,
}


@pytest.mark.parametrize("size", [(7, 8), (4, 5, 6)])
@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_effect_is_that_of_a_plain_loop(name: str, batch_size: int, size: tuple[int, ...]) -> None:
    KEPT.clear()
    image, regions = torch.rand(1, 2, *size, dtype=torch.float64), some_regions(size)
    before = image.clone()

    def plain(output: Any) -> Tensor:
        return (output["out"] if isinstance(output, dict) else output).flatten(1).clone()

    expected = effects_one_by_one(NETWORKS[name], image, regions, 0.25, plain)
    net = Counting(Function(NETWORKS[name]))
    effects = Evaluator(net, batch_size, "dense")(image, regions, 0.25, CallableScore(all_of))
    torch.testing.assert_close(effects.values[:, 0], expected, rtol=0, atol=1e-14)
    assert expected.any()
    assert torch.equal(image, before)
    full, rest = divmod(len(regions), batch_size)
    assert net.batches == [1, *[batch_size] * full, *[rest] * (rest > 0)]
    assert effects.record.forwards == 1 + len(regions)


def test_one_buffer_serves_all_batches() -> None:
    """No copy per perturbation beyond the batch itself."""
    places: list[int] = []

    def spy(image: Tensor) -> Tensor:
        places.append(image.data_ptr())
        return image * 2

    Evaluator(spy, 4, "dense")(torch.rand(1, 1, 8, 8), grid_regions((8, 8), 2), 0.0, CallableScore(all_of))
    assert len(places) == 1 + 4
    assert len(set(places[1:])) == 1


@pytest.mark.parametrize("size", [(8, 8), (6, 6, 6)])
def test_batches_in_the_memory_format_that_was_asked_for(size: tuple[int, ...]) -> None:
    kind = torch.channels_last if len(size) == 2 else torch.channels_last_3d
    seen: list[bool] = []

    def spy(image: Tensor) -> Tensor:
        seen.append(image.is_contiguous(memory_format=kind))
        return image.cumsum(2)

    image, regions = torch.rand(1, 3, *size, dtype=torch.float64), some_regions(size, 3)
    plain = Evaluator(spy, 4, "dense")(image, regions, 0.3, CallableScore(all_of))
    assert not any(seen)
    seen.clear()
    effects = Evaluator(spy, 4, "dense", channels_last=True)(image, regions, 0.3, CallableScore(all_of))
    assert seen
    assert all(seen)
    torch.testing.assert_close(effects.values, plain.values, rtol=0, atol=1e-14)


class Small(nn.Module):
    """Memory for so many items, and no more, which shows when the input has been written to."""

    def __init__(self, room: int, error: Exception) -> None:
        super().__init__()
        self.room = room
        self.error = error
        self.batches: list[int] = []

    def forward(self, image: Tensor) -> Tensor:
        self.batches.append(len(image))
        image.mul_(2)
        if len(image) > self.room:
            raise self.error
        return image.cumsum(2)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("no room"), MemoryError(), RuntimeError("CUDA out of memory.")]
)
def test_batches_are_halved_until_they_fit(error: Exception) -> None:
    image, regions = torch.rand(1, 1, 10, 8, dtype=torch.float64), grid_regions((10, 8), 2)
    small = Small(3, error)
    effects = Evaluator(small, 16, "dense")(image, regions, 0.1, CallableScore(all_of))
    assert small.batches == [1, 16, 8, 4, *[2] * 10]
    assert effects.record.batch_size == 2
    assert effects.record.notes == [
        "memory ran out with 16 interventions at once; went on with 8",
        "memory ran out with 8 interventions at once; went on with 4",
        "memory ran out with 4 interventions at once; went on with 2",
    ]
    expected = Evaluator(Small(1, error), 1, "dense")(image, regions, 0.1, CallableScore(all_of))
    assert torch.equal(effects.values, expected.values)


@pytest.mark.parametrize(
    ("room", "error"),
    [(0, torch.OutOfMemoryError("no room")), (3, RuntimeError("not about memory")), (3, ValueError())],
)
def test_other_errors_and_single_items_are_not_retried(room: int, error: Exception) -> None:
    small = Small(room, error)
    with pytest.raises(type(error)):
        Evaluator(small, 4, "dense")(torch.rand(1, 1, 8, 8), grid_regions((8, 8), 2), 0.1, CallableScore(all_of))
    assert small.batches == ([1] if room == 0 else [1, 4])


class Sensitive(nn.Module):
    """An answer that another batch size moves by a hair, as a real convolution's does."""

    def forward(self, image: Tensor) -> Tensor:
        return (image - 0.5) * 1e-6 + (len(image) - 1) * 1e-7


def test_hard_decisions_within_round_off_are_taken_one_by_one() -> None:
    """In batches every logit is 1e-7 too high, which turns some voxels; alone, none."""
    image = torch.full((1, 1, 8, 8), 0.45)
    image[..., 4:] = 0.9
    regions, score = grid_regions((8, 8), 2), RoIDice(((0, 8), (0, 8)), image[0, 0] > 0.5)
    expected = Evaluator(Sensitive(), 1, "dense", tolerance=1e-4)(image, regions, 0.46, score)
    found = Evaluator(Sensitive(), 5, "dense")(image, regions, 0.46, score)
    assert torch.equal(found.values, expected.values)
    assert (expected.record.recomputed, found.record.recomputed) == (0, len(regions))
    careless = Evaluator(Sensitive(), 5, "dense", tolerance=0.0)(image, regions, 0.46, score)
    assert careless.record.recomputed == 0
    assert not torch.equal(careless.values, expected.values)


def test_the_generator_of_a_draw_is_its_own() -> None:
    """Filled by a function, in a batch or not, from first to last or not."""

    def noise(original: Tensor, region: Region, generator: np.random.Generator) -> Tensor:
        return torch.from_numpy(generator.random(original.shape))

    image, regions = torch.rand(1, 2, 7, 8, dtype=torch.float64), some_regions((7, 8))
    found = Evaluator(lambda batch: batch, 4, "dense", seed=5)(image, regions, noise, CallableScore(all_of), 2)
    for row, region in enumerate(regions):
        for draw in range(2):
            intervened = image[0].clone()
            new = torch.from_numpy(np.random.default_rng([5, region.id, draw]).random(intervened[region.index].shape))
            mask = torch.ones(region.shape, dtype=torch.bool) if region.mask is None else region.mask
            intervened[region.index] = torch.where(mask, new, intervened[region.index])
            assert torch.equal(found.values[row, draw], (intervened - image[0]).flatten())
