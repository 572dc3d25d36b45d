# SPDX-License-Identifier: Apache-2.0
"""The model under test: loaded by name, told apart by its content, and asked for each answer once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from monai_causal.apps.medfocus.vlm.interface import Answer, AnsweringModel, Prompt, Trace
from monai_causal.apps.medfocus.vlm.loading import load_vlm
from monai_causal.apps.study.training import weights_digest
from monai_causal.files import write_json

__all__ = ["Remembering", "identity", "model_of", "note_model", "noted_model"]

HINT = "model.json"
HINT_SCHEMA = "monai_causal/medground-model/1"
LARGE = 100_000_000
"""Parameters from which the weights are not read once more for a digest."""


def model_of(name: str, *, device: str | None = None, batch_size: int = 16) -> tuple[AnsweringModel, str]:
    """A model and what records call it.

    Args:
        name: ``demo``, ``demo-shortcut``, a folder, or ``owner/name@revision``.
        device: as transformers' ``device_map``; None is the CPU.
        batch_size: pictures per forward.
    """
    called = Path(name).resolve().name if Path(name).is_dir() else name
    return load_vlm(name, device_map=device, batch_size=batch_size), called


def identity(vlm: AnsweringModel, name: str) -> dict[str, Any]:
    """What tells a model apart: its name, its provenance, and a digest of its weights unless they are large."""
    found = {"name": name, **vlm.provenance}
    network = getattr(vlm, "network", None)
    readable = found.get("dtype") != "bfloat16"  # numpy has no such numbers
    if isinstance(network, nn.Module) and readable and sum(one.numel() for one in network.parameters()) < LARGE:
        found["weights"] = weights_digest(network)
    return found


def note_model(folder: Path, name: str) -> None:
    """Note in a benchmark's folder where its model lies on this machine, so that the next command finds it."""
    where = str(Path(name).resolve()) if Path(name).is_dir() else name
    write_json(folder / HINT, {"schema": HINT_SCHEMA, "vlm": where})


def noted_model(folder: Path) -> str:
    """What :func:`note_model` noted."""
    path = folder / HINT
    if not path.is_file():
        raise FileNotFoundError(f"{folder.name} does not say which model it was built with: give --vlm.")
    return str(json.loads(path.read_text(encoding="utf-8"))["vlm"])


class Remembering(AnsweringModel):
    """A model that is asked for each answer once: every method explains the same answer, and none pays for it twice.

    Args:
        vlm: who answers when it has not yet.
        most: answers that are remembered.
    """

    def __init__(self, vlm: AnsweringModel, most: int = 64) -> None:
        self.vlm, self.most = vlm, most
        self.family, self.batch_size = vlm.family, vlm.batch_size
        self._said: dict[tuple[str, str, int], Answer] = {}

    @property
    def layers(self) -> tuple[str, ...]:
        return self.vlm.layers

    @property
    def provenance(self) -> dict[str, Any]:
        return self.vlm.provenance

    def prompt(self, question: str, size: tuple[int, int]) -> Prompt:
        return self.vlm.prompt(question, size)

    def generate(self, image: Tensor, prompt: Prompt, max_new_tokens: int = 256) -> Answer:
        digest = hashlib.sha256(image.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
        key = digest, prompt.question, max_new_tokens
        if key not in self._said:
            while len(self._said) >= self.most:
                self._said.pop(next(iter(self._said)))
            self._said[key] = self.vlm.generate(image, prompt, max_new_tokens)
        return self._said[key]

    def answer(self, text: str) -> Answer:
        return self.vlm.answer(text)

    def log_probs(self, images: Tensor, prompt: Prompt, answer: Answer, batch_size: int | None = None) -> Tensor:
        return self.vlm.log_probs(images, prompt, answer, batch_size)

    def trace(self, images: Tensor, prompt: Prompt, answer: Answer, **options: Any) -> Trace:
        return self.vlm.trace(images, prompt, answer, **options)
