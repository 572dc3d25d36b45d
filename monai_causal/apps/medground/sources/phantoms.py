# SPDX-License-Identifier: Apache-2.0
"""Chest phantoms as a source: causes are known, counterfactuals are exact, and anyone can rebuild it offline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from monai_causal.apps.medground.candidates import Candidate, Case, Mask, Pixels, Source
from monai_causal.apps.medground.editors.base import Editor
from monai_causal.apps.medground.editors.exact import PhantomEditor, eight_bit
from monai_causal.apps.medground.sources.listing import Listing
from monai_causal.data.phantoms.chest import ChestPhantom
from monai_causal.data.phantoms.chest_causes import FINDING_PHRASES, FINDINGS, ChestCauses
from monai_causal.data.phantoms.chest_law import draw_causes

__all__ = ["PhantomCase", "PhantomSource"]

FIRST = 50_000_000
"""Seed of the first phantom: far from those that the demo models and the segmenter learn from."""
APART = 1_000_000
"""Phantoms of two benchmark seeds share nothing."""


class PhantomCase(Case):
    """One phantom."""

    def __init__(self, name: str, causes: ChestCauses, candidates: Sequence[Candidate], exact: bool = True) -> None:
        super().__init__(name, candidates)
        self.causes, self.exact = causes, exact
        self._rendered: dict[tuple[Any, ...], Pixels] = {}

    @cached_property
    def phantom(self) -> ChestPhantom:
        """Rendered when it is first needed."""
        return ChestPhantom.of(self.causes)

    def pixels(self) -> Pixels:
        return eight_bit(self.phantom.image)

    def located(self, candidate: Candidate) -> Candidate:
        if not candidate.positive:
            return candidate
        if candidate.finding not in self.phantom.findings:
            raise ValueError(f"{candidate.finding} lies outside the image's frame: nothing of it can be seen")
        thing = self.phantom.findings[candidate.finding]
        (top, bottom), (left, right) = thing.box
        return Candidate(
            candidate.index,
            candidate.finding,
            candidate.attribute,
            True,
            ((left, top, right, bottom),),
            thing.concepts,
        )

    def mask(self, candidate: Candidate) -> Mask | None:
        found: Mask | None = self.phantom.maps.get(candidate.finding) if candidate.positive else None
        return None if found is None else found.astype(bool)

    def editor(self, candidate: Candidate) -> Editor | None:
        if not self.exact:
            return None
        return PhantomEditor(self.phantom, candidate.finding, self._rendered)


class PhantomSource(Source):
    """Phantoms drawn one after another, every finding with the same prevalence.

    Args:
        seed: of the benchmark.
        size: (H, W) of the images.
        prevalence: of each finding.
        exact: edit causes; False leaves the edits to an editor of pixels, as if the causes were not known.

    Example:
        >>> cases = list(PhantomSource(seed=0, size=(96, 96)).cases(6, negatives=0.5))
        >>> sum(len(case.candidates) for case in cases)
        6
    """

    name = "phantom"

    def __init__(
        self, seed: int = 0, size: tuple[int, int] = (224, 224), prevalence: float = 0.3, exact: bool = True
    ) -> None:
        if not 0 <= seed < 1000:
            raise ValueError(f"seed={seed}: give a number from 0 to 999.")
        if not 0 < prevalence < 1:
            raise ValueError(f"prevalence={prevalence}: above 0 and below 1, such as 0.3.")
        self.seed, self.size, self.prevalence, self.exact = seed, size, prevalence, exact

    @property
    def record(self) -> dict[str, Any]:
        first = FIRST + APART * self.seed
        return {"source": self.name, "size": list(self.size), "prevalence": self.prevalence, "first_seed": first}

    def cases(self, count: int | None, negatives: float) -> Iterator[Case]:
        if count is None:
            raise ValueError("count: phantoms never end; say how many candidates you want.")
        listing = Listing(count, negatives)
        for number in range(APART):
            if listing.full:
                return
            seed = FIRST + APART * self.seed + number
            causes = draw_causes(seed, size=self.size, prevalence=self.prevalence)
            there = [name for name in FINDINGS if getattr(causes, name) > 0]
            absent = [name for name in FINDINGS if name not in there]
            asked = listing.ask(there, absent, [seed, 1])
            candidates = [Candidate(index, name, FINDING_PHRASES[name], positive) for index, name, positive in asked]
            if candidates:
                yield PhantomCase(f"phantom-{seed}", causes, candidates, self.exact)
