# SPDX-License-Identifier: Apache-2.0
"""Building, evaluating and reporting, end to end, on models whose answers are known."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_causal.apps.medfocus.segmenter import ConceptSegmenter
from monai_causal.apps.medfocus.segmenters.given import GivenMasks
from monai_causal.apps.medground import (
    Build,
    BuildConfig,
    PhantomSource,
    build_benchmark,
    evaluate_benchmark,
    load_records,
)
from monai_causal.apps.medground.candidates import Case, Source
from monai_causal.apps.medground.editors import InpaintingEditor
from monai_causal.apps.medground.evaluating import FOLDER
from monai_causal.apps.medground.fates import funnel, read_fates, write_kept
from monai_causal.apps.medground.report import write_report
from monai_causal.apps.medground.results import write_results
from monai_causal.apps.medground.sources.phantoms import PhantomCase
from monai_causal.data.phantoms.chest import CONCEPTS
from monai_causal.metrics import box_overlap
from tests.apps.medground.golden import SIZE, Says, always, reader, truthful

SOURCE = PhantomSource(0, SIZE)
CASES: list[PhantomCase] = list(SOURCE.cases(9, 0.25))  # type: ignore[arg-type]
DIRECT = BuildConfig(count=9, modes=("direct",))
SEGMENTER = ConceptSegmenter(GivenMasks({name: CASES[0].phantom.maps[name].astype(bool) for name in CONCEPTS}))
METHODS = ("medfocus", "occlusion", "prompt-boxes")


class Only(Source):
    """One image."""

    name = "phantom"

    def __init__(self, case: Case) -> None:
        self.case = case

    @property
    def record(self) -> dict[str, Any]:
        return {"source": self.name}

    def cases(self, count: int | None, negatives: float) -> Iterator[Case]:
        yield self.case


class Nine(Only):
    """The same images again, rendered once."""

    def __init__(self) -> None: ...

    def cases(self, count: int | None, negatives: float) -> Iterator[Case]:
        yield from CASES


@pytest.fixture(scope="module")
def model() -> Says:
    return truthful(CASES)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, model: Says) -> Path:
    """Built, evaluated and reported without an interruption."""
    folder = tmp_path_factory.mktemp("medground") / "whole"
    run(folder, model)
    return folder


def run(folder: Path, model: Says, shards: int = 1, report: bool = True) -> None:
    for part in range(1, shards + 1):
        build_benchmark(Build(model, "truth", Nine()), DIRECT, folder, (part, shards))
    write_kept(folder)
    for part in range(1, shards + 1):
        evaluate_benchmark(folder, model, "truth", METHODS, shard=(part, shards), segmenter=SEGMENTER)
    write_results(folder)
    if report:
        write_report([folder])


def tables(folder: Path) -> dict[str, bytes]:
    """All that a run writes but for journals and wall-clock times."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".jsonl"]
    timed = ("timing", "timing.json")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if not set(path.relative_to(folder).parts) & set(timed)
    }


def test_a_reader_of_one_region_passes_on_its_samples_and_on_no_others(tmp_path: Path) -> None:
    for number, case in enumerate(CASES[:2]):
        for finding in case.phantom.findings:
            folder = tmp_path / f"{number}-{finding}"
            build_benchmark(Build(reader(case.phantom, finding), "reader", Only(case)), DIRECT, folder)
            kept = [one["finding"] for one in read_fates(folder) if one["fate"] == "kept"]
            assert kept == [finding]


def test_a_model_that_always_says_yes_passes_nowhere(tmp_path: Path) -> None:
    build_benchmark(Build(always("Yes"), "yes", Nine()), DIRECT, tmp_path)
    fates = read_fates(tmp_path)
    assert len(fates) == 9
    assert {(one["positive"], one["fate"]) for one in fates} == {(True, "foreground"), (False, "correctness")}
    assert write_kept(tmp_path) == {"direct": 0}
    with pytest.raises(ValueError, match="nothing to evaluate"):
        evaluate_benchmark(tmp_path, always("Yes"), "yes", METHODS)


