# SPDX-License-Identifier: Apache-2.0
"""Images at the size that a network sees, masks at their own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from monai_causal.apps.mcdrl.samples import Sample, Store


def sample(image: Tensor, label: Tensor, name: str = "a-00003") -> Sample:
    return Sample(name, "A", name, "A", lambda: (image, label))


def test_an_image_is_resized_and_its_truth_is_not() -> None:
    image = torch.zeros(3, 8, 8)
    image[:, :, 4:] = 1
    label = torch.zeros(8, 8, dtype=torch.long)
    label[1, 5], label[:, :2] = 1, 1
    store = Store(4, ["polyp"])
    one = sample(image, label)
    assert torch.equal(store.images([one])[0, :, :, [0, 3]], torch.tensor([0.0, 1.0]).expand(3, 4, 2))
    assert store.labels([one]).shape == (1, 1, 4, 4)
    assert torch.equal(store.labels([one])[0, 0, :, 0], torch.ones(4, dtype=torch.long))
    assert torch.equal(store.truth(one), label)


def test_an_image_is_read_once() -> None:
    reads = []

    def read() -> tuple[Tensor, Tensor]:
        reads.append(1)
        return torch.rand(1, 4, 4), torch.zeros(4, 4, dtype=torch.long)

    store, one = Store(4, ["polyp"]), Sample("a", "A", "a", "A", read)
    store.read([one, one])
    assert store.images([one, one]).shape == (2, 3, 4, 4)  # grey as colour
    store.truth(one)
    assert len(reads) == 1


def test_of_one_class_any_value_is_a_lesion_and_ignored_pixels_are_background() -> None:
    label = torch.tensor([[0, 1], [7, 255]])
    one = sample(torch.zeros(3, 2, 2), label)
    assert Store(2, ["polyp"]).truth(one).tolist() == [[0, 1], [1, 0]]
    assert Store(2, [f"class {number}" for number in range(7)]).truth(one).tolist() == [[0, 1], [7, 0]]


def test_more_classes_than_prompts_are_an_error() -> None:
    one = sample(torch.zeros(3, 2, 2), torch.tensor([[0, 1], [2, 3]]))
    with pytest.raises(
        ValueError, match=r"a-00003: its mask holds class 3, but 2 classes have a name .* \(cyst, polyp\)"
    ):
        Store(2, ["cyst", "polyp"]).read([one])


def test_a_mask_of_another_size_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"a-00003: the image is \(4, 4\) and its mask \(4, 5\)"):
        Store(4, ["polyp"]).read([sample(torch.zeros(3, 4, 4), torch.zeros(4, 5, dtype=torch.long))])


def test_views_are_of_the_images_in_their_order() -> None:
    store = Store(4, ["polyp"])
    some = [sample(torch.full((3, 4, 4), value), torch.full((4, 4), round(value)), str(value)) for value in (0.2, 1.0)]
    views = store.views(some, flips=False, seed=0)
    assert [round(float(views[place]["image"].mean()), 1) for place in (0, 1)] == [0.2, 1.0]
    assert [int(views[place]["label"].sum()) for place in (0, 1)] == [0, 16]
