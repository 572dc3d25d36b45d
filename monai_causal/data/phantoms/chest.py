# SPDX-License-Identifier: Apache-2.0
"""Chest radiographs whose anatomy, findings and artefacts are known: for every question there is a true cause.

The structural equations, all noise on the right-hand sides exogenous::

    body, pose   := drawn within the ranges of adults, or far beyond them in the style "random"
    finding_i    := strength_i * [u_i < prevalence], with a place and a form of its own, strength_i in [0.35, 1]
    marker       := present with probability (1 + strength) / 2 if the finding ``shortcut`` is there, else
                    (1 - strength) / 2; without a shortcut, one half
    image        := display(exp(-absorption(body, findings, artefacts)), exposure, grain(noise_seed))

Images follow the radiological convention: the patient's right is on the image's left, and bones are bright.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_causal.data.phantoms.chest_anatomy import Mask
from monai_causal.data.phantoms.chest_causes import (
    COMPOSITES,
    CONCEPTS,
    FINDING_CONCEPTS,
    FINDING_PHRASES,
    FINDINGS,
    ZONES,
    ChestCauses,
)
from monai_causal.data.phantoms.chest_law import STYLES, draw_causes
from monai_causal.data.phantoms.chest_render import render
from monai_causal.data.phantoms.phantom import Phantom, Rendered

__all__ = [
    "ARTEFACTS",
    "COMPOSITES",
    "CONCEPTS",
    "FINDINGS",
    "FINDING_CONCEPTS",
    "FINDING_PHRASES",
    "STYLES",
    "ZONES",
    "ChestCauses",
    "ChestPhantom",
    "Thing",
    "chest",
    "draw_causes",
    "render",
]

ARTEFACTS = ("marker", "tube", "electrodes", "collimation", "clutter")
"""The artefacts that may be on the film, by the name of their mask."""

Box = tuple[tuple[int, int], tuple[int, int]]


class Thing(NamedTuple):
    """A finding or an artefact that the image shows."""

    name: str
    strength: float
    side: str | None
    """The patient's, of a finding that lies on one."""
    mask: Mask
    box: Box
    """The tight box of the mask, half-open, (rows, columns)."""
    concepts: tuple[str, ...]
    """The concepts that show it, the narrowest first; none for an artefact."""


@dataclass(frozen=True, eq=False)
class ChestPhantom(Phantom[ChestCauses]):
    """A chest radiograph with all that is true of it.

    ``image`` is (1, H, W), ``labels`` holds the number of the finding (in the order of ``FINDINGS``, from 1) that each
    pixel shows, ``maps`` the mask of each concept, finding and artefact by name.

    >>> phantom = chest(0, findings=["nodule"])
    >>> without = phantom.do(nodule=0.0)
    >>> changed = (phantom.image != without.image)[0]
    >>> list(phantom.findings), without.answers["nodule"], bool(changed.any())
    (['nodule'], False, True)
    """

    @classmethod
    def of(cls, causes: ChestCauses, render: Callable[[ChestCauses], Rendered] = render) -> ChestPhantom:
        """The phantom of these causes."""
        return cls(causes, render, *render(causes))

    def do(self, **changes: Any) -> ChestPhantom:
        """The same film, had these causes been otherwise: the same body, findings and grain but for what is named."""
        return ChestPhantom.of(self.causes.do(**changes), self.render)

    @property
    def concepts(self) -> NDArray[np.bool_]:
        """The concepts' masks, (11, H, W) in the order of ``CONCEPTS``; they overlap."""
        return np.stack([self.maps[name] for name in CONCEPTS])

    def concept(self, name: str) -> Mask:
        """The mask (H, W) of a concept, or of a composite: the union of its members."""
        members = COMPOSITES.get(name, (name,))
        if not set(members) <= set(CONCEPTS):
            raise ValueError(f"concept={name!r}: the concepts are: {', '.join((*CONCEPTS, *COMPOSITES))}")
        union: Mask = np.logical_or.reduce([self.maps[member] for member in members])
        return union

    @property
    def findings(self) -> dict[str, Thing]:
        """The findings that the image shows, by name: those that are there and not out of its frame."""
        shown = {}
        for name in FINDINGS:
            if name in self.maps and self.maps[name].any():
                mask, causes = self.maps[name], self.causes
                strength = getattr(causes, name)
                shown[name] = Thing(name, strength, causes.side_of(name), mask, box_of(mask), causes.concepts_of(name))
        return shown

    @property
    def artefacts(self) -> dict[str, Thing]:
        """The artefacts that the image shows, by name."""
        present = [name for name in ARTEFACTS if name in self.maps and self.maps[name].any()]
        return {name: Thing(name, 1.0, None, self.maps[name], box_of(self.maps[name]), ()) for name in present}

    @property
    def answers(self) -> dict[str, bool]:
        """For every finding, whether the image shows it."""
        shown = self.findings
        return {name: name in shown for name in FINDINGS}


def box_of(mask: Mask) -> Box:
    """The tight box of a mask that is not empty, half-open."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1)


def chest(
    seed: int,
    size: Sequence[int] = (224, 224),
    *,
    style: str = "plain",
    findings: Collection[str] | None = None,
    prevalence: float = 0.25,
    shortcut: str | None = None,
    strength: float = 0.0,
) -> ChestPhantom:
    """A phantom drawn from the structural causal model (see the module).

    Args:
        seed: what all exogenous draws belong to.
        size: (H, W), at least 32; the shorter side gives the scale.
        style: "plain", upright adults well exposed; or "random", bodies, exposures, displays, artefacts and pathology
            far beyond what clinics see, to train networks that are to work on real films (domain randomisation).
        findings: exactly these findings, by name; None draws each with ``prevalence``.
        prevalence: of each finding, 0 to 1.
        shortcut: the finding that the side marker follows, if any.
        strength: how far the marker follows it, 1 always, 0 not at all, -1 always the opposite.

    >>> phantom = chest(1, (96, 96), findings=["cardiomegaly"])
    >>> phantom.image.shape, phantom.concepts.shape, phantom.findings["cardiomegaly"].concepts
    ((1, 96, 96), (11, 96, 96), ('cardiac silhouette',))
    """
    causes = draw_causes(
        seed, size=size, style=style, findings=findings, prevalence=prevalence, shortcut=shortcut, strength=strength
    )
    return ChestPhantom.of(causes)
