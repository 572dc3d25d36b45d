# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

pytest.importorskip("transformers")

from monai_causal.apps.medfocus.vlm.interface import Answer, Prompt
from monai_causal.apps.medfocus.vlm.language import VisionLanguageModel
from tests.apps.medfocus.vlm import tiny

QUESTION = "Is there evidence of pleural effusion in the image?"
LONG = "The heart is enlarged. The answer is yes."
SIZE = (tiny.HEIGHT, tiny.WIDTH)

# PaliGemma's processor compares with numpy in a way that numpy 2 announces the end of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module", params=sorted(tiny.FAMILIES))
def model(request: pytest.FixtureRequest) -> VisionLanguageModel:
    return tiny.model(request.param)


@pytest.fixture(scope="module")
def llava() -> VisionLanguageModel:
    return tiny.model("llava")


def counterfactuals(channels: int = 1) -> torch.Tensor:
    """A picture, and five of it with a box set to a constant. No value is near 0 or 1, so that no filter is cut off."""
    boxes = [(0, 20, 0, 40), (10, 45, 60, 110), (25, 50, 20, 70), (0, 50, 0, 110), (5, 9, 3, 9)]
    images = (0.3 + 0.4 * tiny.picture(channels=channels)).repeat(6, 1, 1, 1)
    for index, (y0, y1, x0, x1) in enumerate(boxes):
        images[index + 1, :, y0:y1, x0:x1] = 0.3
    return images


def replica(model: VisionLanguageModel, images: torch.Tensor, text: str) -> torch.Tensor:
    """One picture and one token at a time, through the processor's front door, with all logits computed."""
    rows = []
    for image in images:
        inputs, behind = front_door(model, image, text)
        with torch.no_grad():
            logits = model.network(**inputs).logits[0].double()
        ids = inputs["input_ids"][0]
        last = len(ids) - behind
        row = []
        for position in range(last - len(model.tokenizer(text, add_special_tokens=False)["input_ids"]), last):
            before = logits[position - 1]
            row.append(before[ids[position]] - before.exp().sum().log())
        rows.append(torch.stack(row))
    return torch.stack(rows).float()


def front_door(model: VisionLanguageModel, image: torch.Tensor, text: str) -> tuple[Any, int]:
    """The whole text with one picture as the processor makes it; and how many tokens it adds behind the answer."""
    picture = 255 * image.expand(3, -1, -1)
    if model.family == "paligemma":
        inputs = model.processor(text=[f"<image>{QUESTION}"], images=[picture], suffix=[text], return_tensors="pt")
        inputs.pop("labels")
        return inputs, 1
    content = [{"type": "image", "image": picture}, {"type": "text", "text": QUESTION}]
    prompt = model.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = model.processor(
        text=[prompt + text], images=[picture], return_tensors="pt", add_special_tokens="<bos>" not in prompt
    )
    return inputs, 0


@pytest.mark.parametrize("text", ["Yes", LONG])
def test_log_probs_equal_a_slow_replica_whatever_the_batch_size(model: VisionLanguageModel, text: str) -> None:
    images = counterfactuals()
    prompt, answer = model.prompt(QUESTION, SIZE), model.answer(text)
    expected = replica(model, images, text)
    assert expected.std(0).max() > 1e-2  # the answer depends on the picture, or equality says nothing
    for batch_size in (1, 4, 6):
        found = model.log_probs(images, prompt, answer, batch_size=batch_size)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_side_of_padding_changes_nothing(model: VisionLanguageModel, side: str) -> None:
    images = counterfactuals()
    before = model.log_probs(images, model.prompt(QUESTION, SIZE), model.answer(LONG))
    kept, model.tokenizer.padding_side = model.tokenizer.padding_side, side
    try:
        found = model.log_probs(images, model.prompt(QUESTION, SIZE), model.answer(LONG))
    finally:
        model.tokenizer.padding_side = kept
    torch.testing.assert_close(found, before, rtol=0, atol=0)


