# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from monai_causal.networks.blocks.clip import encode_prompts, load_clip
from monai_causal.networks.blocks.confounder_prompts import ConfounderPrompts, read_confounders
from monai_causal.networks.blocks.dense_clip import Observed
from monai_causal.networks.blocks.target_regions import gather_cells, similarity, soft_gate, top_share
from monai_causal.networks.nets import MCDRL, MCDRLOutput
from tests.networks.blocks.tiny_clip import EMBED, SIZE, Kind, tiny_clip_folder

Folder = Callable[[Kind], Path]


@pytest.fixture(scope="module")
def make(clip_folder: Folder) -> Callable[..., MCDRL]:
    def made(kind: Kind = "vit", **options: Any) -> MCDRL:
        torch.manual_seed(0)
        return MCDRL(str(clip_folder(kind)), **{"depth": 1, "hidden": 16} | options).double().eval()

    return made


def images(kind: Kind = "vit", count: int = 2) -> Tensor:
    side = SIZE[kind]
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def gradients(network: nn.Module, x: Tensor) -> set[str]:
    """The parameters that learn something from the logits and the image embedding."""
    output = network.train()(x)
    (output.logits.square().mean() + output.image.square().mean()).backward()
    return {name for name, one in network.named_parameters() if one.grad is not None and one.grad.abs().max() > 0}


@pytest.mark.parametrize(("classes", "channels"), [(["polyp"], 1), (["polyp", "ulcer"], 3)])
def test_training_returns_what_the_losses_need_and_evaluation_the_logits(
    make: Callable[..., MCDRL], classes: list[str], channels: int
) -> None:
    network, x = make(classes=classes), images()
    output = network.train()(x)
    assert isinstance(output, MCDRLOutput)
    assert output.logits.shape == (2, channels, 32, 32)
    assert output.cells.shape == (2, EMBED, 4, 4)
    assert output.kept.shape == (2, 1, 4, 4)
    assert output.kept.sum(dim=(1, 2, 3)).tolist() == [8, 8]
    assert output.image.shape == (2, EMBED)
    assert output.classes.shape == (len(classes) + 1, EMBED)
    assert output.causal_targets.shape == (len(classes), EMBED)
    assert output.intervening
    logits = network.eval()(x)
    assert isinstance(logits, Tensor)
    torch.testing.assert_close(logits, output.logits)


def test_the_texts_of_classes_and_of_their_meetings_with_confounders(clip_folder: Folder) -> None:
    """Buffers of Eqs. 6, 11 and 12; the texts of Eq. 11 are averaged as unit vectors."""
    network = MCDRL(str(clip_folder("vit")), classes=["polyp", "ulcer"], depth=1, no_lesion="nothing")
    clip = load_clip(str(clip_folder("vit")))
    names = ("polyp", "ulcer", "nothing")
    texts = encode_prompts(clip, [f"A {name} in an endoscopic image" for name in names])
    torch.testing.assert_close(network.classes, texts)
    for name, target in zip(names, network.causal_targets, strict=False):
        joint = encode_prompts(clip, [f"A {name} with {one}" for one in read_confounders().confounders])
        torch.testing.assert_close(target, joint.sum(dim=0) / 12)


def test_the_encoder_sees_normalised_images(make: Callable[..., MCDRL]) -> None:
    network, x = make(), images()
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).double().reshape(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).double().reshape(3, 1, 1)
    torch.testing.assert_close(network.observe(x).image, network.encoder.visual((x - mean) / std))


@torch.no_grad()
def test_the_selected_cells_are_intervened_on_and_the_others_are_left_or_erased(make: Callable[..., MCDRL]) -> None:
    for scatter in ("residual", "zero"):
        network = make(alpha=0.25, scatter=scatter)
        cells = network.observe(images()).cells
        found, kept = network.represent(cells)
        chosen = top_share(similarity(cells, network.classes[:1]), 0.25)
        changed = network.intervention(gather_cells(cells, chosen), network.dictionary, network.prior)
        expected = cells.flatten(2).clone() if scatter == "residual" else torch.zeros(2, EMBED, 16).double()
        mask = torch.zeros(2, 16).double()
        for image in range(2):
            for place, cell in enumerate(chosen[image].tolist()):
                expected[image, :, cell] = changed[image, place]
                mask[image, cell] = 1
        torch.testing.assert_close(found.flatten(2), expected)
        assert torch.equal(kept.flatten(1), mask)
        assert (changed - gather_cells(cells, chosen)).abs().max() > 0.01


