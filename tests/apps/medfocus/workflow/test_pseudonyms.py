# SPDX-License-Identifier: Apache-2.0
"""Pseudonyms: stable with a key, of no use without it."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from monai_causal.apps.medfocus.workflow.pseudonyms import VARIABLE, Pseudonyms


def test_they_are_hmacs_of_kind_and_text() -> None:
    expected = hmac.new(b"k" * 16, b"study\x001.2.3", hashlib.sha256).hexdigest()[:32]
    assert Pseudonyms(b"k" * 16).of("study", "1.2.3") == expected


def test_the_key_is_kept_for_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    names = [Pseudonyms.kept_in(tmp_path / name).of("study", "1") for name in ("one", "one", "two")]
    assert names[0] == names[1] != names[2]
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o600
    assert len((tmp_path / "one").read_bytes()) == 64


def test_the_environment_may_give_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "k" * 16)
    assert Pseudonyms.kept_in(tmp_path / "none").of("study", "1") == Pseudonyms(b"k" * 16).of("study", "1")
    assert list(tmp_path.iterdir()) == []


def test_a_short_key_is_none() -> None:
    with pytest.raises(ValueError, match="15 bytes"):
        Pseudonyms(b"k" * 15)
