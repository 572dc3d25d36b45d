# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from monai_causal.apps.medfocus.attribute import MedFocus
from monai_causal.apps.medfocus.picture import SUPPORTS, SUPPRESSES, overlay, save_overlay
from monai_causal.apps.medfocus.result import MedFocusResult
from tests.apps.medfocus import scene
from tests.apps.medfocus.golden import BoxReader
from tests.apps.medfocus.scene import BOXES, SIZE

QUESTION = "Is there evidence of pleural effusion in the image?"
FACTOR = 10  # 64 x 96 pixels become 640 x 960


def result(*names: str, **options: Any) -> MedFocusResult:
    vlm = BoxReader(SIZE, tuple(BOXES[name] for name in names), (1.0,) * len(names), ("Yes", " so")[: len(names)])
    return MedFocus(vlm, scene.segmenter(), also=(), **options).attribute(scene.picture(), QUESTION)


def is_near(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return (np.abs(picture.astype(int) - colour) < 30).all(-1)


def edges(name: str) -> tuple[int, int, int, int]:
    (top, bottom), (left, right) = BOXES[name]
    return top * FACTOR, bottom * FACTOR - 1, left * FACTOR, right * FACTOR - 1


def test_the_image_is_enlarged_by_a_whole_factor_and_stays_as_it_is_away_from_lines() -> None:
    image = scene.picture()
    shown = overlay(image, result("cardiac silhouette"))
    assert shown.dtype == np.uint8
    assert shown.shape[1] == SIZE[1] * FACTOR
    assert shown.shape[0] > SIZE[0] * FACTOR  # the caption below
    grey = np.rint(np.clip(image.numpy(), 0, 1) * 255).astype(np.uint8)
    for row, column in ((1, 48), (60, 2), (60, 93), (36, 36)):
        patch = shown[row * FACTOR : (row + 1) * FACTOR, column * FACTOR : (column + 1) * FACTOR]
        assert (patch == grey[row, column]).all()
    large = torch.nn.functional.interpolate(image[None, None], scale_factor=10)[0, 0]
    vlm = BoxReader((640, 960), (((320, 560), (400, 640)),))
    at_size = MedFocus(vlm, scene.segmenter((640, 960)), also=()).attribute(large, QUESTION)
    assert overlay(large, at_size).shape[1] == 960


def test_the_chosen_box_is_strong_and_the_others_are_faint() -> None:
    shown = overlay(scene.picture(), result("cardiac silhouette"))
    red = is_near(shown, SUPPORTS)
    top, bottom, left, right = edges("cardiac silhouette")
    assert red[top + 1 : top + 4, left + 150 : right - 5].all()  # to the right of its tag
    assert red[bottom - 3 : bottom, left + 5 : right - 5].all()
    assert red[top + 60 : bottom - 5, left + 1 : left + 4].all()
    top, bottom, left, right = edges("right lung")
    assert not red[bottom - 3 : bottom + 1, left:right].any()
    grey = np.rint(scene.picture().numpy() * 255).repeat(FACTOR, 0).repeat(FACTOR, 1)
    line = shown[bottom, left + 5 : right - 5]
    assert (np.abs(line.astype(int) - grey[bottom, left + 5 : right - 5, None]).max(-1) > 2).mean() > 0.9


def test_of_a_chosen_pair_both_members_are_drawn_and_not_the_box_around_them() -> None:
    found = result("left lung", "right lung")
    assert found.concept == "both lungs"
    red = is_near(overlay(scene.picture(), found), SUPPORTS)
    for name in ("left lung", "right lung"):
        _, bottom, left, right = edges(name)
        assert red[bottom - 3 : bottom, left + 5 : right - 5].all()
    _, bottom, _, right = edges("right lung")
    assert not red[bottom - 3 : bottom, right + 10 : edges("left lung")[2] - 10].any()


def test_what_suppresses_the_answer_is_blue() -> None:
    found = result("cardiac silhouette", signed=True)
    rows = tuple(
        replace(one, signed=-one.signed) if one.signed and one.name == "cardiac silhouette" else one
        for one in found.concepts
    )
    shown = overlay(scene.picture(), replace(found, concepts=rows))
    _, bottom, left, right = edges("cardiac silhouette")
    assert is_near(shown, SUPPRESSES)[bottom - 3 : bottom, left + 5 : right - 5].all()
    assert not is_near(shown, SUPPORTS)[bottom - 3 : bottom, left + 5 : right - 5].any()


def caption(shown: np.ndarray, image_rows: int = SIZE[0] * FACTOR) -> np.ndarray:
    return shown[image_rows:]


def test_the_caption_changes_with_what_is_said_and_grows_with_it() -> None:
    found = result("cardiac silhouette")
    base = caption(overlay(scene.picture(), found))
    asked = caption(overlay(scene.picture(), replace(found, question="Is there a nodule?")))
    assert asked.shape == base.shape
    assert not np.array_equal(asked, base)
    longer = caption(overlay(scene.picture(), replace(found, question=QUESTION * 4)))
    assert longer.shape[0] > base.shape[0]
    longest = caption(overlay(scene.picture(), replace(found, question=QUESTION * 400)))
    assert longest.shape[0] < 2 * base.shape[0]  # cut, with dots
    answer = replace(found.answer, text="Yes, \u5fc3 " + "because of the silhouette " * 100)
    assert caption(overlay(scene.picture(), replace(found, answer=answer))).shape[0] < 2 * base.shape[0]
    none = caption(overlay(scene.picture(), replace(found, concept=None, boxes=((0, 0, 96, 64),), whole_image=True)))
    assert not is_near(none, SUPPORTS).any()
    assert is_near(base, SUPPORTS).any()


def test_letters_grow_with_the_picture() -> None:
    """The caption takes about the same share of the width at every size, so that it can be read on any screen."""
    shares = []
    for scale in (8, 24):
        size = (SIZE[0] * scale, SIZE[1] * scale)
        image = torch.nn.functional.interpolate(scene.picture()[None, None], scale_factor=scale)[0, 0]
        (rows, columns) = BOXES["cardiac silhouette"]
        box = (tuple(edge * scale for edge in rows), tuple(edge * scale for edge in columns))
        found = MedFocus(BoxReader(size, (box,)), scene.segmenter(size), also=()).attribute(image, QUESTION)  # type: ignore[arg-type]
        shown = overlay(image, found)
        ink = (caption(shown, shown.shape[0] - (shown.shape[0] - size[0] * (-(-640 // size[0])))) > 200).all(-1)
        shares.append(np.flatnonzero(ink.any(0)).max() / shown.shape[1])
    assert shares[0] == pytest.approx(shares[1], abs=0.04)


def test_a_method_that_gives_boxes_only() -> None:
    from monai_causal.apps.medfocus.result import Attribution

    found = result("cardiac silhouette")
    fields = {name: getattr(found, name) for name in Attribution.__dataclass_fields__}
    plain = Attribution(**{**fields, "method": "rise", "boxes": ((10, 10, 30, 20),)})
    shown = overlay(scene.picture(), plain)
    assert is_near(shown, SUPPORTS)[10 * FACTOR + 1 : 10 * FACTOR + 3, 10 * FACTOR + 5 : 30 * FACTOR - 5].all()
    nowhere = overlay(scene.picture(), replace(plain, boxes=((0, 0, 96, 64),), whole_image=True))
    assert not is_near(nowhere, SUPPORTS).any()


def test_a_projection_is_drawn_as_its_pixels_and_another_image_is_refused() -> None:
    found = result("cardiac silhouette")
    projection = SimpleNamespace(pixels=scene.picture().numpy(), view="PA")
    np.testing.assert_array_equal(overlay(projection, found), overlay(scene.picture(), found))
    with pytest.raises(ValueError, match=r"of an image of \(64, 96\), this one is \(64, 64\)"):
        overlay(scene.picture()[:, :64], found)


def test_saved_it_is_the_same_picture_every_time(tmp_path: Path) -> None:
    found = result("left lung", "right lung")
    first = save_overlay(tmp_path / "1.png", scene.picture(), found).read_bytes()
    assert save_overlay(tmp_path / "2.png", scene.picture(), found).read_bytes() == first
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "1.png")), overlay(scene.picture(), found))
