# SPDX-License-Identifier: Apache-2.0
"""Scoring and choosing: an active learning that asks for the images which a model answers for the wrong reason."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from monai_causal.apps.explain.weights import digest_of
from monai_causal.label.evidence import evidence_of
from monai_causal.label.served import ServedBundle
from monai_causal.label.studies import open_study

__all__ = ["INFO_KEY", "CausalEvidence", "WrongReasonFirst"]

logger = logging.getLogger(__name__)

INFO_KEY = "causal_evidence"
"""Under which a datastore keeps the evidence of an image: ``{bundle: {..., "weights": digest}}``."""

HELD_FOR = 3600
"""Seconds in which an image that was handed out is not handed out again while there are others."""


class CausalEvidence:
    """Scoring method: asks every image of the datastore, and writes :class:`~monai_causal.label.evidence.Evidence`.

    An image is asked again only when the bundle's weights have changed since.

    Args:
        bundles: by name; a request may say ``model``.
        default: which one where it does not.
        device: where it runs.
    """

    description = (
        "How much of an answer rests on what lies outside it, and how much of it does not stay when light, contrast, "
        "sharpness or noise change"
    )

    def __init__(self, bundles: Mapping[str, ServedBundle], default: str, device: torch.device) -> None:
        self.bundles, self.default, self.device = bundles, default, device

    def info(self) -> dict[str, Any]:
        return {"description": self.description, "models": list(self.bundles), "default": self.default}

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        name = request.get("model") or self.default
        if name not in self.bundles:
            raise ValueError(f"model={name!r}: choose one of {', '.join(self.bundles)}.")
        served = self.bundles[name]
        weights = digest_of(served.weights)
        bundle = served.open(self.device)
        found: dict[str, Any] = {}
        failed = 0
        for image_id in sorted(datastore.list_images()):
            # First, since a remote image is known to the datastore only once it was fetched.
            path = Path(datastore.get_image_uri(image_id))
            known = datastore.get_image_info(image_id).get(INFO_KEY, {})
            if known.get(name, {}).get("weights") == weights:
                found[image_id] = known[name]
                continue
            try:
                study = open_study(path, bundle, served.axes)
                evidence = evidence_of(served, bundle.model, study.scene.image, self.device).as_dict()
            except ValueError as error:  # one image that does not fit must not end the work on the others
                failed += 1
                logger.warning("image %d of the datastore was not scored: %s", len(found) + failed, error)
                continue
            # What others wrote while this image was asked is read first, so that it is not written over.
            datastore.refresh()
            known = datastore.get_image_info(image_id).get(INFO_KEY, {})
            found[image_id] = evidence | {"weights": weights}
            datastore.update_image_info(image_id, {INFO_KEY: {**known, name: found[image_id]}})
        return {"model": name, "scored": len(found), "failed": failed, "images": found}


class WrongReasonFirst:
    """Strategy: of the images without a label the one whose score is highest; those not scored yet come last.

    An image that was handed out within the last hour waits while there are others, so that two annotators do not get
    the same one. Equal scores go by the image's id.

    Args:
        bundles: by name; a request may say ``model``.
        default: which one where it does not.
        now: the clock, in seconds.
    """

    description = "The image that the model answers for the wrong reason, by the scoring method causal_evidence"

    def __init__(self, bundles: Mapping[str, ServedBundle], default: str, now: Callable[[], float] = time.time) -> None:
        self.bundles, self.default, self.now = bundles, default, now

    def info(self) -> dict[str, Any]:
        return {"description": self.description, "models": list(self.bundles), "default": self.default}

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any] | None:
        name = request.get("model") or self.default
        if name not in self.bundles:
            raise ValueError(f"model={name!r}: choose one of {', '.join(self.bundles)}.")
        key = request.get("by") or "score"
        if key not in ("score", "outside", "disagreement"):
            raise ValueError(f"by={key!r}: choose score, outside or disagreement.")
        datastore.refresh()  # scores are written by another process
        images = datastore.get_unlabeled_images(request.get("label_tag"), request.get("labels"))
        if not images:
            return None
        served_at = self.now() - HELD_FOR
        scores: dict[str, float | None] = {}
        waiting: dict[str, bool] = {}
        for image_id in images:
            info = datastore.get_image_info(image_id)
            scores[image_id] = info.get(INFO_KEY, {}).get(name, {}).get(key)
            handed_out = [one.get("ts", 0) for one in info.get("strategy", {}).values()]
            waiting[image_id] = bool(handed_out) and max(handed_out) > served_at

        def rank(image_id: str) -> tuple[bool, bool, float, str]:
            score = scores[image_id]
            return waiting[image_id], score is None, -(score or 0.0), image_id

        chosen = min(images, key=rank)
        unscored = sum(score is None for score in scores.values())
        return {"id": chosen, "model": name, "by": key, "score": scores[chosen], "not_scored": unscored}
