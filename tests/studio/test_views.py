# SPDX-License-Identifier: Apache-2.0
"""The page without a browser: what is chosen reaches the session, what comes back is shown, and all of it as text."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("bokeh")

from bokeh.document import Document
from bokeh.events import Tap

from monai_causal.apps.medfocus.result import read_result
from monai_causal.report.content import number
from monai_causal.studio.opening import Start
from monai_causal.studio.page import Page
from monai_causal.studio.pictures import SUPPORTS
from monai_causal.studio.radiograph_view import RadiographView, _as_html
from monai_causal.studio.segmentation_view import SegmentationView
from monai_causal.studio.widgets import MOST_TEXT, table, text_of
from tests.report import samples

HOSTILE = "<script>alert(\"1\")</script> & 'quote' \u202eright to left\u202c \u05d0\u05d1 $$x$$ {{ 7*7 }}"


class Words(HTMLParser):
    """Elements and texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.elements.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def until(done: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def view(tmp_path: Path) -> SegmentationView:
    page = Page(Document(), Start(device="cpu", out=tmp_path / "out"), later=lambda call: call())
    until(lambda: page.view is not None and page.message.text == "")
    assert isinstance(page.view, SegmentationView)
    return page.view


def tap(view: SegmentationView, row: float, column: float) -> None:
    view.canvas.figure._trigger_event(Tap(view.canvas.figure, x=column, y=row))


def test_a_tap_on_the_picture_chooses_the_box(view: SegmentationView) -> None:
    assert view.run.disabled
    tap(view, 52.4, 48.9)
    assert view.roi == ((36, 68), (32, 64))
    assert view.spans.value == "36:68,32:64"
    assert not view.run.disabled
    view.tapping.value = "part"
    tap(view, 52.4, 48.9)
    assert view.roi == ((38, 69), (33, 63)) == view.session.parts[0].box
    tap(view, 5, 5)
    assert "nothing is segmented at this place" in view.status.text
    assert view.roi == view.session.parts[0].box


def test_spans_and_parts_choose_too_and_what_is_wrong_is_said_as_text(view: SegmentationView) -> None:
    view.spans.value = "40:56,40:72"
    assert view.roi == ((40, 56), (40, 72))
    view.parts.value = "0"
    assert view.roi == view.session.parts[0].box
    for wrong in (HOSTILE, "1:2", "0:400,0:9"):
        view.spans.value = wrong
        assert Words(view.status.text).elements == {"p"}
        assert view.roi == view.session.parts[0].box


def test_what_is_chosen_is_what_is_asked_and_what_comes_is_shown(view: SegmentationView, tmp_path: Path) -> None:
    view.parts.value = "0"
    view.fill.value, view.patch.value = "zero", 32
    view._explain()
    until(lambda: "Done" in view.status.text)
    assert view.stage is not None
    summary = view.stage.explanation.summary
    assert summary["settings"]["patch_size"] == [32, 32]
    assert summary["replaced_by"] == {"kind": "zero"}
    boxes = view.canvas._box_source.data
    assert len(boxes["name"]) == len(view.stage.regions) == 14
    strongest = min(view.stage.regions, key=lambda one: one.effect)
    at = boxes["name"].index(strongest.name)
    assert (boxes["top"][at], boxes["left"][at]) == (96, 96)
    assert boxes["effect"][at] == number(strongest.effect, signed=True)
    assert boxes["line"][at] == SUPPORTS
    assert (view.canvas._sources["map"].data["image"][0] != 0).any()
    view.out.value = str(tmp_path / "kept")
    view._save()
    assert (tmp_path / "kept" / "01-pdcr" / "summary.json").is_file()
    (tmp_path / "file").write_text("")
    view.out.value = str(tmp_path / "file")
    view._save()
    assert "cannot be written there" in view.status.text


def test_a_question_that_is_given_up_leaves_the_page_ready(view: SegmentationView) -> None:
    view.parts.value = "0"
    view.patch.value = 4
    view._explain()
    assert (view.run.disabled, view.stop.disabled) == (True, False)
    view._cancel()
    assert (view.run.disabled, view.stop.disabled) == (False, True)
    assert "Cancelled" in view.status.text
    view.method.value = "gpa"
    view._explain()
    until(lambda: "Done" in view.status.text)
    assert view.stage is not None
    assert view.stage.explanation.summary["method"] == "gpa"


def test_zoom_stays_inside_the_picture_and_comes_back(view: SegmentationView) -> None:
    x, y = view.canvas.figure.x_range, view.canvas.figure.y_range
    view.canvas.zoom(2)
    assert (x.start, x.end, y.start, y.end) == (32, 96, 96, 32)
    x.update(start=0, end=64)
    view.canvas.zoom(1 / 4)
    assert (x.start, x.end, y.start, y.end) == (0, 128, 128, 0)


def test_what_cannot_be_opened_is_said_and_something_else_can_be() -> None:
    page = Page(Document(), Start(Path(f"/absent/{HOSTILE}{'x' * 10_000}")), later=lambda call: call())
    until(lambda: "cannot be opened" in page.message.text)
    assert Words(page.message.text).elements == {"p"}
    assert page.view is None
    page.source.value = ""
    page._open()
    until(lambda: page.message.text == "")
    assert isinstance(page.view, SegmentationView)


def test_a_text_is_shown_as_it_is_and_a_long_one_cut() -> None:
    assert Words(text_of(HOSTILE)).elements == {"p"}
    assert Words(text_of(HOSTILE)).text == HOSTILE
    assert len(text_of("x" * 10_000)) < MOST_TEXT + 100
    assert "(10000 letters)" in text_of("x" * 10_000)
    found = Words(table((HOSTILE,), [(HOSTILE, HOSTILE)]))
    assert found.elements == {"table", "thead", "tbody", "tr", "th", "td"}
    assert found.text == 3 * HOSTILE


def test_an_answer_s_texts_are_text_wherever_they_come_from(tmp_path: Path) -> None:
    effects = [{"text": HOSTILE, "drop": 2.0}, {"text": " large", "drop": 0.5}]
    path = samples.attributed(
        tmp_path / "1.json", question=HOSTILE, notes=[HOSTILE], token_effects=effects,
        answer={"text": HOSTILE, "token_ids": [1, 2], "tokens": [HOSTILE, " large"], "complete": True},
    )  # fmt: skip
    result = read_result(path)
    found = Words(_as_html(result))  # type: ignore[arg-type]
    assert "script" not in found.elements
    assert f"Question: {HOSTILE}" in found.text
    assert f"Note: {HOSTILE}" in found.text
    assert f"Answer: {HOSTILE} large" in found.text
    assert "It rests on: heart." in found.text
    assert "+2.5" in found.text
    assert "Not found on the image: right lung." in found.text


def test_an_answer_s_boxes_lie_where_its_concepts_are(tmp_path: Path) -> None:
    class Film:
        picture = np.zeros((1, 96, 64), dtype=np.float32)

    view = RadiographView(Film(), None, lambda call: call(), tmp_path)  # type: ignore[arg-type]
    result = read_result(samples.attributed(tmp_path / "1.json"))
    view._arrived(result)  # type: ignore[arg-type]
    boxes = view.canvas._box_source.data
    assert boxes["name"] == ["heart", "left lung"]
    assert [boxes[edge][0] for edge in ("top", "bottom", "left", "right")] == [20, 60, 10, 50]
    assert boxes["width"] == [4.0, 1.5]  # what the answer rests on is thick
    assert boxes["effect"] == ["+2.5", "+0.25"]
    view._arrived(replace(result, concept=None))  # type: ignore[type-var]
    assert view.canvas._box_source.data["width"] == [1.5, 1.5]
