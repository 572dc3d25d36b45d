# SPDX-License-Identifier: Apache-2.0
"""What makes the results of a run: MedFocus on the chosen radiograph, written as DICOM objects."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from monai_causal.apps.medfocus.attribute import MedFocus
from monai_causal.apps.medfocus.dicom_content import content_of
from monai_causal.apps.medfocus.picture import overlay
from monai_causal.apps.medfocus.segmenter import ConceptSegmenter, as_image
from monai_causal.apps.medfocus.vlm.interface import AnsweringModel
from monai_causal.apps.medfocus.workflow.config import RunConfig
from monai_causal.apps.medfocus.workflow.problems import WorkflowError, stage
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.objects.writing import WrittenObject, write_results
from monai_causal.dicom.projection import read_projection
from monai_causal.dicom.safety import OpenedFile
from monai_causal.dicom.verify import verify
from monai_causal.versions import versions

__all__ = ["MedFocusAnswer", "problems_of", "weights_digest"]

logger = logging.getLogger(__name__)

_BY_DCIODVFY = "dciodvfy"


class MedFocusAnswer:
    """Answers the questions of a configuration about a radiograph, and writes what the answers rest on.

    Args:
        config: of the run.
        vlm: who answers.
        segmenter: finds the anatomy; by default the network that comes along.
        limits: what a file may ask for.
    """

    def __init__(
        self,
        config: RunConfig,
        vlm: AnsweringModel,
        segmenter: ConceptSegmenter | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.config, self.vlm, self.limits = config, vlm, limits
        self.segmenter = segmenter if segmenter is not None else ConceptSegmenter()
        self.medfocus = MedFocus(
            vlm, self.segmenter, masking=config.masking, by=config.by, tau=config.tau, also=config.also
        )

    @cached_property
    def model_digest(self) -> str:
        """SHA-256 of the weights of the model that answers."""
        return weights_digest(self.vlm.network)  # type: ignore[attr-defined]

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """See :class:`~monai_causal.apps.medfocus.workflow.Answer`."""
        found = versions("torch", "monai", "numpy", "pydicom", "highdicom")
        return {
            "method": self.medfocus.name,
            "configuration": dict(self.config.deciding),
            "model": {**self.vlm.provenance, "weights_sha256": self.model_digest},
            "segmenter": {"weights_sha256": getattr(self.segmenter.segmenter, "digest", None)},
            "versions": {name: one for name, one in found.items() if name != "python"},
        }

    def __call__(self, source: OpenedFile, folder: Path) -> Sequence[WrittenObject]:
        """See :class:`~monai_causal.apps.medfocus.workflow.Answer`."""
        with stage("read"):
            projection = read_projection(source, self.limits, for_processing=self.config.for_processing)
            try:
                as_image(projection)
            except ValueError as error:  # its words are of sizes, views and numbers only
                raise WorkflowError("unfit", str(error)) from None
        with stage("attribute"):
            concepts = self.segmenter(projection)
            results = self.medfocus.attribute_all(projection, self.config.asked, self.config.mode, concepts=concepts)
        written: list[WrittenObject] = []
        with stage("write"):
            for result in results:
                picture = overlay(projection, result) if "sc" in self.config.kinds else None
                content = content_of(result, concepts, projection, picture=picture, model_digest=self.model_digest)
                written += write_results(projection, content, folder, kinds=self.config.kinds)
        return written


def problems_of(folder: Path) -> list[str]:
    """What is wrong with the objects in a folder, by reading them back: what keeps them from being committed.

    What dciodvfy says besides, where it is installed, is told in the log only: an object inherits the faults of its
    source's header, and whether a result exists must not depend on a program that happens to be there.
    """
    report = verify(folder)
    problems = [f"{one['item']}: {one['reason']}" for one in report["skipped"]]
    remarks = 0
    for one in report["files"]:
        problems += [text for text in one["problems"] if not text.startswith(_BY_DCIODVFY)]
        remarks += sum(text.startswith(_BY_DCIODVFY) for text in one["problems"])
    if remarks:
        logger.warning("dciodvfy has %d complaints about %d objects", remarks, len(report["files"]))
    return problems


def weights_digest(network: nn.Module) -> str:
    """SHA-256 of a network's weights: names, shapes, types and values, in the order of their names.

    Example:
        >>> weights_digest(nn.Identity())[:12]
        'e3b0c44298fc'
    """
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        if isinstance(value, torch.Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
