# SPDX-License-Identifier: Apache-2.0
"""Donor banks: patches of other images, from which ``DonorPatchFill`` draws, and where each of them came from.

A bank knows of every donor which image, which patient and which place it was cut from, so that the image to be
explained, and all of its patient, can be left out. The file that it is saved to names images by their number and a
digest of their content, and patients by a number; names are written only on request.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from monai_causal.data.datasets import load_dataset
from monai_causal.data.phantoms import shapes
from monai_causal.data.readers import PICTURES, VOLUMES, read_image, suffixless
from monai_causal.files import draft_of
from monai_causal.versions import versions

__all__ = ["SCHEMA", "DonorBank", "DonorImage", "image_digest", "phantom_bank"]

SCHEMA = "monai_causal/donor-bank/1"
ARRAYS = ("patches", "origins", "corners")
PHANTOM_SEEDS = 1_000_000_000  # far from the seeds of data sets and demos, so that no donor comes from one of them
PER_PHANTOM = 25

Donor: TypeAlias = "Mapping[str, Any] | tuple[Any, Any]"


@dataclass(frozen=True)
class DonorImage:
    """An image that donors were cut from: its number among those given, its digest and, where known, its names."""

    index: int
    digest: str
    id: str | None = None
    patient: str | None = None


@dataclass(frozen=True, eq=False)
class DonorBank:
    """An ordered set of donor patches, ready for ``DonorPatchFill(bank)``.

    Attributes:
        patches: (N, C, \\*patch), float32.
        images: those that donors were cut from.
        origins: (N,), the place in ``images`` of each donor's own.
        corners: (N, axes), its first voxel there.
        seed: of the draw of the places.
        grid: whether the places lie on the grid of patches.
        source: what the images are, in the caller's words.
        modality: if the caller told.
        named: whether ids and patients are the caller's own; a bank loaded from a file without names has numbers.
        versions: of what made it.

    >>> bank = DonorBank.cut([("a", torch.rand(3, 32, 32)), ("b", torch.rand(3, 40, 48))], 8, per_image=5)
    >>> len(bank), tuple(bank[0].shape), len(bank.without(image_id="a"))
    (10, (3, 8, 8), 5)
    """

    patches: Tensor
    images: tuple[DonorImage, ...]
    origins: Tensor
    corners: Tensor
    seed: int
    grid: bool
    source: str
    modality: str | None
    named: bool
    versions: Mapping[str, str]

    def __post_init__(self) -> None:
        count, axes = len(self.patches), self.patches.ndim - 2
        if axes < 1 or self.origins.shape != (count,) or self.corners.shape != (count, axes):
            raise ValueError(
                f"a bank of patches {tuple(self.patches.shape)} has one origin and one corner per donor, not "
                f"{tuple(self.origins.shape)} and {tuple(self.corners.shape)}."
            )
        if count and not 0 <= int(self.origins.min()) <= int(self.origins.max()) < len(self.images):
            raise ValueError(f"a donor's origin is not one of the bank's {len(self.images)} images.")

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, number: int) -> Tensor:
        return self.patches[number]

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.patches)

    @property
    def patch_size(self) -> tuple[int, ...]:
        return tuple(self.patches.shape[2:])

    @property
    def channels(self) -> int:
        return self.patches.shape[1]

    def origin(self, number: int) -> DonorImage:
        """The image that a donor was cut from."""
        return self.images[int(self.origins[number])]

    def subset(self, donors: Sequence[int] | Tensor) -> DonorBank:
        """The bank of these donors, in this order, and of their images alone."""
        chosen = torch.as_tensor(donors, dtype=torch.long)
        kept, origins = torch.unique(self.origins[chosen], return_inverse=True)
        return replace(
            self,
            patches=self.patches[chosen],
            images=tuple(self.images[number] for number in kept.tolist()),
            origins=origins,
            corners=self.corners[chosen],
        )

    def without(
        self, image_id: str | int | None = None, patient: str | int | None = None, image: Tensor | None = None
    ) -> DonorBank:
        """The bank without an image to be explained: without what was cut from it, from an image of the same content,
        or from any image of its patient as far as the bank knows patients.

        Args:
            image_id: its id, as given when the bank was cut.
            patient: its patient, as given when the bank was cut; every image of the bank must have one.
            image: the image itself, (C, \\*spatial) or a batch of one, prepared as the bank's images were: found by
                its digest, so it works with a bank whose file holds no names.
        """
        if (image_id is not None or patient is not None) and not self.named:
            raise ValueError(
                "this bank holds no names of images and patients, so it cannot leave one out by name: give the image "
                "itself (image=...), or save the bank with keep_ids=True."
            )
        unknown = [one.index for one in self.images if one.patient is None]
        if patient is not None and unknown:
            raise ValueError(
                f"{len(unknown)} of the bank's {len(self.images)} images have no known patient, the first is number "
                f"{unknown[0]}: the patient cannot be left out for certain. Cut the bank from items with a 'patient'."
            )
        digest = None if image is None else image_digest(image[0] if image.ndim == self.patches.ndim else image)
        gone = {
            one
            for one in self.images
            if (image_id is not None and one.id == str(image_id))
            or (patient is not None and one.patient == str(patient))
            or one.digest == digest
        }
        while True:  # another image of the patient may have a copy under another name, and that one a patient
            digests, patients = {one.digest for one in gone}, {one.patient for one in gone} - {None}
            more = {one for one in self.images if one.digest in digests or one.patient in patients}
            if more == gone:
                break
            gone = more
        keep = [number for number, origin in enumerate(self.origins.tolist()) if self.images[origin] not in gone]
        if not keep:
            raise ValueError(
                f"nothing is left of a bank of {len(self)} donors from {len(self.images)} images without the explained "
                "image and its patient: cut it from more patients."
            )
        return self if len(keep) == len(self) else self.subset(keep)

    def check(self, image: Tensor, modality: str | None = None) -> None:
        """Raise unless the bank can serve this image, (C, \\*spatial) or a batch (B, C, \\*spatial).

        >>> phantom_bank().check(torch.rand(1, 3, 64, 64))
        Traceback (most recent call last):
        ValueError: a bank of 1 channel in 2-D cannot serve an image of 3 channels in 2-D: cut one of its modality.
        """
        axes = len(self.patch_size)
        given = image.ndim - (2 if image.ndim == axes + 2 else 1)
        channels = image.shape[-given - 1]
        if (channels, given) != (self.channels, axes):
            raise ValueError(
                f"a bank of {_count(self.channels, 'channel')} in {axes}-D cannot serve an image of "
                f"{_count(channels, 'channel')} in {given}-D: cut one of its modality."
            )
        if modality is not None and self.modality is not None and modality != self.modality:
            raise ValueError(f"a bank of modality {self.modality!r} cannot serve an image of modality {modality!r}.")

    @classmethod
    def cut(
        cls,
        items: Iterable[Donor],
        patch_size: int | Sequence[int],
        *,
        per_image: int = 100,
        seed: int = 0,
        grid: bool = False,
        limit: int | None = None,
        exclude: Iterable[str | int] = (),
        source: str = "images given one by one",
        progress: bool = False,
    ) -> DonorBank:
        """Cut donors from images.

        Each image gives ``per_image`` different places, or all it has if these are fewer, drawn from (seed, image id):
        neither the other images nor their order matter. An image without id is drawn for by its digest.

        Args:
            items: pairs (id, image), or dictionaries with ``image`` and, where known, ``id``, ``patient`` and
                ``modality``. Images are (C, \\*spatial), of any size not below the patch.
            patch_size: in voxels, one number for all axes or one per axis.
            per_image: donors of each image.
            seed: of the draw.
            grid: places on the grid of patches only, as in the PdCR study (100 of each image's 32x32); otherwise any.
            limit: keep the first ones only (the study: 10,000).
            exclude: ids of images to be explained: neither they, nor their copies, nor their patients give donors.
            source: what the images are, for the file; leave names of patients out of it.
            progress: show a bar, if this is a terminal.
        """
        if per_image < 1 or (limit is not None and limit < 1):
            raise ValueError(f"per_image={per_image}, limit={limit}: a bank has at least one donor.")
        excluded = tuple(exclude)
        images: list[DonorImage] = []
        patches: list[Tensor] = []
        corners: list[NDArray[np.int64]] = []
        modalities: list[str | None] = []
        cut = 0
        for item in tqdm(items, desc="donors", disable=None if progress else True):
            if limit is not None and not excluded and cut >= limit:
                break
            pixels, record, modality = _described(item, len(images))
            patch = _sides(patch_size, pixels.ndim - 1)
            name = f"image {record.index} (digest {record.digest})"
            if images and (patches[0].shape[1:] != (len(pixels), *patch) or modality != modalities[0]):
                raise ValueError(
                    f"{name} has {_look(pixels, modality)}, but those before it {_look(patches[0][0], modalities[0])}: "
                    "a bank holds images of one modality."
                )
            if any(have < need for have, need in zip(pixels.shape[1:], patch, strict=True)):
                raise ValueError(f"{name} of size {tuple(pixels.shape[1:])} is smaller than the patch {patch}.")
            if not torch.isfinite(pixels).all():
                raise ValueError(f"{name} holds NaN or infinite values: leave it out of the bank.")
            step = patch if grid else (1,) * len(patch)
            room = [(n - p) // s + 1 for n, p, s in zip(pixels.shape[1:], patch, step, strict=True)]
            drawn = _draw(math.prod(room), per_image, f"{seed}/{record.digest if record.id is None else record.id}")
            places = np.stack(np.unravel_index(drawn, room), axis=1) * step
            windows = [tuple(slice(a, a + p) for a, p in zip(place, patch, strict=True)) for place in places.tolist()]
            patches.append(torch.stack([pixels[(slice(None), *window)] for window in windows]))
            corners.append(places)
            images.append(record)
            modalities.append(modality)
            cut += len(places)
        if not images:
            raise ValueError("a bank needs at least one image to cut from; none was given.")
        bank = cls(
            patches=torch.cat(patches),
            images=tuple(images),
            origins=torch.repeat_interleave(torch.tensor([len(donors) for donors in patches])),
            corners=torch.from_numpy(np.concatenate(corners)),
            seed=seed,
            grid=grid,
            source=source,
            modality=modalities[0],
            named=True,
            versions=versions("torch", "monai"),
        )
        for one in excluded:
            bank = bank.without(image_id=one)
        return bank if limit is None or limit >= len(bank) else bank.subset(range(limit))

    @classmethod
    def from_folder(
        cls,
        folder: str | os.PathLike[str],
        patch_size: int | Sequence[int],
        size: int | Sequence[int] | None = None,
        *,
        window: tuple[float, float] | None = None,
        patient_of: Callable[[str], str] | None = None,
        source: str | None = None,
        **options: Any,
    ) -> DonorBank:
        """Cut donors from the pictures and NIfTI volumes of a folder, in the order of their names.

        Args:
            folder: its own files are taken, not those of folders within.
            patch_size: as in :meth:`cut`.
            size: resize each image first, as the explained one is.
            window: as in :func:`monai_causal.data.readers.read_image`.
            patient_of: tells an image's patient from its id, the file's name without suffix.
            source: as in :meth:`cut`; the folder's own name is not written.
            options: of :meth:`cut`.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise ValueError("the donors' folder is not there: give a folder of pictures or NIfTI volumes.")
        known = (*PICTURES, *VOLUMES)
        paths = sorted(path for path in folder.iterdir() if path.name.lower().endswith(known) and path.name[0] != ".")
        if not paths:
            raise ValueError(f"the donors' folder holds no image; what can be read: {', '.join(known)}.")
        items = [
            {"image": str(path), "id": name, "patient": None if patient_of is None else patient_of(name)}
            for path, name in ((path, suffixless(path)) for path in paths)
        ]
        source = f"a folder of {len(paths)} files" if source is None else source
        return cls.cut(_Read(items, size, window), patch_size, source=source, **options)

    @classmethod
    def from_dataset(
        cls,
        dataset: Iterable[Mapping[str, Any]],
        patch_size: int | Sequence[int],
        *,
        key: str = "image",
        id_key: str = "id",
        patient_key: str = "patient",
        **options: Any,
    ) -> DonorBank:
        """Cut donors from a MONAI dataset of dictionaries, whose transforms have loaded and prepared the images.

        Args:
            dataset: of dictionaries whose ``key`` is a tensor (C, \\*spatial).
            patch_size: as in :meth:`cut`.
            key: of the image.
            id_key: of its id, where there is one.
            patient_key: of its patient, where there is one.
            options: of :meth:`cut`.
        """
        options.setdefault("source", "a MONAI dataset")
        names = {"image": key, "id": id_key, "patient": patient_key, "modality": "modality"}
        items = ({name: item[there] for name, there in names.items() if there in item} for item in dataset)
        return cls.cut(items, patch_size, **options)

    @classmethod
    def from_decathlon(
        cls,
        datalist: str | os.PathLike[str],
        patch_size: int | Sequence[int],
        *,
        section: str = "training",
        base_dir: str | os.PathLike[str] | None = None,
        size: int | Sequence[int] | None = None,
        window: tuple[float, float] | None = None,
        **options: Any,
    ) -> DonorBank:
        """Cut donors from the images of a list in the decathlon's format; it needs no labels.

        Args:
            datalist: the JSON file.
            patch_size: as in :meth:`cut`.
            section: of the list.
            base_dir: of the paths in it, the list's own folder if not given.
            size: resize each image first, as the explained one is.
            window: as in :func:`monai_causal.data.readers.read_image`.
            options: of :meth:`cut`.
        """
        items = load_dataset("decathlon", datalist, section, unlabelled="keep", base_dir=base_dir)
        options.setdefault("source", f"section {section!r} of a decathlon list of {len(items)} images")
        return cls.cut(_Read(items, size, window), patch_size, **options)

    def save(self, path: str | os.PathLike[str], *, keep_ids: bool = False) -> Path:
        """Write the bank as one ``.npz`` file without pickle; the same bank gives the same bytes.

        Args:
            path: of the file.
            keep_ids: write ids and patients as given. Otherwise images have their number and digest, and patients a
                number, so that :meth:`without` still finds an image by its content, and then its patient.
        """
        if keep_ids and not self.named:
            raise ValueError("keep_ids=True: this bank was loaded from a file without names, so it has none to keep.")
        numbers: dict[str | None, str | None] = {None: None}
        for image in self.images:
            numbers.setdefault(image.patient, str(len(numbers) - 1))
        provenance = {
            "schema": SCHEMA,
            "source": self.source,
            "modality": self.modality,
            "donors": len(self),
            "channels": self.channels,
            "patch_size": list(self.patch_size),
            "seed": self.seed,
            "grid": self.grid,
            "named": keep_ids,
            "versions": dict(self.versions),
            "images": [
                {"index": image.index, "digest": image.digest}
                | ({"id": image.id} if keep_ids else {})
                | {"patient": image.patient if keep_ids or not self.named else numbers[image.patient]}
                for image in self.images
            ],
        }
        arrays = {name: np.ascontiguousarray(getattr(self, name).numpy()) for name in ARRAYS}
        with draft_of(path) as draft, open(draft, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, provenance=np.array(json.dumps(provenance)), **arrays)
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> DonorBank:
        """Read a bank that :meth:`save` wrote."""
        name = Path(path).name
        if not Path(path).is_file():
            raise FileNotFoundError(f"{name}: there is no such donor bank.")
        try:
            with np.load(path, allow_pickle=False) as archive:
                provenance = json.loads(str(archive["provenance"]))
                arrays = {key: archive[key] for key in ARRAYS}
            schema = provenance["schema"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{name} is no donor bank ({type(error).__name__}): give one DonorBank.save wrote."
            ) from None
        if schema != SCHEMA:
            raise ValueError(f"{name} has schema {schema!r}, but {SCHEMA!r} is read here: cut the bank again.")
        try:
            expected = (provenance["donors"], provenance["channels"], *provenance["patch_size"])
            images = tuple(DonorImage(**image) for image in provenance["images"])
            told = {key: provenance[key] for key in ("seed", "grid", "source", "modality", "named", "versions")}
        except (KeyError, TypeError) as error:
            raise ValueError(f"{name}: the provenance of the bank is not whole ({error}).") from None
        types = {key: str(values.dtype) for key, values in arrays.items()}
        if types != {"patches": "float32", "origins": "int64", "corners": "int64"}:
            raise ValueError(f"{name}: its arrays are {types}; patches are float32, origins and corners int64.")
        if arrays["patches"].shape != expected:
            raise ValueError(f"{name}: its patches are {arrays['patches'].shape}, its provenance says {expected}.")
        patches, origins, corners = (torch.from_numpy(arrays[key]) for key in ARRAYS)
        try:
            return cls(patches=patches, images=images, origins=origins, corners=corners, **told)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def image_digest(image: Tensor | NDArray[Any]) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of an image's shape and of its values as float32.

    >>> image_digest(torch.zeros(1, 2, 2)) == image_digest(np.zeros((1, 2, 2))) != image_digest(torch.zeros(1, 4))
    True
    """
    values = torch.as_tensor(image).detach().cpu().numpy().astype("<f4")
    return hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()[:16]


def phantom_bank(
    seed: int = 0, count: int = 200, patch_size: int | Sequence[int] = 8, *, size: Sequence[int] | None = None
) -> DonorBank:
    """Donors from shapes phantoms rendered on the spot, 25 of each: the demo's bank, without a file.

    Args:
        seed: banks of different seeds share no phantom; no bank shares one with the seeds below a thousand million.
        count: of donors.
        patch_size: one number for 2-D, or one per axis.
        size: of the phantoms; (128, 128) or (48, 48, 48) if not given.

    >>> bank = phantom_bank(count=100)
    >>> len(bank), tuple(bank.patches.shape), len(bank.images)
    (100, (100, 1, 8, 8), 4)
    """
    axes = 2 if isinstance(patch_size, int) else len(patch_size)
    if axes not in (2, 3):
        raise ValueError(f"patch_size={patch_size}: phantoms have two or three axes.")
    sides = tuple(size) if size is not None else ((128, 128) if axes == 2 else (48, 48, 48))
    needed = -(-count // PER_PHANTOM)
    first = PHANTOM_SEEDS + 100_000 * seed
    phantoms = ((f"shapes-{number}", shapes(number, size=sides).image) for number in range(first, first + needed))
    items = ({"image": torch.from_numpy(image), "id": name, "patient": name} for name, image in phantoms)
    source = f"{needed} shapes phantoms of size {sides} from seed {first}"
    return DonorBank.cut(items, patch_size, per_image=PER_PHANTOM, seed=seed, limit=count, source=source)


@dataclass(frozen=True)
class _Read:
    """Items whose images are read when it is their turn: one image in memory, and a length for the progress bar."""

    items: Sequence[Mapping[str, Any]]
    size: int | Sequence[int] | None
    window: tuple[float, float] | None

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for index, item in enumerate(self.items):
            pixels = read_image(item["image"], self.size, window=self.window, name=f"image {index}")
            yield {**item, "image": pixels}


def _described(item: Donor, index: int) -> tuple[Tensor, DonorImage, str | None]:
    """The pixels (C, \\*spatial), plain float32 on the CPU, what is recorded of them, and the modality."""
    told: Mapping[str, Any] = item if isinstance(item, Mapping) else {"id": item[0], "image": item[1]}
    if "image" not in told:
        raise ValueError(f"item {index} has no 'image'; it has {', '.join(map(str, told))}.")
    values = told["image"]
    if not isinstance(values, (Tensor, np.ndarray)):
        raise TypeError(
            f"item {index}: its image is a {type(values).__name__}, not a tensor (C, *spatial). from_folder and "
            "from_decathlon read files."
        )
    pixels = torch.as_tensor(values).detach()
    pixels = (pixels.as_tensor() if hasattr(pixels, "as_tensor") else pixels).cpu().float()
    if pixels.ndim not in (3, 4):
        raise ValueError(
            f"item {index}: its image has shape {tuple(pixels.shape)}; (C, *spatial) in 2-D or 3-D is needed."
        )
    names = {key: None if told.get(key) is None else str(told[key]) for key in ("id", "patient", "modality")}
    record = DonorImage(index, image_digest(pixels), names["id"], names["patient"])
    return pixels, record, names["modality"]


def _draw(total: int, count: int, name: str) -> list[int]:
    """``count`` different numbers below ``total``, or all: the first steps of a shuffle that belongs to ``name``.

    From a hash, not from numpy's generator, whose stream may change between versions.
    """
    moved: dict[int, int] = {}
    drawn = []
    for step in range(min(count, total)):
        word = hashlib.sha256(f"{name}/{step}".encode()).digest()[:8]
        other = step + (int.from_bytes(word, "big") * (total - step) >> 64)
        drawn.append(moved.get(other, other))
        moved[other] = moved.get(step, step)
    return drawn


def _sides(patch_size: int | Sequence[int], axes: int) -> tuple[int, ...]:
    sides = (patch_size,) * axes if isinstance(patch_size, int) else tuple(patch_size)
    if len(sides) != axes or min(sides) < 1:
        raise ValueError(f"patch_size={patch_size}: give one number above 0, or one for each of {axes} axes.")
    return sides


def _look(pixels: Tensor, modality: str | None) -> str:
    told = f" and modality {modality!r}" if modality is not None else ""
    return f"{_count(len(pixels), 'channel')} in {pixels.ndim - 1}-D{told}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
