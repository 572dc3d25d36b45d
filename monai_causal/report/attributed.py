# SPDX-License-Identifier: Apache-2.0
"""What ``monai-causal medfocus attribute`` wrote, for a page: concepts or boxes on the radiograph, and the answer's
words by what they lose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monai_causal.apps.medfocus.result import Attribution, Corners, MedFocusResult, TokenEffect, by_word
from monai_causal.report.content import Case, Fact, Region, Role, Token, View, number
from monai_causal.report.facts import facts_of, said
from monai_causal.report.originals import Originals
from monai_causal.report.pictures import encode_file
from monai_causal.report.planes import planes_of

__all__ = ["AttributedFile", "attributed_case"]

SHADES = 9
_LEAST = 640  # pixels of the shorter side to which the command's own picture enlarges a small image
_CAVEAT = "This explains a model's answer, right or wrong. It is no diagnosis and no statement about a patient."


@dataclass(frozen=True)
class AttributedFile:
    """A record and where it lies; its picture has the same name and ends in .png."""

    path: Path
    result: Attribution

    @property
    def picture(self) -> Path | None:
        """The picture that was written with it."""
        beside = self.path.with_suffix(".png")
        return beside if beside.is_file() else None


def attributed_case(title: str, files: Sequence[AttributedFile], originals: Originals, room: int) -> Case:
    """One radiograph and question, with what one or more methods say of it."""
    first = files[0].result
    asked: tuple[Fact, ...] = (
        ("Question", first.question),
        ("Answer", first.answer.text or "(no answer)"),
        ("Read as", first.reading),
        ("Asked", "to answer at once" if first.mode == "direct" else "to think aloud first"),
        ("Log-probability of the answer", f"{number(first.log_prob)} nats"),
    )
    return Case(title, asked, tuple(_view(file, originals, room // len(files)) for file in files), _CAVEAT)


def _view(file: AttributedFile, originals: Originals, room: int) -> View:
    result = file.result
    image = originals.radiograph(file.path.parent, result.provenance["image"]["pixels_sha256"], result.size)
    note = ""
    drawn_in = None if image is not None or file.picture is None else _from_picture(file.picture, result.size)
    if image is None:
        note = (
            "The image itself was not given (--image STUDY): shown is the command's own picture, boxes drawn in."
            if drawn_in is not None
            else "The image itself was not given (--image STUDY)."
        )
    base = image if image is not None else drawn_in if drawn_in is not None else np.zeros((1, *result.size))
    concepts = isinstance(result, MedFocusResult)
    regions = _concepts(result) if isinstance(result, MedFocusResult) else _boxes(result)
    if drawn_in is not None:
        regions = tuple(_undrawn(one) for one in regions)
    listed = sorted(range(len(regions)), key=lambda at: (-(regions[at].effect or 0.0), at)) if concepts else ()
    tokens = _tokens(result.token_effects, result.signed) if isinstance(result, MedFocusResult) else ()
    return View(
        result.method,
        _conclusion(result),
        "nats",
        "drop of the answer's log-probability where a concept is replaced: positive supports the answer"
        if concepts
        else "",
        planes_of(base, None, signed=True, limit=0.0, room=room * 3 // 5),
        regions,
        tuple(listed),
        tokens=tokens,
        token_note=_token_note(result),
        facts=_facts(result),
        warnings=_warnings(result),
        figure="" if file.picture is None else encode_file(file.picture, room * 2 // 5)[0],
        note=note,
    )


def _concepts(result: MedFocusResult) -> tuple[Region, ...]:
    members = {result.concept}
    chosen = next((one for one in result.concepts if one.name == result.concept), None)
    if chosen is not None:
        members |= set(chosen.members)
    found = []
    for one in result.concepts:
        effect = one.signed if result.signed else one.drop
        notes = [*one.flags]
        if one.members:
            notes.insert(0, "together: " + ", ".join(one.members))
        if one.box is None:
            notes.insert(0, "not found")
        elif one.confidence < 1:
            notes.append(f"segmented with confidence {one.confidence:.2f}")
        found.append(
            Region(
                one.name,
                _spans(one.box),
                effect,
                role=_role(effect),
                chosen=one.name in members,
                drawn=one.box is not None and (one.name in members or not one.members),
                note="; ".join(notes),
            )
        )
    return tuple(found)


def _boxes(result: Attribution) -> tuple[Region, ...]:
    if result.whole_image:
        return ()
    return tuple(
        Region(f"box {place}", _spans(corners), None, role="supports", chosen=place == 1, drawn=True)
        for place, corners in enumerate(result.boxes, 1)
    )


def _undrawn(region: Region) -> Region:
    return Region(
        region.name, region.box, region.effect, role=region.role, chosen=region.chosen, drawn=False, note=region.note
    )


def _spans(corners: Corners | None) -> tuple[tuple[int, int], ...] | None:
    return None if corners is None else ((corners[1], corners[3]), (corners[0], corners[2]))


def _role(effect: float | None) -> Role:
    return "none" if not effect else "supports" if effect > 0 else "suppresses"


def _tokens(tokens: tuple[TokenEffect, ...], signed: bool) -> tuple[Token, ...]:
    words = by_word(tokens)
    most = max((abs(word.drop) for word in words), default=0.0)
    return tuple(
        Token(
            word.text,
            word.drop,
            _role(word.drop if signed else max(word.drop, 0.0)),
            round(SHADES * abs(word.drop) / most) if most else 0,
        )
        for word in words
    )


def _token_note(result: Attribution) -> str:
    if not isinstance(result, MedFocusResult) or not result.token_effects:
        return ""
    named = result.concept or result.strongest
    return f"What each word of the answer loses, in nats, when {named} is replaced; red words rest on it most."


def _conclusion(result: Attribution) -> str:
    if not isinstance(result, MedFocusResult):
        return "The method names no place." if result.whole_image else f"The method names {len(result.boxes)} boxes."
    if result.concept is None:
        if result.strongest is None:
            return "The answer rests on no single concept: nothing was found on the image."
        left = f"{100 * result.relative_probability:.0f} %"
        return (
            f"The answer rests on no single concept: without {result.strongest} it stays {left} as probable "
            f"(named are concepts that leave less than {100 * result.tau:.0f} %)."
        )
    effect = number(result.effects[result.concept])
    return f"The answer rests on: {result.concept} ({effect} nats)."


def _warnings(result: Attribution) -> tuple[str, ...]:
    found = list(result.notes)
    if isinstance(result, MedFocusResult) and result.coin_toss and result.margin is not None:
        margin = result.margin
        other = f"; its lead over {margin.second} is {number(margin.lead)} nats" if margin.second else ""
        maskings = ", ".join(f"{name}: {one or 'none'}" for name, one in margin.winners.items())
        found.insert(0, f"A coin toss: another anatomy could as well have been named{other}; by masking: {maskings}.")
    return tuple(found)


def _facts(result: Attribution) -> tuple[Fact, ...]:
    rows: dict[str, Any] = dict(result.provenance)
    rows["runtime"] = {
        "seconds": result.runtime.seconds,
        "forwards": result.runtime.forwards,
        "questions": result.runtime.questions,
        "parts": result.runtime.parts,
    }
    found = facts_of(rows)
    if isinstance(result, MedFocusResult):
        found += (("replaced by", result.masking), ("replaced is", f"the {result.by} of a concept"))
    boxes = [f"({said(list(box))})" if box else "outside the stored picture" for box in result.source_boxes or ()]
    return (*found, ("boxes in the stored picture", ", ".join(boxes))) if boxes else found


def _from_picture(path: Path, size: tuple[int, int]) -> NDArray[np.float64] | None:
    """The image part of the picture that the command wrote, above its caption."""
    factor = max(1, -(-_LEAST // min(size)))
    try:
        with Image.open(path) as opened:
            if opened.width != size[1] * factor or opened.height < size[0] * factor:
                return None
            shown = opened.convert("RGB").crop((0, 0, opened.width, size[0] * factor))
    except OSError:
        return None
    small = shown if factor == 1 else shown.resize((size[1], size[0]), Image.Resampling.BOX)
    return np.moveaxis(np.asarray(small, dtype=np.float64), -1, 0) / 255
