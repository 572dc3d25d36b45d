# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_causal.apps.medfocus.attribute import MedFocus
from monai_causal.apps.medfocus.result import MedFocusResult, read_result
from monai_causal.apps.medfocus.segmenter import ConceptSegmenter
from monai_causal.apps.medfocus.segmenters.given import GivenMasks
from monai_causal.apps.medfocus.vlm import Classifier, worded
from tests.apps.medfocus import scene
from tests.apps.medfocus.golden import BoxReader
from tests.apps.medfocus.scene import BOXES, SIZE
from tests.apps.medfocus.vlm import tiny

QUESTION = "Is there evidence of pleural effusion in the image?"
PICTURE = scene.picture()


def reader(*names: str, weights: tuple[float, ...] = (3.0,), **more: Any) -> BoxReader:
    return BoxReader(SIZE, tuple(BOXES[name] for name in names), weights, **more)


def mean_of(name: str) -> float:
    rows, columns = BOXES[name]
    return float(PICTURE[slice(*rows), slice(*columns)].mean())


def test_the_concept_that_the_model_reads_is_named_with_the_effect_known_on_paper() -> None:
    result = MedFocus(reader("cardiac silhouette"), scene.segmenter()).attribute(PICTURE, QUESTION)
    drop = 3 * mean_of("cardiac silhouette")
    assert result.concept == result.strongest == "cardiac silhouette"
    assert result.box == (40, 32, 64, 56)
    assert result.boxes == (result.box,)
    assert not result.whole_image
    assert (result.answer.text, result.reading) == ("Yes", "yes")
    assert result.effects["cardiac silhouette"] == pytest.approx(drop, abs=1e-6)
    assert all(abs(effect) < 1e-6 for name, effect in result.effects.items() if name != "cardiac silhouette")
    assert result.relative_probability == pytest.approx(np.exp(-drop), abs=1e-6)
    assert result.log_prob == pytest.approx(drop - 3, abs=1e-6)
    assert [(one.text, pytest.approx(drop, abs=1e-6)) for one in result.token_effects] == [("Yes", drop)]


def test_a_composite_wins_where_the_model_reads_both_of_its_members() -> None:
    vlm = reader("left lung", "right lung", weights=(2.0, 1.0), tokens=("Ef", "fusion"))
    result = MedFocus(vlm, scene.segmenter()).attribute(PICTURE, QUESTION, mode="reasoning")
    left, right = 2 * mean_of("left lung"), mean_of("right lung")
    assert result.concept == "both lungs"
    assert result.box == (8, 8, 88, 56)  # the hull
    assert result.effects["both lungs"] == pytest.approx(left + right, abs=1e-5)
    assert result.effects["left lung"] == pytest.approx(left, abs=1e-5)
    assert [one.text for one in result.token_effects] == ["Ef", "fusion"]
    assert [one.drop for one in result.token_effects] == pytest.approx([left, right], abs=1e-5)
    assert result.effects["cardiac silhouette"] == pytest.approx(0, abs=1e-5)  # the hull covers it, the boxes do not
    assert result.margin is not None
    assert result.margin.second not in ("left lung", "right lung")
    assert result.margin.lead == pytest.approx(left + right, abs=1e-5)


def test_rises_are_clipped_token_by_token_unless_signed() -> None:
    vlm = reader("left lung", "left lung", weights=(2.0, -1.0), tokens=("a", "b"))
    vlm._score = lambda pictures: BoxReader._score(vlm, pictures) - 1  # type: ignore[method-assign]
    mean = mean_of("left lung")
    for signed, expected in ((False, 2 * mean), (True, mean)):
        result = MedFocus(vlm, scene.segmenter(), signed=signed, also=()).attribute(PICTURE, QUESTION)
        assert result.effects["left lung"] == pytest.approx(expected, abs=1e-5)
        row = next(one for one in result.concepts if one.name == "left lung")
        assert (row.drop, row.signed) == (pytest.approx(2 * mean, abs=1e-5), pytest.approx(mean, abs=1e-5))
        assert [one.drop for one in result.token_effects] == pytest.approx([2 * mean, -mean if signed else 0], abs=1e-5)


@pytest.mark.parametrize("nudge", [-1e-3, 1e-3])
def test_no_concept_is_named_where_the_answer_stays_as_probable_as_tau(nudge: float) -> None:
    weight = -np.log(0.75) / mean_of("left lung") + nudge
    result = MedFocus(reader("left lung", weights=(weight,)), scene.segmenter()).attribute(PICTURE, QUESTION)
    assert result.whole_image == (nudge < 0)
    assert result.concept == (None if nudge < 0 else "left lung")
    assert result.box == ((0, 0, 96, 64) if nudge < 0 else (64, 8, 88, 56))
    assert result.strongest == "left lung"
    assert not (result.coin_toss and result.whole_image)


