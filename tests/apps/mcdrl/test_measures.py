# SPDX-License-Identifier: Apache-2.0
"""Measures against masks worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from monai_causal.apps.mcdrl import measures as measures_module
from monai_causal.apps.mcdrl.measures import (
    Seen,
    answer_of,
    dice_of,
    look,
    measure_image,
    measure_invariance,
    overlap,
    recall_of_selection,
    relative_distances,
)
from monai_causal.apps.mcdrl.samples import Sample, Store
from monai_causal.apps.mcdrl.tasks import Scene
from monai_causal.networks.nets.mcdrl import MCDRL
from tests.networks.blocks.tiny_clip import tiny_clip_folder

CPU = torch.device("cpu")


def mask(*cells: tuple[int, int], size: int = 4) -> Tensor:
    found = torch.zeros(size, size, dtype=torch.bool)
    for row, column in cells:
        found[row, column] = True
    return found


def logits(answer: Tensor) -> Tensor:
    return torch.where(answer, 1.0, -1.0)[None]


def test_overlap_by_hand() -> None:
    found = overlap(mask((0, 0), (0, 1), (1, 0)), mask((0, 1), (1, 1)))
    assert (found["dice"], found["iou"]) == (2 * 1 / 5, 1 / 4)


def test_a_distance_by_hand() -> None:
    # single pixels two columns and three rows apart, both ways
    assert overlap(mask((0, 0)), mask((3, 2)))["assd"] == pytest.approx(math.sqrt(13))
    assert overlap(mask((0, 0)), mask((0, 0)))["assd"] == 0


def test_empty_masks() -> None:
    nothing, something = mask(), mask((1, 1))
    assert overlap(nothing, nothing) == {"dice": 1.0, "iou": 1.0, "assd": None}
    for answer, truth in ((nothing, something), (something, nothing)):
        assert overlap(answer, truth) == {"dice": 0.0, "iou": 0.0, "assd": None}


def test_logits_are_resized_before_they_become_an_answer() -> None:
    found = answer_of(torch.tensor([[[-1.0, 3.0]]]), (1, 4))
    # Bilinear: -1, 0, 2, 3: a mask resized after the threshold would have two pixels of lesion, not three
    assert found.tolist() == [[0, 1, 1, 1]]
    several = torch.tensor([[[0.0, 0.0]], [[-1.0, 1.0]], [[-2.0, 2.0]]])
    assert answer_of(several, (1, 2)).tolist() == [[0, 2]]


def test_of_several_classes_the_mean_is_over_those_present() -> None:
    truth = torch.tensor([[1, 1, 2, 2], [0, 0, 0, 0]])
    answer = torch.tensor([[1, 2, 2, 2], [3, 0, 0, 0]])
    scores = torch.nn.functional.one_hot(answer, 4).permute(2, 0, 1).float()
    found = measure_image(Seen(scores, None, None), truth)
    assert found["dice"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert found["iou"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["any_dice"] == pytest.approx(2 * 4 / 9)
    assert found["accuracy"] == 6 / 8
    healthy = measure_image(Seen(scores, None, None), torch.zeros_like(truth))
    assert (healthy["dice"], healthy["any_dice"], healthy["lesion_share"]) == (0.0, 0.0, 0.0)


def test_one_class_at_native_resolution() -> None:
    truth = mask((0, 0), (0, 1), (1, 0), (1, 1), size=8).long()
    found = measure_image(Seen(logits(mask((0, 0), size=4)), None, None), truth)
    answer = answer_of(logits(mask((0, 0), size=4)), (8, 8)) > 0
    assert found["dice"] == 2 * int((answer & (truth > 0)).sum()) / int(answer.sum() + 4)
    assert found["recall"] is None
    assert found["lesion_share"] == 4 / 64


def test_recall_counts_cells_with_a_part_of_the_lesion() -> None:
    kept = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    assert recall_of_selection(kept, mask((0, 0), (0, 2), (0, 3), (3, 3))) == 2 / 3
    assert recall_of_selection(kept, mask((2, 1))) == 0.0
    assert recall_of_selection(kept, mask()) is None


class Brighter(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=1, keepdim=True) - 0.5


def scene(pictures: dict[str, Tensor], name: str = "scene-1", truth: Tensor | None = None) -> Scene:
    label = mask((0, 0)).long() if truth is None else truth.long()
    views = {
        key: Sample(f"{name}-{key}", "phantom", name, key, lambda value=value: (value.float().expand(3, 4, 4), label))
        for key, value in pictures.items()
    }
    return Scene(name, 0.5, views)


def test_invariance_by_hand() -> None:
    pictures = {
        "white_light": mask((0, 0)),
        "dim": mask(),
        "blood": mask((0, 0), (0, 1)),
        "close_up": mask((0, 0), (0, 1), (1, 0)),
    }
    rows = measure_invariance(Brighter(), [scene(pictures)], Store(4, ["polyp"]), CPU, 3)
    found = {row["confounder"]: (row["dice"], row["agreement"]) for row in rows}
    assert found == {
        "white_light": (1.0, None), "dim": (0.0, 0.0), "blood": (2 / 3, 2 / 3), "close_up": (0.5, None)
    }  # fmt: skip
    assert {row["feature"] for row in rows} == {None}  # no map of features


def test_features_leave_out_what_moves_the_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = dict.fromkeys(("white_light", "dim", "distant"), mask((0, 0)))
    two = [scene(pictures, name) for name in ("scene-1", "scene-2")]
    # white light and dim: 1 apart in a scene, 4 apart between scenes; the distant view is far off
    features = iter([0.0, 1.0, 99.0, 4.0, 5.0, 99.0])

    def seen(network: Any, samples: Any, *_: Any) -> Any:
        return [Seen(logits(mask((0, 0))), None, torch.tensor([next(features)])) for _ in samples]

    monkeypatch.setattr(measures_module, "look", seen)
    rows = measure_invariance(Brighter(), two, Store(4, ["polyp"]), CPU, 2)
    assert [row["feature"] for row in rows] == [0.25, 0.25, None, 0.25, 0.25, None]


def test_relative_distances_against_loops() -> None:
    features = torch.rand(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    between = [
        math.dist(features[a, c].tolist(), features[b, c].tolist())
        for c in range(4)
        for a in range(3)
        for b in range(a)
    ]
    unit = sum(between) / len(between)
    wanted = [
        sum(math.dist(features[s, c].tolist(), features[s, d].tolist()) for d in range(4) if d != c) / 3 / unit
        for s in range(3)
        for c in range(4)
    ]
    assert relative_distances(features) == pytest.approx(wanted)
    assert relative_distances(torch.ones(2, 2, 3)) == [None] * 4


def test_look_gives_what_the_network_gives(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = MCDRL(str(tiny_clip_folder(tmp_path)), depth=1, hidden=16, alpha=0.25).eval()
    store = Store(32, ["polyp"])
    images = torch.rand(3, 3, 32, 32)
    samples = [
        Sample(str(place), "A", str(place), "A", lambda one=one: (one, torch.zeros(32, 32, dtype=torch.long)))
        for place, one in enumerate(images)
    ]
    found = list(look(network, samples, store, CPU, 2))
    with torch.no_grad():
        pixels = store.images(samples)
        cells, kept = network.represent(network.observe(pixels).cells)
        wanted = network(pixels)
    assert torch.allclose(torch.stack([one.logits for one in found]), wanted, atol=1e-5)
    for place, one in enumerate(found):
        assert one.kept is not None
        assert one.feature is not None
        assert torch.equal(one.kept, kept[place])
        assert int(one.kept.sum()) == 4  # a quarter of 4 x 4 cells
        inside = cells[place][:, one.kept[0] > 0].mean(dim=1)
        assert torch.allclose(one.feature, inside, atol=1e-5)
    network.select = False
    assert next(look(network, samples, store, CPU, 2)).kept is None


@pytest.mark.parametrize("method", ["mcdrl", "several"])
def test_the_dice_of_an_epoch_is_that_of_an_image(method: str) -> None:
    chance = torch.Generator().manual_seed(2)
    channels = 1 if method == "mcdrl" else 3
    for lesions in (0, 1, 2):
        scores = torch.randn(channels, 5, 6, generator=chance)
        truth = torch.randint(lesions + 1, (10, 12), generator=chance)
        assert dice_of(scores, truth) == measure_image(Seen(scores, None, None), truth)["dice"]


def test_cells_are_represented_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = MCDRL(str(tiny_clip_folder(tmp_path)), depth=1, hidden=16)
    pictures = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    label = torch.zeros(32, 32, dtype=torch.long)
    samples = [Sample(f"s{n}", "site", "g", "c", lambda n=n: (pictures[n], label)) for n in range(3)]  # type: ignore[misc]
    store = Store(32, ("polyp",))
    counted: list[int] = []
    represent = MCDRL.represent

    def counting(self: MCDRL, cells: Tensor) -> tuple[Tensor, Tensor]:
        counted.append(len(cells))
        return represent(self, cells)

    monkeypatch.setattr(MCDRL, "represent", counting)
    seen = list(look(network, samples, store, CPU, 2))
    assert counted == [2, 1]
    with torch.no_grad():
        torch.testing.assert_close(torch.stack([one.logits for one in seen]), network(store.images(samples)))
