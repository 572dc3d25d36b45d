# SPDX-License-Identifier: Apache-2.0
"""Public data sets by name, in the layouts in which they are published.

:func:`load_dataset` checks a folder and lists its items in the order of their ids; it reads no image. An item is a
dictionary, ready for MONAI's ``LoadImaged`` or for :func:`monai_causal.data.readers.read_pair`:

=============  ==================================================================================================
``image``      path (a list of paths for a list of modalities); of a phantom the array itself
``label``      path or array; absent where there is none and ``unlabelled="keep"`` was asked for
``label_type`` ``"binary"``, ``"indices"`` or ``"auto"``: how a picture's values become classes
``id``         what the data set calls the image, unique within it
``index``      its place in the list: what errors call it
``patient``    what must not be in two parts of a split, where the data set tells (HAM10000: the lesion)
``centre``     the hospital, where the data set tells (PolypGen)
``diagnosis``  where the data set tells (HAM10000, FIVES)
=============  ==================================================================================================

VOC 2012 and SBD are photographs, so they have no patients; the ``.mat`` labels of SBD are for ``read_pair`` only.
"""

from __future__ import annotations

import csv
import hashlib
import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from monai.data import load_decathlon_datalist

from monai_causal.data.phantoms import shapes
from monai_causal.data.readers import PICTURES, read_image, read_label, read_pair, suffixless, target_class

__all__ = [
    "DATASETS",
    "DatasetError",
    "Item",
    "Layout",
    "load_dataset",
    "read_image",
    "read_label",
    "read_pair",
    "split_by_group",
    "target_class",
]

Item: TypeAlias = dict[str, Any]
Unlabelled: TypeAlias = Literal["error", "drop", "keep"]
Paths: TypeAlias = dict[str, Path]
Group = TypeVar("Group", bound=Mapping[str, Any])

CENTRES = ("C1", "C2", "C3", "C4", "C5", "C6")
DIAGNOSES = {"A": "age-related macular degeneration", "D": "diabetic retinopathy", "G": "glaucoma", "N": "normal"}
SEEDS_PER_SPLIT = 1_000_000


class DatasetError(ValueError):
    """A data set that is not there, or not in its published layout."""


@dataclass(frozen=True)
class Layout:
    """A data set: where it is published, what its folder looks like, and how that is read."""

    title: str
    page: str
    tree: str
    load: Callable[..., list[Item]]
    splits: tuple[str, ...] = ()

    def error(self, problem: str) -> DatasetError:
        """What is wrong, the official page and the expected tree."""
        return DatasetError(f"{self.title}: {problem}\nIt is published at {self.page}\nExpected:\n{self.tree}")

    def folder(self, root: Path, *candidates: str) -> Path:
        """The first of these folders that is there."""
        for candidate in candidates:
            if (root / candidate).is_dir():
                return root / candidate
        raise self.error(f"the folder {candidates[0]!r} is missing.")


