# SPDX-License-Identifier: Apache-2.0
"""RadEdit: a latent diffusion model of chest radiographs that paints what a prompt says inside a mask.

The image is carried into noise by DDIM without a prompt, up to where the skipped share of the steps begins, and back
under the prompt with classifier-free guidance; outside the mask every step of the way back takes the latents of the
way there. Published settings of MedGround: 200 steps, guidance 7.5, skip ratio 0.3, 224 pixels.

The parts come from three repositories, none of which comes along; nothing of them is executed, and only safetensors
are read: ``microsoft/radedit`` (UNet), ``stabilityai/sdxl-vae`` and ``microsoft/BiomedVLP-BioViL-T`` (text encoder).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from monai_causal.apps.medground.editors.base import Mask, PixelEditor, Pixels
from monai_causal.extras import require

__all__ = ["PARTS", "RadEdit", "RadEditSettings", "load_radedit"]

PARTS = {
    "unet": "microsoft/radedit",
    "vae": "stabilityai/sdxl-vae",
    "text_encoder": "microsoft/BiomedVLP-BioViL-T",
}
"""The published parts, by the folder in which each is looked for."""

SCHEDULE = {
    "beta_schedule": "linear",
    "clip_sample": False,
    "prediction_type": "epsilon",
    "timestep_spacing": "trailing",
    "steps_offset": 1,
}
"""Of the noise, where the folder holds no ``scheduler``."""

_PINNED = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})")


@dataclass(frozen=True)
class RadEditSettings:
    """How images are edited.

    Args:
        steps: of DDIM, from pure noise to an image.
        guidance: how much more the prompt counts than no prompt; 1 is no guidance.
        skip: share of the steps, the noisiest ones, that are not taken.
    """

    steps: int = 200
    guidance: float = 7.5
    skip: float = 0.3

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 <= self.skip < 1:
            raise ValueError(f"steps={self.steps}, skip={self.skip}: at least 1, and a share of at least 0, below 1.")

    @property
    def taken(self) -> int:
        """How many steps are taken, at least one."""
        return max(1, round(self.steps * (1 - self.skip)))


class RadEdit(PixelEditor):
    """Edits with a diffusion model.

    Args:
        unet: of diffusers.
        vae: of diffusers.
        text_encoder: of transformers; its last hidden states are the condition.
        tokenizer: its own.
        scheduler: of diffusers; its noise schedule is used.
        settings: how images are edited.
        parts: what identifies the parts, for records.
        device: where it runs.
    """

    name = "radedit"

    def __init__(
        self,
        unet: Any,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        scheduler: Any,
        settings: RadEditSettings | None = None,
        parts: dict[str, str] | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.unet, self.vae, self.text_encoder = (
            one.to(device).eval().requires_grad_(False) for one in (unet, vae, text_encoder)
        )
        self.tokenizer, self.scheduler, self.device = tokenizer, scheduler, torch.device(device)
        self.settings = settings or RadEditSettings()
        self.parts = dict(parts or {})
        kind = scheduler.config.prediction_type
        if kind not in ("epsilon", "v_prediction"):
            raise ValueError(f"scheduler: prediction_type={kind!r}; epsilon and v_prediction are understood here.")

    @property
    def record(self) -> dict[str, Any]:
        return {"editor": self.name, **asdict(self.settings), "parts": self.parts}

    @torch.no_grad()
    def paint(self, image: Pixels, mask: Mask, prompt: str, seed: int) -> Pixels:
        return self._edited(image, mask, prompt, seed, self.settings.guidance)

    @torch.no_grad()
    def repaint(self, image: Pixels, mask: Mask, seed: int) -> Pixels:
        """There and back without a prompt: all that the method itself does to an image."""
        return self._edited(image, mask, "", seed, 1.0)

    def _edited(self, image: Pixels, mask: Mask, prompt: str, seed: int, guidance: float) -> Pixels:
        padded, where = self._padded(image), self._padded(mask.astype(np.uint8))
        pixels = torch.from_numpy(padded.astype(np.float32) / 127.5 - 1).to(self.device)
        generator = torch.Generator().manual_seed(seed)
        latents = self._encoded(pixels, generator)
        # A latent cell that the mask touches is edited; the composite in pixels keeps the border sharp.
        cells = (
            interpolate(torch.from_numpy(where)[None, None].float(), latents.shape[-2:], mode="area").to(self.device)
            > 0
        )
        way = self._inverted(latents)
        found = self._denoised(way, cells, prompt, guidance)
        grey = self._decoded(found)
        return grey[: image.shape[0], : image.shape[1]]

    def _inverted(self, latents: Tensor) -> list[Tensor]:
        """The latents after 0, 1, 2 ... steps towards noise, without a prompt."""
        times = self._times()
        condition, way = self._condition([""]), [latents]
        for step, time in enumerate(times):
            clean, noise = self._predicted(way[-1], time, condition, self._kept(times[step - 1] if step else None))
            kept = self._kept(time)
            way.append(kept.sqrt() * clean + (1 - kept).sqrt() * noise)
        return way

    def _denoised(self, way: Sequence[Tensor], cells: Tensor, prompt: str, guidance: float) -> Tensor:
        times, latents = self._times(), way[-1]
        conditions = self._condition(["", prompt]) if guidance != 1 else self._condition([prompt])
        for step in reversed(range(len(times))):
            both = latents.expand(len(conditions), -1, -1, -1)
            clean, noise = self._predicted(both, times[step], conditions, self._kept(times[step]))
            if guidance != 1:
                clean, noise = (one[:1] + guidance * (one[1:] - one[:1]) for one in (clean, noise))
            kept = self._kept(times[step - 1] if step else None)
            latents = kept.sqrt() * clean + (1 - kept).sqrt() * noise
            latents = torch.where(cells, latents, way[step])
        return latents

    def _predicted(self, latents: Tensor, time: int, condition: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """The clean latents and the noise that the network sees; ``kept`` is the signal's share of the variance."""
        said = self.unet(latents.to(self.unet.dtype), time, encoder_hidden_states=condition).sample.float()
        if self.scheduler.config.prediction_type == "v_prediction":
            return kept.sqrt() * latents - (1 - kept).sqrt() * said, kept.sqrt() * said + (1 - kept).sqrt() * latents
        return (latents - (1 - kept).sqrt() * said) / kept.sqrt(), said

    def _times(self) -> list[int]:
        """The timesteps that are taken, from clean to noisy."""
        self.scheduler.set_timesteps(self.settings.steps)
        return [int(time) for time in reversed(self.scheduler.timesteps.tolist())][: self.settings.taken]

    def _kept(self, time: int | None) -> Tensor:
        """The signal's share of the variance at a timestep; None is the clean image."""
        kept = self.scheduler.final_alpha_cumprod if time is None else self.scheduler.alphas_cumprod[time]
        return torch.as_tensor(kept, dtype=torch.float32, device=self.device)

    def _condition(self, prompts: Sequence[str]) -> Tensor:
        tokens = self.tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=self.tokenizer.model_max_length,
            return_tensors="pt",
        ).to(self.device)  # fmt: skip
        found = self.text_encoder(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
        states: Tensor = found.last_hidden_state.to(self.unet.dtype)
        return states

    def _encoded(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Latents drawn from the autoencoder's posterior: the only place where the seed counts."""
        seen = pixels[None, None].expand(-1, self.vae.config.in_channels, -1, -1)
        posterior = self.vae.encode(seen.to(self.vae.dtype)).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(self.device)
        latents: Tensor = (posterior.mean + posterior.std * noise).float() * self.vae.config.scaling_factor
        return latents

    def _decoded(self, latents: Tensor) -> Pixels:
        shown = self.vae.decode((latents / self.vae.config.scaling_factor).to(self.vae.dtype)).sample.float()
        grey = shown[0].mean(0).clamp(-1, 1).cpu().numpy()
        return np.rint(127.5 * (grey + 1)).astype(np.uint8)

    def _padded(self, array: Pixels) -> Pixels:
        """Continued at the right and lower edge to sizes that autoencoder and UNet can halve."""
        factor = 2 ** (len(self.vae.config.block_out_channels) - 1 + len(self.unet.config.block_out_channels) - 1)
        return np.pad(array, [(0, -length % factor) for length in array.shape], mode="edge")


def load_radedit(
    folder: str | Path | None = None,
    *,
    unet: str | Path | None = None,
    vae: str | Path | None = None,
    text_encoder: str | Path | None = None,
    settings: RadEditSettings | None = None,
    device: str | torch.device = "cpu",
    download: bool = False,
) -> RadEdit:
    """RadEdit from local folders, or from pinned revisions of the hub.

    Args:
        folder: that holds ``unet``, ``vae``, ``text_encoder`` (with its tokenizer) and, if its schedule is not the
            published one, ``scheduler``.
        unet: a folder, or ``owner/name@revision`` with the 40 hexadecimal digits of a commit; instead of the folder's.
        vae: alike.
        text_encoder: alike.
        settings: how images are edited; by default as published.
        device: where it runs.
        download: fetch what is not there; otherwise no connection is made.
    """
    diffusers, transformers = require("diffusers"), require("transformers")
    given = {"unet": unet, "vae": vae, "text_encoder": text_encoder}
    places = {part: _place(part, folder, one, download) for part, one in given.items()}
    local = {"local_files_only": True, "use_safetensors": True}
    network = diffusers.UNet2DConditionModel.from_pretrained(places["unet"], **local)
    autoencoder = diffusers.AutoencoderKL.from_pretrained(places["vae"], **local)
    # BioViL-T's own class needs code from the hub; what is used of it, the last hidden states, is BERT.
    encoder = transformers.BertModel.from_pretrained(places["text_encoder"], add_pooling_layer=False, **local)
    tokenizer = transformers.BertTokenizerFast.from_pretrained(places["text_encoder"], local_files_only=True)
    tokenizer.model_max_length = min(128, encoder.config.max_position_embeddings)
    schedule = None if folder is None else Path(folder) / "scheduler"
    scheduler = (
        diffusers.DDIMScheduler.from_pretrained(schedule, local_files_only=True)
        if schedule is not None and schedule.is_dir()
        else diffusers.DDIMScheduler(**SCHEDULE)
    )
    digests = {part: _digest(place) for part, place in places.items()}
    digests["scheduler"] = hashlib.sha256(
        json.dumps(dict(scheduler.config), default=str, sort_keys=True).encode()
    ).hexdigest()[:16]
    return RadEdit(network, autoencoder, encoder, tokenizer, scheduler, settings, digests, device)


def _place(part: str, folder: str | Path | None, given: str | Path | None, download: bool) -> Path:
    if given is None and folder is not None:
        given = Path(folder) / part
    if given is None:
        raise FileNotFoundError(f"{part}: give folder=, or {part}= as a folder or as {PARTS[part]}@revision.")
    if Path(given).is_dir():
        inner = Path(given) / part  # the published UNet lies in a folder of its repository
        return inner if inner.is_dir() else Path(given)
    pinned = _PINNED.fullmatch(str(given))
    if pinned is None:
        raise FileNotFoundError(
            f"{part}: there is no such folder. Accept the terms of https://huggingface.co/{PARTS[part]}, fetch it with "
            f"'hf download {PARTS[part]} --revision REVISION', and give its folder or {PARTS[part]}@REVISION with the "
            "40 hexadecimal digits of a commit."
        )
    hub = require("huggingface_hub")
    try:
        found = Path(hub.snapshot_download(pinned[1], revision=pinned[2], local_files_only=not download))
    except (hub.errors.LocalEntryNotFoundError, hub.errors.HfHubHTTPError) as error:
        raise FileNotFoundError(
            f"{part}: {pinned[1]} at {pinned[2]} is not on this machine: fetch it with 'hf download {pinned[1]} "
            f"--revision {pinned[2]}'."
        ) from error
    return found / part if (found / part).is_dir() else found


def _digest(place: Path) -> str:
    """Of all safetensors of a part."""
    digest = hashlib.sha256()
    for path in sorted(place.glob("*.safetensors")):
        with path.open("rb") as file:
            while part := file.read(2**24):
                digest.update(part)
    return digest.hexdigest()[:16]
