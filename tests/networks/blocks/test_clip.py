# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from monai_causal.networks.blocks.clip import CLIP, encode_prompts, load_clip, text_tower
from tests.networks.blocks.tiny_clip import EMBED, Kind

open_clip = pytest.importorskip("open_clip", reason="the extra 'clip' is not installed")
Folder = Callable[[Kind], Path]
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def clip(clip_folder: Folder) -> CLIP:
    return load_clip(str(clip_folder("vit")))


def test_a_folder_gives_the_weights_that_lie_in_it(clip: CLIP, clip_folder: Folder) -> None:
    written = torch.load(clip_folder("vit") / "open_clip_pytorch_model.bin", weights_only=True)
    found = clip.model.state_dict()
    assert all(torch.equal(found[name], written[name]) for name in written)
    assert not clip.model.training
    assert clip.mean == pytest.approx((0.48145466, 0.4578275, 0.40821073))
    assert clip.tokenizer(["polyp"]).shape == (1, 24)


def test_statistics_of_a_folder_are_read(tmp_path: Path, clip_folder: Folder) -> None:
    config = json.loads((clip_folder("vit") / "open_clip_config.json").read_text())
    config["preprocess_cfg"] = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    (tmp_path / "model.pth").symlink_to(clip_folder("vit") / "open_clip_pytorch_model.bin")
    found = load_clip(str(tmp_path))
    assert (found.mean, found.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_prompts_become_unit_vectors_one_by_one(clip: CLIP) -> None:
    prompts = ["a polyp", "normal mucosa", "an endoscopy image with blood"]
    found = encode_prompts(clip, prompts)
    assert found.shape == (3, EMBED)
    assert not found.requires_grad
    for prompt, vector in zip(prompts, found, strict=True):
        with torch.no_grad():
            raw = clip.model.encode_text(clip.tokenizer([prompt]))[0]
        torch.testing.assert_close(vector, raw / raw.square().sum().sqrt())
    assert (found @ found.T).fill_diagonal_(0).max() < 0.99


def test_no_prompt_at_all(clip: CLIP) -> None:
    with pytest.raises(ValueError, match="there is no prompt"):
        encode_prompts(clip, [])


def test_the_text_tower_of_either_kind_of_model(clip: CLIP, clip_folder: Folder) -> None:
    assert text_tower(clip) is clip.model
    separate = load_clip(str(clip_folder("timm")))
    assert text_tower(separate) is separate.model.text


@pytest.mark.parametrize("encoder", ["ViT-Z-99", "no/such/folder", "local-dir:no_such_folder"])
def test_an_encoder_that_is_neither_a_folder_nor_known(encoder: str) -> None:
    with pytest.raises(ValueError, match=f"encoder='{encoder}': neither a folder nor a name that open_clip knows"):
        load_clip(encoder)


def test_a_folder_without_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"folder '{tmp_path.name}' holds no open_clip_config.json"):
        load_clip(str(tmp_path))


def test_a_folder_without_weights(tmp_path: Path, clip_folder: Folder) -> None:
    """Not random weights without a word."""
    (tmp_path / "open_clip_config.json").symlink_to(clip_folder("vit") / "open_clip_config.json")
    with pytest.raises(ValueError, match=f"folder '{tmp_path.name}' holds no weights"):
        load_clip(str(tmp_path))


def test_weights_named_beside_a_folder(clip_folder: Folder) -> None:
    with pytest.raises(ValueError, match="pretrained='openai': a folder holds its own weights"):
        load_clip(str(clip_folder("vit")), "openai")


def test_a_folder_s_architecture_with_random_weights(clip_folder: Folder) -> None:
    """Drawn from torch's generator, and never those of the folder."""

    def weights(pretrained: str | None) -> torch.Tensor:
        torch.manual_seed(3)
        return load_clip(str(clip_folder("vit")), pretrained).model.visual.conv1.weight

    own, drawn = weights(None), weights("untrained")
    assert own.shape == drawn.shape
    assert not torch.equal(own, drawn)
    assert torch.equal(drawn, weights("untrained"))


@pytest.mark.parametrize("encoder", ["hf-hub:who/what", "hf-hub:who/what@main", "hf-hub:who/what@" + REVISION[:-1]])
def test_a_hub_without_a_pinned_revision(encoder: str) -> None:
    with pytest.raises(ValueError, match="pin the revision, as in hf-hub:who/what@ and 40 hexadecimal digits"):
        load_clip(encoder)


def test_a_pinned_revision_is_the_one_that_is_downloaded(monkeypatch: pytest.MonkeyPatch, clip_folder: Folder) -> None:
    hub = pytest.importorskip("huggingface_hub")
    asked: list[Any] = []

    def snapshot_download(repository: str, *, revision: str) -> str:
        asked.append((repository, revision))
        return str(clip_folder("vit"))

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    assert load_clip(f"hf-hub:who/what@{REVISION}").model.visual.grid_size == (4, 4)
    assert asked == [("who/what", REVISION)]


@pytest.mark.parametrize(
    ("encoder", "pretrained", "built"),
    [
        ("ViT-B-16", "openai", "ViT-B-16-quickgelu"),
        ("ViT-B/16", "openai", "ViT-B-16-quickgelu"),
        ("RN50", "openai", "RN50-quickgelu"),
        ("ViT-L-14-quickgelu", "openai", "ViT-L-14-quickgelu"),
        ("ViT-L-14", "laion2b_s32b_b82k", "ViT-L-14"),
        ("ViT-L-14", None, "ViT-L-14"),
    ],
)
def test_published_weights_meet_the_activation_they_were_trained_with(
    monkeypatch: pytest.MonkeyPatch, encoder: str, pretrained: str | None, built: str
) -> None:
    asked: list[Any] = []

    def create_model(name: str, **options: Any) -> Any:
        asked.append((name, options["pretrained"]))
        model = torch.nn.Module()
        model.visual = SimpleNamespace(preprocess_cfg={"mean": (0, 0, 0), "std": (1, 1, 1)})  # type: ignore[assignment]
        return model

    monkeypatch.setattr(open_clip, "create_model", create_model)
    load_clip(encoder, pretrained)
    assert asked == [(built, pretrained)]


def test_weights_that_are_not_known() -> None:
    with pytest.raises(RuntimeError, match="'no_such_tag' is not a known tag or valid file path"):
        load_clip("ViT-B-16", "no_such_tag")


@pytest.mark.slow
def test_a_name_alone_gives_random_weights() -> None:
    found = load_clip("RN50")
    assert found.model.visual.output_dim == 1024
    assert encode_prompts(found, ["a polyp"]).shape == (1, 1024)
