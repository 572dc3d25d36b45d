# SPDX-License-Identifier: Apache-2.0
"""Looking at figures while they are saved."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.figure import Figure

from tests.visualize.render.drawn import Drawings


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> Drawings:
    """Every figure that is saved in the test, the last one last."""
    kept = Drawings([])
    save = Figure.savefig

    def save_and_keep(figure: Figure, *args: Any, **options: Any) -> None:
        save(figure, *args, **options)
        kept.figures.append(figure)

    monkeypatch.setattr(Figure, "savefig", save_and_keep)
    return kept
