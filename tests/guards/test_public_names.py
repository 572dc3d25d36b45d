# SPDX-License-Identifier: Apache-2.0
"""The public names are those recorded in tests/public_names.txt."""

from __future__ import annotations

from tests.guards.checkout import ROOT
from tests.public_names import HEADER, public_names


def test_public_names_are_those_recorded() -> None:
    names, closed = public_names()
    recorded = (ROOT / "tests" / "public_names.txt").read_text().splitlines()
    assert recorded[0] == HEADER
    # What an extra that is not installed keeps closed cannot be compared here.
    comparable = [name for name in recorded[1:] if not name.rpartition(".")[0].startswith(tuple(closed) or "\0")]
    assert names == comparable, "regenerate tests/public_names.txt with the command in its first line, and say why"
