# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from monai_causal.networks.blocks.confounder_prompts import ConfounderPrompts, read_confounders

yaml = pytest.importorskip("yaml", reason="the extra 'clip' is not installed")

BY_CATEGORY = (
    ("motion blur", "compression artifacts"),
    ("bright lighting", "dim lighting", "uneven lighting"),
    ("narrow-band imaging", "white-light imaging"),
    ("a close-up view", "a distant view"),
    ("mucus", "blood", "specular reflection"),
)
TWELVE = tuple(one for category in BY_CATEGORY for one in category)


def written(folder: Path, **content: object) -> Path:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"schema": "monai_causal/confounders/1"} | content))
    return path


def test_the_twelve_of_the_package() -> None:
    prompts = read_confounders()
    assert len(prompts.confounders) == 12
    assert set(prompts.confounders) == set(TWELVE)
    assert prompts.dictionary()[0] == "An endoscopy image with motion blur"
    assert prompts.of_class("polyp") == "A polyp in an endoscopic image"
    assert prompts.joint("polyp") == [f"A polyp with {one}" for one in prompts.confounders]


def test_smaller_dictionaries_take_one_of_each_category_in_turn_and_are_nested() -> None:
    expected = [category[round_] for round_ in range(3) for category in BY_CATEGORY if round_ < len(category)] + [
        "water and bubbles",
        "blue dye",
        "a surgical instrument",
    ]
    for count in (3, 6, 9, 12, 15):
        assert list(read_confounders(count=count).confounders) == expected[:count]


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = written(
        tmp_path, template="Seen with {confounder}", categories={"a": ["smoke", "fog"], "b": ["dust"]}, further=["rain"]
    )
    prompts = read_confounders(path)
    assert prompts.dictionary() == ["Seen with smoke", "Seen with dust", "Seen with fog"]
    assert prompts.of_class("polyp") == "A polyp in an endoscopic image"
    assert read_confounders(path, 4).confounders[-1] == "rain"


@pytest.mark.parametrize("count", [0, 16, -1])
def test_more_confounders_than_there_are(count: int) -> None:
    with pytest.raises(ValueError, match=f"confounders.yaml: {count} confounders asked for; it has 15"):
        read_confounders(count=count)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"categories": {}}, "the confounder dictionary is empty"),
        ({"categories": {"a": []}}, "the confounder dictionary is empty"),
        ({"categories": {"a": ["blur", " "]}}, "confounder 2 is empty text"),
        ({"categories": {"a": ["blur"], "b": ["blur"]}}, "'blur' stands in the dictionary twice"),
        ({"categories": {"a": ["blur"]}, "template": "An image"}, "template: 'An image': it needs {confounder} in it"),
        ({"categories": {"a": ["blur"]}, "class_template": "A thing"}, "class_template: .* needs {class}"),
        ({"categories": {"a": ["blur"]}, "joint_template": "A {class}"}, "joint_template: .* needs {confounder}"),
        ({"categories": {"a": ["blur"]}, "template": None}, "template: None: it needs {confounder}"),
        ({"categories": {"a": ["blur"]}, "schema": "else/1"}, "its first key is 'schema: monai_causal/confounders/1'"),
        ({"categories": {"a": ["blur"]}, "tempalte": "{confounder}"}, "nothing is called 'tempalte'"),
        ({"categories": {"a": "blur"}}, "'categories' holds a list of texts"),
        ({"categories": ["blur"]}, "'categories' holds a list of texts"),
        ({"categories": {"a": ["blur"]}, "further": [3]}, "'further' holds a list of texts"),
        ({}, "'categories' holds a list of texts"),
    ],
)
def test_files_that_are_no_dictionary(tmp_path: Path, content: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_confounders(written(tmp_path, **content))


def test_a_file_that_is_not_there_or_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.yaml: there is no such dictionary"):
        read_confounders(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("schema: [")
    with pytest.raises(ValueError, match=r"broken\.yaml: this is no YAML"):
        read_confounders(broken)
    broken.write_text("- blur")
    with pytest.raises(ValueError, match=r"broken\.yaml: no dictionary of confounders"):
        read_confounders(broken)


def test_prompts_without_a_file() -> None:
    with pytest.raises(ValueError, match="the confounder dictionary is empty"):
        ConfounderPrompts(())
    assert ConfounderPrompts(("blur",)).dictionary() == ["An endoscopy image with blur"]
