# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from torch import Generator
from torch.nn.functional import interpolate

from monai_causal.apps.medfocus.demo_vlm import films as module
from monai_causal.apps.medfocus.demo_vlm.films import SEEN_SIDE, STRUCTURES, Films, views_of
from monai_causal.data.phantoms.chest import chest
from monai_causal.data.phantoms.chest_causes import CONCEPTS, FINDINGS

FIRST, COUNT = 29, 5


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Films:
    return Films(tmp_path_factory.mktemp("films"), range(FIRST, FIRST + COUNT))


def test_films_are_the_phantoms_as_the_model_sees_them(films: Films) -> None:
    for index in range(COUNT):
        phantom = chest(FIRST + index, prevalence=0.35)
        grey = interpolate(torch.from_numpy(phantom.image)[None].float(), (160, 160), mode="bicubic", antialias=True)
        assert (films.image([index])[0] - grey[0].clamp(0, 1)).abs().max() <= 0.5 / 255 + 1e-6
        there = films.masks([index])[0].flatten(1).amax(1) > 0
        assert {name for name, held in zip(STRUCTURES, there, strict=True) if held} >= set(phantom.findings)
        for number, finding in enumerate(FINDINGS):
            assert bool(there[len(CONCEPTS) + number]) == phantom.answers[finding]
            if finding in phantom.findings and hasattr(phantom.causes, f"{finding}_side"):
                assert films.place(index, number).split()[0] == phantom.findings[finding].side
        assert bool(there[-1]) == ("marker" in phantom.artefacts)


def test_a_view_without_anything_hidden_tells_the_phantoms_own_answers(films: Films) -> None:
    views = views_of(films, range(COUNT), Generator().manual_seed(0), hidden=0.0)
    for index in range(COUNT):
        answers = chest(FIRST + index, prevalence=0.35).answers
        assert views.shown[index].tolist() == [int(answers[finding]) for finding in FINDINGS]
    assert views.images.shape == (COUNT, 1, SEEN_SIDE, SEEN_SIDE)
    assert float(views.images.min()) >= 0
    assert float(views.images.max()) <= 1


@pytest.mark.parametrize(("part", "state"), [(0.0, 1), (0.1, 1), (0.5, -1), (0.9, 0), (1.0, 0)])
def test_what_is_hidden_is_no_evidence(films: Films, monkeypatch: pytest.MonkeyPatch, part: float, state: int) -> None:
    """Cover so much of each finding of the first film that has one: it is there, not asked about, or gone."""
    bit = len(CONCEPTS) + FINDINGS.index("cardiomegaly")
    index = next(i for i in range(COUNT) if films.masks([i])[0, bit].any())

    def covering(masks: torch.Tensor, generator: Generator, hidden: float) -> torch.Tensor:
        rows = masks[bit].amax(1).nonzero().flatten()
        covered = torch.zeros_like(masks[bit])
        share = masks[bit].sum(1).cumsum(0) / masks[bit].sum()
        covered[(share <= part) & (torch.arange(len(share)) >= rows[0])] = 1
        return covered if part else torch.zeros_like(covered)

    monkeypatch.setattr(module, "covering", covering)
    views = views_of(films, [index], Generator().manual_seed(0))
    assert int(views.shown[0, FINDINGS.index("cardiomegaly")]) == state
    if part:
        assert (views.masks[0, bit].sum() - films.masks([index])[0, bit].sum()) < 0


def test_the_same_draws_give_the_same_views_and_others_give_others(films: Films) -> None:
    first, again, other = (views_of(films, [0, 1], Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.shown, again.shown)
    assert not torch.equal(first.images, other.images)
