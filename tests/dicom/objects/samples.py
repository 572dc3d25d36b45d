# SPDX-License-Identifier: Apache-2.0
"""A small radiograph, laid any of eight ways, and a result on it whose places are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")

from pydicom.dataset import Dataset

from monai_causal.dicom.geometry import Box
from monai_causal.dicom.objects import Algorithm, Code, Concept, ResultContent
from monai_causal.dicom.projection import Projection, read_projection
from tests.dicom.encodings import radiograph, written

ROWS, COLUMNS = 48, 40
WORDS = ("L\\F", "R\\F", "L\\H", "R\\H", "F\\L", "F\\R", "H\\L", "H\\R")
"""PatientOrientation of the eight ways: where columns lead to, where rows do."""


def upright() -> np.ndarray:
    """12 bits; brighter to the right and more so to the bottom, so that no two ways look the same."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    return (40 * rows + 30 * columns + 100).astype(np.uint16)


def stored_place(row: int, column: int, words: str, shape: tuple[int, int] = (ROWS, COLUMNS)) -> tuple[int, int]:
    """Row and column of the stored picture that hold this pixel of the upright one, from the words' meaning alone."""
    height, width = shape
    towards = {"L": column, "R": width - 1 - column, "F": row, "H": height - 1 - row}
    along, down = words.split("\\")
    return towards[down], towards[along]


def laid(picture: np.ndarray, words: str) -> np.ndarray:
    """An upright picture as a file stores it whose PatientOrientation is this: pixel by pixel."""
    shape = picture.shape if words[0] in "LR" else picture.shape[::-1]
    stored = np.empty(shape, picture.dtype)
    for row in range(picture.shape[0]):
        for column in range(picture.shape[1]):
            stored[stored_place(row, column, words, picture.shape)] = picture[row, column]
    return stored


def source(words: str = "L\\F", **values: Any) -> Dataset:
    """A computed radiograph laid this way; no rows and columns of equal spacing."""
    given: dict[str, Any] = {
        "PatientOrientation": words.split("\\"),
        "ImagerPixelSpacing": [0.25, 0.2] if words[0] in "LR" else [0.2, 0.25],
        "BodyPartExamined": "CHEST",
        "Manufacturer": "Maker",
        "ContentDate": "20200102",
        "ContentTime": "030405",
        **values,
    }
    dataset = radiograph(laid(upright(), words), **{key: value for key, value in given.items() if value is not None})
    for keyword in [key for key, value in given.items() if value is None and key in dataset]:
        delattr(dataset, keyword)
    return dataset


def projection(words: str = "L\\F", **values: Any) -> Projection:
    return read_projection(written(source(words, **values)))


def rectangle(box: Box, shape: tuple[int, int] = (ROWS, COLUMNS)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    (top, bottom), (left, right) = box
    mask[top:bottom, left:right] = True
    return mask


HEART, LUNG = ((20, 40), (14, 30)), ((4, 34), (2, 18))
"""Rows and columns; they overlap."""


def concepts() -> tuple[Concept, ...]:
    """The heart (with one corner missing), a lung that overlaps it, one that was not found, and a pair."""
    heart = rectangle(HEART)
    heart[20, 14] = False
    empty = np.zeros((ROWS, COLUMNS), bool)
    lung = rectangle(LUNG)
    return (
        Concept("cardiac silhouette", Code("SCT", "80891009", "Heart"), heart, HEART, 1.25, 1, confidence=0.9),
        Concept("right lung", Code("SCT", "39607008", "Lung"), lung, LUNG, -0.5, 3, "right", confidence=0.75),
        Concept(
            "left costophrenic angle",
            Code("99MCAUSAL", "costophrenic-angle", "Costophrenic angle"),
            empty,
            None,
            None,
            None,
            laterality="left",
            region=Code("SCT", "3120008", "Pleura"),
            confidence=0.0,
            flags=("not found",),
        ),
        Concept("pair", None, heart | lung, ((4, 40), (2, 30)), 1.0, 2, members=("cardiac silhouette", "right lung")),
    )


def content(**values: Any) -> ResultContent:
    picture = np.zeros((60, 40, 3), np.uint8)
    picture[:48] = (upright() // 16)[..., None]
    picture[50, :, 0] = 255
    heat = (upright() / 4096 - 0.25).astype(np.float32)
    given: dict[str, Any] = {
        "question": "Is there evidence of cardiomegaly in the image?",
        "answer": "Ja, größer \u2013 yes",
        "reading": "yes",
        "concepts": concepts(),
        "algorithm": Algorithm("MedFocus", "0.1.0", "demo", "ab" * 32, "network"),
        "configuration": {"tau": 0.75, "masking": "zero"},
        "finding": Code("SCT", "287272002", "Cardiomegaly"),
        "chosen": "cardiac silhouette",
        "picture": picture,
        "heat": heat,
        "notes": ("one concept was not found",),
    }
    return ResultContent(**{**given, **values})
