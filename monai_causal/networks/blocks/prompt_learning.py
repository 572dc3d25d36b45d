# SPDX-License-Identifier: Apache-2.0
"""Class texts of which a few tokens are learned: CLIP's text tower, entered behind its table of tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from monai_causal.extras import require
from monai_causal.networks.blocks.clip import CLIP, text_tower

__all__ = ["PromptTower"]

WORDS = "a photo of a"
PLACEHOLDER = "x"  # one token
SCALE = 0.02  # of token embeddings that are drawn


class PromptTower(nn.Module):
    """A frozen text tower and one prompt per class, ``[context] NAME.``, whose context comes from outside.

    The gradient passes through the tower to the context. Where the tower attends backwards alone, the prompts are cut
    behind the last one's end: the tokens that follow change nothing.

    Args:
        clip: a model with open_clip's own text transformer.
        names: of the classes, J of them.
        context: tokens of context, which all classes share.

    Shape:
        context ``(n, width)`` -> unit vectors ``(J, d)``; ``(B, n, width)`` -> ``(B, J, d)``.
    """

    def __init__(self, clip: CLIP, names: Sequence[str], context: int = 4) -> None:
        super().__init__()
        if context < 1:
            raise ValueError(f"context={context}: give at least one token.")
        tower = text_tower(clip)
        _check(clip, tower)
        self.count = context
        token_embedding, positions, mask = tower.token_embedding, tower.positional_embedding, tower.attn_mask
        assert isinstance(token_embedding, nn.Embedding)
        assert isinstance(positions, Tensor)
        words = (WORDS.split() if context == len(WORDS.split()) else [PLACEHOLDER] * context) + [""]
        ids = _tokens(clip, [" ".join(words) + f"{name}." for name in names], len(positions))
        ends = ids.argmax(dim=1)  # the end's token has the highest number
        length = len(positions) if mask is None else int(ends.max()) + 1
        with torch.no_grad():
            embedded = token_embedding(ids[:, :length].to(positions.device))
        self.width = embedded.shape[2]
        for name in ("transformer", "ln_final"):
            self.add_module(name, tower.get_submodule(name))
        self.projection = _linear(tower.text_projection)
        self.register_buffer("tokens", embedded)
        self.register_buffer("positions", positions.detach()[:length].clone())
        self.register_buffer("ends", ends)
        self.register_buffer("mask", mask[:length, :length].clone() if isinstance(mask, Tensor) else None)
        self.requires_grad_(False)

    transformer: nn.Module
    ln_final: nn.Module
    tokens: Tensor
    positions: Tensor
    ends: Tensor
    mask: Tensor | None

    def start(self, generator: torch.Generator) -> Tensor:
        """A context to begin with ``(n, width)``: of four tokens "a photo of a", otherwise drawn."""
        if self.count == len(WORDS.split()):
            return self.tokens[0, 1 : 1 + self.count].clone()
        return SCALE * torch.randn(self.count, self.width, generator=generator).to(self.tokens)

    def forward(self, context: Tensor) -> Tensor:
        single = context.dim() == 2
        contexts = context[None] if single else context
        pairs = (len(contexts), len(self.tokens))
        fixed = self.tokens.expand(len(contexts), -1, -1, -1)
        learned = contexts[:, None].expand(*pairs, -1, -1)
        x = torch.cat([fixed[:, :, :1], learned, fixed[:, :, 1 + self.count :]], dim=2) + self.positions
        x = self.ln_final(self.transformer(x.flatten(0, 1), attn_mask=self.mask)).unflatten(0, pairs)
        ends = self.ends[None, :, None, None].expand(len(contexts), -1, 1, x.shape[3])
        embeddings = normalize(self.projection(x.gather(2, ends)[:, :, 0]), dim=-1)
        return embeddings[0] if single else embeddings


def _check(clip: CLIP, tower: nn.Module) -> None:
    tokenizer = require("open_clip").tokenizer.SimpleTokenizer
    own = hasattr(tower, "token_embedding") and isinstance(clip.tokenizer, tokenizer)
    pooled = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None)) == "argmax"
    plain = getattr(tower, "cls_emb", None) is None and not getattr(tower, "use_pad_mask", False)
    if not (own and pooled and plain):
        raise ValueError(
            f"no prompts can be learned with a text tower of type {type(tower).__name__!r}: it takes open_clip's own "
            "text transformer and tokeniser, as in 'RN50', 'ViT-B-16' or 'ViT-L-14'."
        )


def _tokens(clip: CLIP, prompts: Sequence[str], length: int) -> Tensor:
    # With more room than the tower has: what does not fit would be cut off unseen.
    for prompt in prompts:
        needed = int((clip.tokenizer([prompt], context_length=4 * length) != 0).sum())
        if needed > length:
            raise ValueError(f"the prompt {prompt!r} has {needed} tokens, the text tower takes {length}: shorten it.")
    ids: Tensor = clip.tokenizer(list(prompts), context_length=length)
    return ids


def _linear(projection: object) -> nn.Module:
    if isinstance(projection, nn.Linear):
        return projection
    if not isinstance(projection, Tensor):
        return nn.Identity()
    layer = nn.Linear(projection.shape[0], projection.shape[1], bias=False)
    layer.weight.data = projection.detach().T.contiguous()
    return layer
