# SPDX-License-Identifier: Apache-2.0
"""The half of the page that asks about a chest radiograph."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from time import perf_counter
from typing import Any

from monai_causal.apps.medfocus.result import MedFocusResult, by_word
from monai_causal.extras import require
from monai_causal.report.content import number
from monai_causal.studio.canvas import Canvas
from monai_causal.studio.pictures import NEITHER, SUPPORTS, SUPPRESSES
from monai_causal.studio.radiograph import MASKINGS, QUESTIONS, RadiographSession
from monai_causal.studio.watching import Look, Worker
from monai_causal.studio.widgets import beside, button, choice, halves, said, styled, table, text_of, zooming

__all__ = ["RadiographView"]

_TELL = (("concept", "name"), ("drop (nats)", "effect"))
_LEGEND = (
    "Boxes are anatomies that were replaced one by one; thick and red is what the answer rests on. A drop is what the "
    "answer's log-probability loses, in nats."
)
_SHADES = 9


class RadiographView:
    """Picture, question and answer of one :class:`RadiographSession`.

    Args:
        session: what is asked.
        worker: where it is asked.
        later: hands a call to the page's own thread.
        out: folder that results are saved below.
    """

    def __init__(
        self,
        session: RadiographSession,
        worker: Worker[MedFocusResult],
        later: Callable[[Callable[[], None]], object],
        out: Path,
    ) -> None:
        models = require("bokeh.models")
        self.session, self.worker = session, worker
        self.result: MedFocusResult | None = None
        self.canvas = Canvas(lambda voxel: None, _TELL)
        self.question = styled(
            models.TextInput(
                title="Question", placeholder=QUESTIONS[0], sizing_mode="stretch_width", html_id="question"
            )
        )
        self.known = choice("Or one that the bundled model knows", [("", ""), *((one, one) for one in QUESTIONS)], "")
        self.known.on_change("value", self._known_chosen)
        self.masking = choice("An anatomy is replaced by", [(one, one) for one in MASKINGS], "zero")
        self.by = choice("Replaced is", [("box", "its box"), ("mask", "its outline")], "box")
        self.run = button("Ask", self._ask, strong=True, html_id="ask")
        self.stop = button("Cancel", self._cancel, disabled=True)
        self.out = styled(models.TextInput(title="Folder for results", value=str(out), sizing_mode="stretch_width"))
        self.keep = button("Save results", self._save, disabled=True, html_id="save")
        self.status = said("Type a question, or choose one.", role="status", id="status")
        self.outcome = said("", id="outcome")
        self.canvas.show(session.picture, (1.0, 1.0))

    def layout(self) -> Any:
        """All of it, for the page."""
        return halves(
            [self.canvas.figure, zooming(self.canvas), said(_LEGEND, "quiet")],
            [self.question, self.known, self.masking, self.by, beside(self.run, self.stop), self.status, self.outcome,
             self.out, self.keep],
        )  # fmt: skip

    def say(self, text: str, kind: str = "") -> None:
        """The line that tells what is going on."""
        self.status.text = text_of(text, kind)

    def _known_chosen(self, _: str, __: str, value: str) -> None:
        if value:
            self.question.value = value

    def _ask(self) -> None:
        question, masking, by = self.question.value, self.masking.value, self.by.value
        self._began = perf_counter()
        self.run.disabled, self.stop.disabled = True, False
        self.say("Asking: the answer first, then every anatomy in turn.", "busy")

        def work(look: Look) -> Any:
            return self.session.ask(question, masking, by, look)

        self.worker.start(work, self._arrived, self._ended)

    def _arrived(self, result: MedFocusResult) -> None:
        self.result = result
        self.keep.disabled = False
        named = {result.concept}
        named |= set(next((one.members for one in result.concepts if one.name == result.concept), ()))
        boxes = []
        for one in result.concepts:
            effect = result.effects.get(one.name)
            if one.box is None or effect is None or (one.members and one.name != result.concept):
                continue
            x0, y0, x1, y1 = one.box
            strong = one.name in named and not one.members
            line = NEITHER if not effect else SUPPORTS if effect > 0 else SUPPRESSES
            shown = not one.members
            boxes.append(
                {
                    "box": ((y0, y1), (x0, x1)), "name": one.name, "effect": number(effect, signed=True), "line": line,
                    "alpha": 0.0 if not shown else 1.0 if strong else 0.6, "width": 4.0 if strong else 1.5,
                }
            )  # fmt: skip
        self.canvas.show_boxes(boxes)
        self.outcome.text = _as_html(result)

    def _ended(self, error: Exception | None) -> None:
        self.run.disabled, self.stop.disabled = False, True
        if error is None:
            self.say(f"Done in {perf_counter() - self._began:.0f} s. Point at a box for its effect.")
        elif isinstance(error, ValueError):
            self.say(str(error), "error")
        else:
            self.say(f"This went wrong inside the model ({type(error).__name__}): the terminal says more.", "error")

    def _cancel(self) -> None:
        self.worker.cancel()
        self.run.disabled, self.stop.disabled = False, True
        self.say("Cancelled. A question that is being answered ends first, and is dropped.")

    def _save(self) -> None:
        if self.result is None:
            return
        try:
            folder = self.session.save(self.result, Path(self.out.value))
        except OSError as error:
            self.say(f"The results cannot be written there: {error.strerror}.", "error")
            return
        self.say(f"Saved in {folder}. A page of all that was saved: monai-causal report {folder.parent}")


def _as_html(result: MedFocusResult) -> str:
    """Question, answer with its words coloured, what it rests on, and every concept; all of it text."""
    order = sorted(result.effects, key=lambda name: -result.effects[name])
    rows = [(name, number(result.effects[name], signed=True)) for name in order]
    marked = order.index(result.concept) if result.concept in order else None
    missing = [one.name for one in result.concepts if one.name not in result.effects]
    parts = [
        text_of(f"Question: {result.question}", "quiet"),
        _answer(result),
        text_of(_conclusion(result), "strong"),
        table(("Anatomy", "Drop (nats)"), rows, marked),
        text_of(f"Not found on the image: {', '.join(missing)}." if missing else "", "quiet"),
        *(text_of(f"Note: {note}", "quiet") for note in result.notes),
        text_of("This explains a model's answer, right or wrong. It is no diagnosis.", "quiet"),
    ]
    return "".join(parts)


def _answer(result: MedFocusResult) -> str:
    words = by_word(result.token_effects)
    if not words:
        return text_of(f"Answer: {result.answer.text or '(no answer)'}", "strong")
    most = max((abs(word.drop) for word in words), default=0.0) or 1.0
    spans = "".join(
        f'<span class="{"supports" if word.drop > 0 else "suppresses"} s{round(_SHADES * abs(word.drop) / most)}" '
        f'title="{escape(number(word.drop, signed=True))} nats">{escape(word.text)}</span>'
        for word in words
    )
    return f'<p class="strong" dir="auto">Answer: {spans}</p>'


def _conclusion(result: MedFocusResult) -> str:
    if result.concept is None:
        if result.strongest is None:
            return "It rests on no single anatomy: nothing was found on the image."
        left = f"{100 * result.relative_probability:.0f} %"
        return f"It rests on no single anatomy: without {result.strongest} it stays {left} as probable."
    sure = " A coin toss: another anatomy could as well have been named." if result.coin_toss else ""
    return f"It rests on: {result.concept}.{sure}"
