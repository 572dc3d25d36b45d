# SPDX-License-Identifier: Apache-2.0
"""The planted cue as one region: what a network reads redundantly shows only where all of it is replaced."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from bench_page import Section
from tqdm.auto import tqdm

from monai_causal.data.phantoms import shapes
from monai_causal.intervene import DonorPatchFill, MaskedMeanProbability, box_regions
from monai_causal.intervene.regions import bounding_box
from monai_causal.visualize import PdCR
from pdcr_bench.strength import DONORS, EXPLAINED, STRENGTHS, TAU, Course, probability, trained

__all__ = ["NAME", "run"]

NAME = "marker"


def run(quick: bool, seed: int) -> Section:
    """The networks and phantoms of part strength, one region each."""
    steps, images, donors = (20, 3, 20) if quick else (2000, 100, 60)
    rows = [_row(Course(strength, steps), images, donors, seed) for strength in STRENGTHS]
    effects = [row["effect of the marker"] for row in rows]
    grows = all(later < earlier for earlier, later in pairwise(effects))
    return Section(
        NAME,
        "The planted cue as one region",
        f"The networks, phantoms, score and rule of part strength, {images} phantoms per strength; the region is the "
        f"marker's bounding box, replaced by as much of {donors} other phantoms, cut at random. Pass: the effect grows "
        "with every step of strength, and at strength 0 at most 5 % of the markers are called.",
        rows,
        [
            f"{'reached' if grows else 'MISSED'}: the effect is {', '.join(f'{e:+.4f}' for e in effects)}.",
            f"{'reached' if rows[0]['called'] <= 0.05 * images else 'MISSED'}: at strength 0 {rows[0]['called']} of "
            f"{images} markers are called.",
        ],
    )


def _row(course: Course, images: int, donors: int, seed: int) -> dict[str, Any]:
    network = trained(course)
    size = (course.size,) * 2
    bank = [torch.from_numpy(shapes(DONORS + n, size=size, strength=course.strength).image) for n in range(donors)]
    effects, removals, called, spent = [], [], 0, 0
    for number in tqdm(range(images), desc=f"strength {course.strength}", disable=None, leave=False):
        phantom = shapes(EXPLAINED + 1000 * seed + number, size=size, strength=course.strength)
        mask, cue = torch.from_numpy(phantom.labels > 0), torch.from_numpy(phantom.maps["cue"] > 0)
        score = MaskedMeanProbability(mask, phantom.causes.cue)
        pdcr = PdCR(network, DonorPatchFill(bank), tau=TAU, seed=seed, score=lambda roi, reference, s=score: s)
        region = box_regions(size, [bounding_box(cue)])
        result = pdcr.explain(torch.from_numpy(phantom.image)[None], mask, regions=region)
        effects.append(float(result.ate[0]))
        removals.append(probability(network, phantom.do(cue=0), score) - result.baseline)
        called += int(result.relevant[0])
        spent += result.evaluations
    return {
        "strength": course.strength,
        "effect of the marker": float(np.mean(effects)),
        "removing the marker": float(np.mean(removals)),
        "called": called,
        "evaluations per phantom": spent / images,
    }
