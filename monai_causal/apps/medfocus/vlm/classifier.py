# SPDX-License-Identifier: Apache-2.0
"""A plain classifier, asked like a vision-language model: its answer is the name of a class.

So a chest X-ray classifier of MONAI, torchvision or anybody else is explained by concept with the same code: one
token per answer, whose log-probability is that of the class.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_causal.apps.medfocus.vlm.cells import PixelMap, Sheet
from monai_causal.apps.medfocus.vlm.interface import Answer, AnsweringModel, Prompt, Trace, checked_pictures

__all__ = ["Classifier"]


class Classifier(AnsweringModel):
    """An image classifier behind the interface of the answering models.

    With softmax there is one answer per class, its name. With sigmoid each class is a question of its own: the
    answers are its name and ``no`` with its name, and a question names one class.

    Args:
        network: (batch, channels, height, width) to logits (batch, classes). It is left as it is found, but for
            running in evaluation mode.
        classes: the logits' names, in order.
        input_size: height and width that pictures are resized to (bilinear, antialiased); ``None`` leaves them.
        channels: that the network wants: 1 takes the mean of three, 3 repeats one.
        mean: subtracted from the picture in [0, 1], a number or one per channel.
        std: divides it then.
        activation: ``"softmax"``, ``"sigmoid"``, or ``"auto"``: sigmoid for one class, softmax for more.
        batch_size: pictures per forward.
        source: what to call the network in a record; by default the name of its type.

    Example:
        >>> network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
        >>> model = Classifier(network, ["effusion", "normal"], channels=1)
        >>> image = torch.rand(1, 32, 32)
        >>> prompt = model.prompt("", (32, 32))
        >>> model.log_probs(image[None], prompt, model.answer("effusion")).shape
        torch.Size([1, 1])
    """

    family = "classifier"

    def __init__(
        self,
        network: nn.Module,
        classes: Sequence[str],
        *,
        input_size: tuple[int, int] | None = None,
        channels: Literal[1, 3] = 3,
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        activation: Literal["auto", "softmax", "sigmoid"] = "auto",
        batch_size: int = 32,
        source: str | None = None,
    ) -> None:
        names = [name.strip() for name in classes]
        if not all(names) or len({name.lower() for name in names}) < len(names) or not names:
            raise ValueError(f"classes are distinct names, not {list(classes)!r}.")
        if activation not in ("auto", "softmax", "sigmoid"):
            raise ValueError(f"activation={activation!r}: one of auto, softmax, sigmoid.")
        self.network = network
        self.classes = tuple(names)
        self.input_size = input_size
        self.channels = channels
        self.activation = ("sigmoid" if len(names) == 1 else "softmax") if activation == "auto" else activation
        if self.activation == "softmax" and len(names) == 1:
            raise ValueError("softmax over one class is always 1; use sigmoid.")
        self.batch_size = batch_size
        self._mean, self._std = torch.tensor(mean), torch.tensor(std)
        self._source = source or type(network).__name__

    @property
    def layers(self) -> tuple[str, ...]:
        """The convolutions; :meth:`trace` takes any module whose output is (batch, features, rows, columns)."""
        return tuple(name for name, module in self.network.named_modules() if isinstance(module, nn.Conv2d))

    @property
    def provenance(self) -> dict[str, Any]:
        return {
            "family": self.family,
            "source": self._source,
            "classes": list(self.classes),
            "activation": self.activation,
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
        }

    def prompt(self, question: str, size: tuple[int, int]) -> Prompt:
        """A question that names a class; with softmax it may name none, and the likeliest class answers."""
        if self.activation == "sigmoid":
            self._class_in(question)
        shape = self.input_size or size
        whole = ((0, size[0]), (0, size[1]))
        return Prompt(question, size, PixelMap(size, (Sheet(shape, whole),)))

    @torch.no_grad()
    def generate(self, image: Tensor, prompt: Prompt, max_new_tokens: int = 256) -> Answer:
        logits = self._logits(checked_pictures(image[None], prompt.size))[0]
        if self.activation == "softmax":
            return self._named(int(logits.argmax()))
        index = self._class_in(prompt.question)
        return self._named(index if logits[index] >= 0 else index + len(self.classes))

    def answer(self, text: str) -> Answer:
        wanted = text.strip().lower()
        for index, name in enumerate(self._answers):
            if name.lower() == wanted:
                return self._named(index)
        raise ValueError(f"{text!r} is no answer of this classifier; it has: {', '.join(self._answers)}.")

    @torch.no_grad()
    def log_probs(self, images: Tensor, prompt: Prompt, answer: Answer, batch_size: int | None = None) -> Tensor:
        pictures = checked_pictures(images, prompt.size)
        found = [self._score(part, answer) for part in pictures.split(batch_size or self.batch_size)]
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
        if attentions:
            raise ValueError("a classifier has no decoder whose attentions could be asked for.")
        modules = dict(self.network.named_modules())
        if layer is not None and layer not in modules:
            raise ValueError(
                f"layer={layer!r}: the network has no such module; its convolutions: {', '.join(self.layers)}."
            )
        with torch.inference_mode(False):
            pictures = checked_pictures(images, prompt.size).detach().clone().requires_grad_()
        seen: list[Tensor] = []
        handle = modules[layer].register_forward_hook(lambda _, __, output: seen.append(output)) if layer else None
        try:
            with torch.inference_mode(False), torch.enable_grad():
                scores = self._score(pictures, answer)
                if seen and (not isinstance(seen[0], Tensor) or seen[0].ndim != 4):
                    raise ValueError(f"layer={layer!r}: its output is not (batch, features, rows, columns).")
                wanted = ([pictures] if pixels else []) + (seen[:1] if gradients else [])
                slopes = list(torch.autograd.grad(scores.sum(), wanted)) if wanted else []
        finally:
            if handle is not None:
                handle.remove()
        cells = None
        if seen:
            (height, width), (rows, columns) = prompt.size, seen[0].shape[-2:]
            cells = PixelMap(prompt.size, (Sheet((rows, columns), ((0, height), (0, width))),))
        pixel_slope = slopes.pop(0).to(images.device) if pixels else None
        return Trace(
            log_probs=scores.detach().to(images.device),
            pixel_gradients=pixel_slope,
            cells=cells,
            activations=_in_cells(seen[0].detach()) if seen else None,
            activation_gradients=_in_cells(slopes[0]) if seen and gradients else None,
        )

    @property
    def _answers(self) -> tuple[str, ...]:
        """All answers; with sigmoid, behind the classes, their denials."""
        denials = tuple(f"no {name}" for name in self.classes) if self.activation == "sigmoid" else ()
        return self.classes + denials

    def _named(self, index: int) -> Answer:
        name = self._answers[index]
        return Answer(name, (index,), (name,))

    def _class_in(self, question: str) -> int:
        """The one class that a question names; a name within a longer one that is also there does not count."""
        rest, found = question.lower(), []
        for index in sorted(range(len(self.classes)), key=lambda index: -len(self.classes[index])):
            pattern = rf"(?<!\w){re.escape(self.classes[index].lower())}(?!\w)"
            if re.search(pattern, rest):
                found.append(index)
                rest = re.sub(pattern, " ", rest)
        if len(found) != 1:
            raise ValueError(
                f"the question {question!r} names {len(found)} classes of this classifier, not one; it has: "
                f"{', '.join(self.classes)}."
            )
        return found[0]

    def _logits(self, pictures: Tensor) -> Tensor:
        first = next(iter(self.network.parameters()), pictures)
        images = pictures.to(first.device)
        if self.channels == 1 and images.shape[1] == 3:
            images = images.mean(1, keepdim=True)
        images = images.expand(-1, self.channels, -1, -1)
        if self.input_size is not None and tuple(images.shape[-2:]) != tuple(self.input_size):
            images = F.interpolate(images, size=self.input_size, mode="bilinear", antialias=True)
        mean, std = (value.reshape(-1, 1, 1).to(images) for value in (self._mean, self._std))
        modes = {module: module.training for module in self.network.modules()}
        self.network.eval()
        try:
            logits: Tensor = self.network(((images - mean) / std).to(first.dtype)).float()
        finally:
            for module, training in modes.items():  # train() would also switch on what the caller had frozen
                module.training = training
        if logits.shape != (len(pictures), len(self.classes)):
            raise ValueError(
                f"the network's output is {tuple(logits.shape)} for {len(pictures)} pictures; with "
                f"{len(self.classes)} classes it is ({len(pictures)}, {len(self.classes)})."
            )
        return logits

    def _score(self, pictures: Tensor, answer: Answer) -> Tensor:
        logits, index = self._logits(pictures), answer.token_ids[0]
        if self.activation == "softmax":
            return logits.log_softmax(1)[:, index, None]
        sign = 1 if index < len(self.classes) else -1
        return F.logsigmoid(sign * logits[:, index % len(self.classes), None])


def _in_cells(values: Tensor) -> Tensor:
    """(batch, features, rows, columns) to (batch, cells, features)."""
    return values.flatten(2).transpose(1, 2)
