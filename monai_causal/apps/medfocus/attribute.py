# SPDX-License-Identifier: Apache-2.0
"""MedFocus (section 4.2): replace each named anatomy, let the model judge its answer again, name what it rests on.

The effect of a concept is the drop in the log-probability of the answer that the model gave to the untouched image,
token by token clipped at 0 and summed: positive, as published.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any, get_args

from monai_causal.apps.medfocus.attribute_asking import Asked, Picture, ask, picture_of
from monai_causal.apps.medfocus.attribute_drops import Drops, token_drops
from monai_causal.apps.medfocus.attribute_regions import By, Places, concept_regions
from monai_causal.apps.medfocus.margin import margin_of, relative_probability, smallest_enough, winner
from monai_causal.apps.medfocus.masking import ImageEditor, InTurn, Masking, masking_fill
from monai_causal.apps.medfocus.result import ConceptEffect, MedFocusResult, Runtime, TokenEffect, common
from monai_causal.apps.medfocus.segmenter import Concepts, ConceptSegmenter
from monai_causal.apps.medfocus.vlm.interface import AnsweringModel
from monai_causal.apps.medfocus.vlm.prompts import Mode
from monai_causal.intervene import Regions, RunRecord

__all__ = ["MedFocus"]


class MedFocus:
    """Names the anatomy that an answer rests on.

    Args:
        vlm: who answers: a vision-language model or a classifier.
        segmenter: finds the concepts; any function from an image to
            :class:`~monai_causal.apps.medfocus.segmenter.Concepts`. By default the network that comes along.
        masking: with what a concept is replaced: ``zero`` (published), ``mean``, ``blur``, ``inpaint``, ``editor``.
        by: replace the ``box`` (published) or the ``mask`` of a concept.
        tau: no concept is named where the answer stays at least this probable, of what it was.
        within: of the concepts inside the strongest whose effect reaches this part of its, the smallest is named: one
            lung rather than both where one holds the reason. 1 is the published rule, the largest effect.
        signed: do not clip the tokens' drops, so that rises count against them.
        also: further maskings under which the winner should stay the winner; ``()`` saves their forwards.
        least_lead: of the winner's effect; a smaller lead over the second is a coin toss.
        editor: for the masking ``editor``.
        batch_size: counterfactuals per forward; ``None`` takes the model's.
        seed: of maskings that draw.
        progress: show a bar.

    Example:
        >>> medfocus = MedFocus(load_vlm("models/medgemma-4b-it"))  # doctest: +SKIP
        >>> result = medfocus.attribute(image, "Is there evidence of cardiomegaly in the image?")  # doctest: +SKIP
        >>> result.answer.text, result.concept, result.box  # doctest: +SKIP
        ('Yes', 'cardiac silhouette', (301, 412, 688, 770))
    """

    name = "medfocus"

    def __init__(
        self,
        vlm: AnsweringModel,
        segmenter: Callable[[Any], Concepts] | None = None,
        *,
        masking: Masking = "zero",
        by: By = "box",
        tau: float = 0.75,
        within: float = 0.8,
        signed: bool = False,
        also: Sequence[Masking] = ("mean", "blur"),
        least_lead: float = 0.1,
        editor: ImageEditor | None = None,
        batch_size: int | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        if not 0 < tau <= 1:
            raise ValueError(f"tau={tau}: a relative probability above 0 and at most 1, such as 0.75.")
        if not 0 < within <= 1:
            raise ValueError(f"within={within}: a fraction above 0 and at most 1, such as 0.8.")
        if not 0 <= least_lead <= 1:
            raise ValueError(f"least_lead={least_lead}: a fraction between 0 and 1, such as 0.1.")
        if by not in get_args(By):
            raise ValueError(f"by={by!r}: choose {' or '.join(map(repr, get_args(By)))}.")
        self.maskings: tuple[Masking, ...] = tuple(dict.fromkeys((masking, *also)))
        for one in self.maskings:
            masking_fill(one, (1, 1), editor)  # a wrong name or a missing editor shows here
        self.vlm = vlm
        self.segmenter = segmenter if segmenter is not None else ConceptSegmenter()
        self.by, self.tau, self.within, self.signed, self.least_lead = by, tau, within, signed, least_lead
        self.editor, self.batch_size, self.seed, self.progress = editor, batch_size, seed, progress

    def attribute(
        self,
        image: Any,
        question: str,
        mode: Mode = "direct",
        *,
        answer: str | None = None,
        concepts: Concepts | None = None,
        max_new_tokens: int = 256,
    ) -> MedFocusResult:
        """Which anatomy the answer to one question rests on.

        Args:
            image: a :class:`~monai_causal.dicom.projection.Projection`, or a grey image as array or (Meta)Tensor.
            question: such as :func:`~monai_causal.apps.medfocus.vlm.prompts.finding_question` words it.
            mode: ``"direct"``, or ``"reasoning"`` for an answer after thinking aloud.
            answer: an answer to explain instead of the model's own.
            concepts: of this image, where they are known already.
            max_new_tokens: of the answer.
        """
        return self.attribute_all(
            image, [question], mode, answers=[answer], concepts=concepts, max_new_tokens=max_new_tokens
        )[0]

    def attribute_all(
        self,
        image: Any,
        questions: Sequence[str],
        mode: Mode = "direct",
        *,
        answers: Sequence[str | None] | None = None,
        concepts: Concepts | None = None,
        max_new_tokens: int = 256,
    ) -> list[MedFocusResult]:
        """The same for several questions, which share the segmentation and every counterfactual image."""
        start = perf_counter()
        picture = picture_of(image)
        asked = ask(self.vlm, picture, questions, mode, answers, max_new_tokens)
        answered = perf_counter()
        found = concepts if concepts is not None else self.segmenter(image)
        regions = concept_regions(found, self.by)
        if regions is not None and regions.spatial_shape != picture.size:
            raise ValueError(f"the concepts are of an image of {regions.spatial_shape}, this one has {picture.size}.")
        segmented = perf_counter()
        drops, record = self._drops(picture, asked, regions)
        end = perf_counter()
        parts = {"answer": answered - start, "segmentation": segmented - answered, "counterfactuals": end - segmented}
        runtime = Runtime(end - start, record.forwards, parts, len(asked))
        return [
            self._result(picture, one, found, regions, drop, runtime, record)
            for one, drop in zip(asked, drops, strict=True)
        ]

    def _drops(
        self, picture: Picture, asked: Sequence[Asked], regions: Regions | None
    ) -> tuple[list[Drops], RunRecord]:
        """All concepts under all maskings, in one run: masking k is draw k."""
        if regions is None:
            before = [self.vlm.log_probs(picture.pixels[None], one.prompt, one.answer)[0].double() for one in asked]
            none = [first.new_zeros((0, len(self.maskings), len(first))) for first in before]
            return [Drops(*one) for one in zip(before, none, strict=True)], RunRecord(forwards=1)
        fill = InTurn([masking_fill(masking, picture.size, self.editor) for masking in self.maskings])
        return token_drops(
            self.vlm,
            picture.pixels,
            asked,
            regions,
            fill,
            draws=len(self.maskings),
            batch_size=self.batch_size,
            seed=self.seed,
            progress=self.progress,
        )

    def _result(
        self,
        picture: Picture,
        asked: Asked,
        found: Concepts,
        regions: Regions | None,
        drops: Drops,
        runtime: Runtime,
        record: RunRecord,
    ) -> MedFocusResult:
        names = () if regions is None else regions.names
        effect = drops.values.sum(-1) if self.signed else drops.support
        effects: dict[str, dict[str, float]] = {
            masking: dict(zip(names, effect[:, draw].tolist(), strict=True))
            for draw, masking in enumerate(self.maskings)
        }
        first = effects[self.maskings[0]]
        places = Places(regions)
        choose = partial(smallest_enough, sizes=places.sizes, inside=places.inside, within=self.within)
        concept = winner(first, self.tau, choose)
        margin = margin_of(effects, self.tau, self._related(found, places), self.least_lead, choose) if names else None
        strongest = max(first, key=lambda name: first[name], default=None)
        rows = tuple(self._row(found, name, names, drops) for name in found)
        tokens = next((row.tokens for row in rows if row.name == (concept or strongest)), ())
        corners = None if concept is None else found[concept].corners
        notes = [*found.notes, *found.flags, *record.notes]
        if strongest is None:
            notes.append("no concept was found on the image: nothing could be replaced")
        return common(
            MedFocusResult,
            picture,
            asked,
            self.vlm,
            method=self.name,
            log_prob=float(drops.before.sum()),
            boxes=() if corners is None else (corners,),
            notes=tuple(dict.fromkeys(notes)),
            runtime=runtime,
            settings={
                "maskings": list(self.maskings),
                "by": self.by,
                "tau": self.tau,
                "within": self.within,
                "signed": self.signed,
                "least_lead": self.least_lead,
                "seed": self.seed,
                "segmentation": {"steps": list(found.steps), **found.details},
            },
            concept=concept,
            strongest=strongest,
            concepts=rows,
            token_effects=tuple(
                TokenEffect(text, drop if self.signed else max(drop, 0.0))
                for text, drop in zip(asked.answer.tokens, tokens, strict=False)
            ),
            relative_probability=relative_probability(first[strongest]) if strongest is not None else 1.0,
            tau=self.tau,
            signed=self.signed,
            masking=self.maskings[0],
            by=self.by,
            margin=margin,
        )

    def _related(self, found: Concepts, places: Places) -> Callable[[str, str], bool]:
        """Whether of two names one holds the other: as its member or, where the smallest is named, as its pixels."""

        def related(one: str, other: str) -> bool:
            if one in found[other].members or other in found[one].members:
                return True
            return self.within < 1 and (places.inside(one, other) or places.inside(other, one))

        return related

    @staticmethod
    def _row(found: Concepts, name: str, names: Sequence[str], drops: Drops) -> ConceptEffect:
        one = found[name]
        unseen = ConceptEffect(name, one.members, None, None, None, (), float(one.confidence), tuple(one.flags))
        if name not in names:
            return unseen
        row = names.index(name)
        tokens = drops.values[row, 0]
        return replace(
            unseen,
            box=one.corners,
            drop=float(drops.support[row, 0]),
            signed=float(tokens.sum()),
            tokens=tuple(tokens.tolist()),
        )