def load_dataset(
    name: str,
    root: str | os.PathLike[str] | None = None,
    split: str | None = None,
    *,
    unlabelled: Unlabelled = "error",
    **options: Any,
) -> list[Item]:
    """The items of a data set, in the order of their ids.

    Args:
        name: ham10000, isic, fives, polypgen, kvasir-seg, voc2012, sbd, decathlon (any list in its format) or phantom.
        root: the folder that holds the published tree, or one of the folders on the way to it; of a decathlon list the
            JSON file, or the folder with its ``dataset.json``; a phantom has none.
        split: one of the data set's own; None: all of them (VOC 2012: trainval; decathlon: training). Where there is
            none, make parts with :func:`split_by_group`.
        unlabelled: an image without a label is an ``"error"``; ``"drop"`` leaves it out, ``"keep"`` lists it without.
        options: PolypGen: ``centres``; decathlon: ``base_dir``; phantom: ``count``, ``seed``, ``size``, ``strength``,
            ``evidence``.

    >>> [item["id"] for item in load_dataset("phantom", count=2, seed=5)]
    ['shapes-5', 'shapes-6']
    """
    if name not in DATASETS:
        raise DatasetError(f"no data set {name!r}; those known by name: {', '.join(DATASETS)}.")
    layout = DATASETS[name]
    if split is not None and name != "decathlon" and split not in layout.splits:
        own = f"it has {', '.join(layout.splits)}" if layout.splits else "it has none: use split_by_group"
        raise DatasetError(f"{layout.title} has no split {split!r}; {own}.")
    if unlabelled not in ("error", "drop", "keep"):
        raise ValueError(f"unlabelled={unlabelled!r}: choose 'error', 'drop' or 'keep'.")
    known = list(inspect.signature(layout.load).parameters)[3:]
    if not options.keys() <= set(known):
        raise DatasetError(
            f"{layout.title} has no option {min(options.keys() - set(known))!r}; {', '.join(known) or 'it has none'}."
        )
    if name == "phantom":
        return _numbered(layout.load(layout, None, split, **options))
    if root is None or not Path(root).exists():
        raise layout.error("the folder given is not there." if root is not None else "give the folder that holds it.")
    items = layout.load(layout, Path(root), split, **options)
    if not items:
        raise layout.error("there is not one image in it.")
    copies = len(items) - len({str(item["id"]) for item in items})
    if copies:
        raise layout.error(f"{copies} of {len(items)} images have the id of another one.")
    items.sort(key=lambda item: str(item["id"]))
    without = [number for number, item in enumerate(items) if not item.get("label")]
    if without and unlabelled == "error":
        raise layout.error(
            f"{len(without)} of {len(items)} images have no mask, the first is number {without[0]} in the order of ids "
            "(unlabelled='drop' leaves them out, 'keep' lists them without)."
        )
    return _numbered([item for item in items if item.get("label")] if unlabelled == "drop" else items)


def split_by_group(
    items: Sequence[Group], fractions: Sequence[float], seed: int = 0, *, key: str = "patient"
) -> tuple[list[Group], ...]:
    """Parts of the items such that no patient is in two of them.

    The patients' order is drawn from the seed, whatever the order of the items; a part holds its fraction of the items
    to within one patient. An item without a patient is a group of its own. Within a part the order is kept.

    Args:
        items: dictionaries with ``id`` and, where known, ``key``.
        fractions: one per part, together 1.
        seed: of the draw.
        key: what must stay together: ``"patient"``, ``"centre"``.

    >>> items = [{"id": str(number), "patient": str(number // 2)} for number in range(10)]
    >>> train, test = split_by_group(items, (0.6, 0.4))
    >>> len(train), len(test), {item["patient"] for item in train} & {item["patient"] for item in test}
    (6, 4, set())
    """
    if not fractions or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"fractions={tuple(fractions)}: give one above 0 for each part, together 1.")
    groups: dict[tuple[str, str], list[int]] = {}
    for number, item in enumerate(items):
        known = item.get(key)
        groups.setdefault((key, str(known)) if known is not None else ("id", str(item["id"])), []).append(number)
    parts: list[list[int]] = [[] for _ in fractions]
    ends = [sum(fractions[: part + 1]) * len(items) for part in range(len(fractions) - 1)]
    dealt = 0
    for group in sorted(groups, key=lambda group: hashlib.sha256(repr((seed, *group)).encode()).digest()):
        middle = dealt + len(groups[group]) / 2
        parts[sum(middle > end for end in ends)] += groups[group]
        dealt += len(groups[group])
    if not all(parts):
        raise ValueError(
            f"{len(groups)} groups of {len(items)} items leave part {[bool(part) for part in parts].index(False)} of "
            f"{len(parts)} empty: give larger fractions, or fewer parts."
        )
    return tuple([items[number] for number in sorted(part)] for part in parts)


def _numbered(items: list[Item]) -> list[Item]:
    return [{**item, "index": index} for index, item in enumerate(items)]


def _ham10000(layout: Layout, root: Path, split: str | None) -> list[Item]:
    lesions = _ham10000_metadata(layout, root)
    images: Paths = {}
    for part in ("HAM10000_images_part_1", "HAM10000_images_part_2"):
        more = _files(layout, layout.folder(root, part))
        if not images.keys().isdisjoint(more):
            raise layout.error(f"{len(images.keys() & more.keys())} images are in both parts.")
        images |= more
    masks = _files(layout, layout.folder(root, "HAM10000_segmentations_lesion_tschandl"), "_segmentation")
    items = _paired(layout, dict(sorted(images.items())), masks)
    strangers = [number for number, item in enumerate(items) if item["id"] not in lesions]
    if strangers:
        raise layout.error(f"{len(strangers)} images are not in the metadata, the first is number {strangers[0]}.")
    return [{**item, **lesions[item["id"]]} for item in items]


