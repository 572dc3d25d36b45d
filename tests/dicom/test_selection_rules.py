# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from monai_causal.dicom.selection_rules import FRONTAL_CHEST, Rule, SelectionRules
from monai_causal.dicom.study import Instance, slim
from tests.dicom.studies import image


def instance(**values: Any) -> Instance:
    ds = image(7, KVP="125", ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], SeriesDescription="Thorax pa", **values)
    return Instance(1, "0" * 64, slim(ds, ["KVP", "StudyID"]), "", ds.SOPClassUID, True, lambda: ds)


@pytest.mark.parametrize(
    ("keyword", "condition", "met"),
    [
        ("Modality", "cr", True),
        ("Modality", "CR|DX", True),
        ("Modality", "^C$", False),
        ("SeriesDescription", "thorax PA", True),
        ("SeriesDescription", "tho.*a$", True),
        ("SeriesDescription", "skull", False),
        ("SeriesDescription", "", False),
        ("ProtocolName", "", True),
        ("ProtocolName", ".*", False),
        ("KVP", 125, True),
        ("KVP", 125.5, False),
        ("KVP", [100, 125], True),
        ("KVP", [126, 130], False),
        ("KVP", [125, ">"], False),
        ("KVP", [125, ">="], True),
        ("KVP", [124.5, ">"], True),
        ("KVP", [125, "<"], False),
        ("KVP", [125, "<="], True),
        ("KVP", [125, "!="], False),
        ("KVP", "^12", True),
        ("SliceThickness", [0, 9], False),
        ("ImageType", ["PRIMARY", "original"], True),
        ("ImageType", ["PRIMARY", "!SECONDARY"], True),
        ("ImageType", ["PRIMARY", "!AXIAL"], False),
        ("ImageType", ["LOCALIZER"], False),
        ("ImageType", "AXI", True),
        ("ProtocolName", ["!x"], True),
        ("InstanceNumber", 7, True),
        ("View", "^PA$", True),
        ("View", "", False),
    ],
)
def test_conditions(keyword: str, condition: Any, met: bool) -> None:
    assert Rule("rule", {keyword: condition}).met_by(instance()) is met


def test_all_conditions_must_be_met_and_none_always_are() -> None:
    assert not Rule("rule", {"KVP": 125, "Modality": "DX"}).met_by(instance())
    assert Rule("rule", {}).met_by(instance())


def test_the_order_is_the_preference() -> None:
    rules = SelectionRules.from_json(FRONTAL_CHEST)
    views = ["PA", "AP", "FRONTAL", None, "LL", "RLO"]
    ranks = []
    for view in views:
        one = instance(ViewPosition=view)
        del one.header.SeriesDescription
        if view == "FRONTAL":
            del one.header.ViewPosition
            one.header.SeriesDescription = "frontal"
        ranks.append(rules.rank(one))
    assert ranks == [0, 1, 2, 3, None, None]


def test_rules_go_to_json_and_back(tmp_path: Path) -> None:
    rules = SelectionRules.from_json(FRONTAL_CHEST)
    (tmp_path / "rules.json").write_text(json.dumps(rules.as_json()))
    assert SelectionRules.from_json(tmp_path / "rules.json") == rules
    assert rules.keywords == ("ImageType",)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({}, "a list 'selections' is needed"),
        ([], "a list 'selections' is needed"),
        ({"selections": []}, "there is no selection"),
        ({"selections": [{"name": "x"}]}, "selection 1 has no object 'conditions'"),
        ({"schema": "other/1", "selections": []}, "schema 'other/1' is not read here"),
        ({"selections": [{"conditions": {"Modalty": "CR"}}]}, "'Modalty' is no DICOM keyword, nor 'View'"),
        ({"selections": [{"name": "x", "conditions": {"KVP": "("}}]}, "rule 'x', KVP: .* is no regular expression"),
        ({"selections": [{"conditions": {"KVP": [1, 2, 3]}}]}, "is neither"),
        ({"selections": [{"conditions": {"KVP": [1, "~"]}}]}, "is neither"),
        ({"selections": [{"conditions": {"KVP": [">", 1]}}]}, "is neither"),
        ({"selections": [{"conditions": {"KVP": []}}]}, "is neither"),
        ({"selections": [{"conditions": {"KVP": None}}]}, "is neither"),
        ({"selections": [{"conditions": {"KVP": True}}]}, "is neither"),
    ],
)
def test_what_is_no_rule_is_told(content: Any, problem: str, tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=problem):
        SelectionRules.from_json(tmp_path / "rules.json")


def test_what_is_no_json_is_told(tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text("{")
    with pytest.raises(ValueError, match="the file is no JSON"):
        SelectionRules.from_json(tmp_path / "rules.json")
