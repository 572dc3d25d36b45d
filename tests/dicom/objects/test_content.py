# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")

from monai_causal.dicom.objects.content import Algorithm, Code, canonical
from tests.dicom.objects.samples import COLUMNS, HEART, ROWS, concepts, content

HEART_CODE = Code("SCT", "80891009", "Heart")


def one(**values: Any) -> Any:
    return replace(concepts()[0], **values)


def moved_pixel() -> np.ndarray:
    mask = concepts()[0].mask.copy()
    mask[0, 0] = True
    return mask


@pytest.mark.parametrize(
    "change",
    [
        {"question": "Another?"},
        {"answer": "No"},
        {"reading": "no"},
        {"finding": None},
        {"chosen": None},
        {"effect_unit": "1"},
        {"effect_name": "Drop"},
        {"caveat": "No diagnosis."},
        {"notes": ()},
        {"moment": ("20210101", "000000")},
        {"configuration": {"tau": 0.76, "masking": "zero"}},
        {"algorithm": Algorithm("MedFocus", "0.1.0", "demo", "ac" * 32, "network")},
        {"algorithm": Algorithm("MedFocus", "0.1.0", "demo", "ab" * 32, "transport")},
        {"picture": np.zeros((60, 40, 3), np.uint8)},
        {"heat": np.zeros((ROWS, COLUMNS), np.float32)},
        {"heat": None},
        {"concepts": concepts()[:3]},
        {"concepts": (one(mask=moved_pixel()), *concepts()[1:])},
        {"concepts": (one(box=((20, 40), (14, 31))), *concepts()[1:])},
        {"concepts": (one(effect=1.26), *concepts()[1:])},
        {"concepts": (one(rank=2), *concepts()[1:])},
        {"concepts": (one(confidence=None), *concepts()[1:])},
        {"concepts": (one(laterality="left"), *concepts()[1:])},
        {"concepts": (one(region=HEART_CODE), *concepts()[1:])},
        {"concepts": (one(flags=("odd",)), *concepts()[1:])},
        {"concepts": (one(code=Code("SCT", "80891009", "The heart")), *concepts()[1:])},
    ],
)
def test_every_change_is_another_digest(change: dict[str, Any]) -> None:
    assert content(**change).digest != content().digest


def test_the_same_content_has_the_same_digest_in_whatever_memory_it_lies() -> None:
    sliced = np.repeat(concepts()[0].mask, 2, axis=1)[:, ::2]
    swapped = content().heat.astype(">f4")
    again = content(
        concepts=(one(mask=sliced), *concepts()[1:]), heat=swapped, configuration={"masking": "zero", "tau": 0.75}
    )
    assert again.digest == content().digest
    assert json.loads(canonical(content().as_dict()))["concepts"][0]["box"] == [list(span) for span in HEART]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chosen": "spleen"}, "chosen='spleen' is none of the concepts: cardiac silhouette"),
        ({"concepts": (*concepts(), concepts()[0])}, "'cardiac silhouette' is there 2 times"),
        ({"concepts": concepts()[1:]}, "pair: its member 'cardiac silhouette' is none|chosen='cardiac silhouette'"),
        ({"heat": np.zeros((3, 4), np.float32)}, r"different sizes: \(3, 4\), \(48, 40\)"),
        ({"picture": np.zeros((3, 4), np.uint8)}, r"a picture of uint8 \(3, 4\); give uint8"),
        ({"heat": np.full((ROWS, COLUMNS), np.nan, np.float32)}, "the map holds 1920 values that are NaN"),
        ({"caveat": " "}, "caveat: a result says that it is no diagnosis"),
        ({"effect_name": "x" * 65}, "give 1 to 64 characters"),
    ],
)
def test_what_does_not_fit_together_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        content(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "n" * 65}, "1 to 64 characters"),
        ({"name": "left\\right"}, "and no backslash"),
        ({"mask": np.zeros((2, 3))}, r"a mask of float64 \(2, 3\)"),
        ({"code": None}, "code=None is for a group"),
        ({"laterality": "L"}, "laterality='L'"),
        ({"effect": float("nan")}, "effect=nan"),
        ({"confidence": 90.0}, "confidence=90.0"),
    ],
)
def test_a_concept_that_cannot_be_written_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        one(**change)


def test_codes_and_algorithms_have_the_lengths_of_the_standard() -> None:
    Code("99MCAUSAL", "a-value-of-more-than-16", "x")
    for values, message in (
        (("SCT", "12345678901234567", "x"), "at most 16"),
        (("SCT", "1", "m" * 65), "meaning="),
        (("", "1", "x"), "scheme=''"),
    ):
        with pytest.raises(ValueError, match=message):
            Code(*values)
    with pytest.raises(ValueError, match="model_digest: an algorithm's"):
        Algorithm("MedFocus", "1", "demo", " ")
    with pytest.raises(ValueError, match="Out of range float"):
        canonical({"tau": float("nan")})
