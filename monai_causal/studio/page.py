# SPDX-License-Identifier: Apache-2.0
"""The page: what is opened, and the half that asks about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from monai_causal.extras import require
from monai_causal.studio.opening import Session, Start, open_start
from monai_causal.studio.radiograph_view import RadiographView
from monai_causal.studio.segmentation import SegmentationSession
from monai_causal.studio.segmentation_view import SegmentationView
from monai_causal.studio.watching import Look, Worker
from monai_causal.studio.widgets import beside, button, said, styled, text_of

__all__ = ["Page"]

_TITLE = "monai_causal studio"


class Page:
    """One tab of the studio: it holds what it opened, and nothing of other tabs.

    Args:
        document: Bokeh's, empty.
        start: what to open first.
        later: hands a call to the page's own thread; by default the document's.
    """

    def __init__(
        self, document: Any, start: Start, later: Callable[[Callable[[], None]], object] | None = None
    ) -> None:
        models = require("bokeh.models")
        self.start = start
        self.view: SegmentationView | RadiographView | None = None
        self._later = later or document.add_next_tick_callback
        self._worker: Worker[Any] = Worker(self._later)
        self.source = styled(
            models.TextInput(
                title="Image, DICOM study or MONAI bundle", value=str(start.source or ""), html_id="source",
                placeholder="a path; empty: the phantom of the demo", sizing_mode="stretch_width",
                styles={"flex": "3 1 16rem"},
            )
        )  # fmt: skip
        self.model = styled(
            models.TextInput(
                title="Model of an image", value=start.model or "", placeholder="a bundle's folder, or demo",
                sizing_mode="stretch_width", styles={"flex": "2 1 12rem"},
            )
        )  # fmt: skip
        self.chest = styled(models.Checkbox(label="a chest radiograph", active=start.chest))
        self.open = button("Open", self._open, html_id="open")
        self.message = said("", role="status", id="message")
        self.body = models.Column(said(""), sizing_mode="stretch_width")
        opening = beside(self.source, self.model, self.chest, self.open, align="end")
        document.title = _TITLE
        document.template = _template()
        document.add_root(models.Column(opening, self.message, self.body, sizing_mode="stretch_width"))
        document.on_session_destroyed(lambda _: self._worker.close())
        self._open_now()

    def _open(self) -> None:
        source, model = self.source.value.strip(), self.model.value.strip()
        self.start = replace(
            self.start, source=Path(source).expanduser() if source else None, model=model or None,
            chest=self.chest.active,
        )  # fmt: skip
        self._open_now()

    def _open_now(self) -> None:
        start = self.start
        self.open.disabled = True
        self.message.text = text_of("Opening: reading the image and asking the model once.", "busy")

        def work(look: Look) -> Iterator[Session]:
            yield open_start(start)

        self._worker.start(work, self._opened, self._ended)

    def _opened(self, session: Session) -> None:
        out = self.start.out
        self.view = (
            SegmentationView(session, self._worker, self._later, out)
            if isinstance(session, SegmentationSession)
            else RadiographView(session, self._worker, self._later, out)
        )
        self.body.children = [self.view.layout()]

    def _ended(self, error: Exception | None) -> None:
        self.open.disabled = False
        if error is None:
            self.message.text = ""
            return
        own = isinstance(error, ValueError | OSError | ImportError)
        reason = str(error) if own else f"it went wrong inside a library ({type(error).__name__})."
        self.message.text = text_of(f"This cannot be opened: {reason}", "error")


def _template() -> Any:
    """Bokeh's page with this studio's look and policy. The policy allows nothing but the studio's own server."""
    folder = resources.files("monai_causal.studio") / "templates"
    style = (folder / "page.css").read_text(encoding="utf-8")
    return (folder / "page.html").read_text(encoding="utf-8").replace("STYLE", style)
