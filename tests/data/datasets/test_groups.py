# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from monai_causal.data.datasets import DatasetError, load_dataset, sites_of, split_by_group
from tests.data.datasets.trees import mask, picture


def test_no_patient_is_in_two_parts() -> None:
    items = [{"id": f"{number}", "patient": f"P{number % 31}"} for number in range(200)]
    parts = split_by_group(items, (0.7, 0.1, 0.2), seed=1)
    assert sorted(item["id"] for part in parts for item in part) == sorted(item["id"] for item in items)
    patients = [{item["patient"] for item in part} for part in parts]
    assert sum(map(len, patients)) == 31
    for part, fraction in zip(parts, (0.7, 0.1, 0.2), strict=True):
        assert len(part) == pytest.approx(200 * fraction, abs=7)  # one patient has six or seven items
        assert [int(item["id"]) for item in part] == sorted(int(item["id"]) for item in part)


def test_a_split_belongs_to_the_seed_and_not_to_the_order_of_the_items() -> None:
    items = [{"id": f"{number}", "patient": f"P{number // 3}"} for number in range(60)]
    first, second = split_by_group(items, (0.5, 0.5), seed=4)
    assert (first, second) == split_by_group(items, (0.5, 0.5), seed=4)
    turned = split_by_group(items[::-1], (0.5, 0.5), seed=4)
    assert [sorted(item["id"] for item in part) for part in turned] == [
        sorted(item["id"] for item in part) for part in (first, second)
    ]
    assert first != split_by_group(items, (0.5, 0.5), seed=5)[0]
    assert [
        item["id"] for item in split_by_group([{"id": "a"}, {"id": "b"}, {"id": "c"}], (0.34, 0.66), seed=0)[0]
    ] == ["b"]


def test_an_unknown_patient_is_a_group_of_its_own_and_a_centre_can_be_one() -> None:
    items = [{"id": f"{number}", "centre": f"C{number % 4}", "patient": None} for number in range(40)]
    assert [len(part) for part in split_by_group(items, (0.5, 0.25, 0.25))] == [20, 10, 10]
    parts = split_by_group(items, (0.5, 0.5), key="centre")
    assert [Counter(item["centre"] for item in part).most_common(1)[0][1] for part in parts] == [10, 10]


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ((0.5, 0.4), r"fractions=\(0\.5, 0\.4\): give one above 0 for each part, together 1"),
        ((1.0, 0.0), "give one above 0"),
        ((), "give one above 0"),
        ((0.98, 0.02), "2 groups of 8 items leave part 1 of 2 empty"),
    ],
)
def test_bad_fractions(fractions: tuple, message: str) -> None:
    items = [{"id": f"{number}", "patient": f"P{number % 2}"} for number in range(8)]
    with pytest.raises(ValueError, match=message):
        split_by_group(items, fractions)


def test_sites_and_their_items_keep_their_order() -> None:
    items = [{"id": name, "site": site} for name, site in zip("abcde", ("B", "A", "B", 7, "A"), strict=True)]
    items.append({"id": "f", "site": "7"})
    sites = sites_of(items)
    assert list(sites) == ["B", "A", "7"]
    assert {site: "".join(item["id"] for item in its) for site, its in sites.items()} == {
        "B": "ac",
        "A": "be",
        "7": "df",
    }
    assert sites["B"][1] is items[2]


@pytest.mark.parametrize("site", [{}, {"site": None}, {"site": ""}])
def test_an_item_without_site_is_named_with_its_data_set(site: dict, tmp_path: Path) -> None:
    picture(tmp_path / "images" / "Surname.png")
    mask(tmp_path / "masks" / "Surname.png")
    (item,) = load_dataset("isic", tmp_path)
    with pytest.raises(DatasetError, match=r"item 1 of 2, of the data set 'isic', has no 'site': set item") as caught:
        sites_of([{"id": "a", "site": "A"}, {**item, **site}])
    assert "Surname" not in str(caught.value)
    with pytest.raises(DatasetError, match=r"of the data set '\(not named\)'"):
        sites_of([{"id": "b"}])


def test_a_site_of_one_image_and_no_items_are_errors() -> None:
    items = [{"id": "a", "site": "A"}, {"id": "b", "site": "X"}, {"id": "c", "site": "A"}]
    with pytest.raises(DatasetError, match=r"site 'X' has one image: .* leave the site out"):
        sites_of(items)
    with pytest.raises(DatasetError, match="there are no items"):
        sites_of([])
