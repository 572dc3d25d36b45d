# SPDX-License-Identifier: Apache-2.0
"""A vision-language model by name: from a folder, or at a pinned revision of the hub.

Nothing is downloaded unless a caller says ``download=True``, nothing but safetensors is read, and code that comes
with a model is never run. Most medical models are behind terms that a person has to accept, so a model that is not
there is answered with the page of its terms and the command that fetches it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monai_causal.apps.medfocus.vlm.bundled import BUNDLED, bundled_model
from monai_causal.apps.medfocus.vlm.families import FAMILIES
from monai_causal.apps.medfocus.vlm.interface import AnsweringModel
from monai_causal.extras import require

__all__ = ["load_vlm"]

_REVISION = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
# What transformers writes for a model and its processor, and no other format of the weights.
_FILES = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]

TERMS: tuple[tuple[str, str], ...] = (
    (r"google/medgemma", "https://developers.google.com/health-ai-developer-foundations/terms"),
    (r"google/(gemma|paligemma)", "https://ai.google.dev/gemma/terms"),
)
"""Whose terms have a page of their own; a model's page on the hub names those of all others."""


def load_vlm(
    folder_or_id: str | os.PathLike[str],
    *,
    revision: str | None = None,
    dtype: Any = "auto",
    device_map: Any = None,
    batch_size: int = 8,
    download: bool = False,
) -> AnsweringModel:
    """Load a vision-language model.

    Args:
        folder_or_id: ``demo`` or ``demo-shortcut``, which come along and know phantoms only; a folder that transformers
            saved; or a repository of the hub, ``owner/name`` or ``owner/name@revision``.
        revision: of the hub: the 40 hexadecimal digits of a commit. A branch may change, and with it every result.
        dtype: of the weights: ``"auto"`` as they are stored, or e.g. ``torch.bfloat16``.
        device_map: as transformers takes it: ``"cuda"``, ``"auto"``, a dictionary; ``None`` is the CPU.
        batch_size: pictures per forward.
        download: fetch a model that is not there; otherwise no connection is made.

    Raises:
        FileNotFoundError: the model is not there; the message says under which terms and how to fetch it.
        ValueError: the model is of another family, its revision is not pinned, or its weights are not safetensors.

    Example:
        >>> model = load_vlm("models/medgemma-4b-it", device_map="cuda")  # doctest: +SKIP
    """
    folder, source, commit = _located(os.fspath(folder_or_id), revision, download)
    family = _family(folder)
    if not any(folder.glob("*.safetensors")):
        raise ValueError(
            f"the {family} model holds no .safetensors; other formats can run code when they are read. Save it "
            "again with save_pretrained(..., safe_serialization=True)."
        )
    transformers = require("transformers")
    require("torchvision")  # image processors on tensors
    local = {"local_files_only": True, "trust_remote_code": False}
    with _bars_where_somebody_watches():
        network = transformers.AutoModelForImageTextToText.from_pretrained(
            folder, dtype=dtype, device_map=device_map, use_safetensors=True, **local
        )
    processor = transformers.AutoProcessor.from_pretrained(folder, backend="torchvision", **local)

    adapter: AnsweringModel = FAMILIES[family](
        network.requires_grad_(False), processor, batch_size=batch_size, source=source, revision=commit
    )
    return adapter


@contextmanager
def _bars_where_somebody_watches() -> Iterator[None]:
    """transformers draws its progress into any file; a bar is for a terminal."""
    logging = require("transformers.utils.logging")
    shown = logging.is_progress_bar_enabled()
    if sys.stderr.isatty() or not shown:
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def _located(name: str, revision: str | None, download: bool) -> tuple[Path, str, str | None]:
    """The folder of a model, what to call it, and its revision."""
    folder = bundled_model(name) if name in BUNDLED else Path(name).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise ValueError(f"revision={revision!r}: a folder has none; leave it out.")
        return folder, folder.resolve().name, None
    repository, at, pinned = name.partition("@")
    if not _REPOSITORY.fullmatch(repository):
        raise FileNotFoundError(
            f"{name!r} is neither {' nor '.join(BUNDLED)}, nor a folder that is there, nor a repository of the hub "
            "(owner/name@revision)."
        )
    if at and revision not in (None, pinned):
        raise ValueError(f"two revisions: {pinned!r} in the name and revision={revision!r}.")
    commit = pinned if at else revision
    if commit is None or not _REVISION.fullmatch(commit):
        raise FileNotFoundError(
            f"there is no folder {name!r}, and as a repository of the hub it needs a pinned revision "
            f"(revision={commit!r} is not 40 hexadecimal digits; its page lists them under 'Files', 'History').\n"
            + _how_to_fetch(repository, None)
        )
    hub = require("huggingface_hub")
    try:
        found = hub.snapshot_download(repository, revision=commit, allow_patterns=_FILES, local_files_only=not download)
    except (hub.errors.LocalEntryNotFoundError, hub.errors.HfHubHTTPError) as error:
        # Without `download`, absence is all that can be wrong, and the library's traceback says nothing more about it.
        why = f"could not be fetched ({type(error).__name__})" if download else "is not on this machine"
        raise FileNotFoundError(
            f"{repository} at revision {commit} {why}.\n" + _how_to_fetch(repository, commit)
        ) from (error if download else None)
    return Path(found), repository, commit


def _how_to_fetch(repository: str, commit: str | None) -> str:
    page = f"https://huggingface.co/{repository}"
    terms = next((url for pattern, url in TERMS if re.match(pattern, repository)), None)
    command = f"hf download {repository} --revision {commit or '<40 hexadecimal digits>'}"
    return "\n".join(
        [
            f"1. Read its terms{f' ({terms})' if terms else ''} and accept them on {page} where it asks.",
            "2. hf auth login" + (" (only for a model that asks for it)" if terms is None else ""),
            f"3. {command} " + " ".join(f"--include '{pattern}'" for pattern in _FILES),
        ]
    )


def _family(folder: Path) -> str:
    config = folder / "config.json"
    if not config.is_file():
        raise ValueError(f"the folder {folder.name!r} holds no config.json, so it is no model that transformers saved.")
    kind = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    if kind not in FAMILIES:
        raise ValueError(f"a model of type {kind!r} is not read here; known: {', '.join(sorted(FAMILIES))}.")
    return str(kind)
