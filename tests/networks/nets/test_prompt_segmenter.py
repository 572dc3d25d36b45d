# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from monai_causal.losses.prompt import PromptLoss
from monai_causal.networks.blocks.biomedcoop import consistency_loss, distillation_loss, prompt_ensemble
from monai_causal.networks.blocks.clip import encode_prompts, load_clip
from monai_causal.networks.blocks.dense_clip import Observed
from monai_causal.networks.blocks.stylip import Styled, layer_statistics, tower_layers
from monai_causal.networks.nets.prompt_segmenter import PromptOutput, PromptSegmenter
from tests.networks.blocks.tiny_prompt_clip import tiny_prompt_clip

METHODS = ("stylip", "biomedcoop")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_prompt_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@cache
def built(folder: str, method: str, arguments: tuple[tuple[str, Any], ...]) -> PromptSegmenter:
    torch.manual_seed(0)
    return PromptSegmenter(folder, method=method, hidden=16, **dict(arguments))


def build(folder: str, method: str, **arguments: Any) -> PromptSegmenter:
    return deepcopy(built(folder, method, tuple(arguments.items())))


@pytest.mark.parametrize("method", METHODS)
class TestBoth:
    @pytest.mark.parametrize(("classes", "channels"), [(("polyp",), 1), (("polyp", "ulcer"), 3)])
    def test_shapes(self, folder: str, images: Tensor, method: str, classes: tuple[str, ...], channels: int) -> None:
        network = build(folder, method, classes=classes)
        output = network(images)
        assert isinstance(output, PromptOutput)
        assert output.logits.shape == (3, channels, 32, 32)
        assert output.image.shape == (3, 32)
        texts = (len(classes) + 1, 32)
        assert output.classes.shape == (texts if method == "biomedcoop" else (3, *texts))
        torch.testing.assert_close(output.classes.norm(dim=-1), torch.ones(output.classes.shape[:-1]))
        assert output.consistency.shape == output.distillation.shape == ()
        logits = network.eval()(images)
        assert isinstance(logits, Tensor)
        assert torch.equal(logits, output.logits)

    def test_other_sizes_of_image(self, folder: str, method: str) -> None:
        assert build(folder, method).eval()(torch.rand(1, 3, 40, 56)).shape == (1, 1, 40, 56)

    @pytest.mark.parametrize("dense", ["tokens", "value"])
    def test_what_was_observed_can_be_given_again(self, folder: str, images: Tensor, method: str, dense: str) -> None:
        network = build(folder, method, dense=dense)
        observed = network.observe(images)
        assert all(one.shape[0] == 3 and not one.requires_grad for one in observed)

        direct, cached = network(images), network(images, observed)

        assert all(torch.equal(one, other) for one, other in zip(direct, cached, strict=True))
        again = type(observed)(*(one.roll(1, dims=0) for one in observed))
        assert not torch.equal(network(images, again).logits, direct.logits)

    def test_the_head_reads_cells_and_scores(self, folder: str, images: Tensor, method: str) -> None:
        network = build(folder, method).eval()
        read: list[Tensor] = []
        network.head.register_forward_pre_hook(lambda _, given: read.append(given[0]))
        network(images)

        observed = network.observe(images)
        classes = network.class_texts(observed).expand(3, 2, 32)
        assert torch.equal(read[0][:, :32], observed.cells)
        for image, row, column, name in ((0, 0, 0, 0), (1, 2, 3, 1), (2, 3, 1, 0)):
            cell = observed.cells[image, :, row, column]
            cosine = cell @ classes[image, name] / cell.norm()
            assert read[0][image, 32 + name, row, column].item() == pytest.approx(cosine.item(), abs=1e-6)

    def test_the_gradient_reaches_what_is_learned_and_nothing_frozen(
        self, folder: str, images: Tensor, method: str
    ) -> None:
        network = build(folder, method)
        labels = torch.zeros(3, 1, 32, 32)
        labels[0, :, 4:20, 4:20] = 1

        PromptLoss()(network(images), labels).backward()

        learned = {name for name, one in network.named_parameters() if one.requires_grad}
        assert {name.split(".")[0] for name in learned} == {"head", "stylip" if method == "stylip" else "context"}
        for name, parameter in network.named_parameters():
            if name in learned:
                assert parameter.grad is not None, name
                assert parameter.grad.abs().max() > 0, name
            else:
                assert parameter.grad is None, name

    @pytest.mark.parametrize("tune", ["lora", "full"])
    def test_the_encoder_learns_as_far_as_it_is_told(self, folder: str, images: Tensor, method: str, tune: str) -> None:
        if tune == "lora":
            pytest.importorskip("peft", reason="the extra 'clip' is not installed")
        network = build(folder, method, tune=tune).train()
        assert network.encoder.training == (tune == "full")
        with torch.no_grad():
            for name, one in network.encoder.named_parameters():
                if "lora_B" in name:
                    one.add_(0.01)
        PromptLoss()(network(images), torch.ones(3, 1, 32, 32)).backward()
        learning = {name for name, one in network.encoder.named_parameters() if one.grad is not None}
        trained = {name for name, one in network.encoder.named_parameters() if one.requires_grad}
        assert trained
        assert all("lora_" in name for name in trained) == (tune == "lora")
        assert learning == trained
        assert all(one.grad is None for one in network.texts.parameters())
        rates = {group["name"]: group["lr"] for group in network.parameter_groups(3.0, 2.0, 1.0)}
        assert rates == {"head": 3.0, **({"adapter": 2.0} if tune == "lora" else {"encoder": 1.0})}

    def test_a_step_changes_what_is_learned_and_nothing_frozen(self, folder: str, images: Tensor, method: str) -> None:
        network = build(folder, method)
        before = {name: one.clone() for name, one in network.state_dict().items()}
        optimiser = torch.optim.AdamW(network.parameter_groups(), weight_decay=0.1)
        PromptLoss()(network(images), torch.ones(3, 1, 32, 32)).backward()
        optimiser.step()

        changed = {
            name.split(".")[0] for name, one in network.state_dict().items() if not torch.equal(one, before[name])
        }
        assert changed == {"head", "stylip" if method == "stylip" else "context"}

    def test_groups_hold_each_learned_parameter_once(self, folder: str, method: str) -> None:
        network = build(folder, method)
        groups = network.parameter_groups(head=3.0, adapter=2.0)
        assert [(group["name"], group["lr"]) for group in groups] == [("head", 3.0)]
        given = [id(one) for group in groups for one in group["params"]]
        assert sorted(given) == sorted(id(one) for one in network.parameters() if one.requires_grad)

    def test_an_image_answers_alone_as_in_a_batch(self, folder: str, images: Tensor, method: str) -> None:
        network = build(folder, method).double().eval()
        images = images.double()
        with torch.no_grad():
            together, alone = network(images), torch.cat([network(one[None]) for one in images])
        torch.testing.assert_close(together, alone, rtol=0, atol=1e-10)

    def test_state_goes_round(self, folder: str, images: Tensor, method: str, tmp_path: Path) -> None:
        network = build(folder, method, context=3)
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.01 * torch.randn_like(parameter))
        torch.save(network.state_dict(), tmp_path / "state.pt")
        other = build(folder, method, context=3, seed=1).eval()
        expected = network.eval()(images)
        assert not torch.equal(other(images), expected)

        other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))

        assert torch.equal(other(images), expected)

    @pytest.mark.parametrize("change", [{"classes": ("ulcer",)}, {"no_lesion": "healthy mucosa"}, {"method": "other"}])
    def test_state_of_another_one_is_refused(self, folder: str, method: str, change: dict[str, Any]) -> None:
        if "method" in change:
            change = {"method": METHODS[method == "stylip"]}
        theirs = build(folder, **{"method": method, **change})
        with pytest.raises((ValueError, RuntimeError), match=f"with {next(iter(change))}: "):
            build(folder, method).load_state_dict(theirs.state_dict(), strict=False)

    def test_the_frozen_towers_stay_in_evaluation_mode(self, folder: str, method: str) -> None:
        network = build(folder, method).eval().train()
        assert network.training
        assert network.head.training
        frozen = [*network.encoder.modules(), *network.texts.modules()]
        assert not any(one.training for one in frozen)

    def test_the_same_seed_draws_the_same(self, folder: str, method: str) -> None:
        first, again, other = (build(folder, method, context=2, seed=seed).state_dict() for seed in (5, 5, 6))
        drawn = [name for name in first if name.startswith(("stylip.style", "context"))]
        assert drawn
        assert all(torch.equal(first[name], again[name]) for name in drawn)
        assert not all(torch.equal(first[name], other[name]) for name in drawn)


