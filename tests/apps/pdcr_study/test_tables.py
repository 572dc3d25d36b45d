# SPDX-License-Identifier: Apache-2.0
"""The tables of a journal written by hand are those worked out on paper."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from monai_causal.apps.pdcr_study.report import write_report
from monai_causal.apps.pdcr_study.table import Table
from monai_causal.apps.pdcr_study.tables.attribution import (
    ALL,
    attribution_table,
    comparison_table,
    curve_table,
    paired_values,
)
from monai_causal.apps.pdcr_study.tables.checks import (
    component_table,
    fill_table,
    network_table,
    tracing_table,
    verification_table,
)
from monai_causal.apps.pdcr_study.tables.maps import convergence_table, histogram_table, profile_table, settings_table
from monai_causal.metrics.statistics import paired_bootstrap, wilcoxon
from tests.apps.pdcr_study.hand import CONFIG, Hand, pdcr, worth


def rows_of(table: Table | None) -> list[dict[str, Any]]:
    assert table is not None
    return list(table.rows)


def test_the_attribution_averages_rois_before_images_and_keeps_images_that_all_methods_have(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    hand.add("one", 0, "PdCR", pdcr([0.0], 1.0))
    hand.add("one", 0, "PdCR", pdcr([0.0], 3.0), roi="boundary-32 b")
    hand.add("one", 0, "RISE", worth(0.5))
    hand.add("one", 1, "PdCR", pdcr([0.0], 4.0))
    hand.add("one", 1, "RISE", worth(1.5))
    hand.add("one", 2, "PdCR", pdcr([0.0], 100.0))
    hand.add("one", 2, "RISE", None, reason="out of memory")
    hand.add("two", 0, "PdCR", pdcr([0.0], 6.0))
    hand.add("two", 0, "RISE", worth(2.5))
    found = hand.findings()
    assert paired_values(found, "attribution") == {
        "one": {"PdCR": [2.0, 4.0], "RISE": [0.5, 1.5]},
        "two": {"PdCR": [6.0], "RISE": [2.5]},
        ALL: {"PdCR": [4.0], "RISE": [1.5]},
    }
    table = attribution_table(found)
    assert [(row["network"], row["method"], row["images"], row["mean"]) for row in rows_of(table)] == [
        ("one", "PdCR", 2, 3.0), ("one", "RISE", 2, 1.0), ("two", "PdCR", 1, 6.0), ("two", "RISE", 1, 2.5),
        (ALL, "PdCR", 1, 4.0), (ALL, "RISE", 1, 1.5),
    ]  # fmt: skip
    expected = paired_bootstrap([2.0, 4.0], n=500)
    assert (rows_of(table)[0]["low"], rows_of(table)[0]["high"]) == (expected.low, expected.high)
    assert rows_of(table)[2]["low"] is None  # one image has no interval
    assert table is not None
    assert "| two | 1 | **6** | 2.5 |" in table.markdown()


def test_a_network_without_an_image_that_all_methods_have_is_named(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    for network in ("one", "two"):
        hand.add(network, 0, "PdCR", pdcr([0.0], 1.0))
    hand.add("one", 0, "RISE", worth(0.5))
    hand.add("two", 0, "RISE", None, reason="no answer")
    table = attribution_table(hand.findings())
    assert {row["network"] for row in rows_of(table)} == {"one"}
    assert table is not None
    assert table.note.endswith("Left out, for no image has a value of every method: two.")


def test_where_only_pdcr_gave_maps_nobody_is_compared(tmp_path: Path) -> None:
    hand = Hand(tmp_path, methods=[{"name": "pdcr", "label": "PdCR"}])
    hand.add("one", 0, "PdCR", pdcr([0.0]))
    found = hand.findings()
    assert attribution_table(found) is comparison_table(found) is curve_table(found) is None


def test_the_paired_test_is_that_of_the_images(tmp_path: Path) -> None:
    hand = Hand(tmp_path, networks=CONFIG["networks"][:1])
    a, b = [3.0, 5.0, 4.0, 2.0], [1.0, 1.0, 5.0, 2.0]
    for unit in range(4):
        hand.add("one", unit, "PdCR", pdcr([0.0], a[unit]))
        hand.add("one", unit, "RISE", worth(b[unit]))
    (row,) = rows_of(comparison_table(hand.findings()))
    assert (row["first"], row["second"], row["images"], row["difference"]) == ("PdCR", "RISE", 4, 1.25)
    assert (row["wins"], row["losses"], row["ties"]) == (2, 1, 1)
    assert row["p"] == row["p_holm"] == wilcoxon(a, b)


def test_the_curve_is_the_mean_over_networks_and_images(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    for network, height in (("one", 1.0), ("two", 3.0)):
        for unit in range(2):
            hand.add(network, unit, "PdCR", pdcr([0.0], curve=(0.0, height, height + unit)))
            hand.add(network, unit, "RISE", worth(1.0, (0.0, 0.0, height)))
    found = {(row["method"], row["regions"]): row["mean"] for row in rows_of(curve_table(hand.findings()))}
    assert found == {
        ("PdCR", 0): 0.0, ("RISE", 0): 0.0, ("PdCR", 1): 2.0, ("RISE", 1): 0.0, ("PdCR", 2): 2.5, ("RISE", 2): 2.0,
    }  # fmt: skip
    areas = {
        (row["network"], row["method"]): row["mean"] for row in rows_of(attribution_table(hand.findings(), "area"))
    }
    assert areas["one", "PdCR"] == ((0.5 + 1.0) / 2 + (0.5 + 1.5) / 2) / 2
    assert areas["two", "RISE"] == 0.75


def test_the_profile_is_averaged_over_images_and_its_rows_sum_to_a_hundred(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    hand.add("one", 0, "PdCR", pdcr([-4.0, -0.1, 0.0, 0.5]))
    hand.add("one", 1, "PdCR", pdcr([0.0, 0.0, 0.0, 2.0]))
    (row,) = rows_of(profile_table(hand.findings()))
    assert (row["supporting"], row["suppressing"], row["irrelevant"]) == (25.0, 25.0, 50.0)
    assert (row["minimum"], row["maximum"], row["images"]) == (-2.0, 1.25, 2)
    shares = [row["share"] for row in rows_of(histogram_table(hand.findings()))]
    assert shares == [12.5, 0.0, 0.0, 12.5, 50.0, 0.0, 12.5, 12.5, 0.0]
    assert sum(shares) == 100.0


def test_convergence_is_the_distance_from_the_last_mean(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    hand.add("one", 0, "PdCR", pdcr([-2.0]))  # draws -1, -3, -2, -2: the mean is -2
    found = {row["draws"]: row["mean"] for row in rows_of(convergence_table(hand.findings()))}
    assert found == {1: 1.0, 2: 0.0, 3: 0.0}


def test_settings_agree_with_the_one_that_asked_most(tmp_path: Path) -> None:
    methods = [{"name": "pdcr", "label": label} for label in ("few", "many")]
    hand = Hand(tmp_path, methods=methods)
    hand.add("one", 0, "few", {**pdcr([-1.0, 0.0, 2.0, 1.0], 2.0), "evaluations": 10})
    hand.add("one", 0, "many", {**pdcr([-1.0, 0.5, 1.0, 2.0], 4.0), "evaluations": 90})
    few, many = rows_of(settings_table(hand.findings()))
    assert (few["evaluations"], few["relevant"], few["mean"]) == (10, 75.0, 2.0)
    assert few["same_call"] == 0.75
    assert few["correlation"] == pytest.approx(0.8)
    assert (many["same_call"], many["correlation"]) == (None, None)


def test_verification_is_turned_so_that_more_is_more(tmp_path: Path) -> None:
    hand = Hand(tmp_path, verification={"method": "PdCR"})
    for unit, (effect, p) in enumerate([(-4.0, 0.05), (2.0, 0.5)]):
        one = {"regions": 3, "effect": effect, "random": [-1.0, 1.0], "p": p}
        checked = {"named": one, "supporting": {**one, "effect": -4.0, "random": [-1.0, 0.0]}, "suppressing": None}
        hand.add("one", unit, "PdCR", pdcr([0.0], verification=checked))
    named, supporting = rows_of(verification_table(hand.findings()))
    assert (named["regions"], named["effect"], named["random"], named["mean"]) == ("named", 3.0, 1.0, 2.0)
    assert (supporting["effect"], supporting["random"], supporting["mean"]) == (4.0, 0.5, 3.5)
    assert (named["significant"], named["maps"], supporting["maps"]) == (1, 2, 2)


def test_tracing_counts_what_was_and_was_not_traced(tmp_path: Path) -> None:
    hand = Hand(tmp_path, networks=CONFIG["networks"][:1], tracing={"errors": ["false-positive"]})
    joint = {"regions": 2, "effect": -0.5, "random": [-0.25, 0.0], "p": 0.05}
    hand.add("one", 0, "false-positive", {"traced": False, "wrong": 0.0}, "tracing", "own")
    hand.add("one", 1, "false-positive", {"traced": True, "wrong": 0.75, "share": 0.8}, "tracing", "own")
    found = {"traced": True, "wrong": 0.5, "share": 0.6, "joint": joint}
    hand.add("one", 2, "false-positive", found, "tracing", "own")
    (row,) = rows_of(tracing_table(hand.findings()))
    assert [row[key] for key in ("images", "boxes", "named", "wrong", "before", "effect", "random", "mean")] == [
        3, 2, 1, 0.5, 0.6, -0.5, -0.125, -0.375,
    ]  # fmt: skip


def test_components_and_fills_are_averaged_over_images(tmp_path: Path) -> None:
    hand = Hand(tmp_path, fills={"fills": ["zero"]})
    for unit, effect in enumerate((-2.0, -4.0)):
        found = {"components": ["stem", "head"], "effects": [effect, 0.0], "relevant": [unit == 0, False]}
        hand.add("one", unit, "blocks", found, "components")
        measures = dict.fromkeys(("disruption", "unchanged", "plausible", "seam", "agreement", "effect"), unit / 2)
        hand.add("one", unit, "fills", {"zero": {**measures, "reliability": None}}, "fills")
    stem, head = rows_of(component_table(hand.findings()))
    assert (stem["mean"], stem["relevant"], stem["maps"], head["mean"]) == (-3.0, 1, 2, 0.0)
    fills = {row["measure"]: (row["mean"], row["images"]) for row in rows_of(fill_table(hand.findings()))}
    assert fills["disruption"] == (0.25, 2)
    assert fills["reliability"] == (None, 0)


def test_the_networks_dice_leaves_out_what_has_none(tmp_path: Path) -> None:
    row = rows_of(network_table(Hand(tmp_path).findings()))[0]
    assert (row["network"], row["images"], row["mean"]) == ("one", 2, 85.0)


def test_the_csv_gives_back_every_digit(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    hand.add("one", 0, "PdCR", pdcr([-1 / 3, 0.0, 0.0]))
    table = profile_table(hand.findings())
    (read,) = csv.DictReader(io.StringIO(table.csv() if table else ""))
    (row,) = rows_of(table)
    assert {key: float(read[key]) for key in ("supporting", "minimum")} == {
        key: row[key] for key in ("supporting", "minimum")
    }


def test_the_page_says_what_failed_and_what_is_missing(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    hand.add("one", 0, "PdCR", pdcr([-1.0, 0.5]))
    hand.add("one", 0, "RISE", worth(1.0))
    hand.add("two", 0, "RISE", None, reason="RuntimeError: out of memory")
    write_report(tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert "3 of 100 items done, 1 failed, **97 not yet done**." in page
    assert "- 1 x RuntimeError: out of memory (two / image-0 / boundary-32 / RISE)" in page
    assert "torch 2; seed 0" in page
    assert {"profile.png", "curves.png", "attribution.png", "histogram.png", "convergence.png"} <= {
        path.name for path in tmp_path.iterdir()
    }
