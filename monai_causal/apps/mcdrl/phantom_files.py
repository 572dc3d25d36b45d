# SPDX-License-Identifier: Apache-2.0
"""Endoscopy phantoms as files, of several sites: something to train a bundle on without a download.

A site is a set of conditions under which its images are taken. Each phantom is drawn from the structural model of
:mod:`monai_causal.data.phantoms.endoscopy` and belongs to the site that has its confounder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from monai_causal.apps.mcdrl.phantom_seeds import FAR, FILES
from monai_causal.data.phantoms.endoscopy import CONFOUNDERS, SMALLEST_SIDE, draw_causes, render
from monai_causal.files import draft_of, write_json

__all__ = ["PARTS", "SITES", "in_words", "write_phantoms"]

SCHEMA = "monai_causal/endoscopy-phantoms/1"
PARTS = ("training", "validation", "test")
SITES: dict[str, tuple[str, ...]] = {
    "old-scopes": ("dim", "uneven", "compression"),
    "new-scopes": ("white_light", "bright", "narrow_band"),
    "training-centre": ("motion_blur", "close_up", "distant"),
    "emergency": ("blood", "mucus", "reflection"),
}
"""Four sites; each has conditions that go with a polyp where the law confounds, and such that do not."""

# Phantoms of one seed, and the first of them: away from those that the small CLIP has seen, and from those of a study.
BLOCK, FIRST = FAR, FILES.start


def write_phantoms(
    out: Path,
    count: int,
    *,
    size: int = 96,
    seed: int = 0,
    strength: float = 0.0,
    sites: Mapping[str, Sequence[str]] = SITES,
) -> Path:
    """Write images and masks as PNG (a mask is 0 or 255), and the list of them as MONAI reads it.

    Args:
        out: the folder, made if need be. Files of a former call with the same names are replaced.
        count: of all phantoms, at least 3: a sixth of them for validation and a sixth for the test, the others for the
            training. No two share a scene.
        size: of the square images.
        seed: phantoms of different seeds share nothing.
        strength: how far the condition tells the finding, see :func:`~monai_causal.data.phantoms.endoscopy.endoscopy`.
        sites: of each site its name and its confounders; what belongs to none is not drawn.

    Returns:
        ``dataset.json``: under ``training``, ``validation`` and ``test`` the entries ``image``, ``label`` (relative to
        the folder), ``site`` and ``sequence``.
    """
    site_of = _checked(count, size, seed, strength, sites)
    for folder in ("images", "masks"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    entries: dict[str, list[dict[str, str]]] = {part: [] for part in PARTS}
    order = [part for part, share in zip(PARTS, _shares(count), strict=True) for _ in range(share)]
    draws = _draws(size, seed, strength, site_of)
    for part, (number, causes) in zip(order, tqdm(draws, "phantoms", count, disable=None, leave=False), strict=False):
        image, labels, _ = render(causes)
        name = f"phantom-{seed}-{number:06d}"
        entry = {"image": f"images/{name}.png", "label": f"masks/{name}.png"}
        _write_png(out / entry["image"], np.rint(255 * np.moveaxis(image, 0, -1)))
        _write_png(out / entry["label"], 255 * labels)
        entries[part].append({**entry, "site": site_of[causes.confounder], "sequence": name})
    header: dict[str, Any] = {
        "schema": SCHEMA,
        "name": "endoscopy phantoms",
        "description": "Rendered scenes with a polyp or a harmless fold; no image is of a patient.",
        "tensorImageSize": "2D",
        "modality": {"0": "RGB"},
        "labels": {"0": "background", "1": "polyp"},
        "seed": seed,
        "strength": strength,
        "sites": {site: list(confounders) for site, confounders in sites.items()},
        "numTraining": len(entries["training"]),
        "numTest": len(entries["test"]),
    }
    return write_json(out / "dataset.json", {**header, **entries})


def in_words(dataset: Mapping[str, Any], out: Path) -> str:
    """What was written, for people; ``dataset`` is the content of ``dataset.json``."""
    parts = ", ".join(f"{len(dataset[part])} for {part}" for part in PARTS)
    sites = Counter(entry["site"] for part in PARTS for entry in dataset[part])
    of_each = ", ".join(f"{site} {sites[site]}" for site in dataset["sites"])
    return f"{sum(sites.values())} phantoms: {parts}; by site: {of_each}.\nwrote {out / 'dataset.json'}"


def _checked(count: int, size: int, seed: int, strength: float, sites: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Of each confounder its site."""
    if not 3 <= count <= BLOCK // len(CONFOUNDERS) // 2:
        raise ValueError(f"count={count}: give 3, one for each part, to {BLOCK // len(CONFOUNDERS) // 2}.")
    if size < SMALLEST_SIDE:
        raise ValueError(f"size={size}: give at least {SMALLEST_SIDE} pixels.")
    if seed < 0:
        raise ValueError(f"seed={seed}: give 0 or more.")
    if not -1 <= strength <= 1:
        raise ValueError(f"strength={strength}: give a number from -1 to 1; 0 is unconfounded.")
    site_of: dict[str, str] = {}
    for site, confounders in sites.items():
        for confounder in confounders:
            if confounder not in CONFOUNDERS:
                raise ValueError(f"site {site!r}: {confounder!r} is none of {', '.join(CONFOUNDERS)}.")
            if confounder in site_of:
                raise ValueError(f"site {site!r}: {confounder!r} is at {site_of[confounder]!r} already.")
            site_of[confounder] = site
    if not site_of:
        raise ValueError("sites: give at least one site with a confounder.")
    return site_of


def _shares(count: int) -> tuple[int, int, int]:
    aside = max(1, count // 6)
    return count - 2 * aside, aside, aside


def _draws(size: int, seed: int, strength: float, site_of: Mapping[str, str]) -> Iterator[tuple[int, Any]]:
    for number in range(BLOCK):
        causes = draw_causes(FIRST + seed * BLOCK + number, size=(size, size), strength=strength)
        if causes.confounder in site_of:
            yield number, causes


def _write_png(path: Path, values: np.ndarray[Any, Any]) -> None:
    with draft_of(path) as draft:
        Image.fromarray(values.astype(np.uint8)).save(draft)
