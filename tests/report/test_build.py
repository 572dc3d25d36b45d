# SPDX-License-Identifier: Apache-2.0
"""A report is one file: whole, escaped, the same every time, small with many cases, and it asks nobody for anything."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_causal.report import write_report
from tests.report import samples
from tests.report.reading import Reading

HOSTILE = (
    '<script>alert("1")</script> & \'quote\' "double" </textarea> {{ 7*7 }} \u202eright to left\u202c \u05d0\u05d1'
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    folder = tmp_path_factory.mktemp("results") / "study"
    samples.explained(folder / "pdcr")
    samples.explained(folder / "dea", method="dea", notes=("a layer was chosen",))
    samples.explained(folder / "volume", shape=(24, 32, 40), digest="d2")
    samples.attributed(folder / "chest" / "1.json")
    samples.benchmark(folder / "bench")
    return Reading(write_report(folder))


def test_the_page_is_whole_and_asks_nobody(page: Reading) -> None:
    assert page.unbalanced == []
    assert {address.partition(":")[0] if ":" in address else address[:1] for address in page.addresses} == {"data", "#"}
    assert re.findall(r"https?:|//[a-z]|url\(|@import", re.sub(r"base64,[A-Za-z0-9+/=]+", "", page.source)) == []
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not [attributes for _, attributes in page.elements if "style" in attributes]  # its own policy forbids them


def test_links_and_descriptions_lead_somewhere(page: Reading) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(name, ids[0]) in ids
        if (attributes.get("href") or "").startswith("#"):
            assert attributes["href"][1:] in ids  # type: ignore[index]


def test_methods_on_one_image_stand_side_by_side(page: Reading) -> None:
    # pdcr and dea are of one image, the volume and the radiograph are of others
    assert page.source.count('<article class="case"') == 3
    assert [one["value"] for one in page.named("input") if one.get("type") == "checkbox"] == ["0", "1"]


def test_a_case_says_all_that_its_record_says(page: Reading) -> None:
    for text in ("unet-of-the-test", "seed", "17", "a layer was chosen", "no statement about a patient", "1.25"):
        assert text in page.text
    data = [json.loads(text) for tag, text in page.texts if tag == "script" and text.startswith('[["5"')]
    flat = [8, 16, 8, 16]
    assert data[0][0] == ["5", flat, 0, 1, 7, "-12.5", "-13.8", "-11.2"]
    assert data[0][1] == ["6", [16, 24, 16, 24], 1, 1, 9, "+3", "+2.5", "+3.5"]


def test_the_answer_s_words_are_coloured_by_what_they_lose(page: Reading) -> None:
    words = [one for one in page.named("span") if "token" in (one.get("class") or "")]
    assert [(one["class"], one["title"]) for one in words] == [
        ("token supports s9", "+2 nats"),
        ("token supports s2", "+0.5 nats"),
    ]
    assert "The answer rests on: heart (2.5 nats)." in page.text


def test_a_volume_has_three_planes_and_starts_where_the_map_is_strongest(page: Reading) -> None:
    viewers = [one for one in page.named("figure") if (one.get("data-through") or "") != ""]
    assert [(one["data-axes"], one["data-through"]) for one in viewers] == [("1 2", "0"), ("0 2", "1"), ("0 1", "2")]
    stacks = [json.loads(text) for tag, text in page.texts if tag == "script" and re.match(r'\[\[\d+,"data', text)]
    assert [len(stack) for stack in stacks] == [24, 32, 40]
    assert [[bool(one[2]) for one in stack].index(True) for stack in stacks] == [8, 8, 8]
    sliders = [int(one["value"] or 0) for one in page.named("input") if one.get("class") == "slice"]
    assert sliders == [8, 8, 8]


def test_tables_hold_full_digits_to_sort_by_and_intervals_to_read(page: Reading) -> None:
    assert 'data-v="0.125">0.125 <span class="interval">0.1 to 0.2</span>' in page.source
    assert "9 \u00b1 2" in page.text
    assert len([one for one in page.named("img") if one.get("class") == "chart"]) == 2


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    samples.explained(folder / "pdcr")
    samples.benchmark(folder / "bench")
    first = write_report(folder, tmp_path / "1.html").read_bytes()
    assert write_report(folder, tmp_path / "2.html").read_bytes() == first
    # a report in the folder itself is no result
    write_report(folder)
    assert write_report(folder, tmp_path / "3.html").read_bytes() == first


def test_hostile_names_and_texts_show_as_text(tmp_path: Path) -> None:
    long = "x" * 10_000
    folder = tmp_path / "<img src=x onerror=alert(1)>"
    samples.attributed(folder / "1.json", question=HOSTILE, notes=[HOSTILE, long])
    samples.explained(folder / "a'b\"c&d<b>", notes=(HOSTILE, "\ud800 half a letter"))
    (folder / "t.csv").write_text(f'"{HOSTILE.replace(chr(34), chr(34) * 2)}",n\n"=cmd()<i>",1\n')
    page = Reading(write_report(folder, title=HOSTILE))
    assert page.unbalanced == []
    assert [one for one in page.named("script") if one.get("type") != "application/json"] == [{}]
    assert page.named("i") == []
    assert page.named("b") == []
    assert not [one for one in page.named("img") if one.get("src") == "x"]
    whole = " ".join(data for _, data in page.texts)
    assert whole.count(HOSTILE) >= 4  # title, question, warning, a table's head
    assert long in whole
    assert "a'b\"c&d<b>" in whole


def test_two_hundred_cases_stay_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    folder = tmp_path / "many"
    first = samples.explained(folder / "000", digest="d0")
    for number in range(1, 200):
        case = folder / f"{number:03d}"
        case.mkdir()
        for name in ("map.nii.gz", "explanation.png"):
            (case / name).hardlink_to(first / name)
        summary = json.loads((first / "summary.json").read_text())
        summary["image"]["digest"] = f"d{number}"
        (case / "summary.json").write_text(json.dumps(summary))
        # nothing compresses worse than noise
        Image.fromarray(noise.integers(0, 255, (32, 32), dtype=np.uint8)).save(case / "image.png")
    path = write_report(folder)
    assert path.stat().st_size < 20_000_000
    assert Reading(path).source.count('<article class="case"') == 200


def test_an_image_is_shown_where_its_digest_says(tmp_path: Path) -> None:
    from monai_causal.apps.explain.weights import digest_of

    picture = tmp_path / "photo.png"
    Image.fromarray(np.full((32, 32), 200, dtype=np.uint8)).save(picture)
    mine = samples.explained(tmp_path / "r" / "mine", image=False, digest=digest_of(picture))
    samples.explained(tmp_path / "r" / "other", image=False, digest="d9")
    assert mine.is_dir()
    page = Reading(write_report(tmp_path / "r", images=[picture]))
    assert [(one["class"] or "").strip() for one in page.named("img") if "base" in (one.get("class") or "")] == [
        "base",
        "base blank",
    ]
    assert page.text.count("The image itself was not given") == 1


def test_a_broken_case_is_named_and_costs_the_others_nothing(tmp_path: Path) -> None:
    samples.explained(tmp_path / "r" / "good")
    bad = samples.explained(tmp_path / "r" / "bad", digest="d2")
    (bad / "map.nii.gz").write_bytes(b"no NIfTI")
    samples.attributed(tmp_path / "r" / "1.json", concepts=7)
    page = Reading(write_report(tmp_path / "r"))
    assert "bad: it cannot be read as NIfTI." in page.text
    assert re.search(r"1\.json: .*concepts", page.text)
    assert page.source.count('<article class="case"') == 1


@pytest.mark.parametrize(("name", "message"), [("absent", "no such folder"), ("empty", "holds no results")])
def test_nothing_to_show_is_an_error(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=message):
        write_report(tmp_path / name)


def test_an_image_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    samples.benchmark(tmp_path / "bench")
    with pytest.raises(FileNotFoundError, match="image 1 of 1"):
        write_report(tmp_path / "bench", images=[tmp_path / "absent.png"])
