# SPDX-License-Identifier: Apache-2.0
"""What a result says, in terms that every DICOM object can be written from, whatever method found it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from monai_causal.dicom.geometry import Box

__all__ = [
    "CAVEAT",
    "Algorithm",
    "Code",
    "Concept",
    "MapMeaning",
    "ResultContent",
    "array_digest",
    "canonical",
    "check_finite",
]

CAVEAT = (
    "This object explains the output of a computer model: it says which parts of the image the model's answer rests "
    "on. It is no diagnosis, does not say that the answer is right, and is not for clinical use without review."
)

SIDES = ("left", "right")
_SCHEME, _VALUE, _MEANING = 16, 16, 64


@dataclass(frozen=True)
class Code:
    """A coded term: coding scheme designator, value and meaning.

    Args:
        scheme: such as ``"SCT"`` or ``"DCM"``; ``"99MCAUSAL"`` for a term of this project's own.
        value: at most 16 characters, or 64 in a private scheme.
        meaning: at most 64 characters.
    """

    scheme: str
    value: str
    meaning: str

    def __post_init__(self) -> None:
        for name, longest in (("scheme", _SCHEME), ("value", 64), ("meaning", _MEANING)):
            text = getattr(self, name)
            if not 0 < len(text.strip()) <= longest or "\\" in text:
                raise ValueError(f"{name}={text!r}: a code's {name} has 1 to {longest} characters and no backslash.")
        if len(self.value) > _VALUE and not self.scheme.startswith("99"):
            raise ValueError(f"value={self.value!r}: a code of {self.scheme} has at most {_VALUE} characters.")


@dataclass(frozen=True)
class MapMeaning:
    """What the values of a map say.

    Args:
        unit: of the values.
        quantity: what they measure.
        says: the same in words, at most 64 characters; which sign means what.
    """

    unit: Code = Code("UCUM", "1", "no units")
    quantity: Code = Code("DCM", "130404", "Saliency")
    says: str = "Support of the model's answer"

    def __post_init__(self) -> None:
        if not 0 < len(self.says.strip()) <= _MEANING or "\\" in self.says:
            raise ValueError(f"says={self.says!r}: give 1 to {_MEANING} characters and no backslash.")

    def as_list(self) -> list[Any]:
        """Everything, as JSON takes it."""
        return [_code(self.unit), _code(self.quantity), self.says]


@dataclass(frozen=True, eq=False)
class Concept:
    """A named part of the picture, and what asking about it showed.

    Args:
        name: what results call it; unique in a result.
        code: what it is. None for a group of other concepts that has no code of its own.
        mask: (rows, columns) of the projection's ``pixels``, True where it lies; all False where it was not found.
        box: ((first row, row after the last), (first column, column after the last)) around it in the same pixels;
            None where it was not found.
        effect: of replacing it, in :attr:`ResultContent.effect_unit`; None where it was not found.
        rank: 1 for the largest effect; None where there is no effect.
        laterality: of the patient, where it has one.
        region: where it lies, if its own code is a private one.
        confidence: of its outline, 0 to 1.
        members: names of the concepts that it groups; a group becomes no segment of its own.
        flags: what is doubtful about its outline.
        category: of its code; None for anatomy.
    """

    name: str
    code: Code | None
    mask: NDArray[np.bool_]
    box: Box | None
    effect: float | None
    rank: int | None
    laterality: Literal["left", "right"] | None = None
    region: Code | None = None
    confidence: float | None = None
    members: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    category: Code | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.name.strip()) <= _MEANING or "\\" in self.name:
            raise ValueError(f"name={self.name!r}: a concept's name has 1 to {_MEANING} characters and no backslash.")
        if self.mask.ndim != 2 or self.mask.dtype != np.bool_:
            raise ValueError(f"{self.name}: a mask of {self.mask.dtype} {self.mask.shape}; give bool (rows, columns).")
        if self.code is None and not self.members:
            raise ValueError(f"{self.name}: code=None is for a group of concepts; give a code or members=.")
        if self.laterality is not None and self.laterality not in SIDES:
            raise ValueError(f"{self.name}: laterality={self.laterality!r}; give 'left', 'right' or None.")
        if self.effect is not None and not np.isfinite(self.effect):
            raise ValueError(f"{self.name}: effect={self.effect}; give a finite number or None.")
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ValueError(f"{self.name}: confidence={self.confidence}; give 0 to 1 or None.")


@dataclass(frozen=True)
class Algorithm:
    """Who made a result.

    Args:
        name: of the method, such as ``"MedFocus"``.
        version: of the software.
        model: name of the model whose answer is explained.
        model_digest: SHA-256 of what the model is made of; another model has another device UID.
        made_by: how a concept was outlined, in a few words.
    """

    name: str
    version: str
    model: str
    model_digest: str
    made_by: str = ""

    def __post_init__(self) -> None:
        for key in ("name", "version", "model", "model_digest"):
            if not getattr(self, key).strip():
                raise ValueError(f"{key}: an algorithm's {key} is not empty.")


@dataclass(frozen=True, eq=False)
class ResultContent:
    """What a result on one projection says.

    All places are in the pixels of the projection that was explained; the writers bring them to the stored picture.
    Nothing in it may be of the patient but what the picture shows: what identifies the patient comes from the source.

    Args:
        question: as it was asked.
        answer: of the model, in its own words.
        reading: of the answer, such as ``"yes"``, ``"no"`` or ``"unclear"``; empty where it is no sentence.
        concepts: all that were looked for, in their vocabulary's order.
        algorithm: who made it.
        configuration: of the run, as JSON takes it; another configuration gives other UIDs.
        finding: what was asked about, as a code; None where the question names nothing coded.
        chosen: name of the concept that the answer rests on; None where it hardly depends on any of them.
        effect_unit: of the concepts' effects, as UCUM writes it or in braces.
        effect_name: what an effect is.
        picture: (rows, columns, 3), uint8: what any viewer shows.
        heat: (rows, columns) of the projection's pixels, float32.
        heat_means: what its values say; by default that they are higher where the answer is supported more.
        caveat: what a reader must know before anything else.
        notes: what a reader should know.
        moment: ``("YYYYMMDD", "HHMMSS")`` that the objects bear; None takes the source's own, because a clock would
            make every run another object.
    """

    question: str
    answer: str
    reading: str
    concepts: tuple[Concept, ...]
    algorithm: Algorithm
    configuration: Mapping[str, Any]
    finding: Code | None = None
    chosen: str | None = None
    effect_unit: str = "{nat}"
    effect_name: str = "Drop of the answer's log-probability when this is replaced"
    picture: NDArray[np.uint8] | None = None
    heat: NDArray[np.float32] | None = None
    heat_means: MapMeaning = MapMeaning()
    caveat: str = CAVEAT
    notes: tuple[str, ...] = field(default=())
    moment: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        names = [one.name for one in self.concepts]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name!r} is there {names.count(name)} times; each concept has a name of its own.")
        if self.chosen is not None and self.chosen not in names:
            raise ValueError(f"chosen={self.chosen!r} is none of the concepts: {', '.join(names)}.")
        for one in self.concepts:
            for member in one.members:
                if member not in names:
                    raise ValueError(f"{one.name}: its member {member!r} is none of the concepts: {', '.join(names)}.")
        shapes = {one.mask.shape for one in self.concepts} | ({self.heat.shape} if self.heat is not None else set())
        if len(shapes) > 1:
            raise ValueError(f"masks and heat of different sizes: {', '.join(map(str, sorted(shapes)))}.")
        if self.heat is not None:
            check_finite(self.heat)
        picture = self.picture
        if picture is not None and (picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8):
            raise ValueError(f"a picture of {picture.dtype} {picture.shape}; give uint8 (rows, columns, 3).")
        if not 0 < len(self.effect_name.strip()) <= _MEANING:
            raise ValueError(f"effect_name={self.effect_name!r}: give 1 to {_MEANING} characters.")
        if not self.caveat.strip():
            raise ValueError("caveat: a result says that it is no diagnosis; leave the default or give your own words.")

    @property
    def chosen_concept(self) -> Concept | None:
        """The concept that the answer rests on."""
        return next((one for one in self.concepts if one.name == self.chosen), None)

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON takes it; arrays as digests."""
        return {
            "question": self.question,
            "answer": self.answer,
            "reading": self.reading,
            "finding": _code(self.finding),
            "chosen": self.chosen,
            "effect_unit": self.effect_unit,
            "effect_name": self.effect_name,
            "concepts": [
                {
                    "name": one.name,
                    "code": _code(one.code),
                    "laterality": one.laterality,
                    "region": _code(one.region),
                    "mask_sha256": array_digest(one.mask),
                    "box": None if one.box is None else [list(map(int, span)) for span in one.box],
                    "effect": None if one.effect is None else float(one.effect),
                    "rank": one.rank,
                    "confidence": None if one.confidence is None else float(one.confidence),
                    "members": list(one.members),
                    "flags": list(one.flags),
                    "category": _code(one.category),
                }
                for one in self.concepts
            ],
            "algorithm": dict(vars(self.algorithm)),
            "configuration": dict(self.configuration),
            "picture_sha256": None if self.picture is None else array_digest(self.picture),
            "heat_sha256": None if self.heat is None else array_digest(self.heat),
            "heat_means": self.heat_means.as_list(),
            "caveat": self.caveat,
            "notes": list(self.notes),
            "moment": None if self.moment is None else list(self.moment),
        }

    @property
    def digest(self) -> str:
        """SHA-256 of everything in it."""
        return hashlib.sha256(canonical(self.as_dict())).hexdigest()

    @property
    def configuration_digest(self) -> str:
        """SHA-256 of the configuration."""
        return hashlib.sha256(canonical(dict(self.configuration))).hexdigest()


def check_finite(heat: NDArray[np.float32]) -> None:
    """Refuse a map that says nothing somewhere."""
    if not np.isfinite(heat).all():
        raise ValueError(f"the map holds {int((~np.isfinite(heat)).sum())} values that are NaN or infinite.")


def canonical(value: Any) -> bytes:
    """JSON with one way to write every value; what JSON does not know is an error."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def _code(code: Code | None) -> list[str] | None:
    return None if code is None else [code.scheme, code.value, code.meaning]


def array_digest(array: NDArray[Any]) -> str:
    """SHA-256 of an array's type, shape and values."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return hashlib.sha256(f"{little.dtype.str} {little.shape} ".encode() + little.tobytes()).hexdigest()
