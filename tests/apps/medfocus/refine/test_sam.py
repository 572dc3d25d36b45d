# SPDX-License-Identifier: Apache-2.0
"""Tiny random models stand for the real ones: what is tested is what goes into them and what comes out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from monai_causal.apps.medfocus.refine.sam import SamRefinement, prompt_boxes, resized_shape
from monai_causal.apps.medfocus.segmenters.base import Segmented, tight_box

SIDE = 64
BOXES = {"heart": ((20, 40), (10, 30)), "left lung": ((5, 45), (24, 47)), "right lung": ((3, 50), (1, 20))}


def tiny_sam(checkpoint: None = None) -> Any:
    modeling = pytest.importorskip("segment_anything.modeling")
    torch.manual_seed(3)
    return modeling.Sam(
        image_encoder=modeling.ImageEncoderViT(
            img_size=SIDE, patch_size=16, embed_dim=32, depth=1, num_heads=2, out_chans=32
        ),
        prompt_encoder=modeling.PromptEncoder(
            embed_dim=32, image_embedding_size=(4, 4), input_image_size=(SIDE, SIDE), mask_in_chans=4
        ),
        mask_decoder=modeling.MaskDecoder(
            num_multimask_outputs=3,
            transformer=modeling.TwoWayTransformer(depth=1, embedding_dim=32, mlp_dim=32, num_heads=2),
            transformer_dim=32,
        ),
    )


def tiny_transformers() -> Any:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(4)
    config = transformers.SamConfig(
        vision_config=transformers.SamVisionConfig(
            hidden_size=32,
            output_channels=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=16,
            mlp_dim=32,
            num_pos_feats=16,
            global_attn_indexes=[0],
            window_size=0,
        ),
        prompt_encoder_config=transformers.SamPromptEncoderConfig(
            hidden_size=32, image_size=SIDE, patch_size=16, image_embedding_size=4, mask_input_channels=4
        ),
        mask_decoder_config=transformers.SamMaskDecoderConfig(
            hidden_size=32, mlp_dim=32, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=16
        ),
    )
    return transformers.SamModel(config).eval()


def checkpoint_of(model: nn.Module, path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(pytest.importorskip("segment_anything").sam_model_registry, "vit_b", tiny_sam)
    torch.save(model.state_dict(), path)
    return path


def picture(shape: tuple[int, int] = (SIDE, 48)) -> Any:
    # Whole grey values, so that an 8-bit image is the same image.
    return np.random.default_rng(5).integers(0, 256, shape).astype(np.float32) / 255


def found_on(shape: tuple[int, int]) -> Segmented:
    masks = {name: np.zeros(shape, bool) for name in BOXES}
    for name, (rows, columns) in BOXES.items():
        masks[name][slice(*rows), slice(*columns)] = True
    return Segmented(masks, dict.fromkeys(masks, 0.5), ("given",))


def counted(module: nn.Module) -> list[tuple[int, ...]]:
    calls: list[tuple[int, ...]] = []

    def seen(_: nn.Module, __: Any, output: Any) -> None:
        first = output if isinstance(output, Tensor) else output[0]
        calls.append(tuple(getattr(first, "shape", ())))

    module.register_forward_hook(seen)
    return calls


def test_segment_anything_gives_what_its_own_predictor_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_sam()
    refinement = SamRefinement.from_checkpoint(checkpoint_of(model, tmp_path / "sam.pt", monkeypatch))
    encoded, decoded = counted(refinement.backend.model.image_encoder), counted(refinement.backend.model.mask_decoder)
    image = picture()
    refined = refinement(image, found_on(image.shape))
    assert len(encoded) == 1
    assert [shape[:2] for shape in decoded] == [(3, 3)]

    predictor = pytest.importorskip("segment_anything").SamPredictor(model.eval())
    predictor.set_image(np.rint(np.stack([image] * 3, axis=-1) * 255).astype(np.uint8))
    for name, ((top, bottom), (left, right)) in BOXES.items():
        masks, quality, _ = predictor.predict(box=np.array([left, top, right - 1, bottom - 1]), multimask_output=True)
        np.testing.assert_array_equal(refined.masks[name], masks[quality.argmax()])
        assert refined.confidence[name] == pytest.approx(np.clip(quality.max(), 0, 1), abs=1e-5)
    assert refined.steps[0] == "given"
    assert refined.steps[1].startswith("segment-anything vit_b ")


def test_transformers_gives_what_its_own_processor_gives(tmp_path: Path) -> None:
    model = tiny_transformers()
    model.save_pretrained(tmp_path)
    refinement = SamRefinement.from_transformers(tmp_path)
    encoded = counted(refinement.backend.model.vision_encoder)
    decoded = counted(refinement.backend.model.mask_decoder)
    image = picture((SIDE, 48))
    refined = refinement(image, found_on(image.shape))
    assert len(encoded) == 1
    assert len(decoded) == 1

    transformers = pytest.importorskip("transformers")
    sizes = {"size": {"longest_edge": SIDE}, "pad_size": {"height": SIDE, "width": SIDE}}
    processor = transformers.SamProcessor(transformers.SamImageProcessor(**sizes))
    boxes = [[left, top, right - 1, bottom - 1] for (top, bottom), (left, right) in BOXES.values()]
    rgb = np.rint(np.stack([image] * 3, axis=-1) * 255).astype(np.uint8)
    inputs = processor(images=rgb, input_boxes=[[list(map(float, box)) for box in boxes]], return_tensors="pt")
    with torch.no_grad():
        answer = model(pixel_values=inputs["pixel_values"], input_boxes=inputs["input_boxes"].float())
    for number, name in enumerate(BOXES):
        best = int(answer.iou_scores[0, number].argmax())
        logits = nn.functional.interpolate(
            answer.pred_masks[0, number, best][None, None], (SIDE, SIDE), mode="bilinear"
        )
        expected = logits[0, 0, :, :48] > 0
        if bool(expected.any()):
            assert (refined.masks[name] == expected.numpy()).mean() > 0.999
        else:
            assert refined.masks[name].sum() == found_on(image.shape).masks[name].sum()


@pytest.mark.parametrize("shape", [(200, 100), (100, 201), (64, 64), (37, 51), (3000, 2500)])
def test_prompts_and_sizes_are_those_of_sam(shape: tuple[int, int]) -> None:
    transforms = pytest.importorskip("segment_anything.utils.transforms")
    sam = transforms.ResizeLongestSide(SIDE)
    assert resized_shape(shape, SIDE) == sam.get_preprocess_shape(*shape, SIDE)
    box = ((3, shape[0] - 2), (7, shape[1] // 2))
    expected = sam.apply_boxes(np.array([[7.0, 3.0, shape[1] // 2 - 1, shape[0] - 3]]), shape)
    np.testing.assert_allclose(prompt_boxes([box], shape, SIDE).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(200, 100), (90, 160)])
def test_pixels_are_those_of_sam_up_to_eight_bits(shape: tuple[int, int]) -> None:
    transforms = pytest.importorskip("segment_anything.utils.transforms")
    image = picture(shape)
    refinement = SamRefinement(_Recorder())
    refinement(image, found_on(shape))
    model = tiny_sam()
    resized = transforms.ResizeLongestSide(SIDE).apply_image(np.rint(np.stack([image] * 3, -1) * 255).astype(np.uint8))
    expected = model.preprocess(torch.from_numpy(resized).permute(2, 0, 1)[None].float())
    (pixels,) = refinement.backend.encoded  # type: ignore[attr-defined]
    assert pixels.shape == expected.shape
    assert float((pixels - expected).abs().max()) < 1.1 / 255 / 0.224


class _Recorder:
    """Draws what ``draw`` says for each box, and remembers what it was shown."""

    size = SIDE

    def __init__(self, draw: Callable[[Tensor], Tensor] | None = None) -> None:
        self.encoded: list[Tensor] = []
        self.draw = draw or (lambda box: torch.ones(16, 16))

    def encode(self, pixels: Tensor) -> Tensor:
        self.encoded.append(pixels)
        return pixels

    def decode(self, embedding: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        drawn = torch.stack([self.draw(box) for box in boxes])
        nothing = torch.full_like(drawn, -1.0)
        return torch.stack([nothing, drawn, nothing], 1), torch.tensor([[0.2, 0.9, 0.5]]).expand(len(boxes), 3)


def boxed(box: Tensor) -> Tensor:
    """Logits of a 4-pixel grid that are positive where the prompt's box is."""
    centres = (torch.arange(SIDE) + 0.5).view(-1, 1), (torch.arange(SIDE) + 0.5).view(1, -1)
    x0, y0, x1, y1 = box
    inside = (centres[0] > y0) & (centres[0] < y1 + 1) & (centres[1] > x0) & (centres[1] < x1 + 1)
    return torch.where(inside, 1.0, -1.0)


