# SPDX-License-Identifier: Apache-2.0
"""The tables: lists of rows, dictionaries with the same keys."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from monai_causal.apps.mcdrl.intervals import Interval, Site, hierarchical
from monai_causal.apps.mcdrl.judgement import REFERENCE, RULE_CONTROLS
from monai_causal.apps.mcdrl.method_names import METHODS
from monai_causal.apps.mcdrl.plan import Run
from monai_causal.apps.mcdrl.results import Results
from monai_causal.metrics.statistics import holm

__all__ = ["TABLES", "comparison_table", "labelled", "method_table", "runtime_table"]

Row = dict[str, Any]
MEASURES = ("dice", "iou", "accuracy", "assd", "any_dice", "recall")


def method_table(results: Results) -> list[Row]:
    """Dice in and out of distribution, over the seeds under which a method is finished in every task; the columns of
    single test sets are there as soon as one seed is."""
    rows = []
    for label in results.methods:
        seeds = results.seeds(label)
        row: Row = {**_named(results, label), "seeds": len(seeds)}
        for kind in ("in", "out"):
            found = _interval(results, [_site(results, label, *one, seeds) for one in results.sets(kind)], seeds)
            row |= {
                kind: found and found.value,
                f"{kind}_low": found and found.low,
                f"{kind}_high": found and found.high,
            }
        by_seed = [
            fmean(float(_site(results, label, *one, [seed]).values.mean()) for one in results.sets("out"))
            for seed in (seeds if results.sets("out") else ())
        ]
        row["out_seed_sd"] = statistics.stdev(by_seed) if len(by_seed) > 1 else None
        of_sets = {name: _set_mean(results, label, task, name) for task, name in results.sets("out")}
        known = {name: value for name, value in of_sets.items() if value is not None}
        worst = min(known, key=lambda name: known[name]) if len(known) == len(of_sets) and known else None
        row |= {"worst": known[worst] if worst else None, "worst_set": worst}
        rows.append(row | {f"out: {name}": value for name, value in of_sets.items()})
    return rows


def comparison_table(results: Results, reference: str | None = None) -> list[Row]:
    """MCDRL minus each other method: macro Dice out of distribution, paired; Holm over the rule's three controls, and
    over the other comparisons apart from these. With another ``reference`` (what tables call it) no rule is judged."""
    controls = [] if reference else [labelled(results, name) for name in RULE_CONTROLS]
    reference = reference or labelled(results, REFERENCE)
    if reference is None or not results.sets("out"):
        return []
    rows: list[Row] = []
    for label in results.methods:
        if label == reference:
            continue
        seeds = results.seeds(reference, label)
        sites = []
        for one in results.sets("out"):
            mine, other = (_site(results, method, *one, seeds) for method in (reference, label))
            sites.append(Site(mine.values - other.values, mine.groups))
        found = _interval(results, sites, seeds)
        gains = [float(site.values.mean()) for site in sites] if seeds else []
        rows.append(
            {
                **_named(results, label), "rule": label in controls, "seeds": len(seeds),
                "difference": found and found.value, "low": found and found.low, "high": found and found.high,
                "p": found and found.p, "p_holm": None,
                "sets_ahead": sum(gain > 0 for gain in gains), "sets": len(gains),
                "seeds_ahead": sum(
                    fmean(float(site.values[place].mean()) for site in sites) > 0 for place in range(len(seeds))
                ),
            }
        )  # fmt: skip
    for of_rule in (True, False):
        family = [row for row in rows if row["rule"] == of_rule and row["p"] is not None]
        for row, p in zip(family, holm([row["p"] for row in family]) if family else (), strict=True):
            row["p_holm"] = float(p)
    return rows


def measure_table(results: Results) -> list[Row]:
    """Every measure on every test set: the mean over the runs' means. Distances are not defined for an empty mask."""
    rows = []
    for label in results.methods:
        for kind in ("in", "out"):
            for task, name in results.sets(kind):
                of_runs = [_rows(results, run, name) for run in results.rows if (run.task, run.method) == (task, label)]
                if not of_runs:
                    continue
                row: Row = {**_named(results, label), "task": task, "set": name, "kind": kind, "runs": len(of_runs)}
                row |= {
                    "images": len(of_runs[0]),
                    "without_lesion": sum(one["lesion_share"] == 0 for one in of_runs[0]),
                }
                for measure in MEASURES:
                    means = [fmean(some) for one in of_runs if (some := _known(one, measure))]
                    row[measure] = fmean(means) if means else None
                row["without_distance"] = fmean(len(one) - len(_known(one, "assd")) for one in of_runs)
                rows.append(row)
    return rows


def invariance_table(results: Results) -> list[Row]:
    """Under do(confounder): the spread of a scene's Dice (largest minus smallest, and standard deviation), the
    agreement of its answers with that under white light, and how far its features move."""
    rows = []
    for label in results.methods:
        seeds = [seed for seed in results.seeds(label) if Run(results.tasks[0], label, seed) in results.do_rows]
        by_seed = [_scenes(results, Run(results.tasks[0], label, seed)) for seed in seeds]
        for severity in dict.fromkeys(severity for scenes in by_seed[:1] for severity, _ in scenes):
            names = tuple(name for one, name in by_seed[0] if one == severity)
            row: Row = {**_named(results, label), "severity": severity, "scenes": len(names), "seeds": len(seeds)}
            for key in ("spread", "sd", "agreement", "feature"):
                found = [[scenes[severity, name][key] for name in names] for scenes in by_seed]
                # A network without such a map has no features at any scene.
                whole = all(value is not None for line in found for value in line)
                interval = _interval(results, [Site(np.array(found), names)] if whole else [], seeds)
                row |= {key: interval and interval.value, f"{key}_low": interval and interval.low}
                row[f"{key}_high"] = interval and interval.high
            rows.append(row)
    return rows


