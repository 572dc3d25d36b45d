# SPDX-License-Identifier: Apache-2.0
"""Windows is, to the bit, the dense run of one image at a time through the same inferer; it only runs fewer windows."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from monai.data.utils import dense_patch_slices
from monai.inferers import SimpleInferer, SliceInferer, SlidingWindowInferer, SlidingWindowInfererAdapt
from monai.utils import fall_back_tuple
from torch import Tensor, nn

from monai_causal.intervene import CallableScore, Effects, Evaluator, Region, Regions, RoIDice, grid_regions
from tests.intervene.replicas import Counting

Box = tuple[tuple[int, int], ...]


def network(dims: int = 2, channels: int = 1) -> nn.Module:
    """It reads all of its window, through an instance norm."""
    torch.manual_seed(0)
    convolution, norm = {2: (nn.Conv2d, nn.InstanceNorm2d), 3: (nn.Conv3d, nn.InstanceNorm3d)}[dims]
    return nn.Sequential(
        convolution(channels, 3, 3, padding=1), norm(3, affine=True), nn.ReLU(), convolution(3, 2, 3, padding=1)
    )


class AtItsPlace(nn.Module):
    """A network whose answer depends on where its window lies."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, windows: Tensor, slices: Sequence[Sequence[slice]]) -> Tensor:
        places = torch.tensor([sum(s.start * (k + 1) for k, s in enumerate(window[2:])) for window in slices])
        return self.inner(windows) + places.reshape(-1, 1, 1, 1)


