# SPDX-License-Identifier: Apache-2.0
"""Reference images whose concepts are known: in memory, and as a folder that says where they come from.

The folder holds ``pool.json`` and, per reference, one grey PNG and one PNG of its masks, whose pixels carry one bit per
concept in three bytes. PNG is lossless, so what is loaded is what was saved, and no file holds code.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monai_causal.files import write_json

__all__ = ["MOST_CONCEPTS", "POOL_SCHEMA", "Reference", "ReferencePool"]

POOL_SCHEMA = "monai_causal/reference-pool/1"
MOST_CONCEPTS = 24  # bits of a pixel of the mask's PNG


@dataclass(frozen=True, eq=False)
class Reference:
    """An image with the masks of its concepts.

    Args:
        image: grey, (rows, columns), uint8.
        masks: (concepts, rows, columns), bool. An empty mask says that the concept is not known on this image.
        name: how results call it; never a patient's name or a path.
        provenance: where image and masks come from, for ``pool.json``: text and numbers by name.
    """

    image: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    name: str
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.image.dtype != np.uint8 or self.image.ndim != 2:
            raise ValueError(
                f"reference {self.name}: its image is uint8 (rows, columns), not {self.image.dtype} "
                f"{self.image.shape}; pool_from_masks converts."
            )
        if self.image.min() == self.image.max():
            raise ValueError(f"reference {self.name}: its image is blank; leave it out.")
        if self.masks.dtype != np.bool_ or self.masks.shape[1:] != self.image.shape:
            raise ValueError(
                f"reference {self.name}: its masks are bool (concepts, {self.image.shape[0]}, {self.image.shape[1]}), "
                f"not {self.masks.dtype} {self.masks.shape}."
            )

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which concepts it has, (concepts,)."""
        known: NDArray[np.bool_] = np.any(self.masks, axis=(1, 2))
        return known

    @property
    def digest(self) -> str:
        """SHA-256 of the pixels of image and masks and of their shapes."""
        content = hashlib.sha256(repr((self.image.shape, self.masks.shape)).encode())
        content.update(np.ascontiguousarray(self.image).tobytes())
        content.update(np.packbits(self.masks).tobytes())
        return content.hexdigest()


class ReferencePool(Sequence[Reference]):
    """References that share their concepts.

    Args:
        references: at least one.
        concepts: names, in the order of the masks. Each must be known on at least one of the references.
        provenance: where the pool comes from as a whole: source, licence, command.
    """

    def __init__(
        self, references: Sequence[Reference], concepts: Sequence[str], provenance: dict[str, Any] | None = None
    ) -> None:
        self.references, self.concepts, self.provenance = tuple(references), tuple(concepts), dict(provenance or {})
        if not self.references:
            raise ValueError("references: the pool is empty; give at least one reference.")
        if len(set(self.concepts)) != len(self.concepts) or not 0 < len(self.concepts) <= MOST_CONCEPTS:
            raise ValueError(f"concepts={self.concepts!r}: 1 to {MOST_CONCEPTS} names are needed, each once.")
        names = [reference.name for reference in self.references]
        if len(set(names)) != len(names):
            raise ValueError(
                f"references: two of them are called {max(names, key=names.count)!r}; name each otherwise."
            )
        for reference in self.references:
            if len(reference.masks) != len(self.concepts):
                raise ValueError(
                    f"reference {reference.name}: {len(reference.masks)} masks for {len(self.concepts)} concepts."
                )
        absent = [name for name, holders in zip(self.concepts, self.known.T, strict=True) if not holders.any()]
        if absent:
            raise ValueError(f"no reference of the pool knows {', '.join(absent)}; add one that does, or leave it out.")

    def __len__(self) -> int:
        return len(self.references)

    def __getitem__(self, index: Any) -> Any:
        return self.references[index]

    def __iter__(self) -> Iterator[Reference]:
        return iter(self.references)

    @property
    def known(self) -> NDArray[np.bool_]:
        """(references, concepts): where a concept's mask is there."""
        return np.stack([reference.known for reference in self.references])

    @property
    def missing(self) -> dict[str, tuple[str, ...]]:
        """Concepts that some references do not know, with the names of those references."""
        gaps = {}
        for concept, holders in zip(self.concepts, self.known.T, strict=True):
            without = tuple(r.name for r, holds in zip(self.references, holders, strict=True) if not holds)
            if without:
                gaps[concept] = without
        return gaps

    @property
    def digest(self) -> str:
        """SHA-256 over the names of the concepts and the digests of the references."""
        parts = [*self.concepts, *(reference.digest for reference in self.references)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def subset(self, indices: Sequence[int]) -> ReferencePool:
        """The pool of these references."""
        return ReferencePool([self.references[i] for i in indices], self.concepts, self.provenance)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the pool into a new or empty folder; ``pool.json`` comes last, so an interrupted folder is no pool."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FileExistsError(f"{folder.name}: the folder is not empty; give the pool one of its own.")
        rows = []
        for index, reference in enumerate(self.references):
            image, masks = f"{index:03d}.png", f"{index:03d}-masks.png"
            Image.fromarray(reference.image).save(folder / image, optimize=True)
            Image.fromarray(_packed(reference.masks)).save(folder / masks, optimize=True)
            rows.append(
                {
                    "name": reference.name,
                    "image": image,
                    "masks": masks,
                    "digest": reference.digest,
                    "provenance": reference.provenance,
                }
            )
        about = {
            "schema": POOL_SCHEMA,
            "concepts": list(self.concepts),
            "digest": self.digest,
            "provenance": self.provenance,
            "references": rows,
        }
        write_json(folder / "pool.json", about)
        return folder

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> ReferencePool:
        """Read a folder that :meth:`save` wrote; every reference is compared with its digest."""
        folder = Path(folder)
        try:
            about = json.loads((folder / "pool.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise FileNotFoundError(f"{folder.name}: no pool.json, so this is no reference pool.") from None
        except ValueError as error:
            raise ValueError(f"pool.json of {folder.name} is no JSON: {error}") from None
        if not isinstance(about, dict) or about.get("schema") != POOL_SCHEMA:
            raise ValueError(f"pool.json of {folder.name}: its schema is not {POOL_SCHEMA}.")
        references = [_read(folder, row, len(about["concepts"])) for row in about["references"]]
        return cls(references, about["concepts"], about["provenance"])


def _packed(masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(concepts, rows, columns) -> (rows, columns, 3): concept k is bit ``k % 8`` of byte ``k // 8``."""
    packed = np.zeros((*masks.shape[1:], 3), np.uint8)
    for index, mask in enumerate(masks):
        packed[..., index // 8] |= mask.astype(np.uint8) << index % 8
    return packed


def _read(folder: Path, row: dict[str, Any], concepts: int) -> Reference:
    pixels = []
    for key, mode in (("image", "L"), ("masks", "RGB")):
        if Path(row[key]).name != row[key]:
            raise ValueError(f"pool.json of {folder.name}: {key} of {row['name']} is not a file of this folder.")
        with Image.open(folder / row[key]) as file:
            if file.format != "PNG" or file.mode != mode:
                raise ValueError(
                    f"{key} of {row['name']}: a PNG of mode {mode} is needed, not {file.format} {file.mode}."
                )
            pixels.append(np.asarray(file))
    image, packed = pixels
    masks = np.stack([packed[..., k // 8] >> k % 8 & 1 for k in range(concepts)]).astype(bool)
    reference = Reference(image, masks, row["name"], row["provenance"])
    if reference.digest != row["digest"]:
        raise ValueError(f"reference {row['name']}: its files are not those that were saved (their digest differs).")
    return reference