def test_a_truthful_model_passes_everywhere_and_its_records_say_why(whole: Path) -> None:
    records = load_records(whole / "direct.json")
    assert len(records) == 9
    assert all(record.causal for record in records)
    located = {one.index: one for case in CASES for one in map(case.located, case.candidates)}
    for record in records:
        assert record.boxes == located[record.index].boxes
        assert record.more["question"] == located[record.index].question
    assert {record.answer for record in records} == {"yes", "no"}


def test_nothing_vanishes_in_the_funnel(tmp_path: Path, model: Says) -> None:
    def fails(image: Any, question: str) -> str:
        if "cardiomegaly" in question:
            raise RuntimeError("the model broke")
        return model.says_of(image, question)

    build_benchmark(Build(Says(fails), "fails", Nine()), DIRECT, tmp_path)
    rows = [row for row in funnel(read_fates(tmp_path)) if row["finding"] == "all"]
    assert sum(row["candidates"] for row in rows) == 9
    asked = sum(one.finding == "cardiomegaly" for case in CASES for one in case.candidates)
    assert asked > 0
    assert sum(row["error"] for row in rows) == asked
    assert sum(row["kept"] for row in rows) == 9 - asked
    reasons = [one["reason"] for one in read_fates(tmp_path) if one["fate"] == "error"]
    assert set(reasons) == {"RuntimeError: the model broke"}


def test_a_painter_edits_images_whose_causes_nobody_knows(tmp_path: Path) -> None:
    case = PhantomCase(CASES[0].name, CASES[0].causes, CASES[0].candidates, exact=False)
    seen: list[np.ndarray] = []

    def says(image: Any, question: str) -> str:
        seen.append(np.rint(255 * image.numpy()).astype(np.uint8))
        return "Yes" if len(seen) % 4 != 2 else "No"

    config = BuildConfig(count=1, modes=("direct",), negatives=0.0)
    first = PhantomCase(case.name, case.causes, case.candidates[:1], exact=False)
    build_benchmark(Build(Says(says), "says", Only(first), InpaintingEditor()), config, tmp_path)
    (fate,) = read_fates(tmp_path)
    assert fate["fate"] == "kept"
    x0, y0, x1, y1 = fate["boxes"][0]
    inside = np.zeros(SIZE, bool)
    inside[y0:y1, x0:x1] = True
    original, foreground, background, _ = seen
    assert np.array_equal(original[~inside], foreground[~inside])
    assert np.array_equal(original[inside], background[inside])
    assert not np.array_equal(original, background)
    assert len(list((tmp_path / "edits").glob("*.png"))) == 3


def test_values_are_those_of_the_boxes_that_methods_gave(whole: Path) -> None:
    lines = [json.loads(line) for line in (whole / FOLDER / "journal.jsonl").read_text().splitlines()]
    fates = {one["index"]: one for one in read_fates(whole)}
    items = [one for one in lines if one["kind"] == "item"]
    placed = [one for one in fates.values() if one["positive"]]
    assert len(items) == len(METHODS) * len(placed)
    for one in items:
        assert one["status"] == "ok", one["reason"]
        truth = box_overlap(one["boxes"], fates[one["index"]]["boxes"])
        assert {name: one["values"][name] for name in truth} == truth
    content = json.loads((whole / "results.json").read_text())
    for row in content["rows"]:
        ious = [one["values"]["iou"] for one in items if one["method"] == row["method"]]
        assert (row["n"], row["iou"]) == (len(placed), pytest.approx(np.mean(ious)))
        assert row["iou_low"] <= row["iou"] <= row["iou_high"]
    # the golden model reads one box, and a method that masks tiles finds it
    assert {row["method"] for row in content["rows"]} == set(METHODS)
    assert "iou_difference" not in next(row for row in content["rows"] if row["method"] == "medfocus")


def test_shards_make_the_same_tables(whole: Path, tmp_path: Path, model: Says) -> None:
    run(tmp_path / "whole", model, shards=2)
    assert tables(tmp_path / "whole") == tables(whole)


