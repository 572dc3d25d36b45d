# SPDX-License-Identifier: Apache-2.0
"""All methods on a model whose right answer is known on paper, and on tiny random models of every family."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from monai_causal.apps.medfocus.baselines import METHODS, build_method
from monai_causal.apps.medfocus.baselines.registry import METHODS as REGISTERED
from monai_causal.apps.medfocus.vlm import Classifier
from tests.apps.medfocus import scene
from tests.apps.medfocus.golden import BoxReader
from tests.apps.medfocus.scene import BOXES, SIZE
from tests.apps.medfocus.vlm import tiny

QUESTION = "Is there evidence of pleural effusion in the image?"
PICTURE = scene.picture()
HEART = BOXES["cardiac silhouette"]
CORNERS = (40, 32, 64, 56)
MAPS = [name for name in METHODS if name != "medfocus" and not name.startswith("prompt")]
INSIDE = [name for name in MAPS if name not in ("rise", "occlusion", "grid", "superpixel")]
ATTENTIONS = ("attention", "rollout", "relevance", "gradient-attention")


def golden(**more: Any) -> BoxReader:
    return BoxReader(SIZE, (HEART,), says={"Which regions": "[[417, 500, 666, 875]]", "Name": "Bright heart."}, **more)


class Finder:
    """A detector that knows one phrase."""

    name = "finder"

    def __call__(self, image: Any, phrase: str) -> list[Any]:
        return [((41, 33, 63, 55), 0.5), (CORNERS, 0.9)] if phrase == "bright heart" else []


def options(name: str) -> dict[str, Any]:
    return {"medfocus": {"segmenter": scene.segmenter()}, "prompt-phrases": {"detector": Finder()}}.get(name, {})


def test_the_ids() -> None:
    assert REGISTERED is METHODS
    assert list(METHODS) == [
        "medfocus", "attention", "rollout", "relevance", "gradient-attention", "gradcam", "gradcam++",
        "integrated-gradients", "occlusion", "rise", "prompt-boxes", "prompt-phrases", "grid", "superpixel",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="method 'lime': one of medfocus, attention"):
        build_method("lime", golden())


@pytest.mark.parametrize("name", METHODS)
def test_every_method_finds_what_the_golden_model_reads(name: str) -> None:
    result = build_method(name, golden(), **options(name)).attribute(PICTURE, QUESTION)
    assert result.method == name
    assert (result.answer.text, result.reading) == ("Yes", "yes")
    assert not result.whole_image
    x0, y0, x1, y1 = result.box
    if name in ("medfocus", "attention", "rollout", "prompt-boxes", "prompt-phrases"):
        assert result.box == CORNERS
    elif name == "rise":  # a soft map of 64 masks: its hottest place is there
        assert result.heat is not None
        place = int(result.heat.argmax())
        assert 32 <= place // SIZE[1] < 56
        assert 40 <= place % SIZE[1] < 64
    else:  # the hottest tenth of what is in the box, up to a region that reaches beyond it
        slack = {"occlusion": 12, "grid": 7, "superpixel": 10}.get(name, 0)
        assert 40 - slack <= x0 < x1 <= 64 + slack
        assert 32 - slack <= y0 < y1 <= 56 + slack
    assert result.log_prob == pytest.approx(3 * float(PICTURE[32:56, 40:64].mean()) - 3, abs=1e-5)


@pytest.mark.parametrize("name", INSIDE)
def test_nothing_is_hot_where_the_model_does_not_look(name: str) -> None:
    heat = build_method(name, golden()).attribute(PICTURE, QUESTION).heat
    assert heat is not None
    assert heat.shape == SIZE
    outside = torch.ones(SIZE, dtype=torch.bool)
    # Maps of activations are interpolated between the cells' centres.
    blend = 8 if name.startswith("gradcam") else 0
    outside[32 - blend : 56 + blend, 40 - blend : 64 + blend] = False
    assert float(heat[outside].abs().max()) == 0
    assert float(heat[32:56, 40:64].min()) > 0


def test_closed_forms() -> None:
    def heat(name: str, **more: Any) -> torch.Tensor:
        found = build_method(name, golden(), **more).attribute(PICTURE, QUESTION).heat
        assert found is not None
        return found

    box = torch.zeros(SIZE)
    box[32:56, 40:64] = 1
    cells = 9  # of the box
    grey = PICTURE * box  # constant over a cell
    torch.testing.assert_close(heat("attention"), box / cells)
    torch.testing.assert_close(heat("rollout"), box / cells / 2)  # half attention, half identity
    torch.testing.assert_close(heat("gradient-attention"), 3 * grey / cells)
    torch.testing.assert_close(heat("relevance"), 3 * grey / cells)
    torch.testing.assert_close(heat("integrated-gradients"), 3 * grey / (24 * 24))
    share = 3 * grey / (24 * 24)
    for name, count in (("occlusion", 8), ("grid", 14)):
        expected = torch.zeros(SIZE)
        for row in range(count):
            for column in range(count):
                tile = (
                    slice(row * SIZE[0] // count, (row + 1) * SIZE[0] // count),
                    slice(column * SIZE[1] // count, (column + 1) * SIZE[1] // count),
                )
                put = 0.0 if name == "occlusion" else float(PICTURE.mean())
                expected[tile] = max(0.0, float((share[tile] - put * 3 * box[tile] / (24 * 24)).sum()))
        torch.testing.assert_close(heat(name), expected, atol=1e-6, rtol=1e-4)


def test_two_tokens_count_alike_in_attention_and_none_is_shifted() -> None:
    other = BOXES["right clavicle"]
    vlm = BoxReader(SIZE, (HEART, other), weights=(1.0, 1.0), tokens=("Yes", "."))
    heat = build_method("attention", vlm).attribute(PICTURE, QUESTION).heat
    expected = torch.zeros(SIZE)
    expected[32:56, 40:64] = 1 / 9 / 2
    expected[0:8, 8:40] = 1 / 4 / 2
    assert heat is not None
    torch.testing.assert_close(heat, expected)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_method_runs_on_every_family(family: str) -> None:
    vlm = tiny.model(family)
    image = tiny.picture()[0]
    cheap = {"integrated-gradients": {"steps": 4, "most_steps": 4}, "rise": {"masks": 4}, "grid": {"regions": 3}}
    cheap |= {"occlusion": {"regions": 3}, "superpixel": {"regions": 40}, "prompt-boxes": {"max_new_tokens": 3}}
    cheap |= {"prompt-phrases": {"detector": Finder(), "max_new_tokens": 3}}
    for name in METHODS:
        if name == "medfocus":
            continue
        result = build_method(name, vlm, **cheap.get(name, {})).attribute(
            image, QUESTION, answer="The heart is enlarged. The answer is no."
        )
        if name in MAPS:
            assert result.heat is not None
            assert result.heat.shape == (tiny.HEIGHT, tiny.WIDTH)
            assert float(result.heat.min()) >= 0
            assert float(result.heat.max()) > float(result.heat.min()), name
        else:
            assert result.heat is None
            assert result.whole_image  # a random model says nothing that can be read
            assert result.box == (0, 0, tiny.WIDTH, tiny.HEIGHT)


@pytest.mark.parametrize("name", ["gradcam", "gradcam++"])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_gradcam_is_never_zero_everywhere(family: str, name: str) -> None:
    for seed in range(2):
        config, processor = tiny.FAMILIES[family]()
        vlm = tiny.ADAPTERS[config.model_type](tiny.network(config, seed), processor)
        for layer in (None, *vlm.layers):
            result = build_method(name, vlm, layer=layer).attribute(tiny.picture(seed)[0], QUESTION, answer="No")
            assert result.heat is not None
            assert float(result.heat.max()) > 0, (seed, layer)


@pytest.mark.parametrize("name", [name for name in MAPS if name not in ("grid", "superpixel")])
def test_maps_of_another_random_network_are_unlike(name: str) -> None:
    config, processor = tiny.FAMILIES["llava"]()
    maps = []
    for seed in (0, 1):
        vlm = tiny.ADAPTERS[config.model_type](tiny.network(config, seed), processor)
        heat = build_method(name, vlm).attribute(PICTURE, QUESTION, answer="Yes").heat
        assert heat is not None
        maps.append(heat.flatten().double())
    assert float(torch.corrcoef(torch.stack(maps))[0, 1]) < 0.8


@pytest.mark.parametrize("name", ["integrated-gradients", "occlusion", "rise", "superpixel"])
def test_batch_size_does_not_matter(name: str) -> None:
    vlm = tiny.model("qwen2_5_vl")
    small = {"integrated-gradients": {"steps": 6, "most_steps": 6}, "rise": {"masks": 7}}.get(name, {"regions": 4})
    maps = [
        build_method(name, vlm, batch_size=size, **small).attribute(PICTURE, QUESTION, answer="Yes").heat
        for size in (1, 5)
    ]
    assert maps[0] is not None
    assert maps[1] is not None
    torch.testing.assert_close(maps[0], maps[1], atol=1e-5, rtol=1e-4)


def test_a_classifier_is_explained_by_what_needs_no_words() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 4, 3), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 2),
    )  # fmt: skip
    vlm = Classifier(network, ["effusion", "normal"], channels=1)
    for name in MAPS:
        if name in ATTENTIONS:
            with pytest.raises(ValueError, match="no decoder whose attentions"):
                build_method(name, vlm).attribute(PICTURE, "effusion?")
        else:
            result = build_method(name, vlm).attribute(PICTURE, "effusion?")
            assert result.heat is not None
            assert float(result.heat.max()) > 0
    for name in ("prompt-boxes", "prompt-phrases"):
        with pytest.raises(ValueError, match="a classifier does not answer in words"):
            build_method(name, vlm)


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("gradcam", {"layer": "decoder.9"}, "layer='decoder.9': one of decoder.0, decoder.1"),
        ("integrated-gradients", {"steps": 0}, "steps=0"),
        ("integrated-gradients", {"steps": 200}, "steps=200, most_steps=96"),
        ("occlusion", {"regions": 0}, "regions=0"),
        ("grid", {"masking": "noise"}, "masking='noise'"),
        ("rise", {"masks": 1}, "masks=1"),
        ("rise", {"keep": 1.0}, "keep=1.0"),
        ("prompt-phrases", {}, "needs a detector"),
        ("prompt-phrases", {"detector": Finder(), "most": 0}, "most=0"),
    ],
)
def test_bad_options(name: str, bad: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_method(name, golden(), **bad)