@torch.no_grad()
def test_selecting_by_degree(make: Callable[..., MCDRL]) -> None:
    network = make(scatter="soft", alpha=0.25)
    cells = network.observe(images()).cells
    flat = cells.flatten(2).transpose(1, 2)
    everything = network.intervention(flat, network.dictionary, network.prior).transpose(1, 2).reshape(cells.shape)
    gate = soft_gate(similarity(cells, network.classes[:1]), 0.25)
    found, kept = network.represent(cells)
    torch.testing.assert_close(found, cells + gate * (everything - cells))
    assert kept.sum(dim=(1, 2, 3)).tolist() == [4, 4]


@torch.no_grad()
def test_without_the_selection_all_cells_are_intervened_on(make: Callable[..., MCDRL]) -> None:
    network = make(select=False)
    cells = network.observe(images()).cells
    flat = cells.flatten(2).transpose(1, 2)
    found, kept = network.represent(cells)
    changed = network.intervention(flat, network.dictionary, network.prior)
    torch.testing.assert_close(found.flatten(2).transpose(1, 2), changed)
    assert kept.all()


@torch.no_grad()
def test_without_the_intervention_selected_cells_stay_as_they_are(make: Callable[..., MCDRL]) -> None:
    x = images()
    for scatter in ("residual", "zero"):
        network = make(intervene=False, scatter=scatter)
        cells = network.observe(x).cells
        found, kept = network.represent(cells)
        torch.testing.assert_close(found, cells if scatter == "residual" else cells * kept)
        assert kept.sum() == 16
        assert not any(name.startswith("intervention") for name, _ in network.named_parameters())
        network.switch_intervention(True)
        assert not network.train()(x).intervening  # there is none: Eq. 11 has nothing to say


@torch.no_grad()
def test_the_switch_of_the_intervention_is_kept_in_the_state(make: Callable[..., MCDRL]) -> None:
    network, x = make(), images()
    on = network(x)
    network.switch_intervention(False)
    off = network(x)
    assert not network.train()(x).intervening
    network.eval()
    assert (on - off).abs().max() > 1e-4
    other = make()
    torch.testing.assert_close(other(x), on)
    other.load_state_dict(network.state_dict())
    torch.testing.assert_close(other(x), off)
    other.switch_intervention(True)
    torch.testing.assert_close(other(x), on)
    network.load_state_dict(other.state_dict())
    torch.testing.assert_close(network(x), on)


@pytest.mark.parametrize("kind", SIZE)
def test_a_frozen_encoder_learns_nothing_and_stays_in_evaluation_mode(make: Callable[..., MCDRL], kind: Kind) -> None:
    network = make(kind).train()
    assert network.training
    assert not any(module.training for module in network.encoder.modules())
    assert not any(one.requires_grad for one in network.encoder.parameters())
    buffers = {name: one.clone() for name, one in network.encoder.named_buffers()}
    output = network(images(kind))
    assert not output.image.requires_grad
    output.logits.sum().backward()
    assert all(one.grad is None for one in network.encoder.parameters())
    assert all(torch.equal(one, buffers[name]) for name, one in network.encoder.named_buffers())


def test_all_that_is_outside_a_frozen_encoder_learns(make: Callable[..., MCDRL]) -> None:
    network = make(dictionary="learned")
    output = network.train()(images())
    output.logits.square().mean().backward()
    for name, one in network.named_parameters():
        if not name.startswith("encoder."):
            assert one.grad is not None, name
            assert one.grad.abs().max() > 0, name


