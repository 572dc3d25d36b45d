# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_causal.apps.medground import Record, load_records, save_records
from monai_causal.metrics import box_overlap

PUBLISHED = {
    "model": "m",
    "dataset": "d",
    "index": 3,
    "answer": "Yes",
    "prediction_direct": "Yes.\n",
    "prediction_edited_direct": "No\n",
    "prediction_edited_kept_direct": "Yes",
    "prediction_edited_kept_normal_direct": "Yes.",
}


def written(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text(json.dumps(list(records)))
    return path


def test_the_published_schema_is_read_with_its_answers_normalised(tmp_path: Path) -> None:
    (record,) = load_records(written(tmp_path / "direct.json", PUBLISHED))
    assert (record.model, record.dataset, record.index, record.answer, record.mode) == ("m", "d", 3, "yes", "direct")
    assert record.readings == {
        "original": "yes",
        "foreground": "no",
        "background": "yes",
        "background_normal": "yes",
    }
    assert record.causal
    assert record.boxes == ()


@pytest.mark.parametrize("image", ["original", "foreground", "background", "background_normal"])
def test_a_record_with_one_answer_turned_round_is_not_causal(tmp_path: Path, image: str) -> None:
    (record,) = load_records(written(tmp_path / "direct.json", PUBLISHED))
    turned = {"yes": "No", "no": "Yes"}[record.readings[image]]
    predictions = {**record.predictions, image: turned}
    assert not Record("m", "d", 3, "yes", "direct", predictions, {}).causal


def test_what_is_written_is_read_again_and_has_the_published_keys(tmp_path: Path) -> None:
    more = {"question": "Is there?", "boxes": [[1, 2, 3, 4]]}
    said = {"original": "so no", "foreground": "Yes", "background": "No", "background_normal": "No"}
    record = Record("m", "d", 1, "no", "reasoning", said, more)
    path = save_records(tmp_path / "reasoning.json", [record])
    assert load_records(path) == [record]
    assert record.boxes == ((1, 2, 3, 4),)
    assert list(json.loads(path.read_text())[0])[:5] == ["model", "dataset", "index", "answer", "prediction_reasoning"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"index": "7"}, "record 1: index is '7'; give a number"),
        ({"answer": "perhaps"}, "record 1: answer is 'perhaps'; give Yes or No"),
        ({"prediction_edited_direct": None}, "record 1: the foreground prediction is None"),
        ({"prediction_reasoning": "Yes"}, "record 1: needs exactly one of"),
    ],
)
def test_the_first_wrong_record_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_records(written(tmp_path / "direct.json", PUBLISHED, {**PUBLISHED, **change}))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "direct.json").write_text('{"rows": []}')
    with pytest.raises(ValueError, match="a list of records is expected, not dict"):
        load_records(tmp_path / "direct.json")


@pytest.mark.real
def test_the_published_records_load_with_the_published_counts(real_data: Path) -> None:
    records = load_records(real_data / "medground" / "direct.json")
    assert len(records) == 1880
    assert Counter(record.dataset for record in records) == {"imagenome": 804, "padchest_gr": 643, "vindr_cxr": 433}
    assert Counter(record.model for record in records) == {
        "gemma3_12b": 282,
        "gemma3_4b": 222,
        "medgemma1_5_4b": 473,
        "medgemma_4b": 562,
        "qwen2_5_vl_3b": 199,
        "qwen2_5_vl_7b": 142,
    }
    assert all(record.causal and record.answer == "yes" for record in records)
    assert len({(record.model, record.dataset, record.index) for record in records}) == 1880


def test_the_metric_agrees_with_the_published_one_pixel_by_pixel() -> None:
    """Published: both sides are painted on the pixel grid, and pixels are counted."""
    draw = random.Random(0)

    def boxes() -> list[tuple[int, int, int, int]]:
        corners = []
        for _ in range(draw.randint(1, 4)):
            x, y = draw.randint(0, 30), draw.randint(0, 20)
            corners.append((x, y, x + draw.randint(1, 10), y + draw.randint(1, 10)))
        return corners

    for _ in range(200):
        found, true = boxes(), boxes()
        masks = np.zeros((2, 30, 40), bool)
        for mask, some in zip(masks, (found, true), strict=True):
            for x0, y0, x1, y1 in some:
                mask[y0:y1, x0:x1] = True
        common, either = int((masks[0] & masks[1]).sum()), int((masks[0] | masks[1]).sum())
        precision, recall = common / int(masks[0].sum()), common / int(masks[1].sum())
        f1 = 2 * precision * recall / (precision + recall) if common else 0.0
        ours = box_overlap(found, true)
        for name, value in (("iou", common / either), ("precision", precision), ("recall", recall), ("f1", f1)):
            assert ours[name] == pytest.approx(value, abs=1e-12)