def test_three_equal_channels_are_one(model: VisionLanguageModel) -> None:
    images = counterfactuals()
    prompt, answer = model.prompt(QUESTION, SIZE), model.answer("Yes")
    grey = model.log_probs(images, prompt, answer)
    torch.testing.assert_close(model.log_probs(images.repeat(1, 3, 1, 1), prompt, answer), grey, rtol=0, atol=1e-6)


def test_a_prompt_begins_once_and_holds_one_picture(model: VisionLanguageModel) -> None:
    prompt = model.prompt(QUESTION, SIZE)
    assert (prompt.token_ids == model.tokenizer.bos_token_id).sum() == (0 if not begins(model) else 1)
    assert len(prompt.image_positions) == len(prompt.cells)
    assert (prompt.token_ids[prompt.image_positions] == model.image_token).all()
    assert prompt.image_positions.diff().min() >= 1


def begins(model: VisionLanguageModel) -> bool:
    return model.family in ("llava", "gemma3", "paligemma")


def test_attentions_are_those_of_the_rows_that_predict_the_answer(model: VisionLanguageModel) -> None:
    """A row's logits are the answer's log-probabilities, and it attends to all before it and to nothing after it."""
    images, prompt, answer = counterfactuals()[:2], model.prompt(QUESTION, SIZE), model.answer(LONG)
    trace = model.trace(images, prompt, answer, attentions=True)
    assert trace.attentions is not None
    assert trace.attention_gradients is not None
    assert len(trace.attentions) == len(model.layers)
    length = len(prompt.token_ids) + len(answer) - 1
    start = prompt.rows(answer).start
    assert prompt.rows(answer).stop == length
    for weights in trace.attentions:
        assert weights.shape[0] == 2
        assert weights.shape[2:] == (length, length)
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
        assert weights[..., start:-1, :].triu(start + 1).max() == 0
        assert (weights[:, :, start:].diagonal(start, -2, -1) > 0).all()
    inputs, behind = front_door(model, images[1], LONG)
    with torch.no_grad():
        logits = model.network(**inputs).logits[0]
    said = logits[prompt.rows(answer)].log_softmax(-1)[range(len(answer)), list(answer.token_ids)]
    assert len(logits) == length + 1 + behind
    torch.testing.assert_close(trace.log_probs[1], said, rtol=0, atol=1e-4)