@pytest.mark.parametrize("shape", [(128, 96), (96, 128), (300, 250)])
def test_what_is_drawn_in_the_box_comes_back_where_the_box_was(shape: tuple[int, int]) -> None:
    found = found_on(shape)
    refined = SamRefinement(_Recorder(boxed))(picture(shape), found)
    slack = max(shape) / SIDE + 1  # a pixel of the model, and one of the image for rounding
    for name, box in BOXES.items():
        drawn = tight_box(refined.masks[name])
        assert drawn is not None
        assert np.abs(np.array(drawn) - np.array(box)).max() <= slack
        assert refined.confidence[name] == pytest.approx(0.9)


def test_what_is_not_drawn_stays_and_what_was_not_found_is_not_asked_for() -> None:
    found = found_on((SIDE, 48))
    masks = dict(found.masks) | {"mediastinum": np.zeros((SIDE, 48), bool)}
    found = Segmented(masks, dict(found.confidence) | {"mediastinum": 0.0}, ("given",))
    refined = SamRefinement(_Recorder(lambda box: boxed(box) if box[0] > 5 else torch.full((SIDE, SIDE), -1.0)))(
        picture(), found
    )
    assert refined.notes == ("SAM drew nothing for right lung: as found before",)
    np.testing.assert_array_equal(refined.masks["right lung"], found.masks["right lung"])
    assert refined.confidence["right lung"] == 0.5
    assert not refined.masks["mediastinum"].any()
    nothing = SamRefinement(_Recorder())(picture(), Segmented({"a": np.zeros((SIDE, 48), bool)}, {"a": 0.0}, ("g",)))
    assert nothing.notes == ("nothing was found that SAM could refine",)


def test_unit_images_are_not_normalised() -> None:
    backend = _Recorder()
    SamRefinement(backend, normalise="unit")(picture(), found_on((SIDE, 48)))
    np.testing.assert_allclose(backend.encoded[0][0, 1, :, :48].numpy(), picture(), atol=1e-6)


def test_bad_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="kind='vit_x': choose vit_b or vit_l or vit_h"):
        SamRefinement.from_checkpoint(tmp_path / "x.pt", "vit_x")
    with pytest.raises(ValueError, match="pin its revision"):
        SamRefinement.from_transformers("owner/name")
    with pytest.raises(ValueError, match="revision='main': pin a commit"):
        SamRefinement.from_transformers("owner/name", revision="main")
    with pytest.raises(ValueError, match="normalise='imagenet'"):
        SamRefinement(_Recorder(), normalise="imagenet")  # type: ignore[arg-type]
