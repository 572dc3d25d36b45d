# SPDX-License-Identifier: Apache-2.0
"""In a real browser, from disk: sliders, hover, keys, methods and sorting work; no complaint, no request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monai_causal.report import write_report
from tests.report import samples
from tests.report.chromium import Chromium, program

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="Chromium is not installed (Debian: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as running:
        yield running


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser") / "study"
    samples.explained(folder / "pdcr")
    for method in ("dea", "ega"):
        samples.explained(folder / method, method=method)
    samples.explained(folder / "volume", shape=(24, 32, 40), digest="d2")
    samples.attributed(folder / "chest" / "1.json", question='<script>alert("1")</script>')
    samples.benchmark(folder / "bench")
    return write_report(folder)


@pytest.fixture
def opened(browser: Chromium, page: Path) -> Iterator[Chromium]:
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(page)
    yield browser
    assert browser.complaints == []
    assert browser.requests == []


def middle(browser: Chromium, selector: str, x: float = 0.5, y: float = 0.5) -> tuple[float, float]:
    """A place within an element, on the window."""
    box: Any = browser.run(
        f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center', behavior: "
        "'instant'}); const b = e.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; })()"
    )
    return box[0] + x * box[2], box[1] + y * box[3]


# Texts whose colour is too near to that of what lies behind them (WCAG 2.2, 1.4.3).
CONTRAST = """
(() => {
  const part = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const over = (front, back) => {
    const a = front[3] ?? 1;
    return [0, 1, 2].map((at) => a * front[at] + (1 - a) * back[at]);
  };
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const behind = (node) => {
    if (!node) return [255, 255, 255];
    const own = numbers(getComputedStyle(node).backgroundColor);
    return (own[3] ?? 1) === 1 ? own.slice(0, 3) : over(own, behind(node.parentElement));
  };
  const faint = [];
  for (const node of document.querySelectorAll("body *")) {
    const text = [...node.childNodes].some((one) => one.nodeType === 3 && one.textContent.trim());
    if (!text || node.closest("script, style, svg") || node.checkVisibility() === false) continue;
    const back = behind(node), front = over(numbers(getComputedStyle(node).color), back);
    const [high, low] = [light(front), light(back)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) faint.push(`${node.tagName}.${node.className}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(faint)];
})()
"""


def view_of(browser: Chromium, method: str) -> str:
    """The selector of a method's view in the case of three methods."""
    return str(
        browser.run(
            "(() => { const v = [...document.querySelectorAll('.view')].find(e => e.getAttribute('aria-label') === "
            f"{method!r}); return `#${{v.closest('.case').id}} [data-view=\"${{v.dataset.view}}\"]`; }})()"
        )
    )


def test_hover_tells_region_effect_interval_and_draws(opened: Chromium) -> None:
    view = opened.run("'#' + document.querySelector('.explained[data-unit=\"Dice points\"] .readout').id")
    stage = str(opened.run(f"(() => {{ const e = document.querySelector({view!r}).closest('.explained');"
                           "e.dataset.test = 'hover'; return '[data-test=hover] .stage'; })()"))  # fmt: skip
    opened.run("document.querySelector('[data-test=hover]').closest('.view').hidden = false")
    opened.move(*middle(opened, stage, 12 / 32, 12 / 32))
    said = opened.run(f"document.querySelector({view!r}).textContent")
    assert said == (
        "Region 5: \u221212.5 Dice points (95 % interval \u221213.8 to \u221211.2) from 7 draws; supports the answer, "
        "named by the method."
    )
    assert opened.run("document.querySelector('[data-test=hover] .mark').getAttribute('width')") == "8"
    opened.move(*middle(opened, stage, 2 / 32, 2 / 32))
    assert opened.run("document.querySelector('[data-test=hover] .mark').getAttribute('width')") == "0"


def test_keys_step_through_regions_zoom_and_move(opened: Chromium) -> None:
    opened.run(
        "(() => { const e = document.querySelector('.explained[data-unit=\"nats\"]'); e.dataset.test = 'keys';"
        "e.querySelector('.stage').focus(); })()"
    )
    readout = "document.querySelector('[data-test=keys] .readout').textContent"
    opened.press("n")
    assert str(opened.run(readout)).startswith("Region heart: +2.5 nats")
    opened.press("n")
    assert str(opened.run(readout)).startswith("Region left lung: +0.25 nats")
    opened.press("+")
    transform = "document.querySelector('[data-test=keys] .canvas').style.transform"
    assert "scale(1.5)" in opened.run(transform)
    before = opened.run(transform)
    opened.press("ArrowRight")
    assert opened.run(transform) != before
    opened.press("0")
    assert opened.run(transform) == ""


def test_opacity_and_slices_follow_their_sliders(opened: Chromium) -> None:
    found = opened.run(
        "(() => { const e = document.querySelector('.planes.three').closest('.explained');"
        "const set = (s, v) => { s.value = v; s.dispatchEvent(new Event('input')); };"
        "set(e.querySelector('.opacity'), 30); const s = e.querySelector('.slice'), b = e.querySelector('.base');"
        "const map = e.querySelector('.map'), before = b.src, shown = !map.hidden; set(s, 20);"
        "return [map.style.opacity, shown, map.hidden === false, e.querySelector('output').value,"
        " s.getAttribute('aria-valuetext'), before === b.src]; })()"
    )
    assert found == ["0.3", True, True, "20", "slice 20", True]  # the test's image is the same in every slice
    assert opened.run(
        "(() => { const e = document.querySelector('.planes.three').closest('.explained');"
        "const s = e.querySelector('.slice'); s.value = 2; s.dispatchEvent(new Event('input'));"
        "return e.querySelector('.map').hidden; })()"
    )


def test_a_method_is_switched_on_and_off(opened: Chromium) -> None:
    third = view_of(opened, "pdcr")  # folders are read in their names' order: dea, ega, pdcr
    assert opened.run(f"document.querySelector({third!r}).hidden") is True
    case = third.partition(" ")[0]
    opened.run(f"document.querySelectorAll({(case + ' .methods input')!r})[2].click()")
    assert opened.run(f"document.querySelector({third!r}).hidden") is False
    opened.run(f"document.querySelectorAll({(case + ' .methods input')!r})[0].click()")
    assert opened.run(f"document.querySelector({(case + ' [data-view]')!r}).hidden") is True


def test_a_column_sorts_by_its_numbers_and_back(opened: Chromium) -> None:
    click = (
        "(() => { const t = [...document.querySelectorAll('section.table')].find(e => e.textContent.includes("
        "'methods.csv')); const h = t.querySelectorAll('thead th'); h[{place}].querySelector('button').click();"
        "return [h[{place}].getAttribute('aria-sort'), [...t.querySelectorAll('tbody tr')].map(r => "
        "r.cells[0].textContent)]; })()"
    )
    by_cost = click.replace("{place}", "3")
    assert opened.run(by_cost) == ["ascending", ["beta", "alpha", "gamma"]]
    assert opened.run(by_cost) == ["descending", ["gamma", "alpha", "beta"]]
    assert opened.run(click.replace("{place}", "2")) == ["ascending", ["beta", "gamma", "alpha"]]


def test_hover_and_table_say_the_same_numbers(opened: Chromium) -> None:
    row = "document.querySelector('.explained[data-unit=\"Dice points\"] tr[data-r]')"
    cells = opened.run(f"[...{row}.cells].slice(1, 4).map(cell => cell.textContent.trim())")
    opened.run(f"{row}.click()")
    said = opened.run(f"{row}.closest('.explained').querySelector('.readout').textContent")
    assert cells == ["\u221212.5", "\u221213.8 to \u221211.2", "7"]  # -11.25 is a tie, which two roundings would break
    assert f"{cells[0]} Dice points (95 % interval {cells[1]}) from {cells[2]} draws" in said


@pytest.mark.parametrize(("plane", "first", "end"), [(0, 24, 32), (1, 24, 32), (2, 24, 32)])
def test_the_box_that_was_asked_about_is_on_its_slices_only(opened: Chromium, plane: int, first: int, end: int) -> None:
    seen = opened.run(
        f"(() => {{ const v = document.querySelector('.planes.three').querySelectorAll('.viewer')[{plane}];"
        "const s = v.querySelector('.slice'), r = v.querySelector('rect.asked'), found = [];"
        "const look = () => r.getAttribute('visibility') === 'visible';"
        "found.push(['start', Number(v.querySelector('output').value), look()]);"
        "for (let at = Number(s.min); at <= Number(s.max); at++) { s.value = at; s.dispatchEvent(new Event('input'));"
        "found.push(['', Number(v.querySelector('output').value), look()]); } return found; })()"
    )
    assert len(seen) == 1 + (24, 32, 40)[plane]
    assert [(index, shown) for _, index, shown in seen] == [(index, first <= index < end) for _, index, _ in seen]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_window(opened: Chromium, page: Path, width: int, dark: bool) -> None:
    opened.open(page, width, 800, dark)
    assert opened.run("document.documentElement.scrollWidth") <= width
    # A screen reader and a reader with poor eyes: letters stand out from what is behind them by 4.5 to 1 at least.
    faint = opened.run(CONTRAST)
    assert faint == []


def test_what_is_folded_away_is_printed(opened: Chromium) -> None:
    opened.run("dispatchEvent(new Event('beforeprint'))")
    opened.call("Emulation.setEmulatedMedia", media="print")
    try:
        shown = opened.run(
            "[...document.querySelectorAll('table.effects')].every(t => t.closest('details').open) &&"
            " getComputedStyle(document.querySelector('.controls')).display === 'none' &&"
            " [...document.querySelectorAll('.scroll')].every(e => e.scrollHeight <= e.clientHeight + 1) &&"
            " document.documentElement.scrollWidth <= innerWidth"
        )
    finally:
        opened.call("Emulation.setEmulatedMedia", media="")
    assert shown is True


def test_hostile_texts_are_read_as_they_are(browser: Chromium, tmp_path: Path) -> None:
    hostile = '<script>document.title="owned"</script>"\' \u202e\u05d0\u05d1 {{ 7 * 7 }}'
    samples.explained(tmp_path / "r" / "a", digest=hostile, notes=(hostile,))
    samples.attributed(tmp_path / "r" / "1.json", question=hostile + "x" * 10_000)
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(write_report(tmp_path / "r", title=hostile), 400)
    assert str(browser.run("document.title")).startswith(hostile)
    assert browser.run("document.querySelector('h1').textContent") == hostile
    assert browser.run(f"[...document.querySelectorAll('.warnings li')].some(e => e.textContent === {hostile!r})")
    assert browser.run("document.documentElement.scrollWidth") <= 400
    assert browser.run("document.querySelectorAll('script:not([type])').length") == 1
    assert (browser.complaints, browser.requests) == ([], [])


def test_a_picture_is_enlarged_and_closed_again(opened: Chromium) -> None:
    opened.run("document.querySelector('.enlarge').click()")
    assert opened.run("document.querySelector('dialog').open && !!document.querySelector('dialog img')") is True
    opened.run("document.querySelector('dialog button').click()")
    assert opened.run("document.querySelector('dialog').open") is False