class TestStyLIP:
    def test_the_texts_follow_the_style(self, folder: str, images: Tensor) -> None:
        network = build(folder, "stylip").eval()
        observed = network.observe(images)
        assert isinstance(observed, Styled)
        texts = network.class_texts(observed)
        assert (texts[0] - texts[1]).abs().max() > 1e-5
        for part in ("mean", "std"):
            # Another image's style, with the cells and the embedding as they were.
            other = observed._replace(**{part: getattr(observed, part).roll(1, dims=0)})
            assert (network.class_texts(other) - texts).abs().max() > 1e-5

    def test_content_is_added_to_the_texts(self, folder: str, images: Tensor) -> None:
        network = build(folder, "stylip").eval()
        observed = network.observe(images)
        context, _ = network.stylip(observed)
        torch.testing.assert_close(network.class_texts(observed), network.texts(context))
        torch.nn.init.normal_(network.stylip.content.bias)

        texts = network.class_texts(observed)

        expected = normalize(network.texts(context) + network.stylip.content.bias, dim=-1)
        torch.testing.assert_close(texts, expected)
        assert (texts - network.texts(context)).abs().max() > 0.01

    def test_the_style_of_every_layer_that_is_read(self, folder: str, images: Tensor) -> None:
        network = build(folder, "stylip")
        observed = network.observe(images)
        assert isinstance(observed, Styled)
        layers, widths = tower_layers(network.encoder.visual)
        assert not any(layer._forward_hooks for layer in layers)
        with torch.no_grad(), layer_statistics(layers) as statistics:
            network.encoder((images - network.mean) / network.std)
        assert observed.mean.shape == observed.std.shape == (3, sum(widths))
        assert torch.equal(observed.mean, torch.cat([mean for mean, _ in statistics], dim=1))
        assert torch.equal(observed.std, torch.cat([std for _, std in statistics], dim=1))

    def test_one_token_reads_the_last_layer(self, folder: str, images: Tensor) -> None:
        network = build(folder, "stylip", context=1)
        observed, whole = network.observe(images), build(folder, "stylip").observe(images)
        assert isinstance(observed, Styled)
        assert isinstance(whole, Styled)
        assert torch.equal(observed.mean, whole.mean[:, 32:])
        assert network(images).logits.shape == (3, 1, 32, 32)

    def test_a_cache_without_style_is_refused(self, folder: str, images: Tensor) -> None:
        network = build(folder, "stylip")
        with pytest.raises(ValueError, match="needs the style"):
            network(images, Observed(*network.observe(images)[:2]))

    def test_a_resnet(self, tmp_path: Path) -> None:
        network = build(tiny_prompt_clip(tmp_path, "resnet"), "stylip")
        images = torch.rand(2, 3, 64, 64)
        before = {name: one.clone() for name, one in network.encoder.state_dict().items()}
        output = network(images)
        assert output.classes.shape == (2, 2, 32)
        assert len(network.observe(images).std[0]) == 32 + 64 + 128 + 256
        assert all(torch.equal(one, before[name]) for name, one in network.encoder.state_dict().items())

    def test_there_is_nothing_to_hold_the_texts_to(self, folder: str, images: Tensor) -> None:
        output = build(folder, "stylip")(images)
        assert output.consistency == output.distillation == 0


