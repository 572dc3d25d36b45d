# SPDX-License-Identifier: Apache-2.0
"""An existing MONAI bundle as a model to explain: read, never changed.

MONAI's own parser builds what the bundle's ``configs/inference`` describes, and in doing so evaluates the bundle's
expressions: open only bundles that you trust.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.inferers import SimpleInferer
from monai.transforms import Activations, Activationsd, AsDiscrete, AsDiscreted, Compose, LoadImaged
from torch import Tensor, nn

from monai_causal.apps.explain.models import Model
from monai_causal.apps.explain.weights import digest_of, load_weights
from monai_causal.inferers import ExplanationInferer
from monai_causal.intervene.scores import Activation

__all__ = ["Bundle", "open_bundle"]

CONFIGS = tuple(f"configs/inference.{suffix}" for suffix in ("json", "yaml", "yml"))
# The specification's names, and the older ones that MONAI Label takes too.
PREPROCESSING = ("preprocessing", "pre_transforms")
POSTPROCESSING = ("postprocessing", "post_transforms")
# What an answer is compared on needs none of these: they move it, convert it or write it.
WITHOUT_EFFECT = ("Invertd", "SaveImaged", "SaveImage", "EnsureTyped", "EnsureType", "ToTensord", "CopyItemsd")


@dataclass(frozen=True)
class Bundle:
    """What a bundle says: its model, and how an image comes to it.

    Attributes:
        model: network, weights, inferer, and what its post-processing makes an answer of.
        steps: the pre-processing, step by step.
        loader: which of them reads the file.
        notes: what of it is not followed.
    """

    model: Model
    steps: tuple[Any, ...]
    loader: int
    notes: tuple[str, ...] = ()

    def read(self, path: Path) -> tuple[MetaTensor, Tensor]:
        """An image as the bundle's loader gives it, and as its network gets it ``(C, *spatial)``."""
        load: LoadImaged = self.steps[self.loader]
        key = load.keys[0]
        try:
            loaded = Compose(self.steps[: self.loader + 1])({key: str(path)})
        except Exception as error:  # a reader may raise anything, and say the path
            raise ValueError(
                f"the bundle's {type(load).__name__} cannot read the image ({type(error).__name__})."
            ) from None
        before = loaded[key].clone()
        try:
            ready = Compose(self.steps[self.loader + 1 :])(loaded)[key]
        except Exception as error:  # whatever the bundle's own transforms raise
            reason = " ".join(str(error.__cause__ or error).split())
            raise ValueError(f"the bundle's pre-processing does not fit this image: {reason}") from error
        if not isinstance(before, MetaTensor) or not isinstance(ready, MetaTensor):
            raise ValueError("the bundle's pre-processing loses the image's affine: its maps would lie nowhere.")
        return before, ready.float().cpu()


def open_bundle(folder: Path, device: torch.device) -> Bundle:
    """Read a bundle's inference configuration and its weights; no file of it is written.

    Args:
        folder: the bundle, with ``configs/inference.json`` (or ``.yaml``) and ``models/model.pt`` (or ``model.ts``).
        device: what its ``@device`` becomes.
    """
    if not folder.is_dir():
        raise ValueError("the bundle: there is no such folder.")
    config = next((folder / name for name in CONFIGS if (folder / name).is_file()), None)
    if config is None:
        raise ValueError(
            f"the bundle has no {CONFIGS[0]} (nor .yaml): only its inference configuration tells how to run it."
        )
    metadata = _metadata(folder / "configs" / "metadata.json")
    with _importable(folder):
        parser = ConfigParser()
        try:
            parser.read_config(config)
        except Exception as error:  # JSON, YAML and MONAI each have errors of their own
            raise ValueError(f"the bundle's {config.relative_to(folder)} cannot be read: {error}") from None
        parser.set(metadata, "_meta_")
        parser.set(str(folder), "bundle_root")
        parser.set(device, "device")
        steps = _steps(_built(parser, PREPROCESSING, needed=True))
        after = _steps(_built(parser, POSTPROCESSING))
        inferer = _built(parser, ("inferer",))
        if isinstance(inferer, ExplanationInferer):
            # A bundle that explains: what runs its network is inside.
            inferer = inferer.inferer
        network, weights = _network(parser, folder)
    loader = next((place for place, step in enumerate(steps) if isinstance(step, LoadImaged)), None)
    if loader is None:
        raise ValueError("the bundle's pre-processing has no LoadImaged: how it reads a file is not known.")
    activation, threshold = _answer(after)
    record = {
        "kind": "bundle",
        "name": metadata.get("name"),
        "version": metadata.get("version"),
        "weights": weights,
        "inferer": type(inferer).__name__ if inferer is not None else None,
        "configuration": digest_of(config),
    }
    model = Model(
        network.to(device).eval(),
        record,
        None if isinstance(inferer, SimpleInferer) else inferer,
        activation,
        threshold,
        _channels(metadata, steps[loader].keys[0]),
    )
    return Bundle(model, steps, loader, tuple(_not_followed(after)))


