# SPDX-License-Identifier: Apache-2.0
"""Tables against values worked out by hand, from a journal that was written by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from monai_causal.apps.segbench.plan import Run
from monai_causal.apps.segbench.results import Results, read_results
from monai_causal.apps.segbench.tables import TABLES, as_csv, curve_table, runtime_table
from tests.apps.segbench.tiny import written

FIRST, SECOND = Run("d", "n", 0), Run("d", "m", 0)


def values(tdd: float, odd_abs: float = 0.1, **more: float | None) -> dict[str, float | None]:
    return {"tdd": tdd, "odd": -odd_abs, "odd_abs": odd_abs, "insertion_gain": tdd / 2, **more}


TABLE: dict[Run, dict[str, dict[str, Any]]] = {
    FIRST: {
        "a": {"ega": values(0.1, stability=0.9), "dea": values(0.4, stability=0.5)},
        "b": {"ega": values(0.3), "dea": values(0.2)},
        "c": {"ega": values(0.2), "dea": values(0.9)},
    },
    SECOND: {
        "a": {"ega": values(0.5), "dea": values(0.3)},
        "b": {"ega": values(0.5), "dea": values(0.3)},
        "c": {"ega": values(0.2), "dea": values(0.3)},
    },
}


def results(tmp_path: Path, table: Any = TABLE, **changes: Any) -> Results:
    return read_results(written(tmp_path, table, **changes))


def row(rows: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    (found,) = [one for one in rows if all(one[key] == value for key, value in wanted.items())]
    return found


def test_table_1_is_over_runs(tmp_path: Path) -> None:
    rows = TABLES["table1"](results(tmp_path))
    ega, dea = row(rows, method="ega"), row(rows, method="dea")
    # EGA's runs have the means 0.2 and 0.4, DEA's 0.5 and 0.3
    assert (ega["runs"], ega["tdd_mean"], dea["tdd_mean"]) == (2, pytest.approx(0.3), pytest.approx(0.4))
    assert ega["tdd_sd"] == pytest.approx(0.2 / math.sqrt(2))
    assert dea["insertion_gain_mean"] == pytest.approx(0.2)
    # Only one run has a stability: no standard deviation
    assert (ega["stability_mean"], ega["stability_sd"], dea["leak_abs_mean"]) == (0.9, None, None)


def test_a_run_counts_alike_however_many_images_it_has(tmp_path: Path) -> None:
    table = {FIRST: {"a": {"ega": values(1.0)}}, SECOND: {name: {"ega": values(0.0)} for name in "abc"}}
    assert row(TABLES["table1"](results(tmp_path, table)), method="ega")["tdd_mean"] == 0.5


def test_wins_are_counted_by_runs(tmp_path: Path) -> None:
    rows = TABLES["wins"](results(tmp_path))
    assert row(rows, metric="tdd", first="ega", second="dea") == {
        "data": "d", "metric": "tdd", "first": "ega", "second": "dea", "runs": 2, "wins": 1, "losses": 1, "ties": 0
    }  # fmt: skip
    assert row(rows, metric="odd_abs")["ties"] == 2
    assert row(rows, metric="stability")["wins"] == 1


def test_lower_is_better_for_the_off_target_drop(tmp_path: Path) -> None:
    table = {FIRST: {name: {"ega": values(0.1, 0.1), "dea": values(0.1, 0.3)} for name in "ab"}}
    found = results(tmp_path, table)
    assert row(TABLES["wins"](found), metric="odd_abs")["wins"] == 1
    compared = row(TABLES["comparisons"](found), metric="odd_abs")
    assert (compared["wins"], compared["difference"]) == (2, pytest.approx(-0.2))


def test_comparisons_are_over_images_with_the_mean_of_their_runs(tmp_path: Path) -> None:
    rows = TABLES["comparisons"](results(tmp_path))
    found = row(rows, metric="tdd")
    # ega: a .3, b .4, c .2; dea: a .35, b .25, c .6
    gains = [0.3 - 0.35, 0.4 - 0.25, 0.2 - 0.6]
    assert found["difference"] == pytest.approx(sum(gains) / 3)
    assert (found["wins"], found["losses"], found["images"]) == (1, 2, 3)
    assert (found["there"], found["largest_shortfall"]) == ("c", pytest.approx(0.4))
    assert found["p"] == stats.wilcoxon(gains, zero_method="pratt").pvalue
    assert min(gains) <= found["low"] < found["difference"] < found["high"] <= max(gains)


def test_holm_corrects_over_all_rows_of_a_data_set(tmp_path: Path) -> None:
    table = {FIRST: {str(n): {"ega": values(0.1 * n, 0.1), "dea": values(0.2 * n, 0.1)} for n in range(1, 8)}}
    rows = TABLES["comparisons"](results(tmp_path, table))
    # TDD and insertion gain: seven of seven images, p = 2 / 2^7; off target: all equal, p = 1; no stability, no row
    assert [(one["metric"], one["p"], one["p_holm"]) for one in rows] == [
        ("tdd", 2 / 128, 3 * 2 / 128), ("odd_abs", 1.0, 1.0), ("insertion_gain", 2 / 128, 3 * 2 / 128)
    ]  # fmt: skip


def test_frames_of_one_patient_count_as_one(tmp_path: Path) -> None:
    table = {FIRST: {"a@p": {"ega": values(0.1)}, "b@p": {"ega": values(0.3)}, "c@q": {"ega": values(0.8)}}}
    found = row(TABLES["means"](results(tmp_path, table)), method="ega", metric="tdd")
    assert (found["images"], found["mean"]) == (2, pytest.approx((0.2 + 0.8) / 2))


def test_methods_are_compared_on_the_same_images_or_not_at_all(tmp_path: Path) -> None:
    table = {
        FIRST: {
            "whole": {"ega": values(0.2), "dea": values(0.4)},
            "failed": {"ega": values(0.9), "dea": None},
            "begun": {"ega": values(0.9)},
            "unseen": {"ega": values(0.9, score=0.0), "dea": values(0.9, score=0.0)},
        }
    }
    found = results(tmp_path, table)
    assert found.states() == {"complete": 1, "failed": 1, "no score": 1, "unfinished": 1}
    assert row(TABLES["runs"](found), method="ega")["tdd"] == 0.2
    assert TABLES["failures"](found) == [
        {"data": "d", "network": "n", "seed": 0, "sample": "failed", "method": "dea", "reason": "OSError: no"}
    ]
    assert len(TABLES["images"](found)) == 7


def test_the_least_score_leaves_images_out(tmp_path: Path) -> None:
    table = {FIRST: {"a": {"ega": values(0.2, score=0.04)}, "b": {"ega": values(0.4, score=0.06)}}}
    found = results(tmp_path, table, metrics={"least_score": 0.05})
    assert row(TABLES["runs"](found), method="ega")["tdd"] == 0.4


def test_worst_cases_are_single_images_of_single_runs(tmp_path: Path) -> None:
    rows = TABLES["worst"](results(tmp_path))
    assert [(one["network"], one["sample"], round(one["difference"], 9)) for one in rows] == [
        ("m", "a", -0.2), ("m", "b", -0.2), ("n", "b", -0.1)
    ]  # fmt: skip


def test_differences_within_a_run(tmp_path: Path) -> None:
    found = row(TABLES["run_differences"](results(tmp_path)), network="m")
    assert (found["difference"], found["wins"], found["losses"]) == (pytest.approx(0.1), 2, 1)


def test_curves_are_in_shares_of_the_intact_score(tmp_path: Path) -> None:
    folder = written(tmp_path, {FIRST: {"a": {"ega": values(0.1)}, "b": {"ega": values(0.1)}}})
    found = read_results(folder)
    for key, scores in ((f"{FIRST.name}|a|ega", [0.5, 0.1]), (f"{FIRST.name}|b|ega", [0.25, 0.15])):
        found.entries[key] |= {"deletion": scores, "insertion": scores[::-1]}
    rows = curve_table(found)
    assert [(one["curve"], one["fraction"], round(one["score"], 9)) for one in rows] == [
        ("deletion", 0.0, 1.0), ("deletion", 1.0, 0.4), ("insertion", 0.0, 0.4), ("insertion", 1.0, 1.0)
    ]  # fmt: skip


def test_times_are_a_table_of_their_own(tmp_path: Path) -> None:
    found = results(tmp_path)
    found.timing[f"{FIRST.name}|a|dea"] = {"explanation_seconds": 2.0}
    found.timing[f"{SECOND.name}|a|dea"] = {"explanation_seconds": 4.0}
    dea, ega = row(runtime_table(found), method="dea"), row(runtime_table(found), method="ega")
    assert (dea["explanations"], dea["median_seconds"], ega["median_seconds"]) == (2, 3.0, None)
    assert dea["tdd"] == pytest.approx(0.4)
    assert not any("seconds" in as_csv(table(found)) for table in TABLES.values())


def test_a_csv_has_every_digit() -> None:
    assert as_csv([{"a": 0.1 + 0.2, "b": None}, {"a": 1.0, "b": "x"}]) == "a,b\n0.30000000000000004,\n1.0,x\n"
    assert as_csv([]) == ""