def _ham10000_metadata(layout: Layout, root: Path) -> dict[str, Item]:
    """Lesion and diagnosis by image: the file has a comma or a tab between columns, by where it was downloaded."""
    files = [root / f"HAM10000_metadata{suffix}" for suffix in ("", ".csv", ".tab")]
    path = next((path for path in files if path.is_file()), None)
    if path is None:
        raise layout.error("the file 'HAM10000_metadata' is missing.")
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    rows = csv.DictReader(lines, delimiter="\t" if lines and "\t" in lines[0] else ",")
    if not {"lesion_id", "image_id", "dx"} <= set(rows.fieldnames or ()):
        raise layout.error("HAM10000_metadata has no columns lesion_id, image_id and dx.")
    return {row["image_id"]: {"patient": row["lesion_id"], "diagnosis": row["dx"]} for row in rows}


def _isic(layout: Layout, root: Path, split: str | None) -> list[Item]:
    if (root / "images").is_dir():
        if split is not None:
            raise layout.error(f"a folder with images/ and masks/ has no split {split!r}.")
        masks = _files(layout, layout.folder(root, "masks"), "_segmentation")
        return _paired(layout, _files(layout, root / "images"), masks)
    items = []
    for part, word in {"train": "Training", "val": "Validation", "test": "Test"}.items():
        inputs = f"ISIC2018_Task1-2_{word}_Input"
        if split == part or (split is None and (part == "train" or (root / inputs).is_dir())):
            images = _files(layout, layout.folder(root, inputs))
            masks = _files(layout, layout.folder(root, f"ISIC2018_Task1_{word}_GroundTruth"), "_segmentation")
            items += _paired(layout, images, masks)
    return items


def _fives(layout: Layout, root: Path, split: str | None) -> list[Item]:
    whole = "FIVES A Fundus Image Dataset for AI-based Vessel Segmentation"
    root = root / whole if (root / whole).is_dir() else root
    items = []
    for part in (split,) if split else layout.splits:
        images = _files(layout, layout.folder(root, f"{part}/Original"))
        labels = _files(layout, layout.folder(root, f"{part}/Ground truth"))
        for item in _paired(layout, images, labels):
            diagnosis = DIAGNOSES.get(item["id"].rpartition("_")[2])
            # both parts number their images from 1
            items.append({**item, "id": f"{part}/{item['id']}", **({"diagnosis": diagnosis} if diagnosis else {})})
    return items


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
        images = _files(layout, layout.folder(folder, f"images_{centre}", "images"))
        labels = _files(layout, layout.folder(folder, f"masks_{centre}", "masks"), "_mask")
        pairs = _paired(layout, images, labels)
        items += [{**item, "id": f"{centre}/{item['id']}", "centre": centre} for item in pairs]
    return items


def _kvasir_seg(layout: Layout, root: Path, split: str | None) -> list[Item]:
    root = root / "Kvasir-SEG" if (root / "Kvasir-SEG").is_dir() else root
    images, labels = (_files(layout, layout.folder(root, folder)) for folder in ("images", "masks"))
    return _paired(layout, images, labels)


def _voc2012(layout: Layout, root: Path, split: str | None) -> list[Item]:
    root = next((root / way for way in ("VOCdevkit/VOC2012", "VOC2012") if (root / way).is_dir()), root)
    layout.folder(root, "ImageSets/Segmentation")
    ids = _listed(layout, root, f"ImageSets/Segmentation/{split or 'trainval'}.txt")
    return _indexed(layout, ids, layout.folder(root, "JPEGImages"), layout.folder(root, "SegmentationClass"), ".png")


def _sbd(layout: Layout, root: Path, split: str | None) -> list[Item]:
    root = next((root / way for way in ("benchmark_RELEASE/dataset", "dataset") if (root / way).is_dir()), root)
    lists = (split,) if split else ("train", "val")
    ids = {one for part in lists for one in _listed(layout, root, f"{part}.txt")}
    return _indexed(layout, ids, layout.folder(root, "img"), layout.folder(root, "cls"), ".mat")


