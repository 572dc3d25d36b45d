# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from monai_causal.networks.blocks.clip import CLIP, load_clip
from monai_causal.networks.blocks.prompt_learning import PromptTower
from tests.networks.blocks.tiny_prompt_clip import tiny_prompt_clip

NAMES = ("polyp", "small early lesion of the colon", "normal mucosa")
TOWERS: dict[str, dict[str, Any]] = {
    "own": {},
    "module": {"proj_bias": True},
    "both ways": {"no_causal_mask": True},
    "no projection": {"proj_type": "none"},
}


@pytest.fixture(scope="module", params=TOWERS, ids=lambda name: name.replace(" ", "-"))
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CLIP:
    folder = tmp_path_factory.mktemp("clip")
    clip = load_clip(tiny_prompt_clip(folder, **TOWERS[request.param]))
    return clip._replace(model=clip.model.double())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> CLIP:
    return load_clip(tiny_prompt_clip(tmp_path_factory.mktemp("plain")))


def words(clip: CLIP, text: str) -> Tensor:
    """The token embeddings of words that are one token each."""
    table = getattr(clip.model, "text", clip.model).token_embedding
    count = len(text.split())
    return table(clip.tokenizer([text])[0, 1 : 1 + count]).detach()


def encoded(clip: CLIP, texts: list[str]) -> Tensor:
    with torch.no_grad():
        return normalize(clip.model.encode_text(clip.tokenizer(texts)), dim=-1)


class TestPromptTower:
    @pytest.mark.parametrize("context", ["a photo of a", "the image of one", "view of", "a very good clear photo of a"])
    def test_with_the_embeddings_of_words_it_is_encode_text(self, clip: CLIP, context: str) -> None:
        tower = PromptTower(clip, NAMES, len(context.split()))

        ours = tower(words(clip, context))

        theirs = encoded(clip, [f"{context} {name}." for name in NAMES])
        assert (theirs[0] - theirs[1]).abs().max() > 1e-3
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)

    def test_four_tokens_start_as_a_photo_of_a(self, clip: CLIP) -> None:
        start = PromptTower(clip, NAMES).start(torch.Generator())
        assert torch.equal(start, words(clip, "a photo of a"))

    def test_prompts_are_cut_where_the_tower_attends_backwards(self, clip: CLIP) -> None:
        tower = PromptTower(clip, ("polyp",))
        used = len(clip.tokenizer.encode("a photo of a polyp.")) + 2
        assert tower.tokens.shape[1] == (24 if tower.mask is None else used)

    def test_a_batch_of_contexts_is_each_alone(self, clip: CLIP) -> None:
        tower = PromptTower(clip, NAMES)
        contexts = torch.randn(3, 4, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

        together = tower(contexts)

        assert together.shape == (3, len(NAMES), 32)
        assert (together[0] - together[1]).abs().max() > 1e-3
        torch.testing.assert_close(together, torch.stack([tower(one) for one in contexts]), rtol=0, atol=1e-12)

    def test_the_gradient_reaches_the_context_and_nothing_frozen(self, clip: CLIP) -> None:
        tower = PromptTower(clip, NAMES)
        context = tower.start(torch.Generator()).requires_grad_()

        tower(context)[:, 0].sum().backward()

        assert context.grad is not None
        assert context.grad.abs().amin(dim=1).min() > 0
        assert list(tower.parameters())
        assert all(one.grad is None and not one.requires_grad for one in tower.parameters())

    def test_other_counts_are_drawn_by_the_seed(self, plain: CLIP) -> None:
        tower = PromptTower(plain, NAMES, 3)
        first, again, other = (tower.start(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
        assert first.shape == (3, 32)
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    def test_it_holds_no_table_of_tokens(self, plain: CLIP) -> None:
        assert sum(one.numel() for one in PromptTower(plain, NAMES).state_dict().values()) < 49408

    def test_no_context_is_refused(self, plain: CLIP) -> None:
        with pytest.raises(ValueError, match="context=0"):
            PromptTower(plain, NAMES, 0)

    @pytest.mark.parametrize(("times", "fits"), [(17, True), (18, False)])
    def test_a_prompt_that_would_be_cut_off_is_refused(self, plain: CLIP, times: int, fits: bool) -> None:
        # Start and end, the four words, the full stop: seven of 24.
        name = " ".join(["one"] * times)
        if fits:
            PromptTower(plain, (name,))
            return
        with pytest.raises(ValueError, match="25 tokens, the text tower takes 24"):
            PromptTower(plain, (name,))

    @pytest.mark.parametrize("change", [{"pool_type": "last"}, {"embed_cls": True}, {"use_pad_mask": True}])
    def test_other_ways_of_pooling_are_refused(self, tmp_path: Path, change: dict[str, Any]) -> None:
        if "use_pad_mask" in change:
            clip = load_clip(tiny_prompt_clip(tmp_path, proj_bias=True))
            clip.model.text.use_pad_mask = True
        else:
            clip = load_clip(tiny_prompt_clip(tmp_path, **change))
        with pytest.raises(ValueError, match="open_clip's own text transformer"):
            PromptTower(clip, NAMES)

    def test_a_text_tower_from_elsewhere_is_refused(self, plain: CLIP) -> None:
        other = plain._replace(model=SimpleNamespace(text=nn.Linear(2, 2)))
        with pytest.raises(ValueError, match=r"type 'Linear'.*open_clip's own text transformer"):
            PromptTower(other, NAMES)
        with pytest.raises(ValueError, match="open_clip's own text transformer and tokeniser"):
            PromptTower(plain._replace(tokenizer=lambda texts: texts), NAMES)
