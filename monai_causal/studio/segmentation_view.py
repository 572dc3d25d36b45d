# SPDX-License-Identifier: Apache-2.0
"""The half of the page that asks about a segmentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from monai_causal.apps.explain.methods import METHODS
from monai_causal.apps.explain.request import parse_roi
from monai_causal.extras import require
from monai_causal.intervene.regions import Box
from monai_causal.report.content import number
from monai_causal.report.explained import conclusions
from monai_causal.studio.canvas import Canvas
from monai_causal.studio.pictures import NEITHER, SUPPORTS, SUPPRESSES
from monai_causal.studio.segmentation import DONORS, SegmentationSession, Settings, Stage
from monai_causal.studio.watching import Look, Worker
from monai_causal.studio.widgets import beside, button, choice, halves, said, styled, text_of, zooming

__all__ = ["SegmentationView"]

_FILL_NAMES = {
    DONORS: "patches of other images",
    "inpaint": "surroundings, with texture of the image",
    "mean": "the image's mean",
    "blur": "a blur",
    "zero": "zero",
}
_TELL = (("region", "name"), ("effect", "effect"), ("from", "low"), ("to", "high"), ("draws", "draws"))
_LEGEND = (
    "Red regions support the answer inside the dashed box, blue ones suppress it; pale is weak. "
    "Effects are after less before."
)


class SegmentationView:
    """Picture, controls and results of one :class:`SegmentationSession`.

    Args:
        session: what is asked.
        worker: where it is asked.
        later: hands a call to the page's own thread.
        out: folder that results are saved below.
    """

    def __init__(
        self,
        session: SegmentationSession,
        worker: Worker[Stage],
        later: Callable[[Callable[[], None]], object],
        out: Path,
    ) -> None:
        models = require("bokeh.models")
        self.session, self.worker, self.later = session, worker, later
        self.stage: Stage | None = None
        self.roi: Box | None = None
        self._asked = 0
        axes = len(session.scene.own.shape)
        self.canvas = Canvas(self._tapped, _TELL)
        self.method = choice("Method", [(name, name) for name in METHODS], "pdcr")
        self.fill = choice(
            "Regions are replaced by", [(name, _FILL_NAMES[name]) for name in session.fills], session.fills[0]
        )
        self.patch = styled(
            models.Spinner(title="Patch size (voxels)", low=1, high=256, step=1, value=8 if axes == 2 else 16,
                           sizing_mode="stretch_width")
        )  # fmt: skip
        self.tapping = choice("A tap chooses", [("box", "a box around it"), ("part", "the whole part")], "box")
        self.size = styled(
            models.Spinner(title="Edge of the box (voxels)", low=1, high=max(session.scene.own.shape), step=1, value=32,
                           sizing_mode="stretch_width")
        )  # fmt: skip
        parts = [("", "tap, or choose a part")]
        parts += [
            (str(at), f"class {part.class_idx}, {part.voxels} voxels at {_middle(part.box)}")
            for at, part in enumerate(session.parts)
        ]
        self.parts = choice("Parts of the segmentation", parts, "")
        self.spans = styled(
            models.TextInput(
                title="RoI as spans in array order",
                html_id="roi",
                placeholder="72:104,88:120",
                sizing_mode="stretch_width",
            )
        )
        self.run = button("Explain", self._explain, strong=True, disabled=True, html_id="explain")
        self.stop = button("Cancel", self._cancel, disabled=True, html_id="cancel")
        self.out = styled(models.TextInput(title="Folder for results", value=str(out), sizing_mode="stretch_width"))
        self.keep = button("Save results", self._save, disabled=True, html_id="save")
        self.status = said("", role="status", id="status")
        self.outcome = said("", id="outcome")
        self.classes = styled(
            models.Slider(title="Segmentation opacity", start=0, end=100, value=100, sizing_mode="stretch_width")
        )
        self.classes.on_change("value", lambda _, __, value: self.canvas.fade("classes", value / 100))
        self.parts.on_change("value", self._part_chosen)
        self.spans.on_change("value", self._spans_typed)
        self.method.on_change("value", self._method_chosen)
        self.canvas.show(session.picture, session.voxel, session.segmentation)
        self.say(*self._greeting())

    def layout(self) -> Any:
        """All of it, for the page."""
        models = require("bokeh.models")
        opacity = styled(models.Slider(title="Map opacity", start=0, end=100, value=85, sizing_mode="stretch_width"))
        opacity.on_change("value", lambda _, __, value: self.canvas.fade("map", value / 100))
        return halves(
            [self.canvas.figure, *self._slices(), opacity, self.classes, zooming(self.canvas), said(_LEGEND, "quiet")],
            [self.status, self.outcome, self.tapping, self.size, self.parts, self.spans, self.method, self.fill,
             self.patch, beside(self.run, self.stop), self.out, self.keep],
        )  # fmt: skip

    def say(self, text: str, kind: str = "") -> None:
        """The line that tells what is going on."""
        self.status.text = text_of(text, kind)

    def choose(self, box: Box) -> None:
        """Take a box as the RoI."""
        class_idx = self.session.class_in(box)
        self.roi = box
        self.canvas.show_roi(box)
        self.spans.value = ",".join(f"{start}:{stop}" for start, stop in box)
        self.run.disabled = False
        about = "" if class_idx is None else f" of class {class_idx}"
        self.say(f"The question is about what is segmented{about} in the dashed box. Explain asks it.")

    def _greeting(self) -> tuple[str, str]:
        if not self.session.parts:
            return "The model segments nothing in this image: there is nothing to ask about.", "error"
        return "Tap on the coloured part of the picture, or choose one of its parts.", ""

    def _slices(self) -> list[Any]:
        cut = self.canvas.cut
        if cut.through is None:
            return []
        models = require("bokeh.models")
        plane = choice("Slices along axis", [(str(axis), str(axis)) for axis in range(3)], str(cut.through))
        slider = styled(
            models.Slider(title="Slice", start=0, end=max(1, cut.shape[cut.through] - 1), value=cut.index, step=1,
                          sizing_mode="stretch_width", html_id="slice")
        )  # fmt: skip

        def turned(_: str, __: object, index: int) -> None:
            here = self.canvas.cut
            self.canvas.turn(replace(here, index=min(index, here.shape[here.through or 0] - 1)))

        def other(_: str, __: object, axis: str) -> None:
            through = int(axis)
            length = cut.shape[through]
            index = length // 2 if self.roi is None else sum(self.roi[through]) // 2
            self.canvas.turn(replace(self.canvas.cut, through=through, index=index))
            slider.update(end=max(1, length - 1), value=index)

        slider.on_change("value", turned)
        plane.on_change("value", other)
        return [plane, slider]

    def _tapped(self, voxel: tuple[int, ...]) -> None:
        self._tried(
            lambda: self.choose(
                self.session.part_at(voxel).box
                if self.tapping.value == "part"
                else self.session.box_at(voxel, int(self.size.value or 1))
            )
        )

    def _part_chosen(self, _: str, __: str, value: str) -> None:
        if value:
            self._tried(lambda: self.choose(self.session.parts[int(value)].box))

    def _spans_typed(self, _: str, __: str, value: str) -> None:
        def take() -> None:
            box = parse_roi(value)
            if not isinstance(box, tuple):
                raise ValueError(f"{value!r}: spans start:stop in array order, one per axis, such as 72:104,88:120.")
            if box != self.roi:
                self.choose(box)

        if value.strip():
            self._tried(take)

    def _method_chosen(self, _: str, __: str, value: str) -> None:
        self.fill.disabled = self.patch.disabled = value != "pdcr"

    def _tried(self, call: Callable[[], None]) -> None:
        try:
            call()
        except ValueError as error:
            self.say(str(error), "error")

    def _explain(self) -> None:
        if self.roi is None:
            return
        roi = self.roi
        settings = Settings(self.method.value, self.fill.value, int(self.patch.value or 0))
        self._asked, self._began = 0, perf_counter()
        self.stop.disabled, self.run.disabled = False, True
        self.say("Asking: a coarse map comes first.", "busy")

        def work(look: Look) -> Any:
            told = perf_counter()

            def counted() -> None:
                nonlocal told
                look()
                self._asked += 1
                if perf_counter() - told > 1:
                    told = perf_counter()
                    self.later(self._progress)

            return self.session.explain(roi, settings, counted)

        self.worker.start(work, self._arrived, self._ended)

    def _progress(self) -> None:
        if not self.stop.disabled:
            self.say(f"Asking: {self._asked} interventions, {perf_counter() - self._began:.0f} s.", "busy")

    def _arrived(self, stage: Stage) -> None:
        self.stage = stage
        self.keep.disabled = False
        self.canvas.show_map(stage.map, stage.signed, values=not stage.regions)
        if stage.number == 1:  # the map's colours and the classes' would hide each other
            self.classes.value = min(self.classes.value, 25)
        self.canvas.show_boxes(
            {
                "box": one.box, "name": one.name, "effect": number(one.effect, signed=True),
                "low": number(one.low, signed=True), "high": number(one.high, signed=True),
                "draws": one.draws, "line": _line(one.effect, one.relevant), "alpha": 0.9 if one.relevant else 0.0,
                "width": 1.0,
            }
            for one in stage.regions
        )  # fmt: skip
        self.outcome.text = "".join(text_of(line) for line in in_lines(stage))

    def _ended(self, error: Exception | None) -> None:
        self.stop.disabled, self.run.disabled = True, False
        if error is not None:
            self.say(_reason(error), "error")
        else:
            self.say(f"Done in {perf_counter() - self._began:.0f} s. Point at the picture for effects and intervals.")

    def _cancel(self) -> None:
        self.worker.cancel()
        self.stop.disabled, self.run.disabled = True, False
        kept = "" if self.stage is None else " The last complete map stays."
        self.say(f"Cancelled.{kept} A method other than pdcr ends its step first.")

    def _save(self) -> None:
        if self.stage is None:
            return
        try:
            folder = self.session.save(self.stage, Path(self.out.value))
        except OSError as error:
            self.say(f"The results cannot be written there: {error.strerror}.", "error")
            return
        self.say(f"Saved in {folder}. A page of all that was saved: monai-causal report {folder.parent}")


def in_lines(stage: Stage) -> list[str]:
    """What came out, in lines."""
    summary = stage.explanation.summary
    patch = f" with {stage.patch}" if stage.patch else ""
    lines = [f"{summary['method']}{patch}: map {stage.number} of {stage.count}.", *conclusions(summary)]
    lines += [f"Note: {note}." for note in summary["notes"]]
    return [*lines, summary["caveat"]]


def _reason(error: Exception) -> str:
    """What a user can mend is said in its own words; anything else by its kind, since it may hold anything."""
    if isinstance(error, ValueError):
        return str(error)
    return f"This went wrong inside the model or a library ({type(error).__name__}): the terminal says more."


def _line(effect: float, relevant: bool) -> str:
    return NEITHER if not relevant or not effect else SUPPORTS if effect < 0 else SUPPRESSES


def _middle(box: Box) -> str:
    return ", ".join(str((start + stop) // 2) for start, stop in box)
