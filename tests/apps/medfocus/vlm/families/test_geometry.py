# SPDX-License-Identifier: Apache-2.0
"""Where the image tokens lie, judged by the networks: which pixels of the picture does each of them depend on?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("transformers")

import transformers

from monai_causal.apps.medfocus.vlm.families.geometry import patch_sheet, seen_box
from tests.apps.medfocus.vlm import tiny

# PaliGemma's processor compares with numpy in a way that numpy 2 announces the end of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZES = [(50, 110), (113, 60), (56, 56), (90, 301)]
NEAREST = 0  # each pixel of the network's input is one of the picture's, so that a token's pixels are known exactly


def local(network: Any) -> Any:
    """Silence attention in the vision tower, so that a patch knows nothing of its neighbours."""
    silenced = 0
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if ("vision" in name or "visual" in name) and ("out_proj" in name or "attn.proj" in name):
                parameter.zero_()
                silenced += 1
    assert silenced >= 4  # weight and bias, in two layers
    return network


def pixels_behind(model: Any, size: tuple[int, int]) -> tuple[Any, torch.Tensor]:
    """The prompt, and per cell which pixels its token depends on: (cells, height, width)."""
    prompt = model.prompt("Is there a tube?", size)
    picture = (0.2 + 0.6 * torch.rand((1, 1, *size), generator=torch.Generator().manual_seed(0))).requires_grad_()
    with model._watching("decoder.0") as seen:
        model._score(picture, prompt, model.answer("Yes"))
    tokens = seen[0][0, prompt.image_positions]
    slopes = [torch.autograd.grad(token.square().sum(), picture, retain_graph=True)[0][0, 0] for token in tokens]
    return prompt, torch.stack(slopes) != 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", sorted(tiny.FAMILIES))
def test_a_token_depends_on_the_pixels_of_its_cell_and_on_no_others(name: str, size: tuple[int, int]) -> None:
    config, processor = tiny.FAMILIES[name]()
    processor.image_processor.resample = NEAREST
    model = tiny.ADAPTERS[config.model_type](local(tiny.network(config)), processor)
    prompt, behind = pixels_behind(model, size)
    # Idefics3 resizes up to three times, and every time a pixel may move by one.
    slack = 3.01 if name in ("idefics3", "smolvlm") else 1.01
    assert len(behind) == len(prompt.cells) > 1
    for pixels, box in zip(behind, prompt.cells.boxes.tolist(), strict=True):
        for axis, (start, stop) in enumerate(box):
            start, stop = max(start, 0), min(stop, size[axis])
            # Where a picture is made smaller, whole pixels between two samples are skipped.
            skipped = size[axis] / tiny.IMAGE
            found = pixels.any(1 - axis).nonzero().flatten()
            assert start - slack <= found[0] <= start + slack + skipped
            assert stop - slack - skipped <= found[-1] + 1 <= stop + slack


def test_a_class_token_has_no_place_on_the_picture() -> None:
    """LLaVA with CLIP may hand all of the tower's tokens to the decoder, the class token first."""
    config, processor = tiny.llava("clip")
    config.vision_feature_select_strategy = processor.vision_feature_select_strategy = "full"
    model = tiny.ADAPTERS["llava"](local(tiny.network(config)), processor)
    prompt, behind = pixels_behind(model, (56, 56))
    assert (prompt.token_ids == model.image_token).sum() == len(prompt.cells) + 1 == 17
    assert behind[0, :14, :14].any()
    assert behind[0].sum() == behind[0, :14, :14].sum()


def test_idefics3_looks_at_tiles_and_at_the_whole() -> None:
    cells = tiny.model("idefics3").prompt("?", (50, 110)).cells
    assert [sheet.grid for sheet in cells.sheets] == [(2, 2)] * 3
    assert [sheet.box for sheet in cells.sheets] == [
        ((0, 50), (0, 55)),
        ((0, 50), (55, 110)),
        ((0, 50), (0, 110)),
    ]


def test_qwens_grid_follows_the_picture() -> None:
    model = tiny.model("qwen2_5_vl")
    assert [model.prompt("?", size).cells.sheets[0].grid for size in [(50, 110), (110, 50), (56, 56)]] == [
        (2, 4),
        (4, 2),
        (2, 2),
    ]


def test_llava_with_clip_sees_the_middle() -> None:
    cells = tiny.model("llava-clip").prompt("?", (50, 110)).cells
    (vertical, (left, right)) = cells.sheets[0].box
    assert vertical == (0, 50)
    # 50 x 110 becomes 56 x 123, of which columns 33 to 89 are kept.
    assert (left, right) == pytest.approx((33 * 110 / 123, 89 * 110 / 123))
    assert cells.seen()[0, [0, 55, 109]].tolist() == [0, 1, 0]


