# SPDX-License-Identifier: Apache-2.0
"""What all vision-language families have in common, on top of transformers.

The counterfactuals of one question differ in their picture alone. So the prompt is laid out once, the sequences of a
batch have the same length, no padding enters, and a forward computes the logits of the answer's own tokens only. What
comes before the picture in a prompt is a handful of template tokens, and every token behind it attends to the
picture: there is nothing worth caching between counterfactuals.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from monai_causal.apps.medfocus.vlm.cells import PixelMap
from monai_causal.apps.medfocus.vlm.inside import attending, watching
from monai_causal.apps.medfocus.vlm.interface import Answer, AnsweringModel, Prompt, Trace, checked_pictures
from monai_causal.apps.medfocus.vlm.resampling import LANCZOS, unrounded
from monai_causal.extras import require

__all__ = ["VisionLanguageModel"]

_LAYER = "decoder."


class VisionLanguageModel(AnsweringModel):
    """A transformers model that answers in text; a family says where its picture goes and where its tokens lie.

    A layer ``decoder.k`` is what enters decoder block k at the image tokens; ``decoder.0`` is the vision tower's own
    output. The answer depends on each of them. On the output of the last block it does not: no later token reads it
    there, so a gradient would be zero everywhere.

    Args:
        network: an ``AutoModelForImageTextToText``; put into evaluation mode.
        processor: its ``AutoProcessor``, with an image processor that works on tensors.
        batch_size: pictures per forward.
        source: what to call the model in a record.
        revision: of the hub, where it came from one.
    """

    family = ""
    answer_type = 0
    """The token type of the answer's tokens, in families that have one."""

    def __init__(
        self,
        network: nn.Module,
        processor: Any,
        *,
        batch_size: int = 8,
        source: str = "given",
        revision: str | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: at least 1.")
        images = processor.image_processor
        if getattr(images, "backend", None) != "torchvision":
            raise TypeError(
                f"{type(images).__name__} does not work on tensors, so no gradient reaches the pixels; load "
                'it with AutoProcessor.from_pretrained(..., backend="torchvision").'
            )
        self.network: Any = network.eval()
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.batch_size = batch_size
        self._source, self._revision = source, revision
        self._images = unrounded(images)
        # Tokens that text cannot stand for, whether or not the tokenizer lists them under a name.
        added = self.tokenizer.added_tokens_decoder.items()
        self._special = dict(zip(self.tokenizer.all_special_ids, self.tokenizer.all_special_tokens, strict=True))
        self._special |= {index: token.content for index, token in added if token.special}
        self.check()

    def check(self) -> None:
        """Refuse what this family cannot read; called once."""

    @property
    def image_token(self) -> int:
        """The number of the image token. Processors do not always know it; the network's configuration does."""
        return int(self.network.config.image_token_id)

    @property
    def decoder(self) -> nn.Module:
        """The language model, with its blocks as ``layers``."""
        found: nn.Module = self.network.model.language_model
        return found

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(f"{_LAYER}{index}" for index in range(len(self._blocks)))

    @property
    def provenance(self) -> dict[str, Any]:
        return {
            "family": self.family,
            "source": self._source,
            "revision": self._revision,
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "dtype": str(self.network.dtype).removeprefix("torch."),
            "transformers": require("transformers").__version__,
        }

    # What a family may say differently -------------------------------------------------------------------------------

    def rendered(self, question: str) -> str:
        """The prompt's text, with the placeholder of one picture, ready for the processor."""
        if not getattr(self.processor, "chat_template", None):
            raise ValueError(
                f"this {self.family} model has no chat template; add a chat_template.jinja to its folder, as its "
                "instruction-tuned release has one."
            )
        content = [{"type": "image"}, {"type": "text", "text": question}]
        return str(
            self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        )

    def vision(self, images: Tensor, **options: Any) -> dict[str, Any]:
        """The network's picture inputs for (batch, 3, height, width) in [0, 255]; differentiable."""
        return dict(self._images(images=list(images), return_tensors="pt", **options))

    @abstractmethod
    def cells(self, size: tuple[int, int]) -> PixelMap:
        """Where the image tokens lie on a picture of this size."""

    # The interface ---------------------------------------------------------------------------------------------------

    def prompt(self, question: str, size: tuple[int, int]) -> Prompt:
        special = [token for token in self._special.values() if token in question]
        if special or not question.strip():
            fault = f"holds the special token {special[0]!r}" if special else "is empty"
            raise ValueError(f"a question is plain text; {question!r} {fault}.")
        text = self.rendered(question)
        # A template that writes the first token itself must not get it from the tokenizer once more.
        first = self.tokenizer.bos_token
        laid_out = self.processor(
            text=[text],
            images=[torch.zeros((3, *size))],
            return_tensors="pt",
            add_special_tokens=not (first and text.startswith(first)),
        )
        token_ids = laid_out["input_ids"][0]
        cells = self.cells(size)
        positions = (token_ids == self.image_token).nonzero().flatten()
        outside = len(positions) - len(cells)  # a class token ahead of the patches has no place on the picture
        if outside not in (0, getattr(self.processor, "num_additional_image_tokens", 0)):
            raise RuntimeError(
                f"{self.family}: {len(positions)} image tokens in the prompt, {len(cells)} cells on the picture {size}."
            )
        types = {key: laid_out[key][0] for key in ("token_type_ids", "mm_token_type_ids") if key in laid_out}
        return Prompt(question, size, cells, token_ids, positions[outside:], types)

    @torch.no_grad()
    def generate(self, image: Tensor, prompt: Prompt, max_new_tokens: int = 256) -> Answer:
        ends = self._ends()
        # Everything that a folder's own generation settings might bend is named, so that greedy means greedy.
        greedy = require("transformers").GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=max_new_tokens,
            min_new_tokens=0,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            temperature=1.0,
            top_k=50,
            top_p=1.0,
            eos_token_id=sorted(ends),
            pad_token_id=self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else min(ends),
        )
        inputs = self._inputs(checked_pictures(image[None], prompt.size), prompt, ())
        said = self.network.generate(**inputs, generation_config=greedy)[0, len(prompt.token_ids) :].tolist()
        complete = any(token in ends for token in said)
        until = next((index for index, token in enumerate(said) if token in ends), len(said))
        return self._answer(said[:until], complete)

    def answer(self, text: str) -> Answer:
        """A given answer, cut into tokens by itself; what :meth:`generate` returns keeps the model's own cut."""
        found = self._answer(self.tokenizer(text, add_special_tokens=False)["input_ids"], complete=True)
        if not found.token_ids:
            raise ValueError(f"an answer has at least one token; {text!r} has none.")
        return found

    @torch.no_grad()
    def log_probs(self, images: Tensor, prompt: Prompt, answer: Answer, batch_size: int | None = None) -> Tensor:
        pictures = checked_pictures(images, prompt.size)
        found = [self._score(part, prompt, answer)[0] for part in pictures.split(batch_size or self.batch_size)]
        return torch.cat(found).to(images.device)

    def trace(
        self,
        images: Tensor,
        prompt: Prompt,
        answer: Answer,
        *,
        pixels: bool = False,
        layer: str | None = None,
        attentions: bool = False,
        gradients: bool = True,
    ) -> Trace:
        if layer is not None and layer not in self.layers:
            raise ValueError(f"layer={layer!r}: one of {', '.join(self.layers)}.")
        with ExitStack() as stack:
            for context in (torch.inference_mode(False), torch.enable_grad(), attending(self.network, attentions)):
                stack.enter_context(context)
            seen = stack.enter_context(self._watching(layer)) if layer else []
            pictures = checked_pictures(images, prompt.size).detach().clone().requires_grad_()
            scores, output = self._score(pictures, prompt, answer, output_attentions=attentions)
            wanted = [pictures] if pixels else []
            if gradients:
                wanted += seen
                wanted += output.attentions if attentions else ()
            slopes = list(torch.autograd.grad(scores.sum(), wanted)) if wanted else []
        place = prompt.image_positions.to(seen[0].device) if seen else None
        pixel_slope = slopes.pop(0).to(images.device) if pixels else None
        seen_slope = slopes.pop(0)[:, place] if seen and gradients else None
        return Trace(
            log_probs=scores.detach().to(images.device),
            pixel_gradients=pixel_slope,
            cells=prompt.cells if seen else None,
            activations=seen[0].detach()[:, place] if seen else None,
            activation_gradients=seen_slope,
            attentions=tuple(weight.detach() for weight in output.attentions) if attentions else None,
            attention_gradients=tuple(slopes) if attentions and gradients else None,
        )

    # How -------------------------------------------------------------------------------------------------------------

    @property
    def _blocks(self) -> Sequence[nn.Module]:
        blocks: Any = self.decoder.layers
        return list(blocks)

    def _watching(self, layer: str) -> AbstractContextManager[list[Tensor]]:
        return watching(self._blocks[int(layer.removeprefix(_LAYER))])

    def _inputs(self, pictures: Tensor, prompt: Prompt, answer: Sequence[int]) -> dict[str, Any]:
        """The network's inputs: the same tokens for each picture. Of the answer, those that another one follows."""
        batch, device = len(pictures), self.network.device
        said = torch.tensor(answer, dtype=torch.long)
        tokens = torch.cat([prompt.token_ids, said]).expand(batch, -1).to(device)
        inputs: dict[str, Any] = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
        for key, types in prompt.token_types.items():
            types = torch.cat([types, torch.full_like(said, self.answer_type).to(types.dtype)])
            inputs[key] = types.expand(batch, -1).to(device)
        # Lanczos, which the processors of Idefics3 and SmolVLM ask for, exists on the CPU alone; elsewhere they would
        # silently take another filter.
        where = "cpu" if self._images.resample == LANCZOS else device
        seen = self.vision(255 * pictures.to(where).expand(-1, 3, -1, -1))
        for key, value in seen.items():
            inputs[key] = value.to(device, self.network.dtype if value.is_floating_point() else None)
        return inputs

    def _score(self, pictures: Tensor, prompt: Prompt, answer: Answer, **options: Any) -> tuple[Tensor, Any]:
        if not answer.token_ids:
            raise ValueError("the answer is empty: there is nothing to score.")
        inputs = self._inputs(pictures, prompt, answer.token_ids[:-1])
        output = self.network(**inputs, use_cache=False, logits_to_keep=len(answer), **options)
        target = torch.tensor(answer.token_ids, device=output.logits.device).expand(len(pictures), -1)
        return output.logits.float().log_softmax(-1).gather(2, target[..., None])[..., 0], output

    def _ends(self) -> set[int]:
        """The tokens that end an answer."""
        settings = getattr(self.network, "generation_config", None)
        named = [getattr(settings, "eos_token_id", None), self.tokenizer.eos_token_id]
        flat = [token for ends in named for token in (ends if isinstance(ends, (list, tuple)) else [ends])]
        return {int(token) for token in flat if token is not None}

    def _answer(self, token_ids: Sequence[int], complete: bool) -> Answer:
        """An answer without what stands behind its last word: the template's tokens and white space."""
        kept = list(token_ids)
        while kept and (kept[-1] in self._special or not self._decoded(kept[-1:]).strip()):
            kept.pop()
        tokens, before = [], ""
        for count in range(1, len(kept) + 1):
            text = self._decoded(kept[:count])
            # A character may take several tokens; until the last of them it cannot be read, and belongs to that one.
            readable = text.rstrip("\ufffd") if count < len(kept) else text
            tokens.append(readable[len(before) :])
            before = readable
        return Answer(before, tuple(kept), tuple(tokens), complete)

    def _decoded(self, token_ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
