# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_causal.networks.blocks.clip import CLIP, encode_prompts, load_clip
from monai_causal.networks.blocks.confounder_prompts import read_confounders
from monai_causal.networks.blocks.dictionary import (
    DICTIONARIES,
    IRRELEVANT,
    dictionary_vectors,
    erase,
    prototypes,
    span,
)
from tests.networks.blocks.tiny_clip import EMBED, Kind

PROMPTS = read_confounders()


@pytest.fixture(scope="module")
def clip(clip_folder: Callable[[Kind], Path]) -> CLIP:
    return load_clip(str(clip_folder("vit")))


@pytest.mark.parametrize("kind", DICTIONARIES)
def test_every_kind_has_a_unit_vector_for_each_confounder(clip: CLIP, kind: Any) -> None:
    found = dictionary_vectors(clip, PROMPTS, kind)
    assert found.shape == (12, EMBED)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(12))
    torch.testing.assert_close(found, dictionary_vectors(clip, PROMPTS, kind))


def test_the_dictionary_is_what_the_text_tower_says_of_its_sentences(clip: CLIP) -> None:
    texts = [f"An endoscopy image with {one}" for one in PROMPTS.confounders]
    torch.testing.assert_close(dictionary_vectors(clip, PROMPTS), encode_prompts(clip, texts))


def test_shuffled_vectors_keep_their_angles_among_themselves_and_lose_those_with_an_image(clip: CLIP) -> None:
    text, shuffled = dictionary_vectors(clip, PROMPTS), dictionary_vectors(clip, PROMPTS, "shuffled")
    torch.testing.assert_close(shuffled @ shuffled.T, text @ text.T)
    assert torch.equal(shuffled.sort(dim=1).values, text.sort(dim=1).values)
    assert (shuffled * text).sum(dim=1).max() < 0.9
    assert not torch.equal(shuffled, dictionary_vectors(clip, PROMPTS, "shuffled", seed=1))


def test_irrelevant_texts_stand_in_the_same_sentence(clip: CLIP) -> None:
    found = dictionary_vectors(clip, PROMPTS, "irrelevant")
    texts = [f"An endoscopy image with {one}" for one in IRRELEVANT[:12]]
    torch.testing.assert_close(found, encode_prompts(clip, texts))
    assert (found * dictionary_vectors(clip, PROMPTS)).sum(dim=1).max() < 0.999


def test_more_confounders_than_irrelevant_texts(clip: CLIP) -> None:
    many = replace(PROMPTS, confounders=tuple(f"cause {number}" for number in range(16)))
    with pytest.raises(ValueError, match="an irrelevant dictionary has at most 15 texts; there are 16 confounders"):
        dictionary_vectors(clip, many, "irrelevant")


def test_random_vectors_belong_to_their_seed_alone(clip: CLIP) -> None:
    torch.manual_seed(1)
    first = dictionary_vectors(clip, PROMPTS, "random")
    torch.manual_seed(2)
    assert torch.equal(first, dictionary_vectors(clip, PROMPTS, "random"))
    assert torch.equal(first, dictionary_vectors(clip, PROMPTS, "learned"))
    assert not torch.allclose(first, dictionary_vectors(clip, PROMPTS, "random", seed=1))
    assert not torch.allclose(first, dictionary_vectors(clip, PROMPTS))


def test_a_kind_that_is_not_known(clip: CLIP) -> None:
    with pytest.raises(ValueError, match="dictionary='noise': choose 'text', 'shuffled'"):
        dictionary_vectors(clip, PROMPTS, "noise")  # type: ignore[arg-type]


def test_erasing_takes_out_what_the_dictionary_varies_in_and_nothing_else() -> None:
    generator = torch.Generator().manual_seed(4)
    vectors = torch.randn(5, 12, generator=generator, dtype=torch.float64)
    cells = torch.randn(2, 12, 3, 2, generator=generator, dtype=torch.float64)
    erased = erase(cells, span(vectors))
    differences = vectors[1:] - vectors[:1]
    assert torch.einsum("nd,bdhw->bnhw", differences, erased).abs().max() < 1e-12
    # by hand: the least squares fit of every cell by the differences is what was taken
    for image in range(2):
        for row in range(3):
            for column in range(2):
                cell = cells[image, :, row, column]
                fit = differences.T @ torch.linalg.lstsq(differences.T, cell[:, None]).solution[:, 0]
                assert torch.allclose(erased[image, :, row, column], cell - fit, atol=1e-12)
    with pytest.raises(ValueError, match="at least two confounders"):
        span(vectors[:1])


def test_prototypes_are_the_means_of_the_conditions() -> None:
    features = torch.tensor([[1.0, 0.0], [3.0, 2.0], [5.0, 5.0]])
    assert torch.equal(prototypes(features, torch.tensor([1, 1, 0])), torch.tensor([[5.0, 5.0], [2.0, 1.0]]))
    with pytest.raises(ValueError, match="no image has condition 1 of 3"):
        prototypes(features, torch.tensor([0, 2, 2]))
