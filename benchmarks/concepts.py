# SPDX-License-Identifier: Apache-2.0
"""Named anatomy on real chest radiographs and on phantoms with findings: how well each way of finding it does.

Example:
    python benchmarks/concepts.py --out docs/results --part real
    python benchmarks/concepts.py --out docs/results --part phantoms
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from bench_page import table
from engine_bench.machine import describe_machine
from numpy.typing import NDArray
from PIL import Image
from transport import box_iou

from monai_causal.apps.medfocus.pool import ReferencePool
from monai_causal.apps.medfocus.pool_sources import pool_from_masks, pool_from_phantoms
from monai_causal.apps.medfocus.reference import PoolTransport
from monai_causal.apps.medfocus.refine.outline import OutlineRefinement
from monai_causal.apps.medfocus.segmenter import ConceptSegmenter
from monai_causal.apps.medfocus.segmenters.base import Refinement
from monai_causal.apps.medfocus.segmenters.transported import TransportSegmenter
from monai_causal.apps.medfocus.transport import UnbalancedTransport
from monai_causal.data.phantoms.chest import CONCEPTS, chest
from monai_causal.files import draft_of, write_json

LABELS = {"left lung": "Left Lung", "right lung": "Right Lung", "mediastinum": "Cardiomediastinum"}
ATLAS_SEEDS = range(16)
PHANTOM_SEEDS = 10_000  # those of the pictures looked for begin here, far from the atlas's
ARCH = 0.216  # where the aortic arch begins, of the lungs' height: median of 40 phantoms
SIZE = 512  # the longer side of a real image, on which masks are compared
QUESTION = """\
How well do masks carried over from references lie on an image? Mean IoU of the masks and of their tight boxes, with the
95 % interval of a bootstrap over patients. `real`: the chest radiographs of `cxr_findings` that have masks of both
lungs and of the cardiomediastinum, no image of the same patient among the references; references are the other
radiographs, or 16 phantoms. `phantoms`: phantoms with findings, references are 16 others without. Two annotators agree
at about 0.92 for boxes of lungs. Pass: ours beats copying for every concept; aim on real images: 0.85, 0.85, 0.75.
"""


class Case(NamedTuple):
    """An image whose concepts are known."""

    name: str
    patient: str
    image: NDArray[np.float64]
    masks: dict[str, NDArray[np.bool_]]


Method = Callable[[ReferencePool, Case, np.random.Generator], NDArray[np.bool_]]


def copied(count: int) -> Method:
    """The masks of so many references drawn by chance, as they lie."""

    def method(pool: ReferencePool, case: Case, generator: np.random.Generator) -> NDArray[np.bool_]:
        drawn = generator.choice(len(pool), min(count, len(pool)), replace=False)
        chosen = pool.subset([int(index) for index in drawn])
        settings = {"align": False, "temperature": float("inf"), "count": count}
        return PoolTransport(chosen, None, **settings).locate(case.image).mask.numpy()

    return method


def carried(transport: UnbalancedTransport | None, **settings: Any) -> Method:
    """A :class:`PoolTransport` of these settings."""

    def method(pool: ReferencePool, case: Case, generator: np.random.Generator) -> NDArray[np.bool_]:
        return PoolTransport(pool, transport, **settings).locate(case.image).mask.numpy()

    return method


def segmented(build: Callable[[ReferencePool], ConceptSegmenter], arch: bool = False) -> Method:
    """What a :class:`ConceptSegmenter` finds.

    Args:
        build: from the references, which the network does without.
        arch: the mediastinum from the aortic arch down, as annotators draw the cardiomediastinum; the phantoms', which
            the network was taught, begins at the clavicles.
    """

    def method(pool: ReferencePool, case: Case, generator: np.random.Generator) -> NDArray[np.bool_]:
        found = build(pool)(case.image / max(float(case.image.max()), 1.0))
        masks = {name: found[name].mask for name in pool.concepts}
        if arch:
            rows = np.flatnonzero(found["both lungs"].mask.any(axis=1))
            if len(rows):
                masks["mediastinum"] = masks["mediastinum"].copy()
                masks["mediastinum"][: round(rows[0] + ARCH * (rows[-1] - rows[0]))] = False
        return np.stack([masks[name] for name in pool.concepts])

    return method


def transporting(refinement: Refinement | None) -> Callable[[ReferencePool], ConceptSegmenter]:
    """The transport as a segmenter, refined or not."""
    return lambda pool: ConceptSegmenter(TransportSegmenter(pool, UnbalancedTransport(grid=28)), refinement)


METHODS: dict[str, Method] = {
    "copy one": copied(1),
    "copy twelve": copied(12),
    "published": carried(UnbalancedTransport.released(), rank="cost", count=1, align=False),
    "ours, copied from the most alike": carried(None, align=False),
    "ours, placed": carried(None),
    "ours, placed and transported": carried(UnbalancedTransport(grid=28)),
    "ours, transported and refined": segmented(transporting(OutlineRefinement())),
}
# They need no references: they stand once, under "none".
NETWORKS: dict[str, Method] = {
    "network": segmented(lambda pool: ConceptSegmenter()),
    "network, from the arch down": segmented(lambda pool: ConceptSegmenter(), arch=True),
    "network, refined": segmented(lambda pool: ConceptSegmenter(None, OutlineRefinement())),
}


def main() -> int:
    """Every method on every case; rows per method and structure, and the values of every case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", choices=("real", "phantoms"), required=True)
    parser.add_argument("--count", type=int, help="of cases; all real ones or 200 phantoms by default")
    parser.add_argument("--methods", help="comma-separated; all by default")
    parser.add_argument("--pictures", type=Path, help="a folder for pictures of the ten worst real cases")
    options = parser.parse_args()
    torch.set_num_threads(1)
    atlas = pool_from_phantoms(ATLAS_SEEDS)
    if options.part == "real":
        cases = _real_cases(options.count)
        everyone = pool_from_masks([c.image for c in cases], [c.masks for c in cases], list(LABELS), size=256)
        pools: dict[str, Callable[[Case], ReferencePool]] = {
            "other radiographs": lambda case: everyone.subset(
                [index for index, other in enumerate(cases) if other.patient != case.patient]
            ),
            "phantoms": lambda case: atlas,
        }
    else:
        cases = list(_phantom_cases(options.count or 200))
        pools = {"phantoms": lambda case: atlas}
    values = []
    plan = [(pool, name, METHODS[name]) for pool in pools for name in METHODS]
    plan += [("none", name, NETWORKS[name]) for name in NETWORKS]
    pools["none"] = next(iter(pools.values()))
    if options.methods:
        plan = [one for one in plan if one[1] in options.methods.split(",")]
    for pool_name, name, method in plan:
        mine = [
            {"references": pool_name, "method": name, "case": case.name, "patient": case.patient, **row}
            for index, case in enumerate(cases)
            for row in _values(case, method, pools[pool_name](case), index)
        ]
        values += mine
        print(*_summary(mine), sep="\n", flush=True)
    keys = list(dict.fromkeys((v["references"], v["method"]) for v in values))
    rows = [row for key in keys for row in _summary([v for v in values if (v["references"], v["method"]) == key])]
    paired = _paired(values)
    about = {
        "schema": "monai_causal/benchmark-concepts/1",
        "command": f"python benchmarks/concepts.py --out docs/results --part {options.part}",
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cases": len(cases),
        "machine": describe_machine(),
        "rows": rows,
        "paired": paired,
        "values": values,
    }
    print(write_json(options.out / f"concepts-{options.part}.json", about))
    lines = ["# Named anatomy carried over from references", "", QUESTION, f"- command: `{about['command']}`"]
    lines += [f"- date: {about['date']}", f"- cases: {len(cases)}", f"- machine: {json.dumps(about['machine'])}", ""]
    with draft_of(options.out / f"concepts-{options.part}.md") as draft:
        content = [*lines, table(rows)]
        if paired:
            content += ["", "## Which is ahead, case by case", "", table(paired)]
        draft.write_text("\n".join(content) + "\n", encoding="utf-8")
    if options.pictures and options.part == "real":
        _ten_worst(options.pictures, cases, values, pools["none"])
    return 0