def processor(**settings: Any) -> Any:
    size = {"height": None, "width": None, "shortest_edge": None, "longest_edge": None, **settings.pop("size", {})}
    return SimpleNamespace(do_resize=True, size=size, **settings)


def test_padding_to_a_square_lies_beyond_the_picture() -> None:
    square = processor(size={"height": 56, "width": 56}, do_pad=True, pad_to_square=None)
    assert seen_box(square, (50, 110)) == (((-30, 80), (0, 110)), (56, 56))


def test_a_crop_larger_than_the_picture_pads_it() -> None:
    larger = processor(do_center_crop=True, crop_size={"height": 60, "width": 101})
    larger.do_resize = False
    assert seen_box(larger, (50, 110)) == (((-5, 55), (4, 105)), (60, 101))


def test_what_the_patches_do_not_fill_is_not_seen() -> None:
    """SigLIP at 384 px with patches of 14: 27 of them, 378 px."""
    sheet = patch_sheet(((0, 768), (0, 1536)), (384, 384), 14)
    assert sheet.grid == (27, 27)
    assert sheet.box == ((0, 756), (0, 1512))


def test_a_processor_whose_geometry_is_not_known() -> None:
    with pytest.raises(ValueError, match="neither height and width nor shortest_edge"):
        seen_box(processor(size={"longest_edge": 56}), (50, 110))
    with pytest.raises(ValueError, match="set do_pad to false"):
        seen_box(processor(size={"height": 56, "width": 56}, do_pad=True), (50, 110))


def test_families_refuse_what_they_cannot_place() -> None:
    config, made = tiny.gemma3()
    made.image_processor.do_pan_and_scan = True
    with pytest.raises(ValueError, match='"do_pan_and_scan" to false'):
        tiny.ADAPTERS["gemma3"](tiny.network(config), made)
    config, made = tiny.llava()
    network = tiny.network(config)
    network.config.vision_config.model_type = "pixtral"
    with pytest.raises(ValueError, match="vision tower 'pixtral'"):
        tiny.ADAPTERS["llava"](network, made)


def vision(size: int, patch: int = 14, **more: Any) -> SimpleNamespace:
    return SimpleNamespace(image_size=size, patch_size=patch, **more)


def published(family: str) -> Any:
    """The image processor of a published model, as its folder sets it up."""
    made = {
        "gemma3": lambda: transformers.Gemma3ImageProcessor(size={"height": 896, "width": 896}),
        "llava": lambda: transformers.CLIPImageProcessor(
            size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}
        ),
        "paligemma": lambda: transformers.SiglipImageProcessor(size={"height": 224, "width": 224}),
        "qwen2_5_vl": lambda: transformers.Qwen2VLImageProcessor(
            size={"shortest_edge": 3136, "longest_edge": 12845056}
        ),
        "idefics3": lambda: transformers.Idefics3ImageProcessor(
            size={"longest_edge": 4 * 364}, max_image_size={"longest_edge": 364}
        ),
        "smolvlm": lambda: transformers.SmolVLMImageProcessor(
            size={"longest_edge": 4 * 512}, max_image_size={"longest_edge": 512}
        ),
    }
    return made[family]()


@pytest.mark.parametrize(
    ("family", "config", "grids"),
    [
        ("gemma3", {"mm_tokens_per_image": 256, "vision_config": vision(896)}, [(16, 16)]),
        ("llava", {"vision_config": vision(336)}, [(24, 24)]),
        ("paligemma", {"vision_config": vision(224)}, [(16, 16)]),
        ("qwen2_5_vl", {"vision_config": vision(0, spatial_merge_size=2)}, [(43, 31)]),
        ("idefics3", {"scale_factor": 2, "vision_config": vision(364)}, [(13, 13)] * 13),
        ("smolvlm", {"scale_factor": 4, "vision_config": vision(512, 16)}, [(8, 8)] * 13),
    ],
)
def test_the_grids_of_the_published_models(family: str, config: Any, grids: list[tuple[int, int]]) -> None:
    """With the sizes of Gemma3, LLaVA-1.5, PaliGemma, Qwen2.5-VL, Idefics3 and SmolVLM, on an upright film."""
    images = published(family)
    model: Any = object.__new__(tiny.ADAPTERS[family])
    model.network = SimpleNamespace(config=SimpleNamespace(**config), dtype=torch.float32)
    model.processor, model._images = SimpleNamespace(image_processor=images), images
    assert [sheet.grid for sheet in model.cells((1200, 880)).sheets] == grids
