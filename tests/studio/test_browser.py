# SPDX-License-Identifier: Apache-2.0
"""In a real browser: tap, ask, watch, hover, change, save, question; no complaint, and nothing leaves the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from nibabel import Nifti1Image, save

from tests.guards.checkout import ROOT
from tests.report.chromium import Chromium, program
from tests.studio.driving import Studio, serving

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="Chromium is not installed (Debian: apt-get install chromium)"),
]

HOSTILE = '<script>document.title="owned"</script>"\' \u05d0\u05d1\u05d2'


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as running:
        yield running


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    with serving("--device", "cpu") as address:
        yield address


def asked(browser: Chromium, demo: str, fill: str = "zero", patch: str = "32") -> Studio:
    """The demo's phantom with a RoI around its object, asked about with something quick."""
    studio = Studio(browser, demo)
    studio.wait("status", "Tap on the coloured part")
    browser.click(*studio.at(52 / 128, 48 / 128))
    studio.wait("status", "class 2")
    studio.choose("Regions are replaced by", fill)
    studio.choose("Patch size", patch)
    return studio


def test_a_tap_chooses_maps_arrive_and_hover_tells(browser: Chromium, demo: str, tmp_path: Path) -> None:
    studio = asked(browser, demo)
    assert browser.run("labelled('RoI as spans').value") == "36:68,32:64"
    studio.push("explain")
    studio.wait("status", "Done")
    assert studio.words("outcome").startswith("pdcr with 32 x 32 voxels: map 2 of 2.")
    browser.move(*studio.at(112 / 128, 112 / 128))  # the marker, which the demo's network cheats by
    told = browser.until("tooltip('draws')", 20)
    assert told[0] == "15"
    assert float(told[1].replace("\u2212", "-")) < -10
    assert told[4] == "1"
    studio.choose("Folder for results", str(tmp_path / "kept"))
    studio.push("save")
    studio.wait("status", "Saved")
    assert (tmp_path / "kept" / "01-pdcr" / "pdcr" / "effects.csv").is_file()
    studio.check()


def test_a_part_is_chosen_and_a_box_typed_by_keyboard(browser: Chromium, demo: str) -> None:
    studio = Studio(browser, demo)
    studio.wait("status", "Tap on the coloured part")
    studio.choose("Parts of the segmentation", 1)
    studio.wait("status", "class 2")
    assert browser.run("labelled('RoI as spans').value") == "38:69,33:63"
    browser.run("(() => { const e = labelled('RoI as spans'); e.focus(); e.select(); })()")
    browser.type("40:56,40:72")
    browser.press("Enter")
    browser.until("labelled('RoI as spans').value === '40:56,40:72'")
    browser.run("(() => { const e = labelled('RoI as spans'); e.focus(); e.select(); })()")
    browser.type(HOSTILE)
    browser.press("Enter")
    studio.wait("status", "one per axis")
    assert HOSTILE in studio.words("status").replace("\\'", "'")
    studio.check()


def test_another_method_is_asked_and_its_values_are_told(browser: Chromium, demo: str) -> None:
    studio = asked(browser, demo)
    studio.choose("Method", "gpa")
    studio.push("explain")
    studio.wait("status", "Done")
    assert studio.words("outcome").startswith("gpa: map 1 of 1.")
    browser.move(*studio.at(0.4, 0.4))
    browser.until("tooltip('map')", 20)
    studio.check()


def test_a_long_question_is_given_up_and_the_page_stays_alive(browser: Chromium, demo: str) -> None:
    studio = asked(browser, demo, "surroundings, with texture of the image", "4")
    studio.push("explain")
    studio.wait("outcome", "map 1 of 3")
    studio.choose("Edge of the box", "16")  # it answers meanwhile
    studio.push("cancel")
    studio.wait("status", "Cancelled. The last complete map stays.")
    studio.choose("Regions are replaced by", "zero")
    studio.choose("Patch size", "32")
    studio.push("explain")
    studio.wait("status", "Done")
    studio.check()


def test_what_cannot_be_opened_is_said_as_text(browser: Chromium, demo: str) -> None:
    studio = Studio(browser, demo)
    studio.wait("status", "Tap on the coloured part")
    studio.choose("Image, DICOM study or MONAI bundle", HOSTILE + "/" + "x" * 10_000)
    studio.push("open")
    studio.wait("message", "This cannot be opened")
    studio.choose("Image, DICOM study or MONAI bundle", str(ROOT / "bundles" / "pdcr_segmentation_explanation"))
    studio.push("open")
    studio.wait("status", "Tap on the coloured part")
    studio.check()


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_a_telephone(browser: Chromium, demo: str, dark: bool) -> None:
    studio = Studio(browser, demo, width=400, height=800, dark=dark)
    studio.wait("status", "Tap on the coloured part")
    assert browser.run("document.documentElement.scrollWidth") <= 400
    studio.check()


def test_a_volume_is_turned_over_and_asked_about(browser: Chromium, tmp_path: Path) -> None:
    from tests.apps.explain.bundles import volume_bundle

    volume = np.full((32, 32, 16), -57.0)
    volume[4:14, 10:22, 4:12] = 164.0
    save(Nifti1Image(volume.astype(np.float32), np.diag([2.0, 2.0, 3.0, 1.0])), tmp_path / "v.nii.gz")
    bundle = volume_bundle(tmp_path / "bundle", (12, 0, 0), (2.0, 2.0, 3.0), (24, 24, 16))
    with serving(str(tmp_path / "v.nii.gz"), "--model", str(bundle), "--device", "cpu") as address:
        studio = Studio(browser, address)
        studio.wait("status", "Tap on the coloured part")
        studio.choose("Parts of the segmentation", 1)
        studio.wait("status", "dashed box")
        studio.choose("Slices along axis", "0")
        studio.choose("Regions are replaced by", "zero")
        studio.choose("Patch size", "16")
        studio.push("explain")
        studio.wait("status", "Done")
        assert "regions matter" in studio.words("outcome")
        studio.check()


def test_a_radiograph_is_questioned(browser: Chromium, tmp_path: Path) -> None:
    with serving(str(ROOT / "bundles" / "medfocus_cxr")) as address:
        studio = Studio(browser, address)
        studio.wait("status", "Type a question")
        studio.click("labelled('Question')")
        browser.type("Is there evidence of cardiomegaly in the image?")
        studio.push("ask")
        studio.wait("status", "Done")
        said = studio.words("outcome")
        assert "Answer: Yes" in said
        assert "It rests on: cardiac silhouette." in said
        browser.move(*studio.at(0.6, 0.55))
        browser.until("tooltip('concept')", 20)
        studio.click("labelled('Question')")
        browser.run("labelled('Question').select()")
        browser.type(HOSTILE)
        studio.push("ask")
        studio.wait("outcome", HOSTILE.split("'")[0])
        studio.choose("Folder for results", str(tmp_path))
        studio.push("save")
        studio.wait("status", "Saved")
        assert sorted(path.name for path in (tmp_path / "01-medfocus").iterdir()) == ["1.json", "1.png", "image.png"]
        studio.check()
