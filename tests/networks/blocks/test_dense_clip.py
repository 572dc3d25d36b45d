# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import linear

from monai_causal.networks.blocks.clip import load_clip
from monai_causal.networks.blocks.dense_clip import DenseCLIP
from tests.networks.blocks.tiny_clip import EMBED, SIZE, Kind, tiny_clip_folder

Folder = Callable[[Kind], Path]
GRID = {"vit": 4, "vit-avg": 4, "rn": 2, "timm": 10}


@pytest.fixture(scope="module")
def tower(clip_folder: Folder) -> Callable[[Kind], Any]:
    loaded: dict[str, Any] = {}

    def of(kind: Kind) -> Any:
        if kind not in loaded:
            loaded[kind] = load_clip(str(clip_folder(kind))).model.visual.double()
        return loaded[kind]

    return of


def images(height: int, width: int, count: int = 2) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


@pytest.mark.parametrize("dense", ["tokens", "value"])
@pytest.mark.parametrize("kind", SIZE)
def test_the_image_embedding_is_what_the_tower_itself_returns(
    tower: Callable[[Kind], Any], kind: Kind, dense: Any
) -> None:
    visual, x = tower(kind), images(SIZE[kind], SIZE[kind])
    with torch.no_grad():
        found = DenseCLIP(visual, dense)(x)
        torch.testing.assert_close(found.image, visual(x))
    assert found.cells.shape == (2, EMBED, GRID[kind], GRID[kind])


def of_the_last_block(visual: Any, x: Tensor) -> Tensor:
    """What goes into the last block of a transformer of open_clip."""
    x = visual._embeds(x)
    for block in visual.transformer.resblocks[:-1]:
        x = block(x)
    return x


def as_cells(tokens: Tensor, side: int) -> Tensor:
    """Row by row, behind the class token."""
    cells = torch.zeros(len(tokens), tokens.shape[2], side, side, dtype=tokens.dtype)
    for row in range(side):
        for column in range(side):
            cells[:, :, row, column] = tokens[:, 1 + row * side + column]
    return cells


@pytest.mark.parametrize("kind", ["vit", "vit-avg"])
@torch.no_grad()
def test_the_cells_of_a_transformer_are_its_projected_tokens(tower: Callable[[Kind], Any], kind: Kind) -> None:
    visual, x = tower(kind), images(32, 32)
    tokens = visual.ln_post(visual.transformer.resblocks[-1](of_the_last_block(visual, x))) @ visual.proj
    torch.testing.assert_close(DenseCLIP(visual)(x).cells, as_cells(tokens, 4))


@torch.no_grad()
def test_the_values_of_a_transformer_are_those_of_maskclip(tower: Callable[[Kind], Any]) -> None:
    visual, x = tower("vit"), images(32, 32)
    h, last = of_the_last_block(visual, x), visual.transformer.resblocks[-1]
    width = h.shape[2]
    v = linear(last.ln_1(h), last.attn.in_proj_weight[2 * width :], last.attn.in_proj_bias[2 * width :])
    v = linear(v, last.attn.out_proj.weight, last.attn.out_proj.bias) + h
    v = visual.ln_post(v + last.mlp(last.ln_2(v))) @ visual.proj
    torch.testing.assert_close(DenseCLIP(visual, "value")(x).cells, as_cells(v, 4))


@torch.no_grad()
def test_the_tokens_of_a_tower_that_pools_by_the_mean_average_to_its_embedding(tower: Callable[[Kind], Any]) -> None:
    found = DenseCLIP(tower("vit-avg"))(images(32, 32))
    torch.testing.assert_close(found.cells.mean(dim=(2, 3)), found.image)


@torch.no_grad()
def test_the_cells_of_a_resnet_pass_through_the_value_and_the_output_projection(
    tower: Callable[[Kind], Any],
) -> None:
    visual, x = tower("rn"), images(64, 64)
    features = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(x)))))
    pool, found = visual.attnpool, DenseCLIP(visual)(x).cells
    for row in range(2):
        for column in range(2):
            value = features[:, :, row, column] @ pool.v_proj.weight.T + pool.v_proj.bias
            torch.testing.assert_close(found[:, :, row, column], value @ pool.c_proj.weight.T + pool.c_proj.bias)


