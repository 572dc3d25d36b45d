# SPDX-License-Identifier: Apache-2.0
"""From a results folder to one HTML file."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from monai_causal import __version__
from monai_causal.files import draft_of
from monai_causal.report.attributed import AttributedFile, attributed_case
from monai_causal.report.charts import charts_of
from monai_causal.report.content import Case, Fact, Gallery, Page, Scale, Text, View, number
from monai_causal.report.explained import explained_case, pdcr_case
from monai_causal.report.facts import facts_of
from monai_causal.report.folder import Contents, sort_folder
from monai_causal.report.originals import Originals, read_volume
from monai_causal.report.page import render
from monai_causal.report.pictures import bar, encode_file, extent
from monai_causal.report.planes import planes_of
from monai_causal.report.tables import Table, read_csv, rows_of_json, table_of
from monai_causal.report.thinning import thinned

__all__ = ["NAME", "in_words", "write_report"]

NAME = "report.html"
ROOM = 8_000_000
"""Bytes for all pictures of a page, before base64 makes a third more of them."""
_MOST_EACH = 1_500_000
_TEXT = 200_000
Made = TypeVar("Made")


def write_report(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    images: Sequence[str | os.PathLike[str]] = (),
    title: str | None = None,
) -> Path:
    """Turn a results folder into one HTML file that needs no other file and no network.

    Args:
        folder: that commands of monai-causal wrote: cases, a benchmark, or both, at any depth.
        out: the file; by default ``report.html`` in the folder.
        images: pictures, volumes or studies that results were made of. A result holds a digest of its image, not the
            image, so each is shown where its digest says that it belongs.
        title: of the page; by default the folder's name.

    Returns:
        the file. The same folder gives the same bytes.

    Raises:
        ValueError: the folder is not there, or holds nothing that can be shown.
    """
    root = Path(folder)
    target = Path(out) if out is not None else root / NAME
    contents = sort_folder(root)
    page = _page(contents, Originals.given([Path(one) for one in images]), title)
    target.parent.mkdir(parents=True, exist_ok=True)
    with draft_of(target) as draft:
        # A name on disk may hold bytes that are no UTF-8; a page is UTF-8 throughout.
        draft.write_bytes(render(page).encode("utf-8", errors="replace"))
    return target


def in_words(path: Path) -> str:
    """What was written, in a line."""
    return f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB): one file, to be opened in any browser, offline."


def _page(contents: Contents, originals: Originals, title: str | None) -> Page:
    explained, attributed = _alike(contents), _asked_alike(contents)
    pictures = len(contents.pictures) + len(contents.volumes)
    parts = len(explained) + len(attributed) + len(contents.pdcr) + pictures
    room = min(_MOST_EACH, ROOM // max(1, parts))
    cases: list[Case] = []
    for group in explained:
        folders, summaries = [folder for folder, _ in group], [summary for _, summary in group]
        name = _common(contents, folders)
        made = _tried(contents, folders[0], partial(explained_case, name, folders, summaries, originals, room))
        cases += made
    for folder, content in contents.pdcr:
        name = contents.name(folder)
        cases += _tried(contents, folder, partial(pdcr_case, name, folder, content, room))
    for files in attributed:
        name = _common(contents, [file.path for file in files])
        cases += _tried(contents, files[0].path, partial(attributed_case, name, files, originals, room))
    tables, facts = _tables(contents)
    gallery, volumes = _pictures(contents, room)
    return Page(
        title or contents.name(contents.root),
        (*facts, ("report made by", f"monai_causal {__version__}")),
        thinned(cases),
        tuple(volumes),
        tables,
        [chart for table in tables for chart in charts_of(table)],
        tuple(gallery),
        tuple(_texts(contents)),
        tuple(contents.left_out),
    )


def _tried(contents: Contents, path: Path, make: Callable[[], Made]) -> list[Made]:
    """One thing, or none and a word on why: a broken case must not cost the others their page."""
    try:
        return [make()]
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        reason = f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else error
        contents.without(path, reason)
        return []


def _alike(contents: Contents) -> list[list[tuple[Path, Any]]]:
    """Explanations of one image together, whatever the method: they stand side by side."""
    groups: dict[Any, list[tuple[Path, Any]]] = defaultdict(list)
    for folder, summary in contents.explained:
        image = summary.get("image")
        digest = image.get("digest") if isinstance(image, dict) else None
        groups[digest if digest is not None else folder].append((folder, summary))
    return list(groups.values())


def _asked_alike(contents: Contents) -> list[list[AttributedFile]]:
    """Attributions of one answer to one question about one image together."""
    groups: dict[Any, list[AttributedFile]] = defaultdict(list)
    for file in contents.attributed:
        result = file.result
        digest = result.provenance.get("image", {}).get("pixels_sha256")
        groups[digest, result.question, result.mode, result.answer.text].append(file)
    return list(groups.values())


def _common(contents: Contents, paths: Sequence[Path]) -> str:
    """One name, or the first of several and how many more there are."""
    names = [contents.name(path) for path in paths]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _tables(contents: Contents) -> tuple[list[Table], list[Fact]]:
    tables, facts = [], []
    heads = set()
    for path in contents.tables:
        for rows in _tried(contents, path, partial(read_csv, path)):
            heads.add((path.parent, tuple(rows[0]) if rows else (), len(rows)))
            table = table_of(contents.name(path), rows)
            if table is not None:
                tables.append(table)
    for path, content in contents.records:
        for key, rows in rows_of_json(content).items():
            if (path.parent, tuple(rows[0]), len(rows)) in heads:
                continue  # the same table lies beside it as CSV
            table = table_of(f"{contents.name(path)}: {key}", rows)
            if table is not None:
                tables.append(table)
        rest = {key: value for key, value in content.items() if not isinstance(value, list)}
        facts += [(f"{contents.name(path)}: {name}", text) for name, text in facts_of(rest)]
    return tables, facts


def _pictures(contents: Contents, room: int) -> tuple[list[Gallery], list[View]]:
    gallery, volumes = [], []
    for path in contents.pictures:
        for found in _tried(contents, path, partial(encode_file, path, room)):
            gallery.append(Gallery(contents.name(path), *found))
    for path in contents.volumes:
        volumes += _tried(contents, path, partial(_volume, contents.name(path), path, room))
    return gallery, volumes


def _volume(name: str, path: Path, room: int) -> View:
    """A map by itself. Values of both signs are an effect's; others are shown on one scale."""
    values, edges = read_volume(path)
    kept = [edge for edge, length in zip(edges, values.shape, strict=False) if length != 1]
    values = values.reshape([length for length in values.shape if length != 1])  # a picture is a volume of one slice
    if values.ndim not in (2, 3):
        raise ValueError(f"shape {values.shape}: a picture or a volume is needed.")
    signed = bool(np.nanmin(values) < 0)
    limit = extent(values, signed)
    end = number(limit)
    scale = Scale(f"\u2212{end}" if signed else "0", end, bar(signed), "", "")
    planes = planes_of(None, values, signed=signed, limit=limit, room=room, edges=kept)
    shape = " x ".join(map(str, values.shape))
    return View(name, f"{shape} voxels.", planes=planes, scale=scale)


def _texts(contents: Contents) -> list[Text]:
    found = []
    for path in contents.texts:
        try:
            content = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError) as error:
            contents.without(path, type(error).__name__)
            continue
        if len(content) > _TEXT:
            contents.without(path, f"{len(content):,} letters are too many for a page.")
        else:
            found.append(Text(contents.name(path), content))
    return found
