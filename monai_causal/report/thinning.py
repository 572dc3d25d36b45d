# SPDX-License-Identifier: Apache-2.0
"""No more regions than a page can carry: a study of hundreds of images has millions of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from monai_causal.report.content import Case, View

__all__ = ["REGIONS", "thinned"]

REGIONS = 80_000
"""That can be pointed at, of a whole page; each takes some 50 bytes. All of them are in the picture's colours."""
LISTED, LEAST_LISTED = 2_000, 10
"""Rows of all tables of regions together, which cost a browser more than anything else; and of one table at least."""


def thinned(cases: Sequence[Case], most: int = REGIONS) -> tuple[Case, ...]:
    """The same cases with no more than ``most`` regions in all, shared out evenly; what a view has too many of, its
    weakest, can be seen and read in its file but not pointed at, and the view says so."""
    left = most
    sizes = sorted(len(view.regions) for case in cases for view in case.views)
    share = 0
    for place, size in enumerate(sizes):
        # Small views leave what they do not need to the large ones.
        share = max(1, left // (len(sizes) - place))
        left -= min(size, share)
    rows = max(LEAST_LISTED, LISTED // max(1, len(sizes)))
    return tuple(replace(case, views=tuple(_view(view, share, rows) for view in case.views)) for case in cases)


def _view(view: View, share: int, rows: int) -> View:
    view = replace(view, listed=view.listed[:rows])
    if len(view.regions) <= share:
        return view
    order = sorted(
        range(len(view.regions)),
        key=lambda at: (not view.regions[at].chosen, -abs(view.regions[at].effect or 0.0), at),
    )
    kept = sorted(order[:share])
    place = {at: number for number, at in enumerate(kept)}
    note = (
        f"Of {len(view.regions)} regions the {share} strongest can be pointed at: the page holds many cases. "
        "The picture shows all of them, and effects.csv lists them."
    )
    return replace(
        view,
        regions=tuple(view.regions[at] for at in kept),
        listed=tuple(place[at] for at in view.listed if at in place),
        measured=len(view.regions),
        note=" ".join(part for part in (view.note, note) if part),
    )
