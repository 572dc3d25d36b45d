# SPDX-License-Identifier: Apache-2.0
"""Polyps of the colon, from several hospitals."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from monai_causal.data.datasets.layout import DatasetError, Item, Layout, files, inside, paired

logger = logging.getLogger(__name__)

Sequences: TypeAlias = Literal["unknown", "error"]

CENTRES = ("C1", "C2", "C3", "C4", "C5", "C6")
NUMBERED = re.compile(r"(\d+)(?:OLCV\d*_|_endocv2021_)")  # how some of PolypGen's names begin
TECHNIQUES = ("BLI", "FICE", "LCI", "NBI", "WLI")
HOSPITALS = {"BKAI": "BKAI", "Vietnam": "BKAI", "Karolinska": "Karolinska", "Simula": "Simula"}  # by folder


def _polypgen(
    layout: Layout,
    root: Path,
    split: str | None,
    centres: Sequence[str] | None = None,
) -> list[Item]:
    whole = "PolypGen2021_MultiCenterData_v3"
    root = root / whole if (root / whole).is_dir() else root
    unknown = set(centres or ()) - set(CENTRES)
    if unknown:
        raise DatasetError(f"PolypGen has no centre {min(unknown)!r}; it has {', '.join(CENTRES)}.")
    there = [centre for centre in CENTRES if (root / f"data_{centre}").is_dir() or (root / centre).is_dir()]
    items = []
    for centre in sorted(centres) if centres else there:
        folder = layout.folder(root, f"data_{centre}", centre)
        images = files(layout, layout.folder(folder, f"images_{centre}", "images"))
        labels = files(layout, layout.folder(folder, f"masks_{centre}", "masks"), "_mask")
        pairs = paired(layout, images, labels)
        for item in pairs:
            begin = NUMBERED.match(item["id"])
            sequence = {"sequence": f"{centre}/{begin[1]}"} if begin else {}
            items.append({**item, "id": f"{centre}/{item['id']}", "centre": centre, "site": centre, **sequence})
    return items


def _kvasir_seg(layout: Layout, root: Path, split: str | None) -> list[Item]:
    root = root / "Kvasir-SEG" if (root / "Kvasir-SEG").is_dir() else root
    images, labels = (files(layout, layout.folder(root, folder)) for folder in ("images", "masks"))
    return [{**item, "site": "kvasir-seg"} for item in paired(layout, images, labels)]


def _cvc_clinicdb(
    layout: Layout,
    root: Path,
    split: str | None,
    complete: bool = True,
    sequences: Sequences = "unknown",
) -> list[Item]:
    root = inside(root, "CVC-ClinicDB")
    frames = next((way for way in (root, root / "TIF", root / "PNG") if (way / "Original").is_dir()), root)
    images = files(layout, layout.folder(frames, "Original"))
    labels = files(layout, layout.folder(frames, "Ground Truth", "GroundTruth"))
    items = layout.counted(paired(layout, images, labels), complete)
    return _with_sequences(layout, root, items, "cvc-clinicdb", sequences)


def _etis_larib(
    layout: Layout,
    root: Path,
    split: str | None,
    complete: bool = True,
    sequences: Sequences = "unknown",
) -> list[Item]:
    ways = (root, root / "ETIS-Larib", root / "ETIS-LaribPolypDB")  # the last may be the folder of the images itself
    root = next((way for way in ways if (way / "images").is_dir()), inside(root, "ETIS-Larib"))
    # an image is 1.png or p1.png, and so is its mask
    images = files(layout, layout.folder(root, "images", "ETIS-LaribPolypDB", "Original"), named=_frame)
    labels = files(layout, layout.folder(root, "masks", "Ground Truth", "GroundTruth"), named=_frame)
    items = layout.counted(paired(layout, images, labels), complete)
    return _with_sequences(layout, root, items, "etis-larib", sequences)


def _frame(stem: str) -> str:
    """The number of a frame that is named 1 or p1."""
    return stem[1:] if stem[:1] == "p" and stem[1:].isdigit() else stem


def _polypdb(layout: Layout, root: Path, split: str | None, complete: bool = True) -> list[Item]:
    root = inside(root, "PolypDB")
    parts: list[tuple[Path, Item]] = []
    for centre, site in HOSPITALS.items():
        if (root / centre).is_dir():
            lit = [one for one in TECHNIQUES if (root / centre / one).is_dir()]
            parts += [(root / centre / one, {"site": site, "technique": one}) for one in lit]
            parts += [] if lit else [(root / centre, {"site": site})]
    if not parts:
        parts = [(root / one, {"technique": one}) for one in TECHNIQUES if (root / one).is_dir()]
    if not parts:
        raise layout.error(f"neither a folder of a technique ({', '.join(TECHNIQUES)}) nor one of a centre is there.")
    items = []
    for folder, told in parts:
        images = files(layout, layout.folder(folder, "images"))
        labels = files(layout, layout.folder(folder, "masks", "annotations"))
        pairs = paired(layout, images, labels)
        items += [{**item, "id": "/".join((*told.values(), item["id"])), **told} for item in pairs]
    return layout.counted(items, complete)


def _with_sequences(layout: Layout, root: Path, items: list[Item], site: str, sequences: Sequences) -> list[Item]:
    """The items with the sequence that ``metadata.csv`` tells of each; the archives have no such file."""
    if sequences not in ("unknown", "error"):
        raise ValueError(f"sequences={sequences!r}: choose 'unknown' or 'error'.")
    items = [{**item, "site": site} for item in items]
    path = root / "metadata.csv"
    if not path.is_file():
        problem = (
            "no metadata.csv tells which frames are of one sequence, so no split can keep them together; a mirror "
            "ships one, with the columns frame_id and sequence_id"
        )
        if sequences == "error":
            raise layout.error(f"{problem} (sequences='unknown' lists the frames without).")
        logger.warning("%s: %s.", layout.title, problem)
        return items
    known = _sequence_ids(layout, path)
    items = sorted(items, key=lambda item: str(item["id"]))
    without = [number for number, item in enumerate(items) if item["id"] not in known]
    if without:
        raise layout.error(
            f"{len(without)} of {len(items)} frames have no sequence in metadata.csv, the first is number {without[0]} "
            "in the order of ids."
        )
    named = [f"{site}/{known[item['id']]}" for item in items]
    return [{**item, "sequence": name, "patient": name} for item, name in zip(items, named, strict=True)]


def _sequence_ids(layout: Layout, path: Path) -> dict[str, str]:
    rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    columns = list(rows[0]) if rows else []
    frame = next((name for name in columns if name == "frame_id" or str(name).endswith("image_path")), None)
    if frame is None or "sequence_id" not in columns:
        raise layout.error("metadata.csv has no columns frame_id (or png_image_path) and sequence_id.")
    known: dict[str, str] = {}
    for number, row in enumerate(rows):
        value, sequence = (row[frame] or "").strip(), (row["sequence_id"] or "").strip()
        name = _frame(value if frame == "frame_id" else Path(value).stem)
        if sequence and known.setdefault(name, sequence) != sequence:
            raise layout.error(f"row {number} of metadata.csv gives a second sequence to a frame.")
    return known


POLYPGEN = Layout(
    title="PolypGen",
    page="https://www.synapse.org/#!Synapse:syn26376615",
    tree="""\
    data_C1/images_C1/    NAME.jpg ...              (data_C1 to data_C6)
    data_C1/masks_C1/     NAME_mask.jpg ...
