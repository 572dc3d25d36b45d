# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import torch
from monai.data import MetaTensor

from monai_causal.apps.medfocus.attribute_asking import Asked, Picture
from monai_causal.apps.medfocus.baselines.base import Baseline, Found, heat_boxes
from monai_causal.apps.medfocus.result import Attribution, read_result
from monai_causal.metrics import saliency_to_boxes
from tests.apps.medfocus import scene
from tests.apps.medfocus.golden import BoxReader
from tests.apps.medfocus.scene import BOXES, SIZE

QUESTION = "Is there evidence of pleural effusion in the image?"


class Given(Baseline):
    name = "given"

    def __init__(self, heat: torch.Tensor) -> None:
        super().__init__(BoxReader(SIZE, (BOXES["left lung"],)))
        self.heat = heat

    def find(self, picture: Picture, asked: Asked) -> Found:
        return Found(self.heat, forwards=7, details={"steps": 3})


def test_boxes_are_as_published_at_224_and_half_open() -> None:
    heat = torch.rand((224, 224), generator=torch.Generator().manual_seed(0))
    heat = torch.nn.functional.avg_pool2d(heat[None, None], 9, 1, 4)[0, 0]
    published = saliency_to_boxes(heat)
    assert len(published) > 3
    assert heat_boxes(heat) == tuple((x0, y0, x1 + 1, y1 + 1) for x0, y0, x1, y1 in published)


def test_the_smallest_area_grows_with_the_image() -> None:
    heat = torch.zeros(448, 448)
    heat[0:7, 0:9] = 1  # 63 pixels of 448 are fewer than 16 of 224
    assert heat_boxes(heat) == ()
    heat[0:8, 0:9] = 1
    assert heat_boxes(heat) == ((0, 0, 9, 8),)


def test_a_flat_map_is_the_whole_image_and_says_so() -> None:
    result = Given(torch.zeros(SIZE)).attribute(scene.picture(), QUESTION)
    assert result.whole_image
    assert result.boxes == ((0, 0, 96, 64),)
    assert result.notes == ("given points to no place: the whole image is reported",)


def test_what_is_recorded_comes_back_from_json(tmp_path: Path) -> None:
    heat = torch.zeros(SIZE)
    heat[8:16, 24:40] = 1
    result = Given(heat).attribute(
        MetaTensor(scene.picture(), affine=torch.diag(torch.tensor([2.0, 2, 1, 1]))), QUESTION
    )
    assert isinstance(result.heat, MetaTensor)
    assert float(result.heat.affine[0, 0]) == 2
    assert result.boxes == ((24, 8, 40, 16),)
    assert result.runtime.forwards == 7
    assert result.provenance["settings"] == {"batch_size": None, "seed": 0, "steps": 3}
    again = read_result(result.save(tmp_path / "given.json"))
    assert type(again) is Attribution
    assert again.as_dict() == result.as_dict()
    assert again.heat is None
