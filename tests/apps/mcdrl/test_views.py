# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_causal.apps.mcdrl.views import MIRRORINGS, Views, prepare_batch
from monai_causal.networks.blocks.dense_clip import Observed


def corners(count: int = 40) -> Views:
    """Images whose upper left pixel alone is set, so that a mirroring can be read off."""
    images = torch.zeros(count, 3, 4, 6)
    images[:, :, 0, 0] = 1.0
    return Views(images, images[:, :1].long(), seed=3)


def mirroring(image: torch.Tensor) -> int:
    places = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    return next(number for number, (row, column) in enumerate(places) if image[0, row, column] == 1)


def drawn(views: Views) -> list[int]:
    return [mirroring(views[index]["image"]) for index in range(len(views))]


def test_a_view_belongs_to_seed_epoch_and_index() -> None:
    first, again = corners(), corners()
    first.epoch, again.epoch = 1, 2
    one = drawn(first)
    assert one != drawn(again)
    again.epoch = 1
    assert [mirroring(again[index]["image"]) for index in reversed(range(40))] == one[::-1]
    assert set(one) == set(range(len(MIRRORINGS)))


def test_label_and_image_are_mirrored_alike() -> None:
    views = corners()
    assert all(mirroring(views[index]["label"]) == mirroring(views[index]["image"]) for index in range(len(views)))


def test_without_flips_an_image_stays_as_it_is() -> None:
    images = torch.rand(5, 3, 4, 4)
    views = Views(images, torch.zeros(5, 1, 4, 4).long(), flips=False)
    views.epoch = 7
    assert all(torch.equal(views[index]["image"], images[index]) for index in range(5))


class Encoder(nn.Module):
    """Observes the image itself, so that what is remembered can be compared with what is shown."""

    def observe(self, images: torch.Tensor) -> Observed:
        return Observed(images * 2, images.mean(dim=(2, 3)))


def test_what_is_remembered_is_of_the_view_that_is_shown() -> None:
    views = corners()
    views.images += torch.rand(views.images.shape)
    views.remember(Encoder(), torch.device("cpu"), batch_size=7)
    views.epoch = 4
    for index in range(len(views)):
        item = views[index]
        assert torch.equal(item["observed"][0], item["image"] * 2)
    batch = torch.utils.data.default_collate([views[0], views[1]])
    images, labels, arguments, options = prepare_batch(views)(batch, torch.device("cpu"))
    assert isinstance(options["observed"], Observed)
    assert torch.equal(options["observed"].cells, images * 2)
    assert arguments == ()
    assert labels.shape == (2, 1, 4, 6)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="as many of the same size"):
        Views(torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 4, 5).long())
    with pytest.raises(ValueError, match="no image"):
        Views(torch.zeros(0, 3, 4, 4), torch.zeros(0, 1, 4, 4).long())
