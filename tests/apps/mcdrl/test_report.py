# SPDX-License-Identifier: Apache-2.0
"""What a report says first: the rule, the verdict, what was not run, how epochs were chosen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monai_causal.apps.mcdrl import report as report_module
from monai_causal.apps.mcdrl.judgement import RULE
from monai_causal.apps.mcdrl.report import page, report_loso, verdict_of
from monai_causal.apps.mcdrl.run import run_loso
from monai_causal.apps.mcdrl.tables import TABLES
from monai_causal.extras import MissingExtraError
from tests.apps.mcdrl.studies import Stand, study
from tests.apps.mcdrl.test_tables import DICE, results


@pytest.fixture
def shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Half of a study."""
    Stand(monkeypatch)
    run_loso(study(pictures=0), tmp_path, (1, 2))
    return tmp_path


def test_the_rule_stands_on_top_and_what_was_not_run_is_said(shard: Path) -> None:
    text = report_loso(shard).read_text()
    assert "SHA-256 begins: confounders " in text
    assert "Student's t with one degree of freedom less than seeds" in text
    assert text.index(RULE) < text.index("**Not judged: there is no complete seed yet of shuffled, learned")
    assert text.index("Not judged") < text.index("| method |")
    assert "3 of 6 trainings are finished" in text
    assert "- phantom, mcdrl: seeds 0" in text
    content = json.loads((shard / "report" / "results.json").read_text())
    assert (content["schema"], content["rule"], content["not_run"]) == ("monai_causal/mcdrl-results/1", RULE, 3)
    assert [one["method"] for one in content["rows"]] == ["baseline", "mcdrl", "random"]
    for name in TABLES:
        assert (shard / "report" / f"{name}.csv").is_file()
    assert (shard / "report" / "timing" / "runtime.csv").read_text().startswith("method,runs,median_seconds")


def written(**changes: Any) -> str:
    found = results(**changes)
    return page(found, {name: table(found) for name, table in TABLES.items()}, "", {})


def test_the_rule_is_the_one_that_was_written_down() -> None:
    found = results()
    found.study["rule"] = "It must win."
    text = page(found, {name: table(found) for name, table in TABLES.items()}, "", {})
    assert "**Rule, written down before the first training:** It must win.\n" in text
    assert RULE not in text


def test_a_study_of_older_code_is_read_and_says_what_it_did_not_record() -> None:
    found = results()
    del found.study["config"]["contents"]
    text = page(found, {name: table(found) for name, table in TABLES.items()}, "", {})
    assert "SHA-256 of dictionary and encoder: not recorded." in text


def test_what_a_frozen_encoder_makes_of_the_losses_is_said() -> None:
    said = "trains nothing in mcdrl, random, learned."
    assert said in written()
    assert "trains nothing" not in written(network={"tune": "full"})
    assert "trains nothing" not in written(train={"lambda_contrast": 0.0})
    paper = "The paper's settings with a frozen encoder (mcdrl, random, learned, baseline)"
    assert paper not in written()
    assert paper in written(train={"settings": "paper"})
    assert said in written(train={"settings": "paper", "lambda_contrast": 0.0})
    assert paper not in written(train={"settings": "paper"}, network={"tune": "full"})


def test_of_one_seed_the_interval_says_what_it_is_of() -> None:
    assert "of other seeds a single one says nothing" in written(seeds=[0])


def test_oracle_selection_is_flagged_at_every_table() -> None:
    found = results(selection="oracle")
    rows = {name: table(found) for name, table in TABLES.items()}
    text = page(found, rows, "said", {})
    assert "Oracle selection: the epochs were chosen on the very images" in text
    headings = [line for line in text.splitlines() if line.startswith("## ") and line not in (
        "## What was tested on what", "## What was not run",
    )]  # fmt: skip
    assert len(headings) == 3
    assert all(line.endswith("(oracle selection)") for line in headings)
    assert "racle" not in page(results(), rows, "said", {})


def test_the_validation_part_is_not_sold_as_a_test() -> None:
    found = results()
    rows = {name: table(found) for name, table in TABLES.items()}
    assert "In distribution is the source validation part, by which the epochs were chosen." in page(
        found, rows, "", {}
    )
    chosen = results(selection="last")
    assert "source validation part." in page(chosen, rows, "", {})


def test_a_verdict_of_hand_made_results() -> None:
    better = {"mcdrl": DICE["mcdrl"], **{
        name: {site: [[value - 0.1 for value in line] for line in of_seeds]
               for site, of_seeds in DICE["mcdrl"].items()}
        for name in ("random", "shuffled", "learned")
    }}  # fmt: skip
    found = results(better, methods=list(better))
    assert verdict_of(found, TABLES["comparisons"](found)).startswith("The rule is met")
    found = results({**better, "learned": DICE["mcdrl"]}, methods=list(better))
    assert "not shown to be better than learned" in verdict_of(found, TABLES["comparisons"](found))


def test_an_intervention_that_was_never_switched_on_is_said() -> None:
    found = results()
    next(entry for key, entry in found.entries.items() if "mcdrl" in key)["intervening"] = False
    rows = {name: table(found) for name, table in TABLES.items()}
    assert "before the intervention is switched on: 1 of mcdrl." in page(found, rows, "", {})


def test_without_scikit_learn_the_report_says_what_was_not_drawn(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> dict[str, str]:
        raise MissingExtraError("sklearn is not installed", name="sklearn", extra="bench")

    monkeypatch.setattr(report_module, "save_feature_maps", missing)
    assert "The map of features was not drawn: sklearn is not installed." in report_loso(shard).read_text()


def test_nothing_to_report_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="this folder holds no study"):
        report_loso(tmp_path)
    Stand(monkeypatch).killed_at = 0
    with pytest.raises(KeyboardInterrupt):
        run_loso(study(), tmp_path)
    with pytest.raises(ValueError, match="of 6 trainings none is finished"):
        report_loso(tmp_path)


def test_another_method_is_compared_with_all_if_asked(shard: Path) -> None:
    text = report_loso(shard, ["baseline"]).read_text()
    assert "## baseline against each other method, outside the rule" in text
    assert (shard / "report" / "comparisons-baseline.csv").is_file()
    with pytest.raises(ValueError, match="against: 'unet' is no method of this study; it has baseline, mcdrl, random"):
        report_loso(shard, ["unet"])
