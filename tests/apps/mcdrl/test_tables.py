# SPDX-License-Identifier: Apache-2.0
"""Tables against values worked out by hand, from results that nobody ran."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_causal.apps.mcdrl.config import LosoConfig, as_config
from monai_causal.apps.mcdrl.intervals import Site, hierarchical
from monai_causal.apps.mcdrl.plan import Run
from monai_causal.apps.mcdrl.results import Results
from monai_causal.apps.mcdrl.tables import TABLES, comparison_table, labelled, runtime_table
from monai_causal.metrics.statistics import holm

# By method, site and seed the Dice of the images.
DICE: dict[str, dict[str, list[list[float]]]] = {
    "mcdrl": {"A": [[0.9, 0.7, 0.8], [0.8, 0.6, 0.7]], "B": [[0.5, 0.6], [0.6, 0.7]]},
    "random": {"A": [[0.8, 0.6, 0.6], [0.9, 0.5, 0.6]], "B": [[0.4, 0.2], [0.6, 0.5]]},
    "learned": {"A": [[0.9, 0.7, 0.8], [0.8, 0.6, 0.7]], "B": [[0.5, 0.6], [0.6, 0.7]]},
    "baseline": {"A": [[0.1, 0.2, 0.3]], "B": [[0.1, 0.1]]},
}
GROUPS = {"A": ("a1", "a1", "a2"), "B": ("b1", "b2")}


def config(**changes: Any) -> LosoConfig:
    data = {"kind": "sites", "sets": [{"name": "polypgen"}]}
    content = {"data": data, "methods": list(DICE), "seeds": [0, 1], "statistics": {"resamples": 400}, **changes}
    return as_config(content)


def image(run: Run, name: str, kind: str, number: int, group: str, dice: float) -> dict[str, Any]:
    return {
        **run.record(), "set": name, "kind": kind, "site": name, "sample": f"{name}-{number}", "group": group,
        "condition": name, "dice": dice, "iou": dice / 2, "accuracy": 1.0, "assd": None if number else 3.0,
        "any_dice": dice, "recall": None, "lesion_share": 0.0 if number else 0.1,
    }  # fmt: skip


def results(dice: dict[str, dict[str, list[list[float]]]] | None = None, **changes: Any) -> Results:
    settings = config(**changes)
    tasks = [
        {
            "task": site, "train": 9, "validation": 2, "left_out": 0,
            "tests": [
                {"set": f"sources of {site}", "kind": "in", "images": 1, "groups": 1},
                {"set": site, "kind": "out", "images": len(GROUPS[site]), "groups": 2},
            ],
        }
        for site in GROUPS
    ]  # fmt: skip
    study = {"config": settings.record(), "tasks": tasks, "digest": settings.digest(), "rule": "", "versions": {}}
    found = Results(Path("/nowhere"), study, {}, {}, {}, {})
    for method, of_sites in (dice or DICE).items():
        for site, of_seeds in of_sites.items():
            for seed, values in enumerate(of_seeds):
                run = Run(site, method, seed)
                found.entries[run.key] = {
                    "epochs": 3, "best_epoch": None, "parameters": 5, "trained_parameters": 4, "losses": [0.5, 0.25],
                    "weights": "0f", "intervening": None,
                }  # fmt: skip
                found.rows[run] = [image(run, f"sources of {site}", "in", 0, "s", 0.9)] + [
                    image(run, site, "out", number, GROUPS[site][number], value) for number, value in enumerate(values)
                ]
    return found


def row(rows: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    (found,) = [one for one in rows if all(one[key] == value for key, value in wanted.items())]
    return found


def test_macro_counts_each_site_alike_and_the_worst_is_named() -> None:
    found = row(TABLES["methods"](results()), method="mcdrl")
    assert found["out: A"] == pytest.approx(0.75)
    assert found["out: B"] == pytest.approx(0.6)
    assert found["out"] == pytest.approx((0.75 + 0.6) / 2)
    assert (found["worst"], found["worst_set"], found["seeds"]) == (pytest.approx(0.6), "B", 2)
    # by seed: (.8 + .55) / 2 and (.7 + .65) / 2: the same
    assert found["out_seed_sd"] == pytest.approx(0)
    assert found["in"] == pytest.approx(0.9)


def test_an_interval_is_the_hierarchical_one() -> None:
    found = row(TABLES["methods"](results()), method="mcdrl")
    sites = [Site(np.array(DICE["mcdrl"][name]), GROUPS[name]) for name in GROUPS]
    wanted = hierarchical(sites, n=400)
    assert (found["out_low"], found["out_high"]) == (wanted.low, wanted.high)


def test_a_patient_in_the_sources_of_several_sites_is_one_patient() -> None:
    """ "Sources of A" and "sources of B" share patients: one weight each, whichever set they are in."""
    chance = np.random.default_rng(0)
    of_patient = chance.normal(0.5, 0.2, 12)
    wide, narrow = results(), results()
    for found, of_site in ((wide, False), (narrow, True)):
        for run, rows in found.rows.items():
            rows[:] = rows[1:] + [
                image(run, f"sources of {run.task}", "in", number, f"{run.task if of_site else 'p'}{number}", value)
                for number, value in enumerate(of_patient.tolist())
            ]
    ends = [row(TABLES["methods"](found), method="mcdrl") for found in (wide, narrow)]
    widths = [one["in_high"] - one["in_low"] for one in ends]
    assert ends[0]["in"] == pytest.approx(ends[1]["in"])
    assert widths[0] > 1.25 * widths[1]  # by hand, twice the same twelve patients: the root of two


def test_an_unfinished_seed_is_in_no_mean_over_sites() -> None:
    dice = {**DICE, "mcdrl": {"A": DICE["mcdrl"]["A"], "B": DICE["mcdrl"]["B"][:1]}}
    found = results(dice)
    mine = row(TABLES["methods"](found), method="mcdrl")
    assert (mine["seeds"], mine["out"]) == (1, pytest.approx((0.8 + 0.55) / 2))
    assert mine["out: A"] == pytest.approx(0.75)  # of what there is
    nothing = row(TABLES["methods"](results({"mcdrl": {"A": DICE["mcdrl"]["A"]}})), method="mcdrl")
    assert (nothing["seeds"], nothing["out"], nothing["worst"]) == (0, None, None)
    assert nothing["out: A"] == pytest.approx(0.75)
    left = TABLES["missing"](found)
    assert [(one["task"], one["method"], one["seed"]) for one in left] == [
        ("A", "baseline", 1), ("B", "mcdrl", 1), ("B", "baseline", 1)
    ]  # fmt: skip


def test_comparisons_are_paired_over_the_seeds_of_both() -> None:
    rows = TABLES["comparisons"](results())
    assert [(one["method"], one["rule"], one["seeds"]) for one in rows] == [
        ("random", True, 2), ("learned", True, 2), ("baseline", False, 1)
    ]  # fmt: skip
    random = rows[0]
    differences = {name: np.array(DICE["mcdrl"][name]) - np.array(DICE["random"][name]) for name in GROUPS}
    wanted = hierarchical([Site(differences[name], GROUPS[name]) for name in GROUPS], n=400)
    assert random["difference"] == pytest.approx(float(np.mean([one.mean() for one in differences.values()])))
    assert (random["low"], random["high"], random["p"]) == (wanted.low, wanted.high, wanted.p)
    assert (random["sets_ahead"], random["sets"], random["seeds_ahead"]) == (2, 2, 2)
    assert (rows[1]["difference"], rows[1]["p"], rows[1]["sets_ahead"]) == (0, 1, 0)
    # baseline has the first seed alone: (.8 - .2 + .55 - .1) / 2
    assert rows[2]["difference"] == pytest.approx((0.6 + 0.45) / 2)


def test_holm_is_over_the_rules_controls_apart_from_the_others() -> None:
    rows = TABLES["comparisons"](results())
    assert [one["p_holm"] for one in rows[:2]] == pytest.approx(holm([rows[0]["p"], rows[1]["p"]]).tolist())
    assert rows[2]["p_holm"] == rows[2]["p"]


def test_a_variant_is_not_the_method_itself() -> None:
    variant = {"name": "mcdrl", "as": "deep", "network": {"depth": 5}}
    assert labelled(results(methods=[variant, "random"]), "mcdrl") is None
    assert TABLES["comparisons"](results(methods=[variant, "random"])) == []
    assert labelled(results(methods=[variant, {"name": "mcdrl", "as": "own"}]), "mcdrl") == "own"


def test_measures_leave_out_what_is_not_defined() -> None:
    found = row(TABLES["measures"](results()), method="mcdrl", set="A")
    assert (found["runs"], found["images"], found["without_lesion"], found["without_distance"]) == (2, 3, 2, 2)
    assert (found["assd"], found["recall"], found["iou"]) == (3.0, None, pytest.approx(0.375))


def test_oracle_selection_is_in_every_row() -> None:
    found = results(selection="oracle")
    for name in ("methods", "comparisons", "measures", "runs"):
        assert {one["selection"] for one in TABLES[name](found)} == {"oracle"}


def test_invariance_by_hand() -> None:
    found = results()
    for seed, dice in enumerate(([0.9, 0.5, 0.7], [0.6, 0.6, 0.3])):
        run = Run("A", "mcdrl", seed)
        found.do_rows[run] = [
            {
                **run.record(), "scene": scene, "severity": 0.5, "confounder": confounder, "dice": value + shift,
                "agreement": agreement, "feature": feature,
            }
            for scene, shift in (("one", 0.0), ("two", 0.1))
            for confounder, value, agreement, feature in zip(
                ("white_light", "dim", "distant"), dice, (None, 0.8 + shift, None), (0.2, 0.4, None), strict=True
            )
        ]  # fmt: skip
    mine = row(TABLES["invariance"](found), method="mcdrl")
    assert (mine["scenes"], mine["seeds"], mine["severity"]) == (2, 2, 0.5)
    assert mine["spread"] == pytest.approx((0.4 + 0.3) / 2)
    assert mine["sd"] == pytest.approx((np.std([0.9, 0.5, 0.7]) + np.std([0.6, 0.6, 0.3])) / 2)
    assert mine["agreement"] == pytest.approx(0.85)
    assert mine["feature"] == pytest.approx(0.3)
    spreads = np.array([[0.4, 0.4], [0.3, 0.3]])
    assert mine["spread_high"] == pytest.approx(hierarchical([Site(spreads, ("one", "two"))], n=400).high)
    under = row(TABLES["confounders"](found), method="mcdrl")
    assert under["dim"] == pytest.approx((0.5 + 0.6) / 2 + 0.05)


def test_runs_on_other_images_are_not_averaged() -> None:
    found = results()
    found.rows[Run("A", "mcdrl", 1)][1]["sample"] = "another"
    with pytest.raises(ValueError, match="runs of mcdrl were tested on other images under another seed"):
        TABLES["methods"](found)


def test_times_are_a_table_of_their_own() -> None:
    found = results()
    for seed, seconds in enumerate((2.0, 4.0)):
        found.timing[Run("A", "mcdrl", seed).key] = {"seconds": seconds}
    assert row(runtime_table(found), method="mcdrl") == {"method": "mcdrl", "runs": 2, "median_seconds": 3.0}
    assert not any("seconds" in key for table in TABLES.values() for one in table(found) for key in one)


def test_another_reference_is_compared_with_all_and_judged_by_no_rule() -> None:
    found = results()
    of_mcdrl = {row["method"]: row for row in comparison_table(found)}
    rows = {row["method"]: row for row in comparison_table(found, "random")}
    assert set(rows) == {"mcdrl", "learned", "baseline"}
    assert rows["mcdrl"]["difference"] == pytest.approx(-of_mcdrl["random"]["difference"], abs=1e-12)
    assert not any(row["rule"] for row in rows.values())
    # one family of its own
    p = [row["p"] for row in rows.values() if row["p"] is not None]
    assert [row["p_holm"] for row in rows.values() if row["p"] is not None] == pytest.approx(list(holm(p)))
