# SPDX-License-Identifier: Apache-2.0
"""What can be explained: a model that answers a question about a picture, and says how likely it found its answer.

Vision-language models and classifiers meet here. A method that explains them needs five things: a prompt, the model's
own answer, the log-probabilities of a *given* answer for many edited pictures, gradients and attentions, and where
the model's image tokens lie on the picture. Pictures are the caller's, at their native size; whatever a model's
processor does to them is its own affair, and stays differentiable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from monai_causal.apps.medfocus.vlm.cells import PixelMap

__all__ = ["Answer", "AnsweringModel", "Prompt", "Trace", "checked_pictures"]


@dataclass(frozen=True)
class Prompt:
    """A question as a model reads it, for pictures of one size.

    Args:
        question: as it was asked.
        size: height and width of the pictures that it goes with.
        cells: where the model's image tokens (a classifier: its input pixels) lie on such a picture.
        token_ids: (tokens,) the whole prompt, image tokens included; empty for a classifier.
        image_positions: (cells,) where among the tokens each cell stands; empty for a classifier.
        token_types: what a family wants to be told about each token, each (tokens,).
    """

    question: str
    size: tuple[int, int]
    cells: PixelMap
    token_ids: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long), repr=False)
    image_positions: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long), repr=False)
    token_types: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def rows(self, answer: Answer) -> slice:
        """The positions whose attention and hidden state predict the answer's tokens: one *before* each of them."""
        first = len(self.token_ids) - 1
        return slice(first, first + len(answer))


@dataclass(frozen=True)
class Answer:
    """What a model said: its own tokens, without the template's closing ones.

    Args:
        text: all of it.
        token_ids: one number per token (a classifier: which of its answers).
        tokens: the text of each token; they join to ``text``.
        complete: whether the model came to an end by itself, and was not cut off.
    """

    text: str
    token_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    complete: bool = True

    def __len__(self) -> int:
        return len(self.token_ids)


@dataclass(frozen=True)
class Trace:
    """What a model did on the way to an answer. Gradients are those of the answer's summed log-probability.

    Args:
        log_probs: (batch, answer tokens).
        pixel_gradients: like the pictures, at their native size.
        cells: where the activations' cells lie on the picture.
        activations: (batch, cells, features) of the layer asked for.
        activation_gradients: alike.
        attentions: per decoder layer (batch, heads, sequence, sequence), for the prompt and all of the answer's
            tokens but the last; ``Prompt.rows`` and ``Prompt.image_positions`` find their way in it.
        attention_gradients: alike.
    """

    log_probs: Tensor
    pixel_gradients: Tensor | None = None
    cells: PixelMap | None = None
    activations: Tensor | None = None
    activation_gradients: Tensor | None = None
    attentions: tuple[Tensor, ...] | None = None
    attention_gradients: tuple[Tensor, ...] | None = None


class AnsweringModel(ABC):
    """A model that answers questions about pictures. Pictures are floating, in [0, 1], with one channel or three."""

    family: str
    """What kind of model this is, e.g. ``"gemma3"``."""

    batch_size: int
    """Pictures per forward where a call names no other number. It changes the time and the memory, not the result."""

    @property
    @abstractmethod
    def layers(self) -> tuple[str, ...]:
        """The layers that :meth:`trace` can look into, in the order in which the model runs them."""

    @property
    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """What identifies the model in a record; no path of this machine."""

    @abstractmethod
    def prompt(self, question: str, size: tuple[int, int]) -> Prompt:
        """A question about pictures of ``size`` (height, width), in the model's own template."""

    @abstractmethod
    def generate(self, image: Tensor, prompt: Prompt, max_new_tokens: int = 256) -> Answer:
        """The model's own answer about one picture (channels, height, width): the likeliest token at each step."""

    @abstractmethod
    def answer(self, text: str) -> Answer:
        """A given answer, to be scored."""

    @abstractmethod
    def log_probs(self, images: Tensor, prompt: Prompt, answer: Answer, batch_size: int | None = None) -> Tensor:
        """Log-probability of each token of a given answer, were the model to say it of each picture.

        Args:
            images: (batch, channels, height, width), e.g. a picture and its counterfactuals.
            prompt: the question.
            answer: what is scored, token by token, each given those before it.
            batch_size: pictures per forward; ``None`` takes the model's.

        Returns:
            (batch, answer tokens), float32, where the pictures are.
        """

    @abstractmethod
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
        """Look inside while an answer is scored.

        All pictures go through in one forward. Nothing of the graph is kept, and no parameter receives a gradient.

        Args:
            images: (batch, channels, height, width).
            prompt: the question.
            answer: what is scored.
            pixels: gradients with respect to the pictures.
            layer: one of :attr:`layers`: its activations.
            attentions: of all decoder layers.
            gradients: also the gradients of activations and attentions.
        """


def checked_pictures(images: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Pictures as float32 (batch, channels, height, width), or one clear error.

    Args:
        images: what a caller gave.
        size: height and width that a prompt was made for.
    """
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"pictures are a floating tensor in [0, 1], not {kind}.")
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise ValueError(f"pictures are (batch, 1 or 3, height, width), not {tuple(images.shape)}.")
    if size is not None and tuple(images.shape[-2:]) != tuple(size):
        raise ValueError(
            f"the pictures are {tuple(images.shape[-2:])}, but the prompt was made for {tuple(size)}; make one with "
            "prompt(question, size)."
        )
    low, high = (float(value) for value in torch.aminmax(images.detach()))
    if not (low >= -1e-4 and high <= 1 + 1e-4):  # also false for NaN
        raise ValueError(f"pictures lie in [0, 1]; these range from {low:g} to {high:g}.")
    return images.float()