def test_a_box_is_replaced_whole_and_a_mask_up_to_its_outline() -> None:
    corner = ((8, 9), (8, 9))  # of the right lung's box, and not of its mask
    vlm = BoxReader(SIZE, (corner,))
    by_box, by_mask = (
        MedFocus(vlm, scene.segmenter(), by=by).attribute(PICTURE, QUESTION).effects["right lung"]  # type: ignore[arg-type]
        for by in ("box", "mask")
    )
    assert by_box == pytest.approx(3 * float(PICTURE[8, 8]), abs=1e-6)
    assert by_mask == pytest.approx(0, abs=1e-6)


def test_maskings_do_what_they_say() -> None:
    rows, columns = BOXES["left lung"]
    inside = (slice(*rows), slice(*columns))

    def painted(image: torch.Tensor, mask: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
        return torch.where(mask, 0.25, 1 - image)  # what is changed outside the mask must not count

    kept = {"zero": 0.0, "mean": float(PICTURE.mean()), "editor": 0.25}
    for masking, value in kept.items():
        medfocus = MedFocus(reader("left lung"), scene.segmenter(), masking=masking, also=(), editor=painted)  # type: ignore[arg-type]
        drop = medfocus.attribute(PICTURE, QUESTION, answer="Yes")
        signed = next(one.signed for one in drop.concepts if one.name == "left lung")
        assert signed == pytest.approx(3 * (float(PICTURE[inside].mean()) - value), abs=1e-5), masking


@pytest.mark.parametrize("masking", ["blur", "inpaint"])
def test_blur_and_inpaint_take_away_what_stands_out(masking: Any) -> None:
    dark = torch.full(SIZE, 0.1) + 0.01 * scene.picture()
    rows, columns = BOXES["cardiac silhouette"]
    dark[slice(*rows), slice(*columns)] = 1.0
    medfocus = MedFocus(reader("cardiac silhouette"), scene.segmenter(), masking=masking, also=("zero",))
    result = medfocus.attribute(dark, QUESTION)
    assert result.concept == "cardiac silhouette"
    drop = result.effects["cardiac silhouette"]
    assert (2.4 if masking == "inpaint" else 0.9) < drop < 2.95  # black would be 3; the surroundings are 0.1 grey
    assert result.margin is not None
    assert result.margin.winners == {masking: "cardiac silhouette", "zero": "cardiac silhouette"}


def test_two_equal_causes_are_a_coin_toss_and_a_clear_one_is_not() -> None:
    even = torch.full(SIZE, 0.2)
    even[0, 0] = 1.0  # not blank
    for name in ("left lung", "cardiac silhouette"):
        rows, columns = BOXES[name]
        even[slice(*rows), slice(*columns)] = 0.9
    for second, tossed in ((2.85, True), (1.0, False)):
        vlm = reader("left lung", "cardiac silhouette", weights=(3.0, second), tokens=("Yes", "."))
        result = MedFocus(vlm, scene.segmenter(), also=("mean",)).attribute(even, QUESTION)
        assert result.concept == "left lung"
        assert result.margin is not None
        assert result.margin.second == "cardiac silhouette"
        assert result.margin.lead == pytest.approx(0.9 * (3 - second), abs=1e-5)
        assert result.margin.relative_lead == pytest.approx((3 - second) / 3, abs=1e-5)
        assert result.margin.stays
        assert result.coin_toss == tossed


def test_what_holds_the_winner_is_no_rival_of_it_where_the_smallest_is_named() -> None:
    masks = scene.masks()
    masks["mediastinum"] = np.zeros(SIZE, bool)
    masks["mediastinum"][4:60, 34:62] = True  # three quarters of the heart lie in it, and no lung
    segmenter = ConceptSegmenter(GivenMasks(masks))
    vlm = reader("cardiac silhouette")
    result = MedFocus(vlm, segmenter, also=()).attribute(PICTURE, QUESTION)
    assert result.effects["mediastinum"] > 0.8 * result.effects["cardiac silhouette"]
    assert result.margin is not None
    assert result.margin.second not in ("mediastinum", "cardiac silhouette")
    assert result.margin.lead == pytest.approx(result.effects["cardiac silhouette"], abs=1e-5)
    assert not result.coin_toss
    published = MedFocus(vlm, segmenter, within=1, also=()).attribute(PICTURE, QUESTION)
    assert published.margin is not None
    assert (published.concept, published.margin.second) == ("cardiac silhouette", "mediastinum")
    assert published.margin.relative_lead < 0.2


def test_a_winner_that_does_not_stay_under_another_masking_is_a_coin_toss() -> None:
    # Grey like the mean of the picture: black takes it away, the mean puts it back.
    picture = torch.full(SIZE, 0.5)
    picture[0, 0], picture[0, 95] = 0.0, 1.0
    result = MedFocus(reader("left lung"), scene.segmenter(), also=("mean",)).attribute(picture, QUESTION)
    assert result.concept == "left lung"
    assert result.margin is not None
    assert result.margin.winners == {"zero": "left lung", "mean": None}
    assert not result.margin.stays
    assert result.coin_toss
    alone = MedFocus(reader("left lung"), scene.segmenter(), also=()).attribute(picture, QUESTION)
    assert not alone.coin_toss


def replica(vlm: Any, image: torch.Tensor, said: str, boxes: dict[str, list[Any]]) -> dict[str, float]:
    """The published effects, one picture after the other."""
    prompt = vlm.prompt(worded(QUESTION, "reasoning"), tuple(image.shape))
    answer = vlm.answer(said)
    before = vlm.log_probs(image[None, None], prompt, answer)[0]
    effects = {}
    for name, members in boxes.items():
        masked = image.clone()
        for (top, bottom), (left, right) in members:
            masked[top:bottom, left:right] = 0
        after = vlm.log_probs(masked[None, None], prompt, answer)[0]
        effects[name] = sum(max(0.0, float(one - other)) for one, other in zip(before, after, strict=True))
    return effects


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_effects_equal_a_slow_replica_for_every_family_whatever_the_batch_size(family: str) -> None:
    vlm, said = tiny.model(family), "The heart is enlarged. The answer is yes."
    boxes = {name: [box] for name, box in BOXES.items()}
    boxes["both lungs"] = [BOXES["left lung"], BOXES["right lung"]]
    boxes["clavicles"] = [BOXES["left clavicle"], BOXES["right clavicle"]]
    expected = replica(vlm, PICTURE, said, boxes)
    assert max(expected.values()) > 1e-2
    for batch_size in (1, 3, 8):
        medfocus = MedFocus(vlm, scene.segmenter(), also=(), batch_size=batch_size)
        result = medfocus.attribute(PICTURE, QUESTION, mode="reasoning", answer=said)
        assert set(result.effects) == set(expected)
        for name, effect in expected.items():
            assert result.effects[name] == pytest.approx(effect, abs=1e-4), (batch_size, name)
        assert "".join(one.text for one in result.token_effects) == result.answer.text == said


def test_a_resized_picture_gives_the_same_effects_and_the_boxes_in_its_own_pixels() -> None:
    size = (2 * SIZE[0], 2 * SIZE[1])
    vlm = tiny.model("llava")
    answer = "Yes"
    small, large = (
        MedFocus(vlm, scene.segmenter(shape), tau=1.0, also=()).attribute(scene.picture(shape), QUESTION, answer=answer)
        for shape in (SIZE, size)
    )
    assert large.concept == small.concept
    assert large.box == tuple(2 * corner for corner in small.box)
    # Both are brought to 56 x 56 pixels, from different distances, so they differ a little.
    for name, effect in small.effects.items():
        assert large.effects[name] == pytest.approx(effect, abs=0.15 * max(small.effects.values()))
    exact = BoxReader(size, tuple((tuple(2 * e for e in r), tuple(2 * e for e in c)) for r, c in [BOXES["left lung"]]))  # type: ignore[misc]
    double = MedFocus(exact, scene.segmenter(size)).attribute(scene.picture(size), QUESTION)
    single = MedFocus(reader("left lung"), scene.segmenter()).attribute(PICTURE, QUESTION)
    assert double.effects == pytest.approx(single.effects, abs=1e-5)
    assert double.box == (128, 16, 176, 112)


def test_several_questions_share_pictures_and_answer_as_if_asked_alone() -> None:
    calls: list[int] = []
    given = scene.segmenter()

    def counted(image: Any) -> Any:
        calls.append(1)
        return given(image)

    vlm = tiny.model("gemma3")
    questions = [QUESTION, "Is there evidence of a nodule in the image?"]
    together = MedFocus(vlm, counted).attribute_all(PICTURE, questions, max_new_tokens=4)
    assert len(calls) == 1
    for question, result in zip(questions, together, strict=True):
        alone = MedFocus(vlm, given).attribute(PICTURE, question, max_new_tokens=4)
        assert result.question == question
        assert result.answer == alone.answer
        assert result.effects == pytest.approx(alone.effects, abs=1e-5)
        assert result.runtime.forwards == alone.runtime.forwards


def test_one_forward_per_counterfactual_and_one_for_the_picture_itself() -> None:
    vlm = reader("left lung")
    result = MedFocus(vlm, scene.segmenter(), also=("mean",)).attribute(PICTURE, QUESTION)
    assert sum(vlm.forwards) == result.runtime.forwards == 1 + 2 * 7  # five concepts and two composites, two maskings
    assert len(vlm.forwards) == 1 + 3  # in batches of five


def test_concepts_that_were_not_found_have_no_effect_and_none_found_is_the_whole_image() -> None:
    result = MedFocus(reader("left lung"), scene.segmenter()).attribute(PICTURE, QUESTION)
    missing = next(one for one in result.concepts if one.name == "mediastinum")
    assert (missing.drop, missing.box, missing.tokens) == (None, None, ())
    assert "mediastinum" not in result.effects
    nothing = ConceptSegmenter(GivenMasks({"left lung": np.zeros(SIZE)}))
    empty = MedFocus(reader("left lung"), nothing).attribute(PICTURE, QUESTION)
    assert empty.whole_image
    assert (empty.concept, empty.strongest, empty.margin, empty.effects) == (None, None, None, {})
    assert any("no concept was found" in note for note in empty.notes)
    assert empty.log_prob == pytest.approx(result.log_prob, abs=1e-6)


def test_a_classifier_is_explained_by_concept_too() -> None:
    class Brightness(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows, columns = BOXES["cardiac silhouette"]
            mean = x[:, 0, slice(*rows), slice(*columns)].mean((1, 2))
            return torch.stack([4 * mean, torch.zeros_like(mean)], dim=1)

    vlm = Classifier(Brightness(), ["cardiomegaly", "normal"], channels=1)
    result = MedFocus(vlm, scene.segmenter()).attribute(PICTURE, "")
    before, after = 4 * mean_of("cardiac silhouette"), 0.0
    expected = np.log1p(np.exp(-after)) - np.log1p(np.exp(-before))
    assert (result.answer.text, result.concept) == ("cardiomegaly", "cardiac silhouette")
    assert result.effects["cardiac silhouette"] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(ValueError, match="does not think aloud"):
        MedFocus(vlm, scene.segmenter()).attribute(PICTURE, "", mode="reasoning")


def test_a_result_comes_back_from_json_as_it_was(tmp_path: Path) -> None:
    result = MedFocus(reader("left lung"), scene.segmenter()).attribute(PICTURE, QUESTION)
    again = read_result(result.save(tmp_path / "result.json"))
    assert isinstance(again, MedFocusResult)
    assert again.as_dict() == result.as_dict()
    assert again.effects == result.effects
    assert again.margin == result.margin
    assert (again.answer, again.box) == (result.answer, result.box)
    settings = again.provenance["settings"]
    assert settings["maskings"] == ["zero", "mean", "blur"]
    assert settings["segmentation"]["steps"] == ["given masks"]
    assert len(again.provenance["image"]["pixels_sha256"]) == 64


def test_same_inputs_same_result() -> None:
    first, second = (
        MedFocus(reader("left lung"), scene.segmenter(), masking="inpaint").attribute(PICTURE, QUESTION).as_dict()
        for _ in range(2)
    )
    assert first.pop("runtime")["forwards"] == second.pop("runtime")["forwards"]
    assert first == second


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"masking": "black"}, "masking='black'"),
        ({"also": ("grey",)}, "masking='grey'"),
        ({"masking": "editor"}, "needs an editor"),
        ({"by": "hull"}, "by='hull'"),
        ({"tau": 0.0}, "tau=0.0"),
        ({"tau": 1.5}, "tau=1.5"),
        ({"least_lead": -1.0}, "least_lead=-1.0"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MedFocus(reader("left lung"), scene.segmenter(), **options)


def test_bad_input() -> None:
    medfocus = MedFocus(reader("left lung"), scene.segmenter())
    with pytest.raises(ValueError, match="mode='short'"):
        medfocus.attribute(PICTURE, QUESTION, mode="short")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no question"):
        medfocus.attribute_all(PICTURE, [])
    with pytest.raises(ValueError, match="2 answers for 1 questions"):
        medfocus.attribute_all(PICTURE, [QUESTION], answers=["Yes", "No"])
    with pytest.raises(ValueError, match="one grey image is needed"):
        medfocus.attribute(torch.rand(3, *SIZE), QUESTION)
    with pytest.raises(ValueError, match=r"concepts are of an image of \(64, 96\), this one has \(128, 192\)"):
        medfocus.attribute(scene.picture((128, 192)), QUESTION, concepts=scene.segmenter()(PICTURE))
    silent = reader("left lung", tokens=())
    with pytest.raises(ValueError, match="said nothing"):
        MedFocus(silent, scene.segmenter()).attribute(PICTURE, QUESTION)


def test_a_metatensor_and_eight_bits_are_images_too() -> None:
    medfocus = MedFocus(reader("left lung"), scene.segmenter())
    plain = medfocus.attribute(PICTURE, QUESTION)
    assert medfocus.attribute(MetaTensor(PICTURE[None]), QUESTION).effects == plain.effects
    bits = (255 * PICTURE).round().to(torch.uint8)
    assert medfocus.attribute(bits, QUESTION).effects == pytest.approx(plain.effects, abs=0.01)