def _metadata(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise ValueError(f"the bundle's configs/metadata.json cannot be read: {error}") from None
    return content if isinstance(content, dict) else {}


def _channels(metadata: dict[str, Any], key: str) -> int | None:
    inputs = metadata.get("network_data_format", {}).get("inputs", {})
    channels = inputs.get(key, next(iter(inputs.values()), {})).get("num_channels")
    return channels if isinstance(channels, int) else None


def _built(parser: ConfigParser, names: Sequence[str], needed: bool = False) -> Any:
    """What the configuration has under the first of these names that it knows."""
    name = next((name for name in names if parser.get(name) is not None), None)
    if name is None:
        if needed:
            raise ValueError(f"the bundle's inference configuration has no {names[0]!r}.")
        return None
    try:
        return parser.get_parsed_content(name)
    except Exception as error:  # the bundle's own code and expressions may raise anything
        reason = " ".join(str(error.__cause__ or error).split())
        raise ValueError(f"the bundle's {name!r} cannot be built: {reason}") from error


def _steps(transforms: Any) -> tuple[Any, ...]:
    """One after the other, whether composed, listed, or but one."""
    return tuple(Compose(transforms).flatten().transforms)


def _network(parser: ConfigParser, folder: Path) -> tuple[nn.Module, str]:
    """The network with its weights, and their digest."""
    weights, script = folder / "models" / "model.pt", folder / "models" / "model.ts"
    if weights.is_file():
        network = _built(parser, ("network_def", "network"), needed=True)
        return network, load_weights(network, weights, "the bundle's models/model.pt")
    if script.is_file():
        try:
            return torch.jit.load(str(script), map_location="cpu"), digest_of(script)
        except RuntimeError as error:
            raise ValueError(f"the bundle's models/model.ts cannot be read ({type(error).__name__}).") from None
    raise ValueError("the bundle has neither models/model.pt nor models/model.ts: its weights are missing.")


def _answer(steps: Sequence[Any]) -> tuple[Activation, float | None]:
    """Activation and threshold by which the bundle's post-processing turns outputs into an answer; threshold ``None``:
    the winning class."""
    activation: Activation = "auto"
    threshold: float | None = 0.5
    activated = False
    for step in steps:
        if isinstance(step, Activations | Activationsd):
            other = _first(step.other)
            activation = (
                "sigmoid" if _first(step.sigmoid) else "softmax" if _first(step.softmax) else other or activation
            )
            activated = activated or activation != "auto"
        elif isinstance(step, AsDiscrete | AsDiscreted):
            limit = _first(step.threshold)
            if _first(step.argmax):
                threshold = None
            elif limit is not None:
                threshold = float(limit)
                # The bundle compares the bare outputs: they are probabilities already, or logits where it asks for 0.
                if not activated:
                    activation, threshold = ("sigmoid", 0.5) if limit == 0 else (None, threshold)
    return activation, threshold


def _not_followed(steps: Sequence[Any]) -> Iterator[str]:
    """In words, what the post-processing does beside making an answer of the outputs."""
    answering = (Activations, Activationsd, AsDiscrete, AsDiscreted)
    names = [type(step).__name__ for step in steps if not isinstance(step, answering)]
    others = [name for name in names if name not in WITHOUT_EFFECT]
    if others:
        yield f"the bundle's post-processing goes on with {', '.join(others)}, which the explained answer does not"


def _first(option: Any) -> Any:
    """A transform's option; that of the first key where it has one for each."""
    return option[0] if isinstance(option, list | tuple) else option


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """The bundle's own ``scripts`` can be imported, leave no byte code behind, and are not those of the next bundle."""
    known, writes = set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes
        sys.path.remove(str(folder))
        for name in set(sys.modules) - known:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and folder.resolve() in Path(file).resolve().parents:
                del sys.modules[name]