def _decathlon(
    layout: Layout,
    root: Path,
    split: str | None,
    base_dir: str | os.PathLike[str] | None = None,
) -> list[Item]:
    path = root / "dataset.json" if root.is_dir() else root
    section = split or "training"
    if not path.is_file():
        raise layout.error("the file 'dataset.json' is missing.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise layout.error("its list is not JSON.") from None
    sections = [key for key, value in content.items() if isinstance(value, list)] if isinstance(content, dict) else []
    if section not in sections:
        raise layout.error(f"its list has no section {section!r}; it has {', '.join(sections) or 'none'}.")
    try:
        listed = load_decathlon_datalist(path, data_list_key=section, base_dir=base_dir)
    except TypeError:
        raise layout.error(f"section {section!r} does not hold dictionaries with an 'image'.") from None
    items: list[Item] = []
    places: list[Path] = []
    for number, entry in enumerate(listed):
        if not entry.get("image"):
            raise layout.error(f"entry {number} of section {section!r} has no 'image'.")
        first = entry["image"] if isinstance(entry["image"], str) else entry["image"][0]
        items.append({"label_type": "auto", "id": suffixless(Path(first)), **entry})
        places.append(Path(os.path.relpath(first, base_dir or path.parent)))
    _require_files(layout, items)
    if len({item["id"] for item in items}) < len(items):  # the same names in several folders
        items = [
            {**item, "id": entry.get("id", place.with_name(suffixless(place)).as_posix())}
            for item, entry, place in zip(items, listed, places, strict=True)
        ]
    return items


def _phantom(
    layout: Layout,
    root: None,
    split: str | None,
    count: int = 100,
    seed: int = 0,
    size: Sequence[int] = (128, 128),
    strength: float = 1.0,
    evidence: float = 0.0,
) -> list[Item]:
    # a phantom is its seed: parts whose seeds never meet
    first = seed + SEEDS_PER_SPLIT * (layout.splits.index(split) if split else 0)
    items = []
    for number in range(first, first + count):
        phantom = shapes(number, size=size, strength=strength, evidence=evidence)
        name = f"shapes-{number}"
        items.append(
            {"image": phantom.image, "label": phantom.labels, "label_type": "indices", "id": name, "patient": name}
        )
    return items


def _files(layout: Layout, folder: Path, label_suffix: str = "") -> Paths:
    """The pictures of a folder by id, in this order; ``label_suffix`` is what a mask's name may end with."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.name[0] != ".")
    found = {path.stem.removesuffix(label_suffix): path for path in paths}
    if len(found) < len(paths):
        raise layout.error(
            f"{len(paths) - len(found)} pictures of one folder have the name of another one beside them."
        )
    return dict(sorted(found.items()))


def _paired(layout: Layout, images: Paths, labels: Paths) -> list[Item]:
    strays = [number for number, name in enumerate(labels) if name not in images]
    if strays:
        raise layout.error(
            f"{len(strays)} of {len(labels)} masks have no image, the first is number {strays[0]} in sorted order."
        )
    items = [
        {"image": str(path), **({"label": str(labels[name])} if name in labels else {})}
        for name, path in images.items()
    ]
    return [{**item, "label_type": "binary", "id": name} for name, item in zip(images, items, strict=True)]


def _listed(layout: Layout, root: Path, name: str) -> list[str]:
    if not (root / name).is_file():
        raise layout.error(f"the file {name!r} is missing.")
    return (root / name).read_text(encoding="utf-8").split()


def _indexed(layout: Layout, ids: Sequence[str] | set[str], images: Path, labels: Path, suffix: str) -> list[Item]:
    items = [
        {
            "image": str(images / f"{name}.jpg"),
            "label": str(labels / f"{name}{suffix}"),
            "label_type": "indices",
            "id": name,
        }
        for name in sorted(set(ids))
    ]
    _require_files(layout, items)
    return items


def _require_files(layout: Layout, items: Sequence[Item]) -> None:
    for key in ("image", "label"):
        named = [([path] if isinstance(path, str) else path or ()) for path in (item.get(key) for item in items)]
        missing = [number for number, paths in enumerate(named) if not all(Path(path).is_file() for path in paths)]
        if missing:
            raise layout.error(
                f"{len(missing)} of {len(items)} {key}s that its list names are not there, the first is number "
                f"{missing[0]}."
            )


DATASETS: dict[str, Layout] = {
    "ham10000": Layout(
        title="HAM10000",
        page="https://doi.org/10.7910/DVN/DBW86T",
        tree="""\
    HAM10000_metadata                         (or .csv, .tab)
    HAM10000_images_part_1/                   ISIC_0024306.jpg ...
    HAM10000_images_part_2/                   ISIC_0029306.jpg ...
    HAM10000_segmentations_lesion_tschandl/   ISIC_0024306_segmentation.png ...""",
        load=_ham10000,
    ),
    "isic": Layout(
        title="ISIC 2018, task 1",
        page="https://challenge.isic-archive.com/data/#2018",
        tree="""\
    ISIC2018_Task1-2_Training_Input/          ISIC_0000000.jpg ...               (and Validation, Test)
    ISIC2018_Task1_Training_GroundTruth/      ISIC_0000000_segmentation.png ...
or any ISIC pictures:
    images/                                   ISIC_0000000.jpg ...
    masks/                                    ISIC_0000000.png ...""",
        load=_isic,
        splits=("train", "val", "test"),
    ),
    "fives": Layout(
        title="FIVES",
        page="https://doi.org/10.6084/m9.figshare.19688169",
        tree="""\
    train/Original/       1_A.png ...
    train/Ground truth/   1_A.png ...
    test/Original/        1_A.png ...
    test/Ground truth/    1_A.png ...""",
        load=_fives,
        splits=("train", "test"),
    ),
    "polypgen": Layout(
        title="PolypGen",
        page="https://www.synapse.org/#!Synapse:syn26376615",
        tree="""\
    data_C1/images_C1/    NAME.jpg ...              (data_C1 to data_C6)
    data_C1/masks_C1/     NAME_mask.jpg ...
or, simpler:
    C1/images/            NAME.jpg ...              (C1 to C6)
    C1/masks/             NAME.png ...""",
        load=_polypgen,
    ),
    "kvasir-seg": Layout(
        title="Kvasir-SEG",
        page="https://datasets.simula.no/kvasir-seg/",
        tree="""\
    Kvasir-SEG/images/    NAME.jpg ...
    Kvasir-SEG/masks/     NAME.jpg ...""",
        load=_kvasir_seg,
    ),
    "voc2012": Layout(
        title="Pascal VOC 2012",
        page="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
        tree="""\
    VOCdevkit/VOC2012/JPEGImages/                  2007_000032.jpg ...
    VOCdevkit/VOC2012/SegmentationClass/           2007_000032.png ...
    VOCdevkit/VOC2012/ImageSets/Segmentation/      train.txt val.txt trainval.txt""",
        load=_voc2012,
        splits=("train", "val", "trainval"),
    ),
    "sbd": Layout(
        title="SBD, the Semantic Boundaries Dataset",
        page="http://home.bharathh.info/pubs/codes/SBD/download.html",
        tree="""\
    benchmark_RELEASE/dataset/img/                 2008_000002.jpg ...
    benchmark_RELEASE/dataset/cls/                 2008_000002.mat ...
    benchmark_RELEASE/dataset/                     train.txt val.txt (train_noval.txt: without VOC 2012's val)""",
        load=_sbd,
        splits=("train", "val", "train_noval"),
    ),
    "decathlon": Layout(
        title="a list in the decathlon's format",
        page="http://medicaldecathlon.com",
        tree="""\
    dataset.json          {"training": [{"image": "imagesTr/NAME.nii.gz", "label": "labelsTr/NAME.nii.gz"}, ...]}
    imagesTr/             NAME.nii.gz ...
    labelsTr/             NAME.nii.gz ...""",
        load=_decathlon,
    ),
    "phantom": Layout(
        title="shapes phantoms",
        page="monai_causal.data.phantoms: rendered, not downloaded",
        tree="    no files",
        load=_phantom,
        splits=("train", "val", "test"),
    ),
}
"""The data sets by name."""
