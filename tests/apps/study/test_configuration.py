# SPDX-License-Identifier: Apache-2.0
"""A configuration is read whole, and every error names the key, its value and what would do."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from monai_causal.apps.study.configuration import (
    ConfigError,
    StatisticsConfig,
    configured,
    listed,
    need,
    need_distinct,
    need_name,
    parse_shard,
    read_content,
)

SCHEMA = "example/1"


@dataclass(frozen=True)
class Course:
    """A part of a configuration."""

    steps: int
    rate: float = 0.5

    def __post_init__(self) -> None:
        need(self.steps >= 1, "steps", self.steps, "train for at least one step")


@dataclass(frozen=True)
class Config:
    """Every kind of field that configurations have."""

    courses: tuple[Course, ...]
    name: str = "example"
    seed: int = 0
    untrained: bool = False
    window: tuple[int, int] | None = None
    size: int | tuple[int, ...] = 8
    batch: int | Literal["auto"] = "auto"
    rule: Literal["near", "far"] = "near"
    options: dict[str, Any] = field(default_factory=dict)
    extra: Any = None
    statistics: StatisticsConfig = field(default_factory=StatisticsConfig)


def read(**changes: Any) -> Config:
    return configured(Config, {"courses": [{"steps": 3}], **changes}, SCHEMA)


def test_what_is_left_out_has_its_default() -> None:
    assert read() == Config((Course(3),))


def test_every_kind_of_value_is_read() -> None:
    found = read(
        courses=[{"steps": 3, "rate": 1}, {"steps": 4}],
        window=[4, 5],
        size=[1, 2, 3],
        batch=7,
        rule="far",
        options={"a": [1]},
        extra={"any": "thing"},
        untrained=True,
        statistics={"level": 0.9},
    )
    assert found.courses == (Course(3, 1.0), Course(4))
    assert isinstance(found.courses[0].rate, float)
    assert (found.window, found.size, found.batch, found.rule) == ((4, 5), (1, 2, 3), 7, "far")
    assert (found.options, found.extra, found.untrained) == ({"a": [1]}, {"any": "thing"}, True)
    assert found.statistics == StatisticsConfig(0.9)
    assert read(window=None).window is None
    assert read(size=9).size == 9
    assert read(batch="auto").batch == "auto"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"sed": 1},
            "sed: 1: no such key; known are "
            "batch, courses, extra, name, options, rule, seed, size, statistics, untrained, window.",
        ),
        ({"courses": [{"steps": 3, "rat": 1}]}, "courses[0].rat: 1: no such key; known are rate, steps."),
        ({"courses": [{"steps": 3}, {}]}, "courses[1].steps is missing: it has no default."),
        ({"courses": [{"steps": 3}, {"steps": 0}]}, "courses[1].steps: 0: train for at least one step."),
        ({"courses": {"steps": 3}}, "courses: {'steps': 3}: give a list."),
        ({"courses": [3]}, "courses[0]: 3: give keys and values."),
        ({"name": 1}, "name: 1: give text."),
        ({"seed": "1"}, "seed: '1': give a whole number."),
        ({"seed": 1.0}, "seed: 1.0: give a whole number."),
        ({"seed": True}, "seed: True: give a whole number."),
        ({"courses": [{"steps": 1, "rate": "fast"}]}, "courses[0].rate: 'fast': give a number."),
        ({"courses": [{"steps": 1, "rate": True}]}, "courses[0].rate: True: give a number."),
        ({"untrained": 1}, "untrained: 1: give true or false."),
        ({"window": [1]}, "window: [1]: give a list of 2."),
        ({"window": [1, "2"]}, "window[1]: '2': give a whole number."),
        ({"size": "big"}, "size: 'big': give a whole number or a list."),
        ({"batch": "all"}, "batch: 'all': give a whole number or 'auto'."),
        ({"rule": "centre"}, "rule: 'centre': choose 'near' or 'far'."),
        ({"options": []}, "options: []: give keys and values."),
        ({"statistics": {"level": 95}}, "statistics.level: 95.0: give a confidence level between 0 and 1"),
        ({"statistics": {"resamples": 99}}, "statistics.resamples: 99: give at least 100."),
        ({"schema": "other/1"}, "schema: 'other/1' is not read here; give 'example/1'."),
    ],
)
def test_what_is_wrong_is_named_with_its_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(**changes)
    assert str(error.value).startswith(message)


def test_the_right_schema_is_taken_off_a_copy() -> None:
    content = {"schema": SCHEMA, "courses": []}
    assert configured(Config, content, SCHEMA) == Config(())
    assert content == {"schema": SCHEMA, "courses": []}


@pytest.mark.parametrize("content", [None, [], "study"])
def test_what_has_no_keys_is_refused(content: Any) -> None:
    with pytest.raises(ConfigError, match=r"^the configuration: .*: give keys and values"):
        configured(Config, content, SCHEMA)


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    content = {"courses": [{"steps": 3}], "window": [1, 2], "rule": "far"}
    (tmp_path / "study.json").write_text(json.dumps(content))
    (tmp_path / "study.yaml").write_text("courses:\n- steps: 3\nwindow: [1, 2]\nrule: far\n")
    assert read_content(tmp_path / "study.json") == read_content(tmp_path / "study.yaml") == content


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "data: [", r"^a\.yaml is no YAML: .*line 1"),
        ("a.json", "{", r"^a\.json is no JSON: "),
        ("a.yaml", "!!python/object/apply:os.system [ls]", r"^a\.yaml is no YAML"),
        ("a.yaml", None, r"^a\.yaml: there is no such configuration"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_content(tmp_path / name)


def test_names_are_fit_for_files_and_rows() -> None:
    need_name("a-b_c.d+e=1")
    need_name("a b", also=" ")
    for name in ("a/b", "a|b", "a b", "", " "):
        with pytest.raises(ConfigError, match=f"^label: '{name}': letters, digits and - _"):
            need_name(name, "label")
    for name in ("a/b", " "):
        with pytest.raises(ConfigError, match=f"^name: '{name}': letters, digits, spaces and - _"):
            need_name(name, also=" ")


def test_no_name_stands_twice() -> None:
    need_distinct("methods", iter("abc"))
    with pytest.raises(ConfigError, match=r"^methods: \['b'\]: give each a name"):
        need_distinct("methods", iter("abcb"))


def test_names_are_listed_in_order() -> None:
    assert listed({"b": 1, "a": 2}) == "a, b"
    assert listed([]) == "nothing"


def test_a_shard_is_two_numbers() -> None:
    assert parse_shard("2/4") == (2, 4)
    assert parse_shard("1/1") == (1, 1)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", ""])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"^shard: '{text}': give i/n with i from 1 to n"):
        parse_shard(text)
