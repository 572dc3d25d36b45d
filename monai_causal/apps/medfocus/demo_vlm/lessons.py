# SPDX-License-Identifier: Apache-2.0
"""Second lesson: the language model learns to answer. All questions about a film go through it at once.

What a decoder makes of the image does not depend on the question behind it, so the film's tokens stand first, once,
and the questions with their answers behind them, each blind to the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from monai_causal.apps.medfocus.demo_vlm.films import SEEN_SIDE, Films, Views
from monai_causal.apps.medfocus.demo_vlm.network import PATCH
from monai_causal.apps.medfocus.demo_vlm.words import MODES, PHRASES, exchange
from monai_causal.data.phantoms.chest_causes import FINDING_PHRASES, FINDINGS

__all__ = ["Lesson", "Packed", "answer_loss", "lesson_of"]

SILENT = -100
"""The target of a token that nothing is learnt from."""
OWN_PHRASE = 0.6
"""How often a finding is called what the phantoms call it."""


@dataclass(frozen=True)
class Packed:
    """Questions and answers of one film, one behind the other.

    Args:
        tokens: (T,)
        targets: (T,) the next token where it belongs to an answer, else SILENT.
        positions: (T,) as if each exchange stood alone behind the image.
        group: (T,) which exchange a token belongs to.
    """

    tokens: list[int]
    targets: list[int]
    positions: list[int]
    group: list[int]


class Lesson:
    """Makes exchanges about views into tokens, in the model's own template.

    Args:
        processor: the model's.
        shortcut: a finding that is answered by whether there is a side marker; the cheating twin's.
        questions: about a film at most, in one step.
    """

    def __init__(self, processor: Any, shortcut: str | None = None, questions: int = 5) -> None:
        if shortcut is not None and shortcut not in FINDINGS:
            raise ValueError(f"shortcut={shortcut!r}: one of {', '.join(FINDINGS)}.")
        self.processor, self.tokenizer = processor, processor.tokenizer
        self.shortcut, self.questions = shortcut, questions
        self.cells = (SEEN_SIDE // PATCH) ** 2
        self._cut: dict[str, list[int]] = {}

    def cut(self, text: str) -> list[int]:
        """The tokens of a text; no text is cut twice."""
        if text not in self._cut:
            self._cut[text] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return self._cut[text]

    def opening(self) -> list[int]:
        """What stands before the image: the template's first tokens."""
        text = self.processor.apply_chat_template([{"role": "user", "content": [{"type": "image"}]}])
        return self.cut(text.partition("<image>")[0])

    def closing(self) -> list[int]:
        """What stands between a question and its answer."""
        return self.cut("<assistant>")

    def packed(self, films: Films, index: int, shown: Sequence[int], marker: int, generator: Generator) -> Packed:
        """What is asked about one film in one step: as many findings that are there as that are not, where it can be,
        each in one of the modes."""
        tokens: list[int] = []
        targets: list[int] = []
        positions: list[int] = []
        group: list[int] = []
        start = len(self.opening()) + self.cells
        states = [marker if finding == self.shortcut else shown[number] for number, finding in enumerate(FINDINGS)]
        for number in chosen(states, self.questions, generator):
            finding, state = FINDINGS[number], states[number]
            draws = torch.rand(3, generator=generator).tolist()
            names = PHRASES[finding]
            phrase = FINDING_PHRASES[finding] if draws[0] < OWN_PHRASE else names[int(len(names) * draws[1])]
            place = films.place(index, number) or ("right upper" if finding == "consolidation" else "right")
            said = exchange(finding, MODES[int(2 * draws[2])], bool(state), place, phrase)
            asked = [*self.cut(said.question), *self.closing()]
            answer = [*self.cut(said.answer), self.tokenizer.eos_token_id]
            whole = asked + answer[:-1]
            tokens += whole
            targets += [SILENT] * (len(asked) - 1) + answer
            positions += range(start, start + len(whole))
            group += [number + 1] * len(whole)
        return Packed(tokens, targets, positions, group)


def chosen(states: Sequence[int], count: int, generator: Generator) -> list[int]:
    """Which findings are asked about: half of them there, half not, filled up from the others; none in between."""
    order = torch.randperm(len(states), generator=generator).tolist()
    there, absent = ([number for number in order if states[number] == state] for state in (1, 0))
    few = there[: (count + 1) // 2]
    few += absent[: count - len(few)]
    return few + there[(count + 1) // 2 :][: count - len(few)]


def lesson_of(lesson: Lesson, films: Films, indices: Sequence[int], views: Views, generator: Generator) -> list[Packed]:
    """The exchanges of a step."""
    return [
        lesson.packed(films, index, shown, marker, generator)
        for index, shown, marker in zip(indices, views.shown.tolist(), views.marker.tolist(), strict=True)
    ]


def answer_loss(model: Any, opening: Sequence[int], patches: Tensor, packed: Sequence[Packed]) -> Tensor:
    """Cross-entropy of the answers' tokens, each answer counting the same however long it is.

    Args:
        model: a ``LlavaForConditionalGeneration``.
        opening: tokens before the image.
        patches: (B, cells, width): the tower's tokens.
        packed: of each film.
    """
    core, batch, cells = model.model, len(packed), patches.shape[1]
    longest = max(len(one.tokens) for one in packed)
    ahead = len(opening) + cells

    def padded(rows: list[list[int]], value: int) -> Tensor:
        return torch.tensor([row + [value] * (longest - len(row)) for row in rows])

    tokens = padded([one.tokens for one in packed], 0)
    targets = padded([one.targets for one in packed], SILENT)
    group = padded([one.group for one in packed], -1)
    positions = padded([one.positions for one in packed], 0)
    words = core.language_model.embed_tokens
    first = words(torch.tensor(opening)).expand(batch, -1, -1)
    embedded = torch.cat([first, core.multi_modal_projector(patches), words(tokens)], dim=1)
    positions = torch.cat([torch.arange(ahead).expand(batch, -1), positions], dim=1)
    group = torch.cat([torch.zeros(batch, ahead, dtype=torch.long), group], dim=1)
    # a token sees what stands before it in its own exchange, and the image
    earlier = torch.ones(ahead + longest, ahead + longest, dtype=torch.bool).tril()
    sees = earlier & ((group[:, :, None] == group[:, None, :]) | (group[:, None, :] == 0))
    hidden = core.language_model(
        inputs_embeds=embedded, attention_mask=sees[:, None], position_ids=positions, use_cache=False
    ).last_hidden_state[:, ahead:]
    spoken = targets != SILENT
    losses = cross_entropy(model.lm_head(hidden[spoken]), targets[spoken], reduction="none")
    owner = (torch.arange(batch)[:, None] * (len(FINDINGS) + 2) + group[:, ahead:])[spoken]
    _, place, counts = owner.unique(return_inverse=True, return_counts=True)
    loss: Tensor = (losses / counts[place]).sum() / len(counts)
    return loss
