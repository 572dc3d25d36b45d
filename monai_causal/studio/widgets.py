# SPDX-License-Identifier: Apache-2.0
"""Parts of the page that both of its halves are made of. Whatever is not written here is shown as text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any

from monai_causal.extras import require
from monai_causal.studio.canvas import Canvas

__all__ = ["beside", "button", "choice", "halves", "said", "styled", "table", "text_of", "zooming"]

MOST_TEXT = 2000


def said(text: str, kind: str = "", **attributes: str) -> Any:
    """A paragraph of text."""
    models = require("bokeh.models")
    return styled(
        models.Div(text=text_of(text, kind), sizing_mode="stretch_width", disable_math=True, html_attributes=attributes)
    )


def text_of(text: str, kind: str = "") -> str:
    """Text as the HTML of a :func:`said`: every letter as it is, and no more than a screen of it."""
    shown = text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]} ... ({len(text)} letters)"
    return f'<p class="{kind}" dir="auto">{escape(shown)}</p>' if shown else ""


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], marked: int | None = None) -> str:
    """A table as HTML, its first column the rows' heads; all of it text."""
    heads = "".join(f'<th scope="col">{escape(one)}</th>' for one in head)
    body = "".join(
        f'<tr{" class=chosen" if at == marked else ""}><th scope="row" dir="auto">{escape(row[0])}</th>'
        + "".join(f'<td dir="auto">{escape(one)}</td>' for one in row[1:])
        + "</tr>"
        for at, row in enumerate(rows)
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def choice(title: str, options: list[tuple[str, str]], value: str) -> Any:
    """One of several."""
    models = require("bokeh.models")
    return styled(models.Select(title=title, options=options, value=value, sizing_mode="stretch_width"))


def beside(*parts: Any, align: str = "start") -> Any:
    """Side by side where there is room, below each other where there is not."""
    models = require("bokeh.models")
    look = {"flex-wrap": "wrap", "gap": "0.8rem", "align-items": align}
    for part in parts:
        part.align = align  # or the row itself would decide
    return models.Row(*parts, sizing_mode="stretch_width", styles=look)


def halves(picture: list[Any], controls: list[Any]) -> Any:
    """The two halves of the page: what is seen, and what is asked."""
    models = require("bokeh.models")
    looks = (
        {"flex": "3 1 22rem", "min-width": "min(100%, 18rem)"},
        {"flex": "2 1 18rem", "min-width": "min(100%, 16rem)"},
    )
    return beside(
        *(
            models.Column(*parts, sizing_mode="stretch_width", styles=look)
            for parts, look in zip((picture, controls), looks, strict=True)
        )
    )


def button(label: str, on_click: Any, strong: bool = False, **more: Any) -> Any:
    """A button."""
    models = require("bokeh.models")
    found = models.Button(label=label, button_type="primary" if strong else "default", **more)
    found.on_click(on_click)
    return styled(found)


def styled(widget: Any) -> Any:
    """The same widget with the page's look, which a widget's own document does not inherit."""
    models = require("bokeh.models")
    css = (resources.files("monai_causal.studio") / "templates" / "widgets.css").read_text(encoding="utf-8")
    widget.stylesheets = [*widget.stylesheets, models.InlineStyleSheet(css=css)]
    return widget


def zooming(canvas: Canvas) -> Any:
    """The buttons that bring a picture nearer, or show all of it."""
    nearer = button("+", lambda: canvas.zoom(1.5), html_attributes={"aria-label": "Zoom in"})
    farther = button("\u2212", lambda: canvas.zoom(1 / 1.5), html_attributes={"aria-label": "Zoom out"})
    return beside(nearer, farther, button("Whole picture", canvas.reset))
