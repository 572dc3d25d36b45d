# SPDX-License-Identifier: Apache-2.0
"""Answers about cohorts whose maps are written by hand, so that every number is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_causal.cohort.answers import in_words, write_answers
from monai_causal.cohort.answers.blocks import blocks
from monai_causal.cohort.answers.mean_maps import MeanMaps
from monai_causal.cohort.config import as_config
from monai_causal.cohort.gather import gather
from monai_causal.cohort.run import run_cohort
from monai_causal.metrics import paired_bootstrap

pytest.importorskip("pyarrow", reason="extra 'bench' is not installed")

NAMES = ("heart", "left lung", "right lung", "marker")


def gathered(tmp_path: Path, items: Sequence[Mapping[str, Any]]) -> Path:
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "list.json").write_text(json.dumps({"training": [{"image": "a.png", **item} for item in items]}))
    (tmp_path / "a.png").write_bytes(b"a")
    settings = {"items": {"kind": "decathlon", "path": str(tmp_path / "list.json")}}
    run_cohort(as_config({**settings, "job": {"name": "tests.cohort.told:Told"}}), tmp_path / "out")
    gather(tmp_path / "out")
    return tmp_path / "out" / "tables"


def region(number: int, effect: float, model: str = "net", **more: Any) -> dict[str, Any]:
    return {"model": model, "method": "m", "region": number, "effect": effect, "unit": "nats", **more}


def right(value: float, model: str = "net", **more: Any) -> dict[str, Any]:
    return {"model": model, "method": "m", "name": "right", "value": value, **more}


def named(effects: Sequence[float], model: str = "net") -> list[dict[str, Any]]:
    return [region(number, effect, model, name=NAMES[number]) for number, effect in enumerate(effects)]


def test_shares_count_patients_once_and_sites_apart(tmp_path: Path) -> None:
    items = [
        {"regions": named([-4, 0, 0, 1]), "measures": [], "site": "a", "patient": "x"},
        {"regions": named([-2, -1, -1, -1]), "measures": [], "site": "a", "patient": "x"},
        {"regions": named([0, 0, 0, 2]), "measures": [], "site": "b", "patient": "y"},
        {"regions": named([-1, -1, 0, 0], "other"), "measures": []},
    ]
    found = write_answers(gathered(tmp_path, items), resamples=100)
    rows = {(row["model"], row["site"]): row for row in found["shares"]}
    assert set(rows) == {("net", "all"), ("net", "a"), ("net", "b"), ("other", "all")}
    one_patient = (0.25 + 1.0) / 2
    assert rows["net", "a"]["supporting"] == one_patient
    assert rows["net", "a"]["units"] == 1
    assert rows["net", "all"]["supporting"] == (one_patient + 0.0) / 2
    assert rows["net", "all"]["irrelevant"] == ((0.5 + 0.0) / 2 + 0.75) / 2
    assert rows["net", "all"]["strongest_support"] == ((-4 - 2) / 2 + 0) / 2
    assert rows["net", "all"]["maps"] == 3


def test_what_a_method_calls_irrelevant_has_no_effect_in_a_map(tmp_path: Path) -> None:
    regions = [region(0, -3.0, relevant=False, name="heart"), region(1, -1.0, relevant=True, name="left lung")]
    tables = gathered(tmp_path, [{"regions": regions, "measures": []}])
    (block,) = blocks(tables)
    assert block.effects.tolist() == [0.0, -1.0]


def test_mean_maps_are_aligned_at_the_roi_and_known_cell_by_cell(tmp_path: Path) -> None:
    def at(rows: int, columns: int, centre: tuple[float, float], strongest: tuple[int, int]) -> list[dict[str, Any]]:
        cells = [(row, column) for row in range(rows) for column in range(columns)]
        return [
            region(
                number,
                -8.0 if (row, column) == strongest else 0.0,
                offset=[8.0 * row + 4 - centre[0], 8.0 * column + 4 - centre[1]],
            )
            for number, (row, column) in enumerate(cells)
        ]

    # The RoI lies elsewhere in each image, and the support always one cell to its right and two above.
    items = [
        {"regions": at(6, 6, (28.0, 20.0), (1, 3)), "measures": []},
        {"regions": at(6, 6, (36.0, 12.0), (2, 2)), "measures": []},
        {"regions": at(7, 5, (20.0, 4.0), (0, 1)), "measures": []},
    ]
    tables = gathered(tmp_path, items)
    maps = MeanMaps()
    for block in blocks(tables):
        maps.add(block)
    means = {tuple(row["offset"]): row["effect"] for row in maps.rows()}
    assert [place for place, effect in means.items() if effect] == [(-12.0, 12.0)]
    assert means[-12.0, 12.0] == -8.0
    (kind,) = maps.maps
    heat, (left, right_edge, bottom, top) = maps.grid(kind) or (None, (0, 0, 0, 0))
    assert heat is not None
    row, column = np.unravel_index(int(np.nanargmin(heat)), heat.shape)
    assert top + 8 * (row + 0.5) == -12
    assert left + 8 * (column + 0.5) == 12
    assert bottom > top
    assert right_edge > left
    write_answers(tables, resamples=100)
    assert (tables / "mean_maps.png").exists()


def test_the_case_that_is_right_for_another_reason_comes_first(tmp_path: Path) -> None:
    usual = [named([-3 - 0.1 * number, -1.0, -0.9, 0.0]) for number in range(6)]
    items = [{"regions": regions, "measures": [right(1.0)]} for regions in usual]
    items[2] = {"regions": named([0.0, 0.0, 0.0, -4.0]), "measures": [right(1.0)]}  # it reads the marker
    items[4] = {"regions": named([0.0, 0.0, -0.1, -4.0]), "measures": [right(0.0)]}  # and so does one that is wrong
    tables = gathered(tmp_path, items)
    found = write_answers(tables, resamples=100)
    assert found["outliers"][0]["item"] == 2
    assert found["outliers"][-1]["item"] == 4
    first = found["outliers"][0]
    maps = np.array([[row["effect"] for row in item["regions"]] for item in items])
    expected = 1 - np.corrcoef(maps[2], np.delete(maps, 2, 0).mean(0))[0, 1]
    assert first["strangeness"] == pytest.approx(expected, abs=1e-12)
    assert first["right"] == 1.0
    assert "Look at item 2: net is right (1.00)" in in_words(found, tables)
    page = (tables / "answers.md").read_text()
    assert page.index("Look at these first") < page.index("What the maps are made of")


def test_three_cannot_say_which_of_them_is_odd_and_who_is_like_the_others_is_not_named(tmp_path: Path) -> None:
    few = [{"regions": named([-3.0, -1.0, -0.9, 0.2 * number]), "measures": [right(1.0)]} for number in range(3)]
    assert write_answers(gathered(tmp_path / "few", few), resamples=100)["outliers"] == []
    enough = [{"regions": named([-3.0, -1.0, -0.9, 0.2 * number]), "measures": [right(1.0)]} for number in range(4)]
    tables = gathered(tmp_path / "enough", enough)
    found = write_answers(tables, resamples=100)
    assert len(found["outliers"]) == 4
    assert "Look at item" not in in_words(found, tables)


def test_comparisons_are_those_of_the_paired_bootstrap_over_patients(tmp_path: Path) -> None:
    first, second = [0.9, 0.8, 0.7, 0.95, 0.6], [0.5, 0.7, 0.6, 0.4, 0.65]
    items = [
        {"regions": [], "measures": [right(a), right(b, "other")], "site": "north" if number < 3 else "south"}
        for number, (a, b) in enumerate(zip(first, second, strict=True))
    ]
    items.append({"regions": [], "measures": [right(0.1)]})  # the other model has no answer to it
    found = write_answers(gathered(tmp_path, items), resamples=500)
    (row,) = found["comparisons"]
    expected = paired_bootstrap(first, second, n=500)
    assert (row["first"], row["second"], row["units"]) == ("net, m", "other, m", 5)
    assert (row["difference"], row["low"], row["high"]) == (expected.difference, expected.low, expected.high)
    means = {(one["model"], one["site"]): one["mean"] for one in found["measures"]}
    assert means["net", "north"] == pytest.approx(0.8)
    assert means["other", "south"] == pytest.approx(0.525)
    assert means["net", "all"] == pytest.approx(np.mean([*first, 0.1]))


def test_a_cohort_without_maps_has_answers_too(tmp_path: Path) -> None:
    found = write_answers(gathered(tmp_path, [{"regions": [], "measures": []}]), resamples=100)
    assert found["items"] == {"done": 1}
    assert found["outliers"] == found["shares"] == found["comparisons"] == []
    assert not (tmp_path / "out" / "tables" / "mean_maps.png").exists()