def confounder_table(results: Results) -> list[Row]:
    """Mean Dice of the scenes under each confounder."""
    rows = []
    for label in results.methods:
        mine = [row for run, some in results.do_rows.items() if run.method == label for row in some]
        for severity in dict.fromkeys(row["severity"] for row in mine):
            row: Row = {**_named(results, label), "severity": severity}
            for confounder in dict.fromkeys(one["confounder"] for one in mine):
                row[confounder] = fmean(
                    one["dice"] for one in mine if (one["severity"], one["confounder"]) == (severity, confounder)
                )
            rows.append(row)
    return rows


def run_table(results: Results) -> list[Row]:
    """What came of each training."""
    rows = []
    for run in results.runs:
        entry = results.entries.get(run.key)
        if entry is not None:
            row: Row = {**run.record(), "selection": results.config.selection}
            row |= {
                name: entry[name]
                for name in ("epochs", "best_epoch", "intervening", "parameters", "trained_parameters")
            }
            row |= {"last_loss": entry["losses"][-1] if entry["losses"] else None, "weights": entry["weights"]}
            for kind in ("in", "out"):
                some = [one["dice"] for one in results.rows[run] if one["kind"] == kind]
                row[kind] = fmean(some) if some else None
            rows.append(row)
    return rows


def missing_table(results: Results) -> list[Row]:
    """What was planned and is not finished."""
    return [run.record() for run in results.missing]


def images_table(results: Results) -> list[Row]:
    """Every image of every run."""
    return [row for run in results.runs for row in results.rows.get(run, ())]


def do_table(results: Results) -> list[Row]:
    """Every scene under every confounder of every run."""
    return [row for run in results.runs for row in results.do_rows.get(run, ())]


def runtime_table(results: Results) -> list[Row]:
    """Wall-clock seconds of training and tests; those of an interrupted run are of its last part."""
    rows = []
    for label in results.methods:
        some = [
            results.timing[run.key]["seconds"]
            for run in results.runs
            if run.method == label and run.key in results.timing
        ]
        rows.append(
            {"method": label, "runs": len(some), "median_seconds": statistics.median(some) if some else None}
        )  # fmt: skip
    return rows


TABLES: dict[str, Callable[[Results], list[Row]]] = {
    "methods": method_table,
    "comparisons": comparison_table,
    "measures": measure_table,
    "invariance": invariance_table,
    "confounders": confounder_table,
    "runs": run_table,
    "missing": missing_table,
    "images": images_table,
    "scenes": do_table,
}
"""All but the times, by the name of their file."""


def labelled(results: Results, name: str) -> str | None:
    """What tables call the method itself, with the study's own settings; None if the study has it not."""
    return next((one.label for one in results.config.methods if one.name == name and one.plain), None)


def _named(results: Results, label: str) -> Row:
    info = METHODS[results.config.method(label).name]
    return {"method": label, "title": info.title, "role": info.role, "selection": results.config.selection}


def _interval(results: Results, sites: Sequence[Site], seeds: Sequence[int]) -> Interval | None:
    if not sites or not seeds:
        return None
    settings = results.config.statistics
    return hierarchical(sites, n=settings.resamples, level=settings.level)


def _site(results: Results, label: str, task: str, name: str, seeds: Sequence[int]) -> Site:
    """A method's Dice on a test set, seed by seed."""
    by_seed = [_rows(results, Run(task, label, seed), name) for seed in seeds]
    for rows in by_seed[1:]:
        if [row["sample"] for row in rows] != [row["sample"] for row in by_seed[0]]:
            raise ValueError(f"{task}, {name}: runs of {label} were tested on other images under another seed.")
    groups = tuple(row["group"] for row in by_seed[0]) if by_seed else ()
    return Site(np.array([[row["dice"] for row in rows] for rows in by_seed]), groups)


def _set_mean(results: Results, label: str, task: str, name: str) -> float | None:
    runs = [run for run in results.rows if (run.task, run.method) == (task, label)]
    return fmean(fmean(row["dice"] for row in _rows(results, run, name)) for run in runs) if runs else None


def _rows(results: Results, run: Run, name: str) -> list[Row]:
    return [row for row in results.rows[run] if row["set"] == name]


def _known(rows: Sequence[Row], measure: str) -> list[float]:
    return [row[measure] for row in rows if row[measure] is not None]


def _scenes(results: Results, run: Run) -> dict[tuple[float, str], Row]:
    """By severity and scene, what its confounders do."""
    gathered: dict[tuple[float, str], list[Row]] = {}
    for row in results.do_rows[run]:
        gathered.setdefault((row["severity"], row["scene"]), []).append(row)
    found = {}
    for key, rows in gathered.items():
        dice = [row["dice"] for row in rows]
        features = _known(rows, "feature")
        found[key] = {
            "spread": max(dice) - min(dice),
            "sd": statistics.pstdev(dice),
            "agreement": fmean(_known(rows, "agreement")),
            "feature": fmean(features) if features else None,
        }
    return found
