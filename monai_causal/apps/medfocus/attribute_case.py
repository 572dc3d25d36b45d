# SPDX-License-Identifier: Apache-2.0
"""What ``monai-causal medfocus attribute`` does: one radiograph, some questions; a record and a picture for each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from monai_causal.apps.medfocus.attribute import MedFocus
from monai_causal.apps.medfocus.baselines.registry import METHODS, build_method
from monai_causal.apps.medfocus.picture import save_overlay
from monai_causal.apps.medfocus.result import Attribution, MedFocusResult
from monai_causal.apps.medfocus.segmenter import as_image
from monai_causal.apps.medfocus.vlm.loading import load_vlm
from monai_causal.apps.medfocus.vlm.prompts import Mode, finding_question
from monai_causal.data.phantoms.chest_causes import FINDING_PHRASES
from monai_causal.data.readers import PICTURES, read_image
from monai_causal.extras import require
from monai_causal.files import draft_of

__all__ = ["Case", "attribute_case", "in_words", "read_radiograph"]

MOST_QUESTIONS = 200


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is asked of a radiograph.

    Args:
        study: a DICOM study (folder or DICOMDIR), a DICOM file, or a picture.
        out: the folder to write to.
        questions: as they are put to the model.
        findings: further questions, by what is looked for: a finding of the phantoms by its name, or any words.
        mode: direct or reasoning.
        vlm: ``demo``, ``demo-shortcut``, a folder or a pinned repository of the hub.
        method: one of :data:`~monai_causal.apps.medfocus.baselines.registry.METHODS`.
        masking, by, tau: of MedFocus.
        device: where the model runs, as transformers' ``device_map``.
        batch_size: counterfactuals per forward.
        download: fetch a model that is not there.
        progress: show a bar.
    """

    study: str | os.PathLike[str]
    out: str | os.PathLike[str]
    questions: Sequence[str] = ()
    findings: Sequence[str] = ()
    mode: Mode = "direct"
    vlm: str = "demo"
    method: str = "medfocus"
    masking: str = "zero"
    by: str = "box"
    tau: float = 0.75
    device: str | None = None
    batch_size: int | None = None
    download: bool = False
    progress: bool = False

    def asked(self) -> list[str]:
        """All questions, each once."""
        named = [finding_question(FINDING_PHRASES.get(name, name)) for name in self.findings]
        asked = list(dict.fromkeys([*self.questions, *named]))
        if not asked:
            raise ValueError("there is no question: give --question 'Is there ...?' or --finding cardiomegaly.")
        if len(asked) > MOST_QUESTIONS:
            raise ValueError(f"{len(asked)} questions at once; give at most {MOST_QUESTIONS}.")
        return asked


def attribute_case(case: Case) -> list[Attribution]:
    """Answer and attribute; write ``NUMBER.json`` and ``NUMBER.png`` per question, and ``image.png``."""
    questions = case.asked()
    if case.method not in METHODS:
        raise ValueError(f"method={case.method!r}: one of {', '.join(METHODS)}.")
    out = Path(case.out)
    image = read_radiograph(Path(case.study))
    vlm = load_vlm(case.vlm, device_map=case.device, download=case.download)
    results: list[Attribution] = []
    if case.method == MedFocus.name:
        masking: Any = case.masking
        medfocus = MedFocus(
            vlm,
            masking=masking,
            by=case.by,  # type: ignore[arg-type]
            tau=case.tau,
            batch_size=case.batch_size,
            progress=case.progress,
        )
        results += medfocus.attribute_all(image, questions, case.mode)
    else:
        method = build_method(case.method, vlm, batch_size=case.batch_size)
        results += [method.attribute(image, question, case.mode) for question in questions]
    out.mkdir(parents=True, exist_ok=True)
    _save_image(out / "image.png", image)
    for number, result in enumerate(results, 1):
        result.save(out / f"{number}.json")
        save_overlay(out / f"{number}.png", image, result)
    return results


def read_radiograph(path: Path) -> Any:
    """The radiograph of a DICOM study or file, or of a picture: a Projection, or an array in [0, 1]."""
    if path.is_file() and path.name.lower().endswith(PICTURES):
        return read_image(path, name="the image").mean(0)
    require("pydicom")
    from monai_causal.dicom.selection import select_projection

    if not path.exists():
        raise FileNotFoundError(f"{path.name!r}: there is no such file or folder.")
    return select_projection(path).read()


def _save_image(path: Path, image: Any) -> None:
    """The radiograph as it was asked about, for pages that show the results."""
    grey, _, _ = as_image(image)
    with draft_of(path) as draft:
        Image.fromarray(np.rint(255 * grey).astype(np.uint8)).save(draft)


def in_words(results: Sequence[Attribution], out: Path) -> str:
    """What a person wants to read of it."""
    lines = []
    for number, result in enumerate(results, 1):
        lines.append(f"{number}. {result.question} - {result.answer.text or '(no answer)'}")
        lines.append(f"   {_because(result)}")
    lines.append(f"Pictures and records: {out}. They explain a model's answer, right or wrong, and are no diagnosis.")
    return "\n".join(lines)


def _because(result: Attribution) -> str:
    if not isinstance(result, MedFocusResult):
        place = "the whole image" if result.whole_image else f"{len(result.boxes)} boxes, first {result.boxes[0]}"
        return f"{result.method}: {place}"
    if result.concept is None:
        left = f"{100 * result.relative_probability:.0f} %"
        return f"no single anatomy: without {result.strongest} the answer stays {left} as probable"
    sure = "" if not result.coin_toss else "; a coin toss, another anatomy could as well have been named"
    return f"rests on {result.concept} at {result.box} (effect {result.effects[result.concept]:.2f} nats{sure})"
