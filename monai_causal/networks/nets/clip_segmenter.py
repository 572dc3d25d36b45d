# SPDX-License-Identifier: Apache-2.0
"""What segmenters on a CLIP encoder share: how much of it is trained, and what a checkpoint was made for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn

from monai_causal.extras import require
from monai_causal.networks.blocks.clip import CLIP
from monai_causal.networks.blocks.dense_clip import Dense, DenseCLIP

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CLIPSegmenter", "Tune", "check_choices", "check_classes"]

Tune: TypeAlias = Literal["frozen", "lora", "full"]
TUNE = ("frozen", "lora", "full")

# Which layers of a tower get low-rank updates.
ADAPTED = {
    "VisionTransformer": r".*resblocks\.\d+\.attn",
    "ModifiedResNet": r"layer4\.\d+\.conv[123]|attnpool\.(v_proj|c_proj)",
    "TimmModel": r".*blocks\.\d+\.attn\.(qkv|proj)",
}


class CLIPSegmenter(nn.Module):
    """An image tower that is read densely and kept, adapted or trained, and the classes that it is asked for.

    Args:
        clip: the model.
        classes: of lesions.
        dense: how the encoder is read, see :class:`~monai_causal.networks.blocks.dense_clip.DenseCLIP`.
        tune: what of the encoder is trained: nothing (``"frozen"``), low-rank updates (``"lora"``) or all (``"full"``).
    """

    called: ClassVar[str]
    """With its article, for messages."""

    def __init__(self, clip: CLIP, classes: Sequence[str], dense: Dense, tune: Tune) -> None:
        super().__init__()
        self.class_names = tuple(classes)
        self.tune = tune
        self.encoder = DenseCLIP(clip.model.visual, dense)
        self.encoder_signature = _signature(clip.model.visual)
        self.register_buffer("mean", torch.tensor(clip.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(clip.std).view(3, 1, 1))

    mean: Tensor
    std: Tensor

    def parameter_groups(
        self, head: float = 1e-3, adapter: float = 1e-4, encoder: float = 1e-5
    ) -> list[dict[str, Any]]:
        """Parameters that are trained, by learning rate, for an optimiser; all outside the encoder is the head's."""
        groups: dict[str, list[nn.Parameter]] = {"head": [], "adapter": [], "encoder": []}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                part = "head" if not name.startswith("encoder.") else "adapter" if "lora_" in name else "encoder"
                groups[part].append(parameter)
        rates = {"head": head, "adapter": adapter, "encoder": encoder}
        return [{"params": group, "lr": rates[name], "name": name} for name, group in groups.items() if group]

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.tune != "full":
            self.encoder.eval()  # batch norms too: but for its adapters, the encoder is a constant
        return self

    def get_extra_state(self) -> Tensor:
        # As a tensor, so that any safe loader reads it.
        return torch.tensor(list(json.dumps(self._made_for()).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        theirs = json.loads(bytes(state.tolist()).decode())
        for key, mine in self._made_for().items():
            # An older checkpoint says less of itself; what it does not say is not held against it.
            if theirs.get(key, mine) != mine:
                raise ValueError(
                    f"the checkpoint is of {self.called} with {key}: {theirs[key]}; this one has {mine}. "
                    f"Build it with the checkpoint's {key}, or train anew."
                )

    def _made_for(self) -> dict[str, Any]:
        """What a checkpoint must agree on, beside the shapes of its tensors."""
        raise NotImplementedError

    def _normalised(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std

    def _encoder_learns(self) -> bool:
        return self.tune != "frozen" and torch.is_grad_enabled()

    def _prepare_encoder(self, rank: int) -> None:
        """Freeze or adapt it; the last thing that is done, since adapters change the names of its layers."""
        self.encoder.requires_grad_(self.tune == "full")
        if self.tune == "lora":
            peft = require("peft")
            targets = ADAPTED[self.encoder.kind]
            config = peft.LoraConfig(r=rank, lora_alpha=rank, target_modules=targets)
            self.encoder.visual = peft.inject_adapter_in_model(config, self.encoder.visual)


def check_classes(classes: Sequence[str]) -> None:
    """Refuse what names no classes."""
    if isinstance(classes, str) or not classes or not all(name.strip() for name in classes):
        raise ValueError(f"classes={classes!r}: give a list with a name for every class, such as ['polyp'].")
    if len(set(classes)) < len(classes):
        raise ValueError(f"classes={list(classes)}: a class stands there twice.")


def check_choices(choices: Mapping[str, tuple[str, Sequence[str]]]) -> None:
    """Refuse a value that is none of those to choose from; by argument, the value and these."""
    for name, (value, known) in choices.items():
        if value not in known:
            *some, last = map(repr, known)
            raise ValueError(f"{name}={value!r}: choose {', '.join(some)} or {last}.")


def _signature(visual: Any) -> str:
    sizes = {tuple(one.shape) for one in visual.parameters()}
    count = sum(one.numel() for one in visual.parameters())
    widest = max(visual.parameters(), key=lambda one: one.numel())
    # Weights of one activation run with another without a word, and badly.
    kinds = {type(module).__name__ for module in visual.modules()}
    activations = " and ".join(sorted(kinds & {"GELU", "QuickGELU", "ReLU"}))
    return (
        f"{type(visual).__name__} of {count:,} parameters in {len(sizes)} shapes up to {tuple(widest.shape)}, "
        f"with {activations}"
    )
