# SPDX-License-Identifier: Apache-2.0
"""Digests belong to what lies in a place, not to the place."""

from __future__ import annotations

import hashlib
from pathlib import Path

from monai_causal.apps.mcdrl.contents import DEMO_CLIP, contents_of, digest_of


def folder(place: Path, **files: str) -> Path:
    for name, text in files.items():
        (place / "inner").mkdir(parents=True, exist_ok=True)
        (place / "inner" / name).write_text(text)
    return place


def test_a_folder_is_its_files_names_and_bytes(tmp_path: Path) -> None:
    here = folder(tmp_path / "here", a="1", b="2")
    lines = "".join(f"inner/{name} {hashlib.sha256(text).hexdigest()}\n" for name, text in (("a", b"1"), ("b", b"2")))
    assert digest_of(here) == hashlib.sha256(lines.encode()).hexdigest()
    assert digest_of(folder(tmp_path / "there", b="2", a="1")) == digest_of(here)
    for number, other in enumerate(({"a": "2", "b": "1"}, {"a": "1"}, {"a": "1", "c": "2"})):
        assert digest_of(folder(tmp_path / str(number), **other)) != digest_of(here)


def test_names_have_no_digest_and_what_comes_along_has_one(tmp_path: Path) -> None:
    assert contents_of({"encoder": "ViT-B-16", "pretrained": "openai"}) == {}
    assert contents_of({"depth": 3}) == {}
    assert contents_of({"encoder": "demo"}) == {"encoder": digest_of(DEMO_CLIP)}
    (tmp_path / "weights.pt").write_bytes(b"weights")
    found = contents_of({"encoder": "ViT-B-16", "pretrained": str(tmp_path / "weights.pt")})
    assert found == {"pretrained": hashlib.sha256(b"weights").hexdigest()}
