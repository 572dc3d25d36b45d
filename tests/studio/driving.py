# SPDX-License-Identifier: Apache-2.0
"""The studio in a browser, driven as a person would: by what is written on it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.report.chromium import Chromium

__all__ = ["Studio", "serving"]

# Widgets of Bokeh live in trees of their own: look through all of them.
DEEP = """
window.deep = (selector, root = document) => {
  const hit = root.querySelector(selector);
  if (hit) return hit;
  for (const node of root.querySelectorAll("*")) {
    const found = node.shadowRoot && deep(selector, node.shadowRoot);
    if (found) return found;
  }
  return null;
};
window.labelled = (text, root = document) => {
  for (const node of root.querySelectorAll("*")) {
    if (!node.shadowRoot) continue;
    const label = node.shadowRoot.querySelector("label");
    if (label && label.textContent.startsWith(text)) return node.shadowRoot.querySelector("select, input");
    const found = labelled(text, node.shadowRoot);
    if (found) return found;
  }
  return null;
};
window.words = (id) => {
  const found = deep("#" + id)?.shadowRoot.querySelectorAll("p, td, th") ?? [];
  return [...found].map((node) => node.textContent).join(" ");
};
window.tooltip = (text) => {
  const found = deep(".bk-Tooltip");
  if (!found || !found.shadowRoot.textContent.includes(text)) return null;
  return [...found.shadowRoot.querySelectorAll(".bk-tooltip-row-value")].map((node) => node.textContent.trim());
};
"""


class Studio:
    """A page of the studio in a browser."""

    def __init__(self, browser: Chromium, address: str, **look: object) -> None:
        self.browser = browser
        browser.open("about:blank")  # the page before would complain that its server has gone
        browser.complaints.clear()
        browser.requests.clear()
        browser.open(address, **look)  # type: ignore[arg-type]
        browser.run(DEEP)

    def wait(self, id: str, text: str, seconds: float = 120) -> None:
        self.browser.until(f"words({id!r}).includes({text!r})", seconds)

    def words(self, id: str) -> str:
        return str(self.browser.run(f"words({id!r})"))

    def frame(self) -> tuple[float, float, float, float]:
        """Where the picture is on the window: left, top, width, height."""
        left, top, width, height = self.browser.run(
            "(() => { const e = deep('.bk-Canvas'); e.scrollIntoView({block: 'start', behavior: 'instant'});"
            "const b = e.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; })()"
        )
        return left, top, width, height

    def at(self, row: float, column: float) -> tuple[float, float]:
        """A place of the picture, as shares of its height and width, on the window."""
        left, top, width, height = self.frame()
        return left + column * width, top + row * height

    def click(self, element: str) -> None:
        """Click on what an expression gives, with the mouse."""
        x, y = self.browser.run(
            f"(() => {{ const e = {element}; e.scrollIntoView({{block: 'center', behavior: 'instant'}});"
            "const b = e.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; })()"
        )
        self.browser.click(x, y)

    def push(self, id: str) -> None:
        self.click(f"deep('#{id}').shadowRoot.querySelector('button')")

    def choose(self, label: str, value: str | int) -> None:
        """Enter a value, or choose one by what is read of it or by its number."""
        name = "selectedIndex" if isinstance(value, int) else "value"
        self.browser.run(
            f"(() => {{ const e = labelled({label!r}); e.{name} = {value!r};"
            "for (const kind of ['input', 'change']) e.dispatchEvent(new Event(kind, {bubbles: true})); })()"
        )

    def check(self) -> None:
        """Nothing was complained about, and all that was asked for came from the studio itself."""
        assert not self.browser.complaints, self.browser.complaints
        asked = {urlsplit(one).hostname for one in self.browser.requests}
        assert asked <= {"localhost"}, asked
        assert self.browser.run("document.title") == "monai_causal studio"  # no text has become a script


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """The command, and the address that it prints."""
    command = [sys.executable, "-m", "monai_causal", "studio", *arguments, "--no-browser"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        # What a library says on the way must not fill the pipe.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
