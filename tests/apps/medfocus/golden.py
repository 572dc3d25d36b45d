# SPDX-License-Identifier: Apache-2.0
"""A "vision-language model" that reads given boxes in closed form, so that every method's right answer is known.

It answers in one token per box. The log-probability of token t is linear in the picture::

    log p_t(x) = weight_t * (mean of x over box_t - 1)

A black box_t costs weight_t times the mean of the picture there; everything outside changes nothing. Its image tokens
are a grid of cells, whose activation has one feature per box: the cell's grey value where it lies in the box, 0
elsewhere. Its two decoder layers attend as follows: in the first, every position to itself alone; in the second, the
position that predicts token t to the cells of box t alone, evenly.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from monai_causal.apps.medfocus.vlm.cells import PixelMap, Sheet
from monai_causal.apps.medfocus.vlm.interface import Answer, AnsweringModel, Prompt, Trace, checked_pictures

Box = tuple[tuple[int, int], tuple[int, int]]


class BoxReader(AnsweringModel):
    """Reads boxes (rows, columns) whose edges lie on edges of the cells.

    Args:
        size: of the picture.
        boxes: one per token of the answer.
        weights: of each box.
        tokens: what it says.
        cell: side of a cell in pixels.
        says: answers to questions that hold a given word, in text.
    """

    family = "golden"
    batch_size = 5

    def __init__(
        self,
        size: tuple[int, int],
        boxes: tuple[Box, ...],
        weights: tuple[float, ...] = (3.0,),
        tokens: tuple[str, ...] = ("Yes",),
        cell: int = 8,
        says: dict[str, str] | None = None,
    ) -> None:
        self.size, self.boxes, self.weights, self.tokens, self.cell = size, boxes, weights, tokens, cell
        self.says = says or {}
        self.forwards: list[int] = []

    @property
    def layers(self) -> tuple[str, ...]:
        return ("decoder.0", "decoder.1")

    @property
    def provenance(self) -> dict[str, Any]:
        return {"family": self.family}

    @property
    def cells(self) -> PixelMap:
        height, width = self.size
        return PixelMap(self.size, (Sheet((height // self.cell, width // self.cell), ((0, height), (0, width))),))

    def prompt(self, question: str, size: tuple[int, int]) -> Prompt:
        count = len(self.cells)  # one token, the cells, one token
        return Prompt(question, size, self.cells, torch.zeros(count + 2, dtype=torch.long), torch.arange(count) + 1)

    def generate(self, image: Tensor, prompt: Prompt, max_new_tokens: int = 256) -> Answer:
        for word, text in self.says.items():
            if word in prompt.question:
                return Answer(text, (0,), (text,))
        return self.answer("".join(self.tokens))

    def answer(self, text: str) -> Answer:
        return Answer(text, tuple(range(len(self.tokens))), self.tokens)

    def log_probs(self, images: Tensor, prompt: Prompt, answer: Answer, batch_size: int | None = None) -> Tensor:
        pictures = checked_pictures(images, prompt.size).mean(1)
        self.forwards.append(len(pictures))
        return self._score(pictures)

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
        pictures = checked_pictures(images, prompt.size).detach().clone().requires_grad_()
        scores = self._score(pictures.mean(1))
        (slope,) = torch.autograd.grad(scores.sum(), pictures)
        inside = self.shares()  # (boxes, cells)
        grey = self.cells.to_cells(images.mean(1))  # (batch, cells)
        activations = grey[..., None] * inside.T
        per_cell = torch.tensor(self.weights) / inside.sum(1)
        weights = (inside * per_cell[:, None]).T.expand_as(activations)
        length, count = len(prompt.token_ids) + len(answer) - 1, len(self.cells)
        first = torch.eye(length).expand(len(images), 2, length, length)
        second = first.clone()
        slopes = torch.zeros_like(second)
        for row, (box, weight) in enumerate(zip(inside, self.weights, strict=True)):
            place = len(prompt.token_ids) - 1 + row
            second[:, :, place] = 0
            second[:, :, place, 1 : count + 1] = box / box.sum()
            slopes[:, :, place, 1 : count + 1] = weight * grey[:, None]
        return Trace(
            scores.detach(),
            slope if pixels else None,
            self.cells if layer else None,
            activations if layer else None,
            weights if layer and gradients else None,
            (first, second) if attentions else None,
            (torch.zeros_like(first), slopes) if attentions and gradients else None,
        )

    def shares(self) -> Tensor:
        """Which cells lie in which box, (boxes, cells), 0 or 1."""
        masks = torch.zeros((len(self.boxes), *self.size))
        for mask, (rows, columns) in zip(masks, self.boxes, strict=True):
            mask[slice(*rows), slice(*columns)] = 1
        return self.cells.to_cells(masks)

    def _score(self, pictures: Tensor) -> Tensor:
        means = [pictures[:, slice(*rows), slice(*columns)].mean((1, 2)) for rows, columns in self.boxes]
        return torch.stack(means, dim=1) * torch.tensor(self.weights) - torch.tensor(self.weights)
