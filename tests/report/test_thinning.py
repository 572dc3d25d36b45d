# SPDX-License-Identifier: Apache-2.0
"""A page of many cases keeps the strongest regions of each, says so, and takes nothing from small cases."""

from __future__ import annotations

from monai_causal.report.content import Case, Region, View
from monai_causal.report.thinning import thinned


def case(count: int, chosen: int = 0) -> Case:
    """Regions whose effect grows with their number; the first ``chosen`` of them are chosen."""
    regions = tuple(Region(str(at), None, float(at), chosen=at < chosen) for at in range(count))
    return Case("c", (), (View("pdcr", "", regions=regions, listed=tuple(range(count - 1, -1, -1))),), "")


def names(one: Case) -> list[str]:
    return [region.name for region in one.views[0].regions]


def test_a_page_with_room_is_left_as_it_is() -> None:
    cases = (case(3), case(5))
    assert thinned(cases, 8) == cases


def test_large_cases_share_what_small_ones_leave() -> None:
    small, large, larger = thinned((case(2), case(6), case(9)), 10)
    assert (names(small), small.views[0].note) == (["0", "1"], "")
    assert names(large) == ["2", "3", "4", "5"]
    assert names(larger) == ["5", "6", "7", "8"]
    view = larger.views[0]
    assert view.measured == 9
    assert "Of 9 regions the 4 strongest can be pointed at" in view.note
    assert [view.regions[at].name for at in view.listed] == ["8", "7", "6", "5"]


def test_what_the_method_names_stays_first() -> None:
    (one,) = thinned((case(6, chosen=2),), 3)
    assert names(one) == ["0", "1", "5"]


def test_tables_of_many_cases_are_short() -> None:
    few, many = thinned((case(60),) * 2), thinned((case(60),) * 200)
    assert [len(one[0].views[0].listed) for one in (few, many)] == [60, 10]
    assert many[0].views[0].listed == tuple(range(59, 49, -1))
