# SPDX-License-Identifier: Apache-2.0
"""A tiny random pipeline of RadEdit's shape, saved and loaded as its parts are, through diffusers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from monai_causal.apps.medground.editors.radedit import RadEdit, RadEditSettings, load_radedit

pytest.importorskip("diffusers")

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 52)).astype(np.uint8)
MASK = np.zeros((40, 52), bool)
MASK[7:21, 10:33] = True
FEW = RadEditSettings(steps=6, guidance=7.5, skip=0.3)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import diffusers
    import transformers

    folder = tmp_path_factory.mktemp("radedit")
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 16),
        norm_num_groups=4, cross_attention_dim=16, attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4, scaling_factor=0.13025,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "no", "abnormality", "cardio", "##megaly"]
    encoder = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            max_position_embeddings=16,
        )
    )  # fmt: skip
    unet.save_pretrained(folder / "unet")
    vae.save_pretrained(folder / "vae")
    encoder.save_pretrained(folder / "text_encoder")
    (folder / "text_encoder" / "vocab.txt").write_text("\n".join(words) + "\n")
    return folder


@pytest.fixture(scope="module")
def editor(parts: Path) -> RadEdit:
    return load_radedit(parts, settings=FEW)


def test_what_is_masked_changes_and_the_rest_stays_to_the_pixel(editor: RadEdit) -> None:
    edited = editor(IMAGE, MASK, "No cardiomegaly", 0)
    assert (edited.shape, edited.dtype) == (IMAGE.shape, np.uint8)
    assert np.array_equal(edited[~MASK], IMAGE[~MASK])
    assert (edited[MASK] != IMAGE[MASK]).mean() > 0.5


def test_prompt_and_seed_count_and_the_same_again_is_the_same(editor: RadEdit) -> None:
    first = editor(IMAGE, MASK, "No cardiomegaly", 0)
    assert np.array_equal(first, editor(IMAGE, MASK, "No cardiomegaly", 0))
    assert not np.array_equal(first, editor(IMAGE, MASK, "No abnormality", 0))
    assert not np.array_equal(first, editor(IMAGE, MASK, "No cardiomegaly", 1))
    assert not np.array_equal(first, editor.sham(IMAGE, MASK, 0))


def test_the_published_steps_are_taken(parts: Path) -> None:
    settings = RadEditSettings()
    assert (settings.steps, settings.guidance, settings.skip, settings.taken) == (200, 7.5, 0.3, 140)
    times = load_radedit(parts, settings=settings)._times()
    assert len(times) == 140
    assert times == sorted(times)
    assert times[-1] < 0.71 * 1000 <= times[-1] + 20


def test_without_prompt_and_guidance_the_way_back_is_the_way_there(editor: RadEdit) -> None:
    """A network that always sees the same noise makes DDIM exactly reversible: any slip in the levels shows."""

    class Steady(torch.nn.Module):
        dtype = torch.float32
        config = editor.unet.config

        def forward(self, latents: torch.Tensor, time: int, encoder_hidden_states: torch.Tensor) -> object:
            noise = torch.linspace(-1, 1, latents[0].numel()).reshape(1, *latents.shape[1:])
            return type("Said", (), {"sample": noise.expand(len(latents), -1, -1, -1)})

    steady = RadEdit(
        Steady(), editor.vae, editor.text_encoder, editor.tokenizer, editor.scheduler, RadEditSettings(20, 7.5, 0.3)
    )
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    way = steady._inverted(latents)
    assert len(way) == 15
    everywhere = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    back = steady._denoised(way, everywhere, "No abnormality", 7.5)
    assert torch.allclose(back, latents, atol=1e-4)
    assert (way[-1] - latents).abs().max() > 0.1


def test_weights_are_part_of_the_record(editor: RadEdit) -> None:
    record = editor.record
    assert (record["editor"], record["steps"], record["skip"]) == ("radedit", 6, 0.3)
    assert set(record["parts"]) == {"unet", "vae", "text_encoder", "scheduler"}
    assert len(set(record["parts"].values())) == 4


def test_what_is_missing_is_named_with_its_terms(parts: Path) -> None:
    with pytest.raises(FileNotFoundError, match="the terms of https"):
        load_radedit(unet="not/there", vae=parts / "vae", text_encoder=parts / "text_encoder")
    with pytest.raises(FileNotFoundError, match="is not on this machine"):
        load_radedit(parts, unet=f"microsoft/radedit@{'0' * 40}")
