# SPDX-License-Identifier: Apache-2.0
"""The page itself: templates, one style sheet and one script, all of them inside the file.

Everything that comes from results goes through Jinja2's escaping. The page's own policy allows no request at all, no
style and no script but these two, which it names by their digests.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Any

from monai_causal.extras import require
from monai_causal.report.content import Page, number

__all__ = ["render"]


def render(page: Page) -> str:
    """A page as HTML."""
    style, script = _own("style.css"), _own("script.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    template = _environment().get_template("report.html")
    text: str = template.render(page=page, style=style, script=script, policy=policy)
    return text


@cache
def _environment() -> Any:
    jinja2 = require("jinja2")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_own),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment


def _own(name: str) -> str:
    return (resources.files("monai_causal.report") / "templates" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"