@pytest.mark.parametrize("dense", ["tokens", "value"])
@pytest.mark.parametrize("kind", SIZE)
def test_low_rank_updates_are_all_that_is_trained_of_an_encoder(
    make: Callable[..., MCDRL], kind: Kind, dense: str
) -> None:
    """In every block, in both ways of reading it; batch norms do not move."""
    pytest.importorskip("peft", reason="the extra 'clip' is not installed")
    network, x = make(kind, tune="lora", rank=2, dense=dense), images(kind)
    torch.testing.assert_close(network(x), make(kind, dense=dense)(x))  # at the start they change nothing
    trained = {name for name, one in network.encoder.named_parameters() if one.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    with torch.no_grad():
        for name, one in network.encoder.named_parameters():
            if "lora_B" in name:
                one.add_(0.01)
    buffers = {name: one.clone() for name, one in network.encoder.named_buffers()}
    learning = gradients(network, x)
    assert {name for name in learning if name.startswith("encoder.")} == {f"encoder.{name}" for name in trained}
    assert all(torch.equal(one, buffers[name]) for name, one in network.encoder.named_buffers())


@torch.no_grad()
def test_the_updates_of_the_last_blocks_values_count_when_values_are_read(make: Callable[..., MCDRL]) -> None:
    """The cells of ``dense="value"`` are made of the last block's values, adapters included."""
    pytest.importorskip("peft", reason="the extra 'clip' is not installed")
    for kind, layer in (("vit", "resblocks.1.attn.lora_B"), ("timm", "blocks.5.attn.qkv.lora_B")):
        network, x = make(kind, tune="lora", dense="value"), images(kind)
        before = network.observe(x).cells
        (update,) = [one for name, one in network.encoder.named_parameters() if layer in name]
        width = len(update) // 3
        update[: 2 * width] = 0.1  # queries and keys: not read
        torch.testing.assert_close(network.observe(x).cells, before)
        update[2 * width :] = 0.1
        assert (network.observe(x).cells - before).abs().max() > 1e-4


def test_all_of_the_encoder_can_be_trained(make: Callable[..., MCDRL]) -> None:
    network = make("rn", tune="full")
    learning = gradients(network, images("rn"))
    assert network.encoder.visual.training
    assert "encoder.visual.conv1.weight" in learning
    assert "encoder.visual.attnpool.positional_embedding" in learning


def test_groups_of_parameters_by_learning_rate(make: Callable[..., MCDRL]) -> None:
    pytest.importorskip("peft", reason="the extra 'clip' is not installed")
    found: dict[str, dict[str, float]] = {}
    for tune in ("frozen", "lora", "full"):
        network = make(tune=tune)
        groups = network.parameter_groups(head=3.0, adapter=2.0, encoder=1.0)
        found[tune] = {group["name"]: group["lr"] for group in groups}
        grouped = [id(one) for group in groups for one in group["params"]]
        assert sorted(grouped) == sorted(id(one) for one in network.parameters() if one.requires_grad)
    assert found == {
        "frozen": {"head": 3.0},
        "lora": {"head": 3.0, "adapter": 2.0},
        "full": {"head": 3.0, "encoder": 1.0},
    }


@pytest.mark.parametrize("kind", SIZE)
def test_what_a_frozen_encoder_saw_can_be_given_again(make: Callable[..., MCDRL], kind: Kind) -> None:
    network, x = make(kind), images(kind)
    seen = network.observe(x)
    torch.testing.assert_close(network(x, seen), network(x))
    other = network(x, Observed(seen.cells + 1, seen.image))
    assert (other - network(x)).abs().max() > 1e-6
    output = network.train()(x, seen)
    assert output.image is seen.image


def test_the_controls_of_the_dictionary(make: Callable[..., MCDRL]) -> None:
    kinds = ("text", "shuffled", "irrelevant", "random", "learned")
    networks = {kind: make(dictionary=kind) for kind in kinds}
    vectors = {kind: network.dictionary.detach() for kind, network in networks.items()}
    torch.testing.assert_close(vectors["shuffled"] @ vectors["shuffled"].T, vectors["text"] @ vectors["text"].T)
    for kind in ("shuffled", "irrelevant", "random"):
        assert (vectors[kind] - vectors["text"]).norm(dim=1).min() > 0.01
    assert torch.equal(vectors["learned"], vectors["random"])
    for kind, network in networks.items():
        assert isinstance(network.dictionary, nn.Parameter) == (kind == "learned")
        assert "dictionary" in network.state_dict()


@pytest.mark.parametrize("marginalisation", ["attention", "prior", "exact", "self"])
@torch.no_grad()
def test_an_image_is_answered_alike_alone_and_among_others(make: Callable[..., MCDRL], marginalisation: str) -> None:
    network, x = make(marginalisation=marginalisation, classes=["polyp", "ulcer"]), images(count=3)
    together = network(x)
    for number in range(3):
        torch.testing.assert_close(network(x[number : number + 1]), together[number : number + 1], atol=1e-11, rtol=0)


@torch.no_grad()
def test_the_prior_reaches_the_intervention(make: Callable[..., MCDRL]) -> None:
    x = images()
    confounders = read_confounders(count=3)
    for marginalisation, matters in (("attention", False), ("prior", True), ("exact", True)):
        plain = make(confounders=confounders, marginalisation=marginalisation)
        weighed = make(confounders=confounders, marginalisation=marginalisation, prior=[6, 3, 1])
        torch.testing.assert_close(weighed.prior, torch.tensor([0.6, 0.3, 0.1]).double())
        torch.testing.assert_close(plain.prior, torch.full((3,), 1 / 3).double())
        assert ((weighed(x) - plain(x)).abs().max() > 1e-7) == matters


@torch.no_grad()
def test_the_same_seed_gives_the_same_network(make: Callable[..., MCDRL]) -> None:
    x = images()
    assert torch.equal(make(dictionary="random")(x), make(dictionary="random")(x))
    assert not torch.equal(make(dictionary="random", seed=1)(x), make(dictionary="random")(x))


@torch.no_grad()
def test_a_checkpoint_restores_every_part(make: Callable[..., MCDRL], tmp_path: Path) -> None:
    network, x = make(dictionary="learned", classes=["polyp", "ulcer"]), images()
    for one in network.parameters():
        one.add_(0.01)
    torch.save(network.state_dict(), tmp_path / "network.pt")
    other = make(dictionary="learned", classes=["polyp", "ulcer"])
    assert not torch.allclose(other(x), network(x))
    other.load_state_dict(torch.load(tmp_path / "network.pt", weights_only=True), strict=True)
    assert torch.equal(other(x), network(x))


def test_a_checkpoint_of_another_network_is_refused(
    make: Callable[..., MCDRL], clip_folder: Folder, tmp_path: Path
) -> None:
    network = make()
    twelve = read_confounders().confounders
    others = {
        "encoder": [make("rn"), make("timm"), MCDRL(str(quick(clip_folder("vit"), tmp_path)), depth=1, hidden=16)],
        "classes": [make(classes=["ulcer"]), make(classes=["polyp", "ulcer"])],
        "confounders": [
            make(confounders=read_confounders(count=6)),
            make(confounders=ConfounderPrompts((*twelve[:11], "smoke"))),
        ],
    }
    for key, checkpoints in others.items():
        for other in checkpoints:
            with pytest.raises(ValueError, match=rf"the checkpoint is of an MCDRL with {key}: .*; this one has") as why:
                network.load_state_dict(other.state_dict())
            assert "\n" not in str(why.value)


def test_a_checkpoint_of_other_settings_is_refused_where_it_says_so(make: Callable[..., MCDRL]) -> None:
    """None of them has a tensor, so that the shapes would fit and the answers be others."""
    network = make()
    for key, value in (("alpha", 0.25), ("scatter", "zero"), ("select", False), ("dense", "value")):
        with pytest.raises(ValueError, match=rf"of an MCDRL with {key}: {value}; this one has "):
            network.load_state_dict(make(**{key: value}).state_dict())
    older = make(alpha=0.25).state_dict()
    said = json.loads(bytes(older["_extra_state"].tolist()).decode())
    kept = {key: said[key] for key in ("encoder", "classes", "confounders")}
    older["_extra_state"] = torch.tensor(list(json.dumps(kept).encode()), dtype=torch.uint8)
    network.load_state_dict(older)


def test_cells_are_answered_as_images_are(make: Callable[..., MCDRL]) -> None:
    network, x = make(), images()
    with torch.no_grad():
        cells, _ = network.represent(network.observe(x).cells)
        assert torch.equal(network.segment(x, cells), network(x))


def quick(folder: Path, to: Path) -> Path:
    """The same weights under another activation."""
    copied = shutil.copytree(folder, to / "quick")
    config = json.loads((copied / "open_clip_config.json").read_text())
    config["model_cfg"]["quick_gelu"] = True
    (copied / "open_clip_config.json").write_text(json.dumps(config))
    return copied


@pytest.mark.parametrize("kind", ["vit", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("rn", "timm"))])
def test_an_exported_network_answers_alike(make: Callable[..., MCDRL], kind: Kind) -> None:
    network, x = make(kind), images(kind)
    exported = torch.export.export(network, (x,)).module()
    torch.testing.assert_close(exported(x), network(x))
    torch.testing.assert_close(exported(1 - x), network(1 - x))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit.*deprecated")
