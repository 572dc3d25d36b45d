# SPDX-License-Identifier: Apache-2.0
"""How the documentation is built: ``make docs``. Nothing is fetched, neither by the build nor by a page of it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from monai_causal import __version__

project = "monai_causal"
author = "The monai_causal contributors"
project_copyright = "The monai_causal contributors, Apache-2.0"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "mathml",
    "notebook_pages",
    "outside_links",
    "parameters",
    "results_table",
]
# README.md and results/README.md are for whoever reads the repository; index.md and results/index.md hold them here.
exclude_patterns = ["_build", "README.md", "results/README.md"]
# What commands write into docs/results may have no title, and a name that several classes have is no cross-reference.
suppress_warnings = ["toc.no_title", "ref.python"]
templates_path = ["_templates"]
root_doc = "index"

myst_enable_extensions = ["dollarmath", "deflist"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 3
myst_dmath_allow_space = False
myst_dmath_allow_digits = False

autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# Defaults are shown as written (`rule="sequential"`), not as what they evaluate to.
autodoc_preserve_defaults = True

html_theme = "pydata_sphinx_theme"
html_title = "monai_causal"
html_static_path = ["_static"]
html_css_files = ["monai_causal.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "monai_causal"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
    "header_links_before_dropdown": 7,
}
# The table of results names each page by what it answers; their titles beside it would say less.
html_sidebars = {"index": [], "start": [], "architecture": [], "contributing": [], "changelog": [], "results/**": []}


def _docstring(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Mend what reads well in a terminal and is no reStructuredText.

    ``(C, *spatial)`` and ``|ATE|`` outside of code are no markup, and a table's first column may be as wide as its
    words.
    """
    for number, line in enumerate(lines):
        parts = re.split(r"(``.*?``)", line)
        parts[::2] = [re.sub(r"(?<=[(, ])\*(?=\w[\w ]*[,)])", r"\*", part) for part in parts[::2]]
        parts[::2] = [re.sub(r"\|(?=\w+\|)|(?<=\w)\|(?=[^_])", r"\|", part) for part in parts[::2]]
        lines[number] = "".join(parts)
    borders = [number for number, line in enumerate(lines) if re.fullmatch(r"=+ +=+", line)]
    if borders:
        inside = range(borders[0], borders[-1] + 1)
        width = lines[borders[0]].index(" ")
        cells = [re.match(r"(``.*?``|\S*)\s*(.*)", lines[number]) for number in inside]
        widest = max(width, *(len(cell[1]) for cell in cells if cell))
        for number in inside:
            first, rest = lines[number][: width + 1].rstrip(), lines[number][width + 1 :].lstrip()
            lines[number] = "=" * widest + "  " + "=" * 100 if number in borders else f"{first:{widest}}  {rest}"


def setup(app: Any) -> None:
    """Connect what is done to docstrings."""
    app.connect("autodoc-process-docstring", _docstring)
