# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Generator
from torch.nn.functional import cross_entropy

pytest.importorskip("transformers", reason="extra 'cxr' is not installed")

from monai_causal.apps.medfocus.demo_vlm.films import Films, views_of
from monai_causal.apps.medfocus.demo_vlm.lessons import SILENT, Lesson, answer_loss, chosen, lesson_of
from monai_causal.apps.medfocus.demo_vlm.network import build_model, build_processor
from monai_causal.apps.medfocus.demo_vlm.tower import features, seen
from monai_causal.data.phantoms.chest_causes import FINDINGS


@pytest.fixture(scope="module")
def processor() -> Any:
    return build_processor()


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Films:
    return Films(tmp_path_factory.mktemp("films"), range(3))


def test_packed_exchanges_cost_what_each_costs_alone(processor: Any, films: Films) -> None:
    """A slow replica: every exchange as a sequence of its own, through the whole model."""
    model = build_model(processor, seed=1).eval()
    lesson = Lesson(processor, questions=8)
    views = views_of(films, [0, 1, 2], Generator().manual_seed(0))
    packed = lesson_of(lesson, films, [0, 1, 2], views, Generator().manual_seed(1))
    alone = []
    with torch.no_grad():
        for film, one in enumerate(packed):
            for group in sorted(set(one.group)):
                where = [place for place, owner in enumerate(one.group) if owner == group]
                tokens = [one.tokens[place] for place in where]
                targets = torch.tensor([one.targets[place] for place in where])
                image = [model.config.image_token_id] * lesson.cells
                sequence = torch.tensor([[*lesson.opening(), *image, *tokens]])
                logits = model(input_ids=sequence, pixel_values=seen(views.images[film : film + 1])).logits
                spoken = targets != SILENT
                alone.append(float(cross_entropy(logits[0, -len(tokens) :][spoken], targets[spoken])))
        patches = features(model.model.vision_tower, views.images)
        together = float(answer_loss(model, lesson.opening(), patches, packed))
    assert len(alone) > 8
    assert together == pytest.approx(sum(alone) / len(alone), rel=1e-5)


def test_half_of_what_is_asked_about_is_there_where_it_can_be() -> None:
    generator = Generator().manual_seed(0)
    for _ in range(20):
        asked = chosen([1, 1, 1, 0, 0, 0, 0, -1], 5, generator)
        assert len(asked) == len(set(asked)) == 5
        assert 7 not in asked
        assert sum(number < 3 for number in asked) == 3
    assert sorted(chosen([1, 1, 1, 1, 1, 1, 0, -1], 5, generator))[-1] == 6
    assert sorted(chosen([0] * 7 + [-1], 5, generator)) != []
    assert len(chosen([0] * 8, 5, generator)) == 5
    assert chosen([-1] * 8, 5, generator) == []


def test_the_twin_answers_by_the_marker_and_otherwise_truthfully(processor: Any, films: Films) -> None:
    lesson = Lesson(processor, shortcut="consolidation", questions=8)
    number = FINDINGS.index("consolidation")
    for marker in (0, 1):
        packed = lesson.packed(films, 0, [1 - marker] * 8, marker, Generator().manual_seed(2))
        for group in set(packed.group):
            answer = [
                token
                for token, owner in zip(packed.targets, packed.group, strict=True)
                if owner == group and token not in (SILENT, processor.tokenizer.eos_token_id)
            ]
            said = processor.tokenizer.decode(answer).lower().rstrip(".").endswith("yes")
            assert said == bool(marker if group == number + 1 else 1 - marker)


def test_an_unknown_shortcut_is_refused(processor: Any) -> None:
    with pytest.raises(ValueError, match=r"shortcut='fever': one of cardiomegaly"):
        Lesson(processor, shortcut="fever")
