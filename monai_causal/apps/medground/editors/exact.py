# SPDX-License-Identifier: Apache-2.0
"""The phantoms' own editor: it does not paint, it sets causes and renders the same film anew.

Which causes follow from the published prompts:

- ``No cardiomegaly`` where the mask covers the finding (the foreground edit): the finding is taken away;
- ``No cardiomegaly`` where it does not (the first background edit): the finding stays as it is and everything that is
  no finding is changed: the side marker taken away or, where there is none, put on, tubes, electrodes, shutters and
  clutter taken away;
- ``No abnormality`` (the second background edit): every other finding is taken away;
- ``cardiomegaly`` (of a question whose true answer is no): the finding is put there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_causal.apps.medground.editors.base import Mask, Pixels
from monai_causal.apps.medground.editors.prompts import NOTHING_ABNORMAL, denied
from monai_causal.data.phantoms.chest import ChestPhantom
from monai_causal.data.phantoms.chest_causes import FINDING_PHRASES, FINDINGS

__all__ = ["PhantomEditor", "eight_bit"]

ADDED_STRENGTH = (0.6, 1.0)
"""Of a finding that is put there."""


class PhantomEditor:
    """Edits one phantom with respect to one of its findings.

    Args:
        phantom: whose image is edited.
        finding: what the questions are about.
        rendered: images by what was done to the phantom; edits that several questions share are rendered once.
    """

    name = "do"
    exact = True

    def __init__(
        self, phantom: ChestPhantom, finding: str, rendered: dict[tuple[Any, ...], Pixels] | None = None
    ) -> None:
        if finding not in FINDINGS:
            raise ValueError(f"finding={finding!r}: one of {', '.join(FINDINGS)}.")
        self.phantom, self.finding = phantom, finding
        self._rendered = {} if rendered is None else rendered

    @property
    def record(self) -> dict[str, Any]:
        return {"editor": self.name, "added_strength": list(ADDED_STRENGTH)}

    def __call__(self, image: Pixels, mask: Mask, prompt: str, seed: int) -> Pixels:
        if image.shape != mask.shape or not np.array_equal(image, eight_bit(self.phantom.image)):
            raise ValueError("this is not the image of the editor's phantom: an exact edit knows one image only.")
        return self._done(self.changes(mask, prompt, seed))

    def sham(self, image: Pixels, mask: Mask, seed: int) -> Pixels:
        """The same causes rendered once more."""
        return eight_bit(self.phantom.do().image)

    def changes(self, mask: Mask, prompt: str, seed: int) -> dict[str, Any]:
        """The causes that a prompt sets."""
        phrase = FINDING_PHRASES[self.finding]
        if prompt == phrase:
            low, high = ADDED_STRENGTH
            return {self.finding: float(np.random.default_rng(seed).uniform(low, high))}
        if prompt == NOTHING_ABNORMAL:
            there = [name for name in FINDINGS if name != self.finding and getattr(self.phantom.causes, name)]
            return dict.fromkeys(there, 0.0)
        if denied(prompt) != phrase:
            raise ValueError(f"prompt={prompt!r}: this editor was made for {phrase!r}.")
        return {self.finding: 0.0} if self._covers(mask) else self._otherwise()

    def _covers(self, mask: Mask) -> bool:
        own = self.phantom.maps.get(self.finding)
        return own is not None and bool(own.any()) and bool(mask[own].mean() > 0.5)

    def _otherwise(self) -> dict[str, Any]:
        causes = self.phantom.causes
        letter = "L" if causes.marker_position[1] > 0 else "R"  # as films are marked: beside the side it names
        return {
            "marker": letter if causes.marker == "none" else "none",
            "tube": "none",
            "electrodes": (),
            "collimation": (0.0,) * 4,
            "clutter": 0,
        }

    def _done(self, changes: dict[str, Any]) -> Pixels:
        key = tuple(changes.items())
        if key not in self._rendered:
            self._rendered[key] = eight_bit(self.phantom.do(**changes).image)
        return self._rendered[key].copy()


def eight_bit(image: NDArray[np.floating[Any]]) -> Pixels:
    """A phantom's image (1, H, W) in [0, 1] as models and editors see it, (H, W)."""
    return np.rint(255 * image[0].astype(np.float64)).astype(np.uint8)
