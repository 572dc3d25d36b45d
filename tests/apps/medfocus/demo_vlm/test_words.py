# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_causal.apps.medfocus.demo_vlm.words import MODES, PHRASES, corpus, exchange, reasons
from monai_causal.apps.medfocus.vlm.answers import read_answer
from monai_causal.apps.medfocus.vlm.prompts import Mode
from monai_causal.data.phantoms.chest_causes import FINDINGS, SIDES, ZONES


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("finding", FINDINGS)
def test_every_answer_reads_as_what_is_true(finding: str, mode: Mode) -> None:
    for place in (*SIDES, *ZONES):
        assert read_answer(exchange(finding, mode, True, place).answer) == "yes"
        assert read_answer(exchange(finding, mode, False, place).answer) == "no"


def test_a_chain_of_reasons_names_the_anatomy_where_the_finding_is() -> None:
    assert reasons("consolidation", True, "left upper") == "The left lung is dense in its upper zone."
    assert "right hilar structures" in reasons("hilar_enlargement", True, "right")
    assert reasons("nodule", True, "left") != reasons("nodule", False, "left")


def test_every_finding_has_further_names_and_all_of_them_are_in_the_corpus() -> None:
    assert set(PHRASES) == set(FINDINGS)
    questions = {text for text in corpus() if text.startswith("Is there")}
    for names in PHRASES.values():
        assert names
        assert all(any(name in question for question in questions) for name in names)
