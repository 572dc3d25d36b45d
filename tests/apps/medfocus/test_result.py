# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from monai_causal.apps.medfocus.attribute import MedFocus
from monai_causal.apps.medfocus.result import TokenEffect, by_word, read_result, whole
from monai_causal.dicom.geometry import Orientation, Placement
from tests.apps.medfocus import scene
from tests.apps.medfocus.golden import BoxReader
from tests.apps.medfocus.scene import BOXES, SIZE

QUESTION = "Is there evidence of pleural effusion in the image?"


def result(image: Any = None) -> Any:
    vlm = BoxReader(SIZE, (BOXES["left lung"],))
    return MedFocus(vlm, scene.segmenter()).attribute(scene.picture() if image is None else image, QUESTION)


def test_words_join_to_the_same_text_and_sum() -> None:
    tokens = tuple(
        TokenEffect(text, 0.5**n) for n, text in enumerate(["The", " he", "art", ":", " ", "big", "\n", "Yes"])
    )
    words = by_word(tokens)
    assert [one.text for one in words] == ["The", " heart:", " ", "big", "\n", "Yes"]
    assert "".join(one.text for one in words) == "".join(one.text for one in tokens)
    assert sum(one.drop for one in words) == pytest.approx(sum(one.drop for one in tokens))
    assert words[1].drop == pytest.approx(0.5 + 0.25 + 0.125)
    assert by_word(()) == ()


def test_the_whole_picture_is_x_first() -> None:
    assert whole((64, 96)) == (0, 0, 96, 64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "monai_causal/medfocus/9"}, "schema: 'monai_causal/medfocus/9' is not read here"),
        ({"tau": "high"}, "tau: 'high'"),
        ({"colour": 1}, "colour: 1: no such key"),
        ({"boxes": [[1, 2, 3]]}, r"boxes\[0\]: \[1, 2, 3\]: give a list of 4"),
        ({"reading": "maybe"}, "reading: 'maybe'"),
    ],
)
def test_a_damaged_file_says_which_key(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = result().save(tmp_path / "result.json")
    content = json.loads(path.read_text(encoding="utf-8")) | change
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_result(path)


def test_a_projection_has_boxes_in_its_stored_picture_too(tmp_path: Path) -> None:
    # 64 x 80 as shown: the stored picture mirrored, with 8 columns of padding on each side
    placement = Placement((64, 80), Orientation.MIRROR, padding=((0, 0), (8, 8)))
    provenance = SimpleNamespace(as_dict=lambda: {"file_sha256": "ab" * 32})
    projection = SimpleNamespace(
        pixels=scene.picture().numpy(), view="PA", to_source=placement.to_source, provenance=provenance
    )
    found = result(projection)
    assert found.concept == "left lung"
    assert found.box == (64, 8, 88, 56)
    assert found.source_boxes == ((0, 8, 24, 56),)
    assert found.provenance["image"]["projection"] == {"file_sha256": "ab" * 32}
    again = read_result(found.save(tmp_path / "result.json"))
    assert again.source_boxes == found.source_boxes
    assert result().source_boxes is None
    padding = MedFocus(BoxReader(SIZE, (((0, 64), (88, 96)),)), scene.segmenter(), also=())
    assert padding.attribute(projection, QUESTION).source_boxes == ((0, 0, 80, 64),)  # the whole image
    projection.view = "LL"
    with pytest.raises(ValueError, match="lateral view"):
        result(projection)


def test_a_box_in_the_padding_has_no_place_in_the_stored_picture() -> None:
    placement = Placement((64, 32), padding=((0, 0), (0, 64)))
    projection = SimpleNamespace(
        pixels=scene.picture().numpy(),
        view=None,
        to_source=placement.to_source,
        provenance=SimpleNamespace(as_dict=dict),
    )
    assert result(projection).source_boxes == (None,)


def test_no_result_and_a_missing_key(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with pytest.raises(ValueError, match="there is no such"):
        read_result(path)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="schema: None"):
        read_result(path)
    content = result().as_dict()
    del content["margin"]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match="margin is missing"):
        read_result(path)