class TestBiomedCoOp:
    def test_the_texts_are_the_same_for_every_image(self, folder: str, images: Tensor) -> None:
        network = build(folder, "biomedcoop")
        assert torch.equal(network(images).classes, network(1 - images[:1]).classes)

    def test_it_starts_as_a_photo_of_a(self, folder: str, images: Tensor) -> None:
        classes = build(folder, "biomedcoop")(images).classes
        expected = encode_prompts(load_clip(folder), ["a photo of a polyp.", "a photo of a normal mucosa."])
        torch.testing.assert_close(classes, expected, rtol=0, atol=1e-5)

    def test_its_terms(self, folder: str, images: Tensor) -> None:
        network = build(folder, "biomedcoop", classes=("polyp", "ulcer"))
        output = network(images)
        clip = load_clip(folder)
        texts = [prompt_ensemble("polyp"), prompt_ensemble("ulcer"), prompt_ensemble("normal mucosa", lesion=False)]
        prompts = torch.stack([encode_prompts(clip, one) for one in texts])
        torch.testing.assert_close(output.consistency, consistency_loss(output.classes, prompts))
        scale = clip.model.logit_scale.exp().item()
        torch.testing.assert_close(output.distillation, distillation_loss(output.image, output.classes, prompts, scale))
        assert min(output.consistency, output.distillation) > 0

    def test_it_is_not_refused_half_precision(self, folder: str, images: Tensor) -> None:
        network = build(folder, "biomedcoop")
        with torch.autocast("cpu", torch.bfloat16):
            loss = PromptLoss()(network(images), torch.ones(3, 1, 32, 32))
        loss.backward()
        assert network.context.grad.isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "coop"}, "method='coop'"),
        ({"classes": "polyp"}, "a list with a name"),
        ({"classes": [" "]}, "a list with a name"),
        ({"classes": ["polyp", "polyp"]}, "twice"),
        ({"context": 0}, "context=0"),
        ({"dense": "pixels"}, "dense='pixels'"),
        ({"tune": "some"}, "tune='some': choose 'frozen', 'lora' or 'full'"),
    ],
)
def test_refusals(folder: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PromptSegmenter(folder, **arguments)
