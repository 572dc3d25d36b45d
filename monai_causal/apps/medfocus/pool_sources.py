# SPDX-License-Identifier: Apache-2.0
"""Reference pools from what there is: images with masks, Chest ImaGenome's folders, or phantoms."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monai_causal.apps.medfocus.pool import Reference, ReferencePool
from monai_causal.apps.medfocus.transport_grid import as_grey, min_max
from monai_causal.data.imagenome import FILES, SCENE_GRAPHS, SUFFIX, SceneGraph, read_scene_graph

__all__ = ["pool_from_imagenome", "pool_from_masks", "pool_from_phantoms"]


def pool_from_masks(
    images: Sequence[Any],
    masks: Sequence[Mapping[str, Any]],
    concepts: Sequence[str],
    *,
    size: int = 256,
    names: Sequence[str] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> ReferencePool:
    """A pool from grey images and, for each, a mask per concept name.

    Args:
        images: grey, (rows, columns) or (1, rows, columns), any range; they are stretched to 0 .. 255.
        masks: one mapping per image from a concept's name to its mask (rows, columns); a name that is not there is a
            concept that is not known on this image.
        concepts: in the order of the pool; other names in ``masks`` are left out.
        size: the longer side becomes this many pixels, if it is longer.
        names: of the references; numbers by default, so that no file name slips in.
        provenance: of the pool as a whole.
    """
    if len(images) != len(masks):
        raise ValueError(f"masks: {len(masks)} mappings for {len(images)} images.")
    called = list(names) if names is not None else [f"{index:03d}" for index in range(len(images))]
    references = []
    for name, image, known in zip(called, images, masks, strict=True):
        grey = as_grey(image, f"reference {name}", least=1)
        pixels = np.rint(min_max(grey) * 255).astype(np.uint8)
        shape = _shrunk(grey.shape, size)
        stack = np.zeros((len(concepts), *shape), bool)
        for index, concept in enumerate(concepts):
            if concept in known:
                stack[index] = _resized_mask(known[concept], grey.shape, shape, f"{concept} of reference {name}")
        references.append(Reference(_resized(pixels, shape, Image.Resampling.LANCZOS), stack, name))
    return ReferencePool(references, concepts, dict(provenance or {}))


def pool_from_phantoms(
    seeds: Iterable[int], size: int = 256, *, concepts: Sequence[str] | None = None, style: str = "plain"
) -> ReferencePool:
    """A pool of chest phantoms without findings, on which every concept is known to the pixel.

    Args:
        seeds: one reference each.
        size: of the rendered images, which are square.
        concepts: all of the phantom's by default, in its order.
        style: of the phantoms.
    """
    from monai_causal.data.phantoms.chest import CONCEPTS, chest

    wanted = tuple(CONCEPTS if concepts is None else concepts)
    references = []
    for seed in seeds:
        phantom = chest(seed, (size, size), style=style, findings=())
        stack = np.stack([np.asarray(phantom.maps[name], dtype=bool) for name in wanted])
        pixels = np.rint(min_max(as_grey(phantom.image, f"phantom {seed}", least=1)) * 255).astype(np.uint8)
        references.append(Reference(pixels, stack, f"phantom-{seed}", {"seed": seed, "style": style}))
    return ReferencePool(references, wanted, {"source": "monai_causal.data.phantoms.chest", "licence": "Apache-2.0"})


def pool_from_imagenome(
    imagenome: str | os.PathLike[str],
    images: str | os.PathLike[str],
    identifiers: Sequence[str],
    concepts: Sequence[str],
    *,
    size: int = 256,
) -> ReferencePool:
    """A pool from Chest ImaGenome, whose regions are boxes on the images of MIMIC-CXR-JPG.

    Args:
        imagenome: the folder that holds ``silver_dataset/scene_graph``.
        images: the folder of MIMIC-CXR-JPG that holds ``files``.
        identifiers: of the images, as in ``<identifier>_SceneGraph.json``.
        concepts: names of regions (``bbox_name``); a region that a scene graph does not have is not known there.
        size: see :func:`pool_from_masks`.
    """
    pictures, boxes, origins = [], [], []
    for position, identifier in enumerate(identifiers):
        item = f"image {position} of {len(identifiers)}"  # identifiers stay out of messages
        graph = read_scene_graph(Path(imagenome) / SCENE_GRAPHS / f"{identifier}{SUFFIX}", item)
        try:
            with Image.open(Path(images) / FILES / graph.picture) as file:
                picture = np.asarray(file.convert("L"))
        except OSError as error:
            raise FileNotFoundError(f"{item}: its JPEG cannot be read ({type(error).__name__}).") from None
        pictures.append(picture)
        boxes.append(_region_masks(graph, picture.shape, concepts))
        origins.append(hashlib.sha256(identifier.encode()).hexdigest()[:16])
    source = {
        "source": "Chest ImaGenome (silver scene graphs) on MIMIC-CXR-JPG; masks are boxes",
        "licence": "PhysioNet credentialed; not to be passed on",
    }
    names = [f"imagenome-{digest}" for digest in origins]
    return pool_from_masks(pictures, boxes, concepts, size=size, names=names, provenance=source)


def _region_masks(graph: SceneGraph, shape: tuple[int, ...], concepts: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Each region's box as a mask; corners outside the image are cut off, what is then empty is left out."""
    masks = {}
    for name, box in graph.regions.items():
        if name not in concepts:
            continue
        x0, y0, x1, y1 = (max(round(corner), 0) for corner in box)
        mask = np.zeros(shape, bool)
        mask[y0:y1, x0:x1] = True
        if mask.any():
            masks[name] = mask
    return masks


def _shrunk(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    factor = min(size / max(shape), 1.0)
    return max(round(shape[0] * factor), 1), max(round(shape[1] * factor), 1)


def _resized(pixels: NDArray[np.uint8], shape: tuple[int, int], how: Image.Resampling) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(pixels).resize(shape[::-1], how))


def _resized_mask(mask: Any, of: tuple[int, ...], to: tuple[int, int], what: str) -> NDArray[np.bool_]:
    values = np.asarray(mask)
    values = values[0] if values.ndim == 3 and len(values) == 1 else values
    if values.shape != of:
        raise ValueError(f"{what}: a mask of shape {values.shape} does not lie on an image of {of[0]} x {of[1]}.")
    return _resized((values > 0).astype(np.uint8) * 255, to, Image.Resampling.BOX) > 127