def test_ten_kills_change_no_byte(whole: Path, tmp_path: Path, model: Says) -> None:
    """A kill leaves a file that only grows cut anywhere, and nothing else: files are renamed into place."""
    wanted = tables(whole)
    draw = random.Random(0)
    cuts = []
    for kill in range(10):
        folder = tmp_path / str(kill) / "whole"
        shutil.copytree(whole, folder)
        journals = [folder / "fates.jsonl", folder / FOLDER / "journal.jsonl", folder / FOLDER / "timing.jsonl"]
        victim = journals[draw.choice([0, 1, 1, 2])]
        content = victim.read_bytes()
        cut = draw.randrange(len(content))
        victim.write_bytes(content[:cut])
        if victim == journals[1]:  # a time is never written before its result
            left = [
                json.loads(line)["key"] for line in content[:cut].decode().splitlines(keepends=True) if "\n" in line
            ]
            times = [line for line in journals[2].read_text().splitlines() if json.loads(line)["key"] in left]
            journals[2].write_text("".join(f"{line}\n" for line in times))
        cuts.append((victim.name, cut))
        for name in ("results.json", "timing.json", "direct.json"):
            (folder / name).unlink()
        shutil.rmtree(folder / "report")
        run(folder, model, report=kill == 9)  # a report is made of the journals alone; once is enough
        found = tables(folder)
        assert found == {name: wanted[name] for name in found}, (victim.name, cut)
        assert {"results.json", "direct.json", *(wanted if kill == 9 else ())} <= set(found)
        assert (folder / "fates.jsonl").read_bytes() == (whole / "fates.jsonl").read_bytes()
    assert len(set(cuts)) == 10


def test_methods_may_join_later(whole: Path, tmp_path: Path, model: Says) -> None:
    folder = tmp_path / "whole"
    shutil.copytree(whole, folder)
    before = (folder / FOLDER / "journal.jsonl").read_text()
    evaluate_benchmark(folder, model, "truth", ("attention",))
    assert (folder / FOLDER / "journal.jsonl").read_text().startswith(before)
    assert [row["method"] for row in write_results(folder)["rows"]] == [
        "medfocus",
        "attention",
        "occlusion",
        "prompt-boxes",
    ]


def test_another_model_or_another_image_is_noticed(whole: Path, tmp_path: Path, model: Says) -> None:
    folder = tmp_path / "whole"
    shutil.copytree(whole, folder)
    with pytest.raises(ValueError, match="built with another model: its reads"):
        evaluate_benchmark(folder, Says(model.says_of, box=((0, 8), (0, 8))), "truth", METHODS)
    with pytest.raises(ValueError, match="begun with"):
        build_benchmark(Build(model, "truth", Nine()), BuildConfig(count=8, modes=("direct",)), folder)
    silent = Says(lambda image, question: "Yes, indeed")
    evaluate_benchmark(folder, silent, "truth", ("attention",), limit=1)
    (failed,) = [
        one
        for one in map(json.loads, (folder / FOLDER / "journal.jsonl").read_text().splitlines())
        if one.get("status") == "failed"
    ]
    assert "answers 'Yes, indeed' where it said 'Yes'" in failed["reason"]
    (row,) = [row for row in write_results(folder)["rows"] if row["method"] == "attention"]
    assert (row["n"], row["failed"]) == (0, 1)


def test_the_report_says_what_it_must(whole: Path) -> None:
    page = (whole / "report" / "report.md").read_text()
    for heading in ("Does it agree with what was published?", "Table 1", "The filter", "IoU by finding", "Failures"):
        assert heading in page
    assert "truth on phantom, direct: MedFocus has the best IoU:" in page
    assert {path.name for path in (whole / "report").iterdir()} >= {
        "table1.csv",
        "table1.md",
        "table1.png",
        "funnel.png",
    }
    for name in ("table1.png", "funnel.png"):
        assert (whole / "report" / name).read_bytes().startswith(b"\x89PNG")


def test_settings_that_make_no_sense_are_refused() -> None:
    for settings in ({"count": 0}, {"count": 1, "negatives": 1.0}, {"count": 1, "seeds": 0}, {"count": 1, "modes": ()}):
        with pytest.raises(ValueError, match=next(iter(set(settings) - {"count"} or {"count"}))):
            BuildConfig(**settings)  # type: ignore[arg-type]