@pytest.mark.parametrize("kind", ["vit", "rn"])
def test_a_traced_network_answers_alike(make: Callable[..., MCDRL], kind: Kind) -> None:
    network, x = make(kind), images(kind)
    traced = torch.jit.trace(network, (x,))
    torch.testing.assert_close(traced(1 - x), network(1 - x))


@torch.no_grad()
def test_images_of_other_sizes(make: Callable[..., MCDRL]) -> None:
    network = make()
    x = torch.rand(1, 3, 45, 70).double()
    assert network(x).shape == (1, 1, 45, 70)
    assert network.train()(x).cells.shape == (1, EMBED, 5, 8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": []}, r"classes=\[\]: give a list with a name for every class"),
        ({"classes": "polyp"}, "classes='polyp': give a list"),
        ({"classes": ["polyp", " "]}, "give a list with a name for every class"),
        ({"classes": ["polyp", "polyp"]}, "a class stands there twice"),
        ({"alpha": 0}, "alpha=0: give the share of cells to keep, above 0 and up to 1"),
        ({"alpha": 1.5}, "alpha=1.5"),
        ({"alpha": float("nan")}, "alpha=nan"),
        ({"scatter": "add"}, "scatter='add': choose 'residual', 'zero' or 'soft'"),
        ({"tune": "some"}, "tune='some': choose 'frozen', 'lora' or 'full'"),
        ({"prior": [1, 2]}, r"prior=\[1, 2\]: give 12 weights of 0 or more"),
        ({"prior": [0] * 12}, "give 12 weights"),
        ({"prior": [-1, *[1] * 11]}, "give 12 weights"),
        ({"prior": [float("nan"), *[1] * 11]}, "give 12 weights"),
        ({"depth": 0}, "depth=0: give at least one layer"),
        ({"hidden": 20}, "hidden=20: give a multiple of 8"),
        ({"dense": "keys"}, "dense='keys': choose 'tokens' or 'value'"),
        ({"dictionary": "noise"}, "dictionary='noise': choose"),
        ({"marginalisation": "mean"}, "marginalisation='mean': choose"),
        ({"confounders": "none.yaml"}, "none.yaml: there is no such dictionary"),
    ],
)
def test_settings_that_cannot_be(make: Callable[..., MCDRL], options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(**options)


def test_the_networks_are_imported_without_what_only_clip_needs() -> None:
    heavy = ("open_clip", "peft", "timm", "transformers", "huggingface_hub")
    code = f"import sys, monai_causal.networks.nets; print([one for one in {heavy} if one in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_folders_of_different_seeds_differ(tmp_path: Path) -> None:
    """The helper of these tests."""
    one, other = (load_clip(str(tiny_clip_folder(tmp_path, seed=seed))).model.visual for seed in (0, 1))
    assert not torch.equal(one.proj, other.proj)


def test_a_network_that_erases_reads_features_without_the_texts(clip_folder: Folder) -> None:
    net = MCDRL(str(clip_folder("vit")), select=False, intervene=False, erase=True).eval()
    cells = net.observe(torch.rand(1, 3, 32, 32)).cells
    read = net.represent(cells)[0]
    differences = net.dictionary[1:] - net.dictionary[:1]
    assert torch.einsum("nd,bdhw->bnhw", differences, read).abs().max() < 1e-5
    assert torch.einsum("nd,bdhw->bnhw", differences, cells).abs().max() > 1e-2
    with pytest.raises(ValueError, match="learned dictionary"):
        MCDRL(str(clip_folder("vit")), dictionary="learned", erase=True)


def test_a_dictionary_may_be_given_as_vectors(clip_folder: Folder) -> None:
    vectors = torch.randn(5, EMBED)
    net = MCDRL(str(clip_folder("vit")), dictionary=vectors)
    assert torch.equal(net.dictionary, vectors)
    assert net.prior.shape == (5,)
    with pytest.raises(ValueError, match=f"give vectors of {EMBED} components"):
        MCDRL(str(clip_folder("vit")), dictionary=torch.randn(5, EMBED + 1))
