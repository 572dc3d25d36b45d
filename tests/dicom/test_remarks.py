# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from pathlib import Path

import pytest

from monai_causal.dicom import remarks
from monai_causal.dicom.remarks import SENTENCES, Remark, remark


def test_a_remark_is_a_code_and_a_sentence() -> None:
    assert remark("several-windows", count=2) == Remark("several-windows", "2 windows are given; the first is used.")


def test_no_text_of_a_file_gets_into_a_remark() -> None:
    with pytest.raises(TypeError, match="no text of a file") as caught:
        remark("several-windows", count="DOE^JANE")  # type: ignore[arg-type]
    assert "DOE" not in str(caught.value)


def test_every_code_is_used_and_every_code_that_is_used_is_there() -> None:
    folder = Path(remarks.__file__).parent
    text = "".join(path.read_text() for path in folder.glob("*.py") if path.name != "remarks.py")
    for code, sentence in SENTENCES.items():
        assert f'"{code}"' in text
        assert sentence.endswith(".")
    assert set(re.findall(r'remark\(\s*"([a-z-]+)"', text)) <= set(SENTENCES)