class Returning(nn.Module):
    def __init__(self, form: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.inner = network()
        self.form = form

    def forward(self, windows: Tensor) -> Any:
        return self.form(self.inner(windows), windows)


def noise(original: Tensor, region: Region, generator: np.random.Generator) -> Tensor:
    return torch.from_numpy(generator.normal(size=original.shape))


def some_regions(size: tuple[int, ...]) -> Regions:
    """A coarse grid, what overlaps it, and masks."""
    grid = grid_regions(size, cells=3)
    box = tuple((length // 3 - 1, length // 2 + 1) for length in size)
    mask = torch.rand([b - a for a, b in box], generator=torch.Generator().manual_seed(1)) < 0.4
    return Regions(
        size, (*grid, Region(100, box), Region(101, box, mask), Region(102, tuple((n - 1, n) for n in size)))
    )


def both(
    net: Any, inferer: SlidingWindowInferer, image: Tensor, regions: Regions, box: Box | None, draws: int = 2
) -> tuple[Effects, Effects]:
    score = CallableScore(lambda output: output.flatten(1), box)
    windows = Evaluator(net, execution="windows", inferer=inferer)(image, regions, noise, score, draws)
    dense = Evaluator(net, 1, "dense", inferer=inferer)(image, regions, noise, score, draws)
    assert torch.equal(windows.before, dense.before)
    assert torch.equal(windows.data, dense.data)
    assert dense.data.any()
    assert (windows.record.execution, dense.record.execution) == ("windows", "dense")
    return windows, dense


SLIDINGS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "halves": ({"roi_size": (8, 8), "overlap": 0.5}, (18, 21)),
    "batches of four": ({"roi_size": (8, 8), "sw_batch_size": 4, "overlap": 0.5}, (18, 21)),
    "gaussian": ({"roi_size": (8, 10), "sw_batch_size": 4, "overlap": 0.6, "mode": "gaussian"}, (18, 21)),
    "gaussian, cached weights": (
        {"roi_size": (8, 10), "mode": "gaussian", "sigma_scale": 0.3, "cache_roi_weight_map": True},
        (18, 21),
    ),
    "no overlap": ({"roi_size": (6, 7), "overlap": 0.0}, (18, 21)),
    "overlap per axis": ({"roi_size": (6, 7), "overlap": (0.7, 0.2), "sw_batch_size": 3}, (18, 21)),
    "an int": ({"roi_size": 9, "overlap": 0.25}, (18, 21)),
    "a whole axis": ({"roi_size": (-1, 8), "overlap": 0.5}, (18, 21)),
    "a whole axis, none": ({"roi_size": (8, None), "overlap": 0.5, "sw_batch_size": 2}, (18, 21)),
    "one window": ({"roi_size": (18, 21)}, (18, 21)),
    "smaller than a window": ({"roi_size": (24, 25), "mode": "gaussian"}, (18, 21)),
    "smaller on one axis": ({"roi_size": (25, 8), "overlap": 0.5, "sw_batch_size": 4}, (18, 21)),
    "smaller, reflected": ({"roi_size": (8, 28), "overlap": 0.5, "padding_mode": "reflect"}, (18, 21)),
    "smaller, replicated": ({"roi_size": (8, 28), "overlap": 0.5, "padding_mode": "replicate"}, (18, 21)),
    "smaller, circular": ({"roi_size": (25, 8), "overlap": 0.5, "padding_mode": "circular"}, (18, 21)),
    "smaller, a value": ({"roi_size": (25, 8), "overlap": 0.5, "cval": 0.7}, (18, 21)),
    "buffered": ({"roi_size": (8, 8), "overlap": 0.5, "buffer_steps": 1}, (18, 21)),
    "buffered along the first axis": (
        {"roi_size": (8, 8), "overlap": 0.5, "sw_batch_size": 4, "buffer_steps": 2, "buffer_dim": 0},
        (18, 21),
    ),
    "3-D": ({"roi_size": (6, 6, 6), "overlap": 0.5, "mode": "gaussian"}, (9, 12, 7)),
    "3-D, batches of four": ({"roi_size": (6, 4, 6), "overlap": 0.25, "sw_batch_size": 4}, (9, 12, 7)),
    "3-D, smaller on one axis": ({"roi_size": (6, 6, 9), "overlap": 0.5, "padding_mode": "replicate"}, (9, 12, 7)),
    "3-D, buffered": ({"roi_size": (6, 6, 6), "overlap": 0.5, "buffer_steps": 2, "buffer_dim": 1}, (9, 12, 7)),
}


def window_batches(inferer: SlidingWindowInferer, size: tuple[int, ...]) -> list[list[Box]]:
    """The windows of an image, in the batches in which they are run, from MONAI's own arithmetic over again."""
    roi = fall_back_tuple(inferer.roi_size, size)
    padded = tuple(max(pair) for pair in zip(roi, size, strict=True))
    overlap = inferer.overlap if isinstance(inferer.overlap, tuple) else (inferer.overlap,) * len(size)
    steps = [w if w == n else max(int(w * (1 - o)), 1) for w, n, o in zip(roi, padded, overlap, strict=True)]
    windows = [tuple((s.start, s.stop) for s in window) for window in dense_patch_slices(padded, roi, steps)]
    size_of_batch = inferer.sw_batch_size
    return [windows[start : start + size_of_batch] for start in range(0, len(windows), size_of_batch)]


def meets(first: Box, second: Box) -> bool:
    return all(a < d and c < b for (a, b), (c, d) in zip(first, second, strict=True))


@pytest.mark.parametrize("reads", ["all", "box"])
@pytest.mark.parametrize("name", SLIDINGS)
def test_windows_are_the_dense_run_to_the_bit(name: str, reads: str) -> None:
    options, size = SLIDINGS[name]
    image = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    net, inferer = Counting(network(len(size)).double()), SlidingWindowInferer(**options)
    before = copy.deepcopy(vars(inferer))
    regions = some_regions(size)
    box = None if reads == "all" else tuple((length // 2, length // 2 + 2) for length in size)
    windows, dense = both(net, inferer, image, regions, box)
    assert sum(net.batches) == windows.record.forwards + dense.record.forwards
    after = vars(inferer)
    assert before.keys() == after.keys()
    assert all(before[key] is after[key] or torch.all(torch.as_tensor(before[key] == after[key])) for key in before)

    batches = window_batches(inferer, size)
    total = sum(map(len, batches))
    assert dense.record.forwards == (1 + 2 * len(regions)) * total
    if inferer.buffer_steps:
        return  # buffered windows go in another order
    pads = [max(0, w - n) for w, n in zip(fall_back_tuple(inferer.roi_size, size), size, strict=True)]

    def in_padded(some: Box) -> Box:
        return tuple((a + pad // 2, b + pad // 2) for (a, b), pad in zip(some, pads, strict=True))

    expected, untouched = total, 0
    for region in regions:
        # on an axis that is padded what lies outside may copy anything inside
        reach = tuple((0, 10**6) if pad else bounds for bounds, pad in zip(in_padded(region.box), pads, strict=True))
        run = [
            batch
            for batch in batches
            if any(meets(window, reach) and (box is None or meets(window, in_padded(box))) for window in batch)
        ]
        expected += 2 * sum(map(len, run))
        untouched += 2 * (not run)
    assert windows.record.forwards == expected
    assert windows.record.untouched == untouched
    if total > 4:
        assert expected < dense.record.forwards


@pytest.mark.parametrize("sw_batch_size", [1, 4])
@pytest.mark.parametrize(
    "net",
    [
        Returning(lambda answer, windows: {"out": answer, "aux": windows}),
        Returning(lambda answer, windows: {"only": answer}),
        Returning(lambda answer, windows: (answer, windows[:, :, ::2, ::2])),
        Returning(lambda answer, windows: windows),  # a view of what it is given
        Returning(lambda answer, windows: answer + windows.neg_()),  # which it may write into
    ],
    ids=["dict", "dict of one", "tuple of two sizes", "view", "written"],
)
def test_whatever_a_network_returns(net: nn.Module, sw_batch_size: int) -> None:
    inferer = SlidingWindowInferer((8, 8), sw_batch_size, overlap=0.5, mode="gaussian")
    image = torch.rand(1, 1, 16, 20, dtype=torch.float64)
    before = image.clone()
    both(net.double(), inferer, image, some_regions((16, 20)), None)
    assert torch.equal(image, before)


@pytest.mark.parametrize("sw_batch_size", [1, 3])
def test_a_network_that_is_told_where_it_is(sw_batch_size: int) -> None:
    inferer = SlidingWindowInferer((8, 8), sw_batch_size, overlap=0.5, with_coord=True)
    both(AtItsPlace().double(), inferer, torch.rand(1, 1, 16, 20, dtype=torch.float64), some_regions((16, 20)), None)


def test_in_float32_and_for_a_hard_score() -> None:
    net, inferer = network(channels=2), SlidingWindowInferer((8, 8), 2, overlap=0.5)
    image, labels = torch.rand(1, 2, 16, 20), torch.rand(16, 20) < 0.5
    score = RoIDice(((4, 12), (4, 12)), labels.long(), class_idx=1)
    windows = Evaluator(net, inferer=inferer)(image, some_regions((16, 20)), 0.2, score)
    dense = Evaluator(net, 1, "dense", inferer=inferer)(image, some_regions((16, 20)), 0.2, score)
    assert torch.equal(windows.values, dense.values)
    assert dense.values.any()
    assert windows.record.recomputed == 0


def test_images_one_after_the_other() -> None:
    net, inferer = network().double(), SlidingWindowInferer((8, 8), overlap=0.5)
    images, score = torch.rand(2, 1, 16, 20, dtype=torch.float64), CallableScore(lambda output: output.mean((1, 2, 3)))
    together = Evaluator(net, inferer=inferer)(images, some_regions((16, 20)), 0.0, score)
    for item in range(2):
        alone = Evaluator(net, inferer=inferer)(images[item : item + 1], some_regions((16, 20)), 0.0, score)
        assert torch.equal(together.values[item], alone.values)


def test_an_error_leaves_the_image_alone() -> None:
    image, calls = torch.rand(1, 1, 16, 20, dtype=torch.float64), []
    before = image.clone()

    def failing(windows: Tensor) -> Tensor:
        calls.append(len(windows))
        if len(calls) > 12:
            raise KeyboardInterrupt
        return windows * 2

    ask = Evaluator(failing, inferer=SlidingWindowInferer((8, 8), overlap=0.5))
    with pytest.raises(KeyboardInterrupt):
        ask(image, some_regions((16, 20)), 0.0, lambda output: output.mean((1, 2, 3)))
    assert torch.equal(image, before)


@pytest.mark.parametrize(
    ("inferer", "execution", "reason"),
    [
        (SlidingWindowInferer((8, 8)), "windows", "the inferer slides a window: only touched windows are run"),
        (SlidingWindowInfererAdapt((8, 8)), "windows", "the inferer slides a window: only touched windows are run"),
        (SimpleInferer(), "dense", "SimpleInferer is run as it is"),
    ],
)
def test_auto_takes_windows_where_they_slide(inferer: Any, execution: str, reason: str) -> None:
    image = torch.rand(1, 1, 16, 20)
    effects = Evaluator(network(), inferer=inferer)(image, some_regions((16, 20)), 0.0, lambda o: o.mean((1, 2, 3)))
    assert (effects.record.execution, effects.record.reason) == (execution, reason)


def test_slices_of_a_volume_are_no_windows() -> None:
    """MONAI's SliceInferer is a sliding window by inheritance only: the network gets slices of one axis less."""
    image, inferer = torch.rand(1, 1, 4, 10, 10), SliceInferer(0, (8, 8))
    effects = Evaluator(network(), inferer=inferer)(
        image, grid_regions((4, 10, 10), 4), 0.0, lambda o: o.mean((1, 2, 3, 4))
    )
    assert (effects.record.execution, effects.record.reason) == ("dense", "SliceInferer is run as it is")
    assert effects.values.any()
    with pytest.raises(ValueError, match=r"needs windows: Evaluator\(network, inferer=SlidingWindowInferer"):
        Evaluator(network(), execution="windows", inferer=inferer)(image, grid_regions((4, 10, 10), 4), 0.0, torch.mean)


@pytest.mark.parametrize("inferer", [None, SimpleInferer()])
def test_windows_need_an_inferer_that_slides(inferer: Any) -> None:
    net = Counting(network())
    with pytest.raises(ValueError, match=r"execution='windows' needs windows"):
        Evaluator(net, execution="windows", inferer=inferer)(
            torch.rand(1, 1, 8, 8), grid_regions((8, 8), 4), 0.0, torch.mean
        )
    assert net.batches == []