def _real_cases(count: int | None) -> list[Case]:
    named = os.environ.get("MONAI_CAUSAL_DATA")
    folder = (Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data") / "cxr_findings"
    cases = []
    for item in json.loads((folder / "index.json").read_text(encoding="utf-8"))["images"]:
        masks = {region["class"]: region["mask"] for region in item["regions"]}
        if not set(LABELS.values()) <= set(masks):
            continue
        path = next((folder / "images").glob(Path(item["file"]).stem.replace("[", "[[]") + ".*"))
        with Image.open(path) as file:
            grey = file.convert("L")
        factor = SIZE / max(grey.size)
        shape = tuple(max(round(length * factor), 1) for length in grey.size)
        known = {}
        for concept, label in LABELS.items():
            with Image.open(folder / masks[label]) as file:
                known[concept] = np.asarray(file.convert("L").resize(shape, Image.Resampling.BILINEAR)) > 127
        image = np.asarray(grey.resize(shape, Image.Resampling.BICUBIC), dtype=np.float64)
        cases.append(Case(f"{len(cases):02d}", str(item["patientid"]), image, known))
    return cases[:count]


def _phantom_cases(count: int) -> Iterator[Case]:
    for seed in range(PHANTOM_SEEDS, PHANTOM_SEEDS + count):
        phantom = chest(seed, (224, 224), prevalence=0.5)
        yield Case(str(seed), str(seed), phantom.image[0], {name: phantom.maps[name] > 0 for name in CONCEPTS})


def _values(case: Case, method: Method, pool: ReferencePool, index: int) -> list[dict[str, Any]]:
    masks = method(pool, case, np.random.default_rng(index))
    rows = []
    for concept, truth in case.masks.items():
        found = masks[pool.concepts.index(concept)]
        overlap = float((found & truth).sum() / max(int((found | truth).sum()), 1))
        rows.append({"concept": concept, "mask_iou": overlap, "box_iou": box_iou(found, truth)})
    return rows


def _summary(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for concept in dict.fromkeys(value["concept"] for value in values):
        mine = [value for value in values if value["concept"] == concept]
        row = {"references": mine[0]["references"], "method": mine[0]["method"], "concept": concept, "n": len(mine)}
        for key in ("mask_iou", "box_iou"):
            low, high = _interval([value[key] for value in mine], [value["patient"] for value in mine])
            row[key], row[f"{key} 95 %"] = float(np.mean([value[key] for value in mine])), f"{low:.3f} to {high:.3f}"
        rows.append(row)
    return rows


def _paired(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The differences of mask IoU that decide on defaults: network against transport, refined against not."""
    ours, refined = "ours, placed and transported", "ours, transported and refined"
    pairs = [(("none", name), ("phantoms", ours)) for name in ("network", "network, from the arch down")]
    pairs += [(("phantoms", refined), ("phantoms", ours)), (("none", "network, refined"), ("none", "network"))]
    pairs += [(("phantoms", ours), ("phantoms", "copy twelve"))]
    rows = []
    for one, other in pairs:
        sides = [
            {(v["concept"], v["case"]): v for v in values if (v["references"], v["method"]) == key}
            for key in (one, other)
        ]
        for concept in dict.fromkeys(name for name, _ in sides[0]):
            shared = [key for key in sides[0] if key[0] == concept and key in sides[1]]
            gained = [sides[0][key]["mask_iou"] - sides[1][key]["mask_iou"] for key in shared]
            if not gained:
                continue
            low, high = _interval(gained, [sides[0][key]["patient"] for key in shared])
            row = {"minuend": one[1], "subtrahend": f"{other[1]} ({other[0]})", "concept": concept, "n": len(gained)}
            rows.append({**row, "mask_iou": float(np.mean(gained)), "95 %": f"{low:.3f} to {high:.3f}"})
    return rows


def _interval(values: list[float], patients: list[str]) -> tuple[float, float]:
    """Bootstrap over patients, 2,000 draws."""
    groups = [[v for v, p in zip(values, patients, strict=True) if p == patient] for patient in dict.fromkeys(patients)]
    sums, counts = np.array([sum(group) for group in groups]), np.array([len(group) for group in groups])
    drawn = np.random.default_rng(0).integers(len(groups), size=(2000, len(groups)))
    low, high = np.quantile(sums[drawn].sum(1) / counts[drawn].sum(1), [0.025, 0.975])
    return float(low), float(high)


def _ten_worst(folder: Path, cases: list[Case], values: list[dict[str, Any]], pool_of: Any) -> None:
    """Truth in green, what was found in red, worst first, for the pictures of a report."""
    folder.mkdir(parents=True, exist_ok=True)
    mine = [v for v in values if v["method"] == "network"]
    worst = sorted(cases, key=lambda case: sum(v["mask_iou"] for v in mine if v["case"] == case.name))[:10]
    for rank, case in enumerate(worst):
        found = NETWORKS["network"](pool_of(case), case, np.random.default_rng(0))
        pixels = np.repeat(case.image.clip(0, 255).astype(np.uint8)[..., None], 3, -1)
        for mask, truth in zip(found, case.masks.values(), strict=True):
            for channel, area in ((1, truth), (0, mask)):
                edge = area ^ (area & np.roll(area, 2, 0) & np.roll(area, -2, 0) & np.roll(area, 2, 1))
                pixels[edge] = 0
                pixels[edge, channel] = 255
        Image.fromarray(pixels).save(folder / f"worst-{rank}.png")


if __name__ == "__main__":
    raise SystemExit(main())
