# SPDX-License-Identifier: Apache-2.0
"""Links that lead out of the documentation's folder, or to a folder.

In the repository such a link opens the file; on a built page there is none. What has a page here leads to it; the rest
is shown as its place in the repository. A link to what is not there at all stays as it is and fails the build.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

__all__ = ["PAGES", "setup"]

# What of the repository has a page of its own here.
PAGES = {
    "README.md": "index",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "bundles/README.md": "systems/bundles",
    "configs/README.md": "how-to/benchmark-my-method",
    "docs/README.md": "index",
    "docs/results/README.md": "results/index",
}


class _OutsideLinks(SphinxTransform):
    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        documentation = Path(self.env.srcdir)
        root = documentation.parent
        here = (documentation / self.env.docname).parent
        for kind in (addnodes.pending_xref, addnodes.download_reference):
            for node in list(self.document.findall(kind)):
                found = self._place(node, documentation, here)
                if found is None or not found.is_relative_to(root):
                    continue
                name = found.relative_to(root).as_posix()
                if name in PAGES:
                    node.replace_self(self._to_page(node, PAGES[name]))
                elif found.is_dir() or not found.is_relative_to(documentation):
                    node.replace_self(nodes.literal(name, name))

    def _place(self, node: nodes.Element, documentation: Path, here: Path) -> Path | None:
        """The file or folder that a link of MyST leads to, if it is there."""
        target = node["reftarget"].split("#")[0]
        if node.get("reftype") not in ("myst", "doc") or not target:
            return None
        # MyST names a document from the documentation's folder and without its suffix, and all else from the page's.
        if node.get("refdomain") == "doc":
            place = documentation / f"{target.removeprefix('/')}.md"
        else:
            place = here / target.removeprefix("/")
        place = Path(os.path.normpath(place))
        return place if place.exists() else None

    def _to_page(self, node: nodes.Element, docname: str) -> addnodes.pending_xref:
        link = addnodes.pending_xref(
            refdomain="std",
            reftype="doc",
            reftarget=f"/{docname}",
            refexplicit=True,
            refdoc=self.env.docname,
            refwarn=True,
        )
        link += nodes.inline("", node.astext(), classes=["xref", "std", "std-doc"])
        return link


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the transform."""
    app.add_transform(_OutsideLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