or, simpler:
    C1/images/            NAME.jpg ...              (C1 to C6)
    C1/masks/             NAME.png ...""",
    load=_polypgen,
)

KVASIR_SEG = Layout(
    title="Kvasir-SEG",
    page="https://datasets.simula.no/kvasir-seg/",
    tree="""\
    Kvasir-SEG/images/    NAME.jpg ...
    Kvasir-SEG/masks/     NAME.jpg ...""",
    load=_kvasir_seg,
)

CVC_CLINICDB = Layout(
    title="CVC-ClinicDB",
    page="https://polyp.grand-challenge.org/CVCClinicDB/",
    tree="""\
    Original/             1.tif ...                 (or under TIF/ or PNG/; pictures of any format)
    Ground Truth/         1.tif ...
    metadata.csv          frame_id,sequence_id      (not in the archive; a mirror ships it)""",
    load=_cvc_clinicdb,
    count=612,
    note="Known: the frames are of 29 sequences (some say 31), and neighbours look alike. The images are property of "
    "Hospital Clinic, Barcelona; read the terms of that page, whatever a mirror says.",
)

ETIS_LARIB = Layout(
    title="ETIS-Larib",
    page="https://polyp.grand-challenge.org/EtisLarib/",
    tree="""\
    images/               1.png ...                 (or ETIS-LaribPolypDB/, Original/)
    masks/                p1.png ...                (or Ground Truth/; bmp and tif too, with or without the p)
    metadata.csv          frame_id,sequence_id      (not in the archive)""",
    load=_etis_larib,
    count=196,
    note="Known: the frames are of 34 sequences, and the archive does not say which. The images are property of "
    "Lariboisiere hospital, APHP, and the laboratory ETIS; read the terms of that page.",
)

POLYPDB = Layout(
    title="PolypDB",
    page="https://osf.io/pr7ms/",
    tree="""\
    BLI/images/           NAME.jpg ...              (BLI, FICE, LCI, NBI, WLI; this tree does not tell the centre)
    BLI/masks/            NAME.png ...              (or annotations/)
or by centre:
    Simula/WLI/images/    NAME.jpg ...              (Simula, Karolinska, BKAI or Vietnam; with or without WLI/)
    Simula/WLI/masks/     NAME.png ...              (or annotations/)""",
    load=_polypdb,
    count=3934,
    note="Known: names hold spaces; 3,588 of the images are WLI, and the other techniques are of single centres.",
    unmasked="Known: one LCI image is published without its mask; unlabelled='drop' leaves it out.",
)
