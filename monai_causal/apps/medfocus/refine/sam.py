# SPDX-License-Identifier: Apache-2.0
"""MedSAM or SAM draws each concept anew, prompted by the box of what was found (MedFocus, section 4.1).

The image encoder, nearly all of the cost, runs once per image; the boxes of all concepts go through the mask decoder
in one batch. Only the chosen masks are brought to the image's size, one after the other: at 3000 x 2500 pixels all
candidates of eleven concepts would take a gigabyte.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, pad

from monai_causal.apps.explain.weights import load_weights
from monai_causal.apps.medfocus.segmenters.base import Image, Mask, Segmented, tight_box
from monai_causal.extras import require

__all__ = ["SamBackend", "SamRefinement", "prompt_boxes", "resized_shape"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""By which SAM was trained to see its images."""
KINDS = ("vit_b", "vit_l", "vit_h")


class SamBackend(Protocol):
    """What the two implementations have in common."""

    size: int

    def encode(self, pixels: Tensor) -> Tensor:
        """(1, 3, size, size) to an embedding."""

    def decode(self, embedding: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """An embedding and boxes (N, 4) to logits (N, 3, h, w) and predicted IoU (N, 3)."""


class SamRefinement:
    """Boxes in, masks out: of three candidates per box, the one whose predicted IoU is best.

    Args:
        backend: a loaded model; usually from :meth:`from_checkpoint` or :meth:`from_transformers`.
        name: what results call it.
        normalise: ``"sam"`` subtracts the mean of SAM's training images, ``"unit"`` leaves [0, 1] as MedSAM's own
            inference does.

    A concept that was not found is not asked for. Where the model draws nothing, the mask stays as it was found and
    the result says so.
    """

    def __init__(self, backend: SamBackend, name: str = "sam", normalise: Literal["sam", "unit"] = "sam") -> None:
        if normalise not in ("sam", "unit"):
            raise ValueError(f"normalise={normalise!r}: give 'sam' or 'unit'.")
        self.backend, self.name, self.normalise = backend, name, normalise

    @classmethod
    def from_checkpoint(
        cls, path: Path | str, kind: str = "vit_b", device: str | torch.device = "cpu", **options: Any
    ) -> SamRefinement:
        """A checkpoint of the segment-anything package, SAM's or MedSAM's.

        Args:
            path: a state dict; tensors only are read.
            kind: ``vit_b``, ``vit_l`` or ``vit_h``; MedSAM is a ``vit_b``.
            device: where it runs.
            options: ``name`` and ``normalise``.
        """
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r}: choose {' or '.join(KINDS)}.")
        model = require("segment_anything").sam_model_registry[kind](checkpoint=None)
        digest = load_weights(model, Path(path), f"the SAM checkpoint ({kind})")
        options.setdefault("name", f"segment-anything {kind} {digest[:12]}")
        return cls(_SegmentAnything(model.to(device).eval()), **options)

    @classmethod
    def from_transformers(
        cls, source: Path | str, revision: str | None = None, device: str | torch.device = "cpu", **options: Any
    ) -> SamRefinement:
        """A folder that transformers' ``SamModel.save_pretrained`` wrote, or a model on a hub at a pinned revision.

        Args:
            source: the folder, or ``owner/name`` with ``revision``; only then the network is used.
            revision: 40 hexadecimal digits.
            device: where it runs.
            options: ``name`` and ``normalise``.
        """
        folder = Path(source)
        if folder.is_dir():
            called = "local folder"
            where: dict[str, Any] = {"local_files_only": True}
        elif revision is None:
            raise ValueError("SAM: there is no such folder. For a model on a hub, pin its revision (40 hex digits).")
        elif not re.fullmatch(r"[0-9a-f]{40}", revision):
            raise ValueError(f"revision={revision!r}: pin a commit, 40 hexadecimal digits.")
        else:
            called, where = f"{source}@{revision[:12]}", {"revision": revision}
        model = require("transformers").SamModel.from_pretrained(str(source), **where)
        options.setdefault("name", f"transformers SAM {called}")
        return cls(_Transformers(model.to(device).eval()), **options)

    def __call__(self, image: Image, found: Segmented) -> Segmented:
        """Masks as the model draws them, with its predicted IoU as confidence."""
        boxes = {name: box for name, mask in found.masks.items() if (box := tight_box(mask)) is not None}
        if not boxes:
            return found.then(self.name, found.masks, notes=("nothing was found that SAM could refine",))
        masks, confidence, kept = dict(found.masks), dict(found.confidence), []
        with torch.no_grad():
            embedding = self.backend.encode(self._pixels(image))
            logits, quality = self.backend.decode(
                embedding, prompt_boxes(boxes.values(), image.shape, self.backend.size)
            )
            best = quality.argmax(dim=1)
            for number, name in enumerate(boxes):
                drawn = self._native(logits[number, best[number]], image.shape)
                if drawn.any():
                    masks[name] = drawn
                    confidence[name] = float(quality[number, best[number]].clamp(0, 1))
                else:
                    kept.append(name)
        notes = (f"SAM drew nothing for {', '.join(kept)}: as found before",) if kept else ()
        return found.then(
            self.name, masks, confidence, {"sam": {"name": self.name, "normalise": self.normalise}}, notes
        )

    def _pixels(self, image: Image) -> Tensor:
        shape = resized_shape(image.shape, self.backend.size)
        grey = interpolate(torch.from_numpy(image)[None, None].float(), shape, mode="bilinear", antialias=True)
        pixels = grey.clamp(0, 1).expand(1, 3, *shape)
        if self.normalise == "sam":
            pixels = (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
        # Padding is 0 after the normalisation, as in training.
        return pad(pixels, (0, self.backend.size - shape[1], 0, self.backend.size - shape[0]))

    def _native(self, logits: Tensor, shape: tuple[int, ...]) -> Mask:
        """Logits of the padded square as a mask of the image."""
        size = self.backend.size
        rows, columns = resized_shape(shape, size)
        square = interpolate(logits[None, None].float(), (size, size), mode="bilinear", align_corners=False)
        native = interpolate(square[..., :rows, :columns], tuple(shape), mode="bilinear", align_corners=False)
        mask: Mask = (native[0, 0] > 0).cpu().numpy()
        return mask


def resized_shape(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """Rows and columns once the longer side is ``size``, rounded as SAM rounds them.

    Example:
        >>> resized_shape((3000, 2500), 1024)
        (1024, 853)
    """
    scale = size / max(shape)
    return int(shape[0] * scale + 0.5), int(shape[1] * scale + 0.5)


def prompt_boxes(boxes: Any, shape: tuple[int, ...], size: int) -> Tensor:
    """Half-open boxes of the image, rows then columns, as SAM's prompts (N, 4): x0 y0 x1 y1 of the resized image.

    A prompt's corners are the outermost pixels that belong to the object, so the last one is that before the stop.
    """
    rows, columns = resized_shape(shape, size)
    down, across = rows / shape[0], columns / shape[1]
    corners: NDArray[np.float64] = np.array(
        [
            [left * across, top * down, (right - 1) * across, (bottom - 1) * down]
            for (top, bottom), (left, right) in boxes
        ]
    )
    return torch.from_numpy(corners).float()


class _SegmentAnything:
    def __init__(self, model: Any) -> None:
        self.model = model
        self.size = int(model.image_encoder.img_size)

    def encode(self, pixels: Tensor) -> Tensor:
        embedding: Tensor = self.model.image_encoder(pixels.to(self.model.device))
        return embedding

    def decode(self, embedding: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        sparse, dense = self.model.prompt_encoder(points=None, boxes=boxes.to(embedding.device), masks=None)
        logits, quality = self.model.mask_decoder(
            image_embeddings=embedding,
            image_pe=self.model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        return logits, quality


class _Transformers:
    def __init__(self, model: Any) -> None:
        self.model = model
        self.size = int(model.config.vision_config.image_size)

    def encode(self, pixels: Tensor) -> Tensor:
        embedding: Tensor = self.model.get_image_embeddings(pixels.to(self.model.device))
        return embedding

    def decode(self, embedding: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        answer = self.model(
            image_embeddings=embedding, input_boxes=boxes[None].to(embedding.device), multimask_output=True
        )
        return answer.pred_masks[0], answer.iou_scores[0]
