# SPDX-License-Identifier: Apache-2.0
"""Does the effect at a planted cue grow with how much the network depends on it?"""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from bench_page import Section
from engine_bench.networks import cache_folder
from monai.losses import DiceCELoss
from torch import Tensor, nn
from tqdm.auto import tqdm

from monai_causal.data.phantoms import Phantom, ShapesCauses, shapes
from monai_causal.files import draft_of
from monai_causal.intervene import DonorPatchFill, MaskedMeanProbability
from monai_causal.networks.nets import UNet
from monai_causal.visualize import PdCR

__all__ = ["DONORS", "EXPLAINED", "NAME", "STRENGTHS", "TAU", "Course", "probability", "run", "trained"]

NAME = "strength"
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
TAU = 0.02
EXPLAINED, DONORS = 3_000_000, 2_000_000


@dataclass(frozen=True)
class Course:
    """How one network is trained."""

    strength: float
    steps: int
    size: int = 48
    batch: int = 12
    widths: tuple[int, ...] = (8, 16, 32, 32)
    rate: float = 3e-3
    first_phantom: int = 4_000_000


def run(quick: bool, seed: int) -> Section:
    """One network per strength, the same phantoms for all."""
    steps, images, donors = (20, 3, 20) if quick else (2000, 100, 60)
    rows = [_row(Course(strength, steps), images, donors, seed) for strength in STRENGTHS]
    growth = [row["effect at the cue"] for row in rows]
    grows = all(later < earlier for earlier, later in itertools.pairwise(growth))
    null = rows[0]["false calls / calls"]
    return Section(
        NAME,
        "A planted cue of growing strength",
        f"Shapes phantoms of 48x48 whose object has the class of a marker elsewhere with probability (1 + strength) / "
        f"2 and shows nothing of it itself; for each strength a small U-Net trained for {steps} steps, a third of its "
        f"phantoms without a marker. {images} phantoms that it has not seen: which 8x8 patches make the mean "
        "probability of the marker's class inside the object? PdCR, sequential rule, tau = 0.02 (probability), "
        f"{donors} donors; at strength 0 the truth of each patch is its mean over all donors. "
        f"Effect at the cue: the sum of the "
        "effects of the patches that touch the marker, averaged over the phantoms. Beside it what really removing the "
        "marker does: the phantom rendered without it. Pass: the effect grows (becomes more negative) with every "
        "step of strength, and at strength 0 the share of false calls among the calls is at most 0.05, averaged over "
        "the phantoms.",
        rows,
        [
            f"{'reached' if grows else 'MISSED'}: the effect at the cue is {', '.join(f'{e:+.3f}' for e in growth)}.",
            f"{'reached' if null <= 0.05 else 'MISSED'}: at strength 0 the false discovery rate is {null:.4f}; "
            f"{rows[0]['calls on the cue']} of {rows[0]['patches on the cue']} patches on the marker were called.",
        ],
    )


def _row(course: Course, images: int, donors: int, seed: int) -> dict[str, Any]:
    network = trained(course)
    fill = DonorPatchFill(_bank(donors, course))
    effects, removals, rates, called, touching, spent = [], [], [], 0, 0, 0
    for number in tqdm(range(images), desc=f"strength {course.strength}", disable=None, leave=False):
        phantom = shapes(EXPLAINED + 1000 * seed + number, size=(course.size,) * 2, strength=course.strength)
        mask, cue = torch.from_numpy(phantom.labels > 0), torch.from_numpy(phantom.maps["cue"] > 0)
        image = torch.from_numpy(phantom.image)[None]
        score = MaskedMeanProbability(mask, phantom.causes.cue)

        def ask(rule: Any, image: Tensor = image, mask: Tensor = mask, score: Any = score) -> Any:
            pdcr = PdCR(network, fill, 8, rule, tau=TAU, seed=seed, score=lambda roi, reference: score)
            return pdcr.explain(image, mask)

        result = ask("sequential")
        on_cue = result.regions.touches(cue)
        effects.append(float(result.ate[on_cue].sum()))
        removals.append(probability(network, phantom.do(cue=0), score) - result.baseline)
        if course.strength == 0:  # the truth of every patch is dear, and is asked where a target needs it
            null = ask("exhaustive").ate.abs() <= TAU
            rates.append(float((result.relevant & null).sum()) / max(1, int(result.relevant.sum())))
        called += int((result.relevant & on_cue).sum())
        touching += int(on_cue.sum())
        spent += result.evaluations
    return {
        "strength": course.strength,
        "effect at the cue": float(np.mean(effects)),
        "removing the marker": float(np.mean(removals)),
        "patches on the cue": touching,
        "calls on the cue": called,
        "false calls / calls": float(np.mean(rates)) if rates else "not asked",
        "evaluations per map": round(spent / images),
    }


@torch.no_grad()
def probability(network: nn.Module, phantom: Phantom[ShapesCauses], score: MaskedMeanProbability) -> float:
    output = network(torch.from_numpy(phantom.image)[None])
    bound = score.bind(output, 0)
    assert bound.box is not None
    place = tuple(slice(*span) for span in bound.box)
    return float(bound.value(output[(slice(None), slice(None), *place)])[0])


def _bank(count: int, course: Course) -> Tensor:
    draw = np.random.default_rng(0)
    donors = []
    for number in range(count):
        image = shapes(DONORS + number, size=(course.size,) * 2, strength=course.strength).image
        row, column = draw.integers(0, course.size - 8, size=2, endpoint=True)
        donors.append(torch.from_numpy(image[:, row : row + 8, column : column + 8]))
    return torch.stack(donors)


def trained(course: Course) -> nn.Module:
    """Trained once and kept in the user's cache."""
    text = json.dumps({**asdict(course), "torch": torch.__version__}, sort_keys=True)
    kept = cache_folder() / f"strength-{hashlib.sha256(text.encode()).hexdigest()[:16]}.pt"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = UNet(2, 1, 3, course.widths)
    if not kept.exists():
        _train(network, course)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with draft_of(kept) as draft:
            torch.save(network.state_dict(), draft)
    network.load_state_dict(torch.load(kept, weights_only=True))
    return network.eval()


def _train(network: nn.Module, course: Course) -> None:
    optimiser = torch.optim.AdamW(network.parameters(), lr=course.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=course.rate, total_steps=course.steps)
    loss_function = DiceCELoss(to_onehot_y=True, softmax=True)
    network.train()
    for step in tqdm(range(course.steps), desc=f"training, strength {course.strength}", disable=None, leave=False):
        first = course.first_phantom + step * course.batch
        drawn = [
            shapes(first + k, size=(course.size,) * 2, strength=course.strength, evidence=0.0)
            for k in range(course.batch)
        ]
        drawn[: course.batch // 3] = [phantom.do(cue=0) for phantom in drawn[: course.batch // 3]]
        images = torch.from_numpy(np.stack([phantom.image for phantom in drawn]))
        labels = torch.from_numpy(np.stack([phantom.labels for phantom in drawn]))[:, None].long()
        loss = loss_function(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
