# SPDX-License-Identifier: Apache-2.0
"""Files of lines lose nothing that was whole, and nothing torn gets in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from monai_causal.apps.study import lines
from monai_causal.apps.study.lines import LinesFile, by_key, read_lines, reason_of
from tests.guards.checkout import ROOT

CONTENTS: list[dict[str, Any]] = [{"key": str(number), "value": number / 3, "text": "é|\n"} for number in range(3)]


def write(path: Path, contents: list[dict[str, Any]]) -> None:
    file = LinesFile(path)
    for content in contents:
        file.add(content)
    file.close()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", CONTENTS)
    assert read_lines(tmp_path / "a.jsonl") == CONTENTS
    assert read_lines(tmp_path / "absent.jsonl") == []
    assert not (tmp_path / "absent.jsonl").exists()


def test_a_kill_at_any_byte_is_mended(tmp_path: Path) -> None:
    write(tmp_path / "whole.jsonl", CONTENTS)
    whole = (tmp_path / "whole.jsonl").read_bytes()
    torn = tmp_path / "torn.jsonl"
    for length in range(len(whole) + 1):
        torn.write_bytes(whole[:length])
        known = whole[:length].count(b"\n")
        assert read_lines(torn) == CONTENTS[:known]
        assert torn.read_bytes() == whole[:length]  # reading leaves it as it is
        write(torn, CONTENTS[known:])
        assert torn.read_bytes() == whole


def test_what_is_torn_is_gone_even_where_nothing_follows(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", CONTENTS)
    before = (tmp_path / "a.jsonl").read_bytes()
    with (tmp_path / "a.jsonl").open("ab") as file:
        file.write(b'{"key": "3", "text": "' + b"x" * 10_000)
    write(tmp_path / "a.jsonl", [])
    assert (tmp_path / "a.jsonl").read_bytes() == before


def test_a_line_is_on_disk_when_it_was_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(lines.os, "fsync", lambda number: synced.append(os.fstat(number).st_size))
    file, sizes = LinesFile(tmp_path / "a.jsonl"), []
    for content in CONTENTS:
        file.add(content)
        sizes.append((tmp_path / "a.jsonl").stat().st_size)
    file.close()
    assert synced == sizes
    assert 0 < sizes[0] < sizes[1] < sizes[2]


def test_what_is_no_number_is_refused_before_it_is_written(tmp_path: Path) -> None:
    file = LinesFile(tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match="not JSON compliant"):
        file.add({"value": float("nan")})
    file.close()
    assert (tmp_path / "a.jsonl").read_bytes() == b""


@pytest.mark.parametrize("line", ['{"ke', "[1]", ""])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"key": "one"}}\n{line}\n{{"key": "two"}}\n')
    with pytest.raises(ValueError, match=r"^a\.jsonl, line 2: no item of a study"):
        read_lines(tmp_path / "a.jsonl")


def test_items_are_found_by_their_key() -> None:
    assert by_key(CONTENTS, "a.jsonl") == {"0": CONTENTS[0], "1": CONTENTS[1], "2": CONTENTS[2]}
    for damaged in ({"value": 1}, {"key": 1}):
        with pytest.raises(ValueError, match=r"^a\.jsonl, line 5: no item of a study"):
            by_key([CONTENTS[0], damaged], "a.jsonl", first=4)
    with pytest.raises(ValueError, match=r"^a\.jsonl, line 2: '0' stands there twice"):
        by_key([CONTENTS[0], CONTENTS[0]], "a.jsonl")


def test_a_reason_is_one_line_and_names_no_file() -> None:
    assert reason_of(FileNotFoundError(2, "No such file", "patient.png")) == "FileNotFoundError: No such file"
    assert reason_of(OSError("read\n  twice")) == "OSError: read twice"
    assert reason_of(ValueError("no\n\tRoI")) == "ValueError: no RoI"


@pytest.mark.parametrize("name", ["configuration", "lines"])
def test_nothing_heavy_is_imported(name: str) -> None:
    code = f"import sys, monai_causal.apps.study.{name}; print({{'torch', 'monai', 'numpy'}} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