def test_attention_gradients_are_the_slope_along_an_attention(model: VisionLanguageModel) -> None:
    """The sum over a row of weight x gradient is how the answer changes when the row's attention grows as a whole."""
    images, prompt, answer = counterfactuals()[:1], model.prompt(QUESTION, SIZE), model.answer("Yes")
    trace = model.trace(images, prompt, answer, attentions=True)
    assert trace.attentions is not None
    assert trace.attention_gradients is not None
    layer, head, row = len(model.layers) - 1, 1, prompt.rows(answer).start
    slope = (trace.attentions[layer] * trace.attention_gradients[layer])[0, head, row].sum()
    width = tiny.HIDDEN // 4

    def grown(step: float) -> torch.Tensor:
        def grow(_: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            heads = args[0].clone()
            heads[0, row, head * width : (head + 1) * width] *= 1 + step
            return (heads,)

        projection = model._blocks[layer].self_attn.o_proj
        handle = projection.register_forward_pre_hook(grow)
        try:
            return model.log_probs(images, prompt, answer).sum()
        finally:
            handle.remove()

    torch.testing.assert_close(slope, (grown(0.02) - grown(-0.02)) / 0.04, rtol=0.02, atol=1e-4)


def test_pixel_gradients_are_the_slope_along_the_pixels(model: VisionLanguageModel) -> None:
    image, prompt, answer = counterfactuals()[:1], model.prompt(QUESTION, SIZE), model.answer(LONG)
    direction = tiny.picture(seed=5)[None] - 0.5
    trace = model.trace(image, prompt, answer, pixels=True)
    assert trace.pixel_gradients is not None
    assert trace.pixel_gradients.shape == image.shape
    slope = slope_along(lambda step: image + step * direction, model, prompt, answer, 2e-3)
    torch.testing.assert_close((trace.pixel_gradients * direction).sum(), slope, rtol=0.02, atol=2e-3)


def slope_along(
    moved: Callable[[float], torch.Tensor], model: VisionLanguageModel, prompt: Prompt, answer: Answer, step: float
) -> torch.Tensor:
    ahead, behind = (model.log_probs(moved(sign * step), prompt, answer).sum() for sign in (1, -1))
    return (ahead - behind) / (2 * step)


def test_activation_gradients_are_the_slope_along_the_image_tokens_of_every_layer(model: VisionLanguageModel) -> None:
    image, prompt, answer = counterfactuals()[:1], model.prompt(QUESTION, SIZE), model.answer("Yes")
    for index, layer in enumerate(model.layers):
        trace = model.trace(image, prompt, answer, layer=layer)
        assert trace.activations is not None
        assert trace.activation_gradients is not None
        assert trace.cells == prompt.cells
        assert trace.activations.shape == (1, len(prompt.cells), tiny.HIDDEN)
        per_cell = trace.activation_gradients.abs().sum(-1)[0]
        assert per_cell.min() > 1e-4 * per_cell.max()  # no cell is without a say, in any layer
        direction = torch.randn(trace.activations.shape, generator=torch.Generator().manual_seed(index))

        def shifted(step: float, layer: int = index, direction: torch.Tensor = direction) -> torch.Tensor:
            def shift(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
                hidden = (args[0] if args else kwargs["hidden_states"]).clone()
                hidden[:, prompt.image_positions] += step * direction
                return ((hidden, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": hidden})

            handle = model._blocks[layer].register_forward_pre_hook(shift, with_kwargs=True)
            try:
                return model.log_probs(image, prompt, answer).sum()
            finally:
                handle.remove()

        step = 0.01
        slope = (shifted(step) - shifted(-step)) / (2 * step)
        found = (trace.activation_gradients * direction).sum()
        torch.testing.assert_close(found, slope, rtol=0.03, atol=2e-3)


def test_a_trace_leaves_nothing_behind_and_works_in_inference_mode(model: VisionLanguageModel) -> None:
    prompt, answer = model.prompt(QUESTION, SIZE), model.answer("Yes")
    before = model.network.config.get_text_config()._attn_implementation
    with torch.inference_mode():
        images = counterfactuals()[:2]
        trace = model.trace(images, prompt, answer, pixels=True, layer="decoder.1", attentions=True)
    assert trace.pixel_gradients is not None
    assert trace.pixel_gradients.abs().max() > 0
    assert before != "eager"
    assert model.network.config.get_text_config()._attn_implementation == before
    assert not any(parameter.grad is not None for parameter in model.network.parameters())
    assert not any(block._forward_pre_hooks for block in model._blocks)
    torch.testing.assert_close(trace.log_probs, model.log_probs(images.clone(), prompt, answer), rtol=0, atol=1e-4)


def test_generation_takes_the_likeliest_token_whatever_the_folder_says(model: VisionLanguageModel) -> None:
    image, prompt = counterfactuals()[1], model.prompt(QUESTION, SIZE)
    settings = model.network.generation_config
    kept = {name: getattr(settings, name, None) for name in ("do_sample", "repetition_penalty", "temperature", "top_k")}
    settings.update(do_sample=True, repetition_penalty=5.0, temperature=9.0, top_k=3)
    try:
        found = model.generate(image, prompt, max_new_tokens=5)
        again = model.generate(image, prompt, max_new_tokens=5)
    finally:
        settings.update(**kept)
    said: list[int] = []
    for _ in range(5):
        with torch.no_grad():
            logits = model.network(**model._inputs(image[None], prompt, said), use_cache=False).logits
        said.append(int(logits[0, -1].argmax()))
    expected = model._answer(said[: next((i for i, token in enumerate(said) if token in model._ends()), 5)], True)
    assert found == again
    assert (found.token_ids, found.text) == (expected.token_ids, expected.text)
    assert "".join(found.tokens) == found.text


def test_an_answer_is_its_own_tokens(llava: VisionLanguageModel) -> None:
    ends = llava.tokenizer.convert_tokens_to_ids(["<|end|>", "<eos>", "<pad>"])
    plain = llava.answer("Yes, enlarged.")
    closed = llava._answer([*plain.token_ids, *llava.tokenizer("\n ")["input_ids"][1:], *ends], True)
    assert closed == plain
    assert plain.text == "Yes, enlarged."
    assert len(plain.tokens) == len(plain) == len(plain.token_ids) > 2
    umlaut = llava.answer("Größe \U0001fac1 0")  # characters of several tokens each
    assert "".join(umlaut.tokens) == umlaut.text == "Größe \U0001fac1 0"
    assert "\ufffd" not in "".join(umlaut.tokens)


def test_an_answer_that_was_cut_off_says_so(llava: VisionLanguageModel) -> None:
    image, prompt = tiny.picture(), llava.prompt(QUESTION, SIZE)
    said = llava.generate(image, prompt, max_new_tokens=3)
    assert not said.complete
    settings = llava.network.generation_config
    kept = settings.eos_token_id
    try:
        settings.eos_token_id = [kept, said.token_ids[2]]
        ended = llava.generate(image, prompt, max_new_tokens=3)
    finally:
        settings.eos_token_id = kept
    assert ended.complete
    assert ended.token_ids == said.token_ids[: said.token_ids.index(said.token_ids[2])]


@pytest.mark.parametrize("name", ["idefics3", "smolvlm"])
def test_a_tile_of_the_mean_grey_is_no_padding(name: str) -> None:
    """The network drops tiles of nothing but zeros, and mid-grey is zero once it is normalised."""
    model = tiny.model(name)
    images = tiny.picture(size=(tiny.IMAGE, 2 * tiny.IMAGE)).repeat(2, 1, 1, 1)  # no resampling, which would round
    images[1] = 0.5
    prompt, answer = model.prompt(QUESTION, (tiny.IMAGE, 2 * tiny.IMAGE)), model.answer("Yes")
    plain = model.processor.image_processor(images=[[255 * images[1].expand(3, -1, -1)]], return_tensors="pt")
    assert (plain["pixel_values"][0, 0] == 0).all()
    found = model.log_probs(images, prompt, answer)
    nearly = images.clone()
    nearly[1] += 1e-6
    torch.testing.assert_close(found, model.log_probs(nearly, prompt, answer), rtol=0, atol=1e-4)


def test_half_precision(llava: VisionLanguageModel) -> None:
    images = counterfactuals()
    half = tiny.model("llava")
    half.network.to(torch.bfloat16)
    prompt, answer = half.prompt(QUESTION, SIZE), half.answer(LONG)
    found = half.log_probs(images, prompt, answer)
    assert found.dtype == torch.float32
    assert half.provenance["dtype"] == "bfloat16"
    torch.testing.assert_close(found, llava.log_probs(images, prompt, answer), rtol=0.1, atol=0.3)


def test_bad_questions_answers_and_layers(llava: VisionLanguageModel) -> None:
    prompt, answer, images = llava.prompt(QUESTION, SIZE), llava.answer("Yes"), counterfactuals()[:1]
    with pytest.raises(ValueError, match="special token '<image>'"):
        llava.prompt("What is <image>?", SIZE)
    with pytest.raises(ValueError, match="is empty"):
        llava.prompt(" ", SIZE)
    with pytest.raises(ValueError, match="has none"):
        llava.answer(" \n")
    with pytest.raises(ValueError, match="nothing to score"):
        llava.log_probs(images, prompt, Answer("", (), ()))
    with pytest.raises(ValueError, match=r"decoder\.0, decoder\.1"):
        llava.trace(images, prompt, answer, layer="decoder.2")
    with pytest.raises(ValueError, match="batch_size=0"):
        tiny.model("llava", batch_size=0)
    llava.processor.chat_template, kept = None, llava.processor.chat_template
    try:
        with pytest.raises(ValueError, match=r"chat_template\.jinja"):
            llava.prompt(QUESTION, SIZE)
    finally:
        llava.processor.chat_template = kept