@torch.no_grad()
def test_the_cells_of_a_transformer_of_timm(tower: Callable[[Kind], Any]) -> None:
    visual, x = tower("timm"), images(160, 160)
    trunk = visual.trunk
    tokens = trunk.forward_features(x) @ visual.head.proj.weight.T
    torch.testing.assert_close(DenseCLIP(visual)(x).cells, as_cells(tokens, 10))
    h = trunk.norm_pre(trunk._pos_embed(trunk.patch_embed(x)))
    for block in trunk.blocks[:-1]:
        h = block(h)
    last, width = trunk.blocks[-1], h.shape[2]
    v = linear(last.norm1(h), last.attn.qkv.weight[2 * width :], last.attn.qkv.bias[2 * width :])
    v = linear(v, last.attn.proj.weight, last.attn.proj.bias) + h
    v = trunk.norm(v + last.mlp(last.norm2(v))) @ visual.head.proj.weight.T
    torch.testing.assert_close(DenseCLIP(visual, "value")(x).cells, as_cells(v, 10))


@torch.no_grad()
def test_positions_are_resized_to_another_grid_and_the_one_of_the_class_stays(
    tower: Callable[[Kind], Any], tmp_path: Path
) -> None:
    """A tower of the other size, with positions that Pillow resized, says the same."""
    visual, x = tower("vit"), images(48, 64)
    state = visual.state_dict()
    trained = state["positional_embedding"].reshape(17, -1).numpy()
    resized = [
        np.asarray(Image.fromarray(trained[1:, channel].reshape(4, 4).astype(np.float32)).resize((8, 6), Image.BICUBIC))
        for channel in range(trained.shape[1])
    ]
    cells = np.stack(resized, axis=-1).reshape(48, -1)
    other = load_clip(str(tiny_clip_folder(tmp_path, "vit", image_size=[48, 64]))).model.visual.double()
    other.load_state_dict(state | {"positional_embedding": torch.from_numpy(np.concatenate([trained[:1], cells]))})
    found = DenseCLIP(visual)(x)
    assert found.cells.shape == (2, EMBED, 6, 8)
    torch.testing.assert_close(found.image, other(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.cells, DenseCLIP(other)(x).cells, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("kind", "height", "width"), [("vit", 37, 45), ("timm", 49, 90)])
@torch.no_grad()
def test_what_remains_beyond_the_last_whole_patch_is_not_seen(
    tower: Callable[[Kind], Any], kind: Kind, height: int, width: int
) -> None:
    patch = 8 if kind == "vit" else 16
    x, encoder = images(height, width), DenseCLIP(tower(kind), "value")
    found, cut = encoder(x), encoder(x[:, :, : height // patch * patch, : width // patch * patch])
    assert found.cells.shape[2:] == (height // patch, width // patch)
    torch.testing.assert_close(found.cells, cut.cells)


@torch.no_grad()
def test_a_resnet_reads_any_size(tower: Callable[[Kind], Any]) -> None:
    found = DenseCLIP(tower("rn"))(images(70, 110))
    assert found.cells.shape == (2, EMBED, 2, 3)
    assert found.image.shape == (2, EMBED)


def test_towers_that_it_cannot_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="an image tower of type 'Conv2d' cannot be read densely; known are Vision"):
        DenseCLIP(nn.Conv2d(3, 8, 1))
    for number, (vision, words) in enumerate(
        (
            ({"attentional_pool": True, "attn_pooler_heads": 2}, "it pools by attention"),
            ({"final_ln_after_pool": True}, "it normalises only what it pooled"),
        )
    ):
        visual = load_clip(str(tiny_clip_folder(tmp_path, "vit", seed=number, **vision))).model.visual
        with pytest.raises(ValueError, match=words):
            DenseCLIP(visual)
    folder = tiny_clip_folder(tmp_path, "timm", timm_model_name="test_resnet")
    with pytest.raises(ValueError, match="its trunk is timm's ResNet"):
        DenseCLIP(load_clip(str(folder)).model.visual)


def test_a_way_of_reading_that_is_not_known(tower: Callable[[Kind], Any]) -> None:
    with pytest.raises(ValueError, match="dense='keys': choose 'tokens' or 'value'"):
        DenseCLIP(tower("vit"), "keys")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "grid", "width", "visual_millions", "millions"),
    [("RN50", 7, 1024, 38.3, 102.0), ("ViT-B-16", 14, 512, 86.2, 149.6), ("ViT-L-14", 16, 768, 304.0, 427.6)],
)
def test_the_joint_maps_and_sizes_of_the_published_encoders(
    name: str, grid: int, width: int, visual_millions: float, millions: float
) -> None:
    open_clip = pytest.importorskip("open_clip")
    with torch.device("meta"):  # shapes without numbers
        model = open_clip.CLIP(**open_clip.get_model_config(name))
        found = DenseCLIP(model.visual)(torch.rand(1, 3, 224, 224))
    assert found.cells.shape == (1, width, grid, grid)
    assert found.image.shape == (1, width)
    assert model.text_projection.shape[1] == width
    for part, expected in ((model.visual, visual_millions), (model, millions)):
        assert sum(one.numel() for one in part.parameters()) / 1e6 == pytest.approx(expected, abs=0.06)
