# SPDX-License-Identifier: Apache-2.0
"""CLIP's image tower read densely: one vector in the joint space for every cell of its grid.

The towers of open_clip pool before they project into the space of the texts. Here the projection is applied to every
cell; what is pooled stays what the tower itself returns. Images of any size that covers a cell are taken: the position
embedding is resized to the grid.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, scaled_dot_product_attention

__all__ = ["Dense", "DenseCLIP", "Observed"]

Dense: TypeAlias = Literal["tokens", "value"]


class Observed(NamedTuple):
    """What an encoder saw: ``cells`` (B, d, h, w) and ``image`` (B, d), both in the joint space, not normalised."""

    cells: Tensor
    image: Tensor


class DenseCLIP(nn.Module):
    """Dense features of an open_clip image tower.

    Args:
        visual: the tower: a vision transformer, a modified ResNet, or a transformer of timm (BiomedCLIP).
        dense: ``"tokens"`` projects the last block's own tokens; ``"value"`` replaces that block's attention by its
            values (MaskCLIP: no mixing between cells in the last block). A ResNet has no such block: either way the
            attention pool's value and output projections are applied to every cell.

    Shape:
        ``(B, 3, H, W)``, normalised as the tower asks for -> :class:`Observed`.
    """

    def __init__(self, visual: Any, dense: Dense = "tokens") -> None:
        super().__init__()
        if dense not in ("tokens", "value"):
            raise ValueError(f"dense={dense!r}: choose 'tokens' or 'value'.")
        self.visual = visual
        self.dense = dense
        self._read = _READERS[self.kind]
        if unlike := _unlike(visual):
            raise ValueError(f"this image tower cannot be read densely: {unlike}.")

    @property
    def kind(self) -> str:
        """The tower's class, by name."""
        name = type(self.visual).__name__
        if name not in _READERS:
            raise ValueError(
                f"an image tower of type {name!r} cannot be read densely; known are {', '.join(_READERS)}."
            )
        return name

    def forward(self, images: Tensor) -> Observed:
        return self._read(self.visual, images, self.dense)


def _vision_transformer(visual: Any, images: Tensor, dense: Dense) -> Observed:
    patches = visual.conv1(images)
    grid = (patches.shape[2], patches.shape[3])
    patches = patches.flatten(2).transpose(1, 2)
    first = visual.class_embedding.to(patches.dtype).expand(patches.shape[0], 1, -1)
    positions = _resized_positions(visual.positional_embedding, visual.grid_size, grid)
    x = visual.ln_pre(torch.cat([first, patches], dim=1) + positions)
    *blocks, last = visual.transformer.resblocks
    for block in blocks:
        x = block(x)
    tokens = visual.ln_post(last(x))
    pooled = tokens[:, 1:].mean(dim=1) if visual.pool_type == "avg" else tokens[:, 0]
    if dense == "value":
        # Attention in which everybody sees only itself: the values alone, and adapters of the projections count.
        others = ~torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
        itself = last.ln_1(x)
        x = x + last.ls_1(last.attn(itself, itself, itself, need_weights=False, attn_mask=others)[0])
        tokens = visual.ln_post(x + last.ls_2(last.mlp(last.ln_2(x))))
    cells = tokens[:, 1:]
    if visual.proj is not None:
        pooled, cells = pooled @ visual.proj, cells @ visual.proj
    return Observed(_as_map(cells, grid), pooled)


def _modified_resnet(visual: Any, images: Tensor, dense: Dense) -> Observed:
    x = visual.stem(images)
    for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
        x = layer(x)
    pool = visual.attnpool
    side = round((len(pool.positional_embedding) - 1) ** 0.5)
    positions = _resized_positions(pool.positional_embedding, (side, side), (x.shape[2], x.shape[3]))
    grid = (x.shape[2], x.shape[3])
    x = x.flatten(2).transpose(1, 2)
    cells = pool.c_proj(pool.v_proj(x))
    x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1) + positions
    # The pool's own code takes the weights out of its layers, and so would pass by their adapters.
    query, key, value = (
        project(tokens).unflatten(-1, (pool.num_heads, -1)).transpose(1, 2)
        for project, tokens in ((pool.q_proj, x[:, :1]), (pool.k_proj, x), (pool.v_proj, x))
    )
    pooled = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    return Observed(_as_map(cells, grid), pool.c_proj(pooled[:, 0]))


def _timm_model(visual: Any, images: Tensor, dense: Dense) -> Observed:
    trunk = visual.trunk
    patches = trunk.patch_embed.proj(images)
    grid = (patches.shape[2], patches.shape[3])
    patches = patches.flatten(2).transpose(1, 2)
    first = trunk.cls_token.expand(patches.shape[0], -1, -1)
    positions = _resized_positions(trunk.pos_embed[0], trunk.patch_embed.grid_size, grid)
    x = trunk.norm_pre(torch.cat([first, patches], dim=1) + positions)
    *blocks, last = trunk.blocks
    for block in blocks:
        x = block(x)
    tokens = trunk.norm(last(x))
    image = visual.head(trunk.forward_head(tokens))
    if dense == "value":
        value = last.attn.qkv(last.norm1(x))[..., 2 * x.shape[-1] :]
        x = x + last.ls1(last.attn.proj(value))
        tokens = trunk.norm(x + last.ls2(last.mlp(last.norm2(x))))
    return Observed(_as_map(visual.head(trunk.fc_norm(tokens[:, 1:])), grid), image)


_READERS = {
    "VisionTransformer": _vision_transformer,
    "ModifiedResNet": _modified_resnet,
    "TimmModel": _timm_model,
}


def _unlike(visual: Any) -> str:
    """What a tower has that is not read here; empty if nothing."""
    if type(visual).__name__ == "VisionTransformer":
        if visual.attn_pool is not None or visual.pool_type == "none":
            return "it pools by attention"
        if visual.final_ln_after_pool:
            return "it normalises only what it pooled"
    if type(visual).__name__ == "TimmModel":
        trunk = visual.trunk
        if type(trunk).__name__ != "VisionTransformer":
            return f"its trunk is timm's {type(trunk).__name__}, not its VisionTransformer"
        placed = trunk.pos_embed is not None and not trunk.no_embed_class
        if not placed or trunk.num_prefix_tokens != 1 or trunk.attn_pool is not None:
            return "of timm's vision transformers only those with a class token that has a position are"
    return ""


def _as_map(cells: Tensor, grid: tuple[int, int]) -> Tensor:
    return cells.transpose(1, 2).reshape(cells.shape[0], cells.shape[2], grid[0], grid[1])


def _resized_positions(positions: Tensor, trained: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Position embedding ``(1 + cells, d)`` for another grid; the first one belongs to no cell and stays."""
    if tuple(trained) == grid:
        return positions
    square = positions[1:].T.reshape(1, -1, trained[0], trained[1])
    cells = interpolate(square, size=grid, mode="bicubic", align_corners=False, antialias=True)
    return torch.cat([positions[:1], cells.flatten(2)[0].T])
