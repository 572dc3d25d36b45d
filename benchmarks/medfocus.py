# SPDX-License-Identifier: Apache-2.0
"""MedFocus with the small models that come along: a cheat exposed, methods checked, what a question costs, real films.

How well methods find known causes is MedGround's to say (``monai-causal medground``); this is what stands beside it.

Example:
    python benchmarks/medfocus.py --out docs/results --images data/cxr_findings/images
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from bench_page import Section, write_report
from engine_bench.machine import describe_machine
from scipy.stats import binomtest

from monai_causal.apps.medfocus.attribute import MedFocus
from monai_causal.apps.medfocus.attribute_asking import ask, picture_of
from monai_causal.apps.medfocus.baselines.registry import METHODS, build_method
from monai_causal.apps.medfocus.demo_vlm.network import build_model, build_processor
from monai_causal.apps.medfocus.demo_vlm.training import HELD_OUT
from monai_causal.apps.medfocus.picture import save_overlay
from monai_causal.apps.medfocus.segmenter import ConceptSegmenter
from monai_causal.apps.medfocus.vlm import AnsweringModel, finding_question, load_vlm, read_answer
from monai_causal.apps.medfocus.vlm.families import FAMILIES
from monai_causal.data.phantoms.chest import FINDING_PHRASES, ChestPhantom, chest
from monai_causal.data.readers import read_image

FIRST = HELD_OUT + 100_000  # phantoms that no other table uses
CHEATS = "consolidation"
SCHEMA = "monai_causal/medfocus-bench/1"
PARTS = ("twin", "checks", "cost", "real")


def share(hits: list[bool]) -> str:
    """A rate with its 95 % Wilson interval."""
    if not hits:
        return "-"
    found = binomtest(sum(hits), len(hits)).proportion_ci(method="wilson")
    return f"{sum(hits) / len(hits):.3f} [{found.low:.3f}, {found.high:.3f}]"


def asked_of(vlm: AnsweringModel, count: int, finding: str, marker: bool) -> Iterator[tuple[ChestPhantom, str]]:
    """Phantoms about which the model says yes, with the question; half of the films have the finding."""
    question = finding_question(FINDING_PHRASES[finding])
    found = 0
    for seed in range(FIRST, FIRST + 20 * count):
        phantom = chest(seed, prevalence=0.25, findings=[finding] if seed % 2 else [])
        if marker and "marker" not in phantom.artefacts:
            continue
        if ask(vlm, picture_of(phantom.image), [question])[0].reading == "yes":
            yield phantom, question
            found += 1
        if found == count:
            return


def twin(count: int) -> Section:
    """The model that cheats, and the one that does not, on films with a side marker."""
    rows, findings = [], []
    segmenter = ConceptSegmenter()
    for name in ("demo-shortcut", "demo"):
        vlm = load_vlm(name)
        grid, medfocus = build_method("grid", vlm), MedFocus(vlm, segmenter, also=())
        on_marker: list[bool] = []
        named: list[bool] = []
        lungs: list[bool] = []
        kept: list[bool] = []
        whole: list[bool] = []
        for phantom, question in asked_of(vlm, count, CHEATS, marker=True):
            heat: Any = grid.attribute(phantom.image, question).heat
            top = heat == heat.max()
            on_marker.append(bool((top.numpy() & phantom.artefacts["marker"].mask).any()))
            result = medfocus.attribute(phantom.image, question)
            anatomy = phantom.causes.concepts_of(CHEATS)
            names = {result.concept, *(() if result.concept is None else concept_members(result, result.concept))}
            named.append(bool(names & {*anatomy}))
            lungs.append(bool(names & {"left lung", "right lung"}))
            whole.append(result.whole_image)
            bare = phantom.do(**{CHEATS: 0.0})
            kept.append(ask(vlm, picture_of(bare.image), [question])[0].reading == "yes")
        rows.append(
            {
                "model": name,
                "questions": len(named),
                "yes although the finding is removed": share(kept),
                "grid: top cell on the marker": share(on_marker),
                "MedFocus names the lung of the finding": share(named),
                "either lung": share(lungs),
                "MedFocus names nothing": share(whole),
            }
        )
        findings.append(
            f"{name}: top cell on the marker {share(on_marker)}; the finding's lung named {share(named)}; "
            f"nothing {share(whole)}"
        )
    return Section(
        "twin",
        "The model that cheats",
        f"Films with a side marker about which the model says that there is {FINDING_PHRASES[CHEATS]}; half of them "
        f"have it. {count} per model. Grid: 14 x 14 cells, the cell of the largest effect. Pass: twin, top cell on "
        "the marker in at least 0.80, finding's anatomy (its lung, or both) named in under 0.20; honest, top cell off "
        "the marker in at least 0.95.",
        rows,
        findings,
    )


def concept_members(result: Any, name: str) -> tuple[str, ...]:
    """The members of a composite."""
    return next(tuple(one.members) for one in result.concepts if one.name == name)


def checks(count: int) -> Section:
    """Completeness, maps that are never zero, and maps of weights that mean nothing."""
    vlm = load_vlm("demo")
    network = build_model(build_processor(), seed=99)
    untaught = FAMILIES["llava"](network.requires_grad_(False), build_processor())
    rows, findings = [], []
    names = [name for name in METHODS if name not in ("medfocus", "prompt-boxes", "prompt-phrases")]
    samples = [
        (chest(FIRST + 50_000 + seed, findings=[finding]), finding)
        for seed in range(count)
        for finding in ("effusion_left", "cardiomegaly")
    ]
    for name in names:
        alike, zero, missed = [], 0, []
        for phantom, finding in samples:
            question = finding_question(FINDING_PHRASES[finding])
            taught = build_method(name, vlm).attribute(phantom.image, question, answer="Yes")
            blank = build_method(name, untaught).attribute(phantom.image, question, answer="Yes")
            one, other = (np.asarray(found.heat, dtype=np.float64).ravel() for found in (taught, blank))
            zero += not one.any()
            alike.append(float(np.corrcoef(one, other)[0, 1]) if one.std() and other.std() else 0.0)
            if name == "integrated-gradients":
                settings = taught.provenance["settings"]
                missed.append(abs(settings["missed"]) / max(abs(settings["difference"]), 1e-9))
        row = {
            "method": name,
            "maps": len(samples),
            "identically zero": zero,
            "correlation with random weights, median": float(np.median(alike)),
            "largest": float(np.max(alike)),
        }
        if missed:
            row["missed of the difference, largest"] = float(np.max(missed))
            findings.append(f"integrated gradients miss the difference by at most {100 * max(missed):.1f} %")
        rows.append(row)
    return Section(
        "checks",
        "Are the maps those of the model?",
        f"{len(samples)} phantoms, the answer Yes. Pass: integrated gradients sum to the difference within 5 %; no "
        "GradCAM map is identically zero; maps of random weights are unlike (correlation near 0).",
        rows,
        findings,
    )


def cost(count: int) -> Section:
    """CPU seconds and forwards of a question by method, and of plain forwards beside them."""
    vlm = load_vlm("demo")
    segmenter = ConceptSegmenter()
    rows, findings = [], []
    phantoms = [chest(FIRST + 70_000 + seed, findings=["effusion_left"]) for seed in range(count)]
    question = finding_question(FINDING_PHRASES["effusion_left"])
    found = [segmenter(phantom.image) for phantom in phantoms]
    ratios = []
    for phantom, concepts in zip(phantoms, found, strict=True):
        medfocus = MedFocus(vlm, segmenter, also=())
        one = ask(vlm, picture_of(phantom.image), [question])[0]
        # both twice, in turns, and the quicker of each: other programs run on the machine
        ours, plain = [], []
        for _ in range(3):
            start = process_time()
            result = medfocus.attribute(phantom.image, question, concepts=concepts, answer=one.answer.text)
            ours.append(process_time() - start)
            stack = picture_of(phantom.image).pixels[None].expand(result.runtime.forwards, -1, -1, -1).contiguous()
            start = process_time()
            vlm.log_probs(stack, one.prompt, one.answer)
            plain.append(process_time() - start)
        ratios.append(min(ours) / min(plain))
    findings.append(
        f"all of `attribute` with known concepts takes {np.median(ratios):.3f} times the same number of plain "
        f"forwards (median of {count}; range {min(ratios):.3f} to {max(ratios):.3f})"
    )
    for name in METHODS:
        if name == "prompt-phrases":
            continue  # needs a detector and SAM, whose weights do not come along
        options = {"segmenter": segmenter} if name == "medfocus" else {}
        seconds, forwards = [], []
        for phantom in phantoms:
            start = process_time()
            result = build_method(name, vlm, **options).attribute(phantom.image, question)
            seconds.append(process_time() - start)
            forwards.append(result.runtime.forwards)
        rows.append(
            {"method": name, "CPU seconds, median": float(np.median(seconds)), "forwards": int(np.median(forwards))}
        )
    return Section(
        "cost",
        "What a question costs",
        f"{count} phantoms of 224 x 224, one question each, one thread; CPU time with answer and segmentation. "
        "MedFocus here with its three maskings. Pass: all counterfactuals at most 1.1 times as many plain forwards.",
        rows,
        findings,
    )


def real(folder: Path, pictures: Path, count: int = 10) -> Section:
    """Real films run through; nothing is claimed about the answers, for the model knows phantoms only."""
    vlm = load_vlm("demo")
    medfocus = MedFocus(vlm)
    rows = []
    for path in sorted(one for one in folder.rglob("*") if one.suffix.lower() in (".png", ".jpg"))[:count]:
        image = read_image(path, name="the image").mean(0)
        results = medfocus.attribute_all(
            image, [finding_question(FINDING_PHRASES[name]) for name in ("cardiomegaly", "effusion_left", "nodule")]
        )
        save_overlay(pictures / f"{path.stem}.png", image, results[0])
        rows.append(
            {
                "film": path.stem,
                "size": f"{image.shape[0]} x {image.shape[1]}",
                "answers": ", ".join(read_answer(result.answer.text) for result in results),
                "named": ", ".join(str(result.concept) for result in results),
                "seconds": round(results[0].runtime.seconds, 2),
            }
        )
    return Section(
        "real",
        "Ten real films, as a test of robustness",
        "Ten radiographs, three questions each (cardiomegaly, left pleural effusion, a lung nodule). The model has "
        "seen phantoms only: its answers mean nothing. Pass: every film runs through.",
        rows,
        [f"{len(rows)} of {count} films ran through"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--images", type=Path, help="a folder of chest radiographs, for the part real")
    parser.add_argument("--pictures", type=Path, default=Path("medfocus_real"), help="where pictures of them go")
    parser.add_argument("--count", type=int, default=100, help="questions per model of the part twin")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = options.parts.split(",")
    few = 3 if options.quick else options.count
    made = []
    for part in PARTS:
        if part not in chosen or (part == "real" and options.images is None):
            continue
        if part == "real":
            options.pictures.mkdir(parents=True, exist_ok=True)
            made.append(real(options.images, options.pictures))
        else:
            made.append(
                {"twin": twin, "checks": checks, "cost": cost}[part](
                    few if part == "twin" else (2 if options.quick else 5)
                )
            )
    command = f"python benchmarks/medfocus.py --out docs/results --parts {options.parts} --count {options.count}"
    machine = describe_machine()
    today = datetime.date.today().isoformat()
    write_report(
        options.out,
        "medfocus-checks",
        made,
        {"quick": options.quick, "machine": machine, "date": today, "command": command, "seed": FIRST},
        schema=SCHEMA,
        title="MedFocus beside known causes: the twin, checks, cost, real films",
        closing=f"{today}; `{command}`; phantoms from seed {FIRST:,}. {machine['cpu']}, {machine['cores']} cores, "
        f"shared with other programs, {machine['memory_gib']} GiB; versions and load in the JSON.",
    )


if __name__ == "__main__":
    main()
