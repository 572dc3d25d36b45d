# SPDX-License-Identifier: Apache-2.0
"""Digests of what a configuration names by its place. Nothing heavy is imported."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from monai_causal.networks.blocks.confounder_prompts import OWN

__all__ = ["DEMO_CLIP", "contents_of", "digest_of"]

DEMO_CLIP = Path(__file__).with_name("demo_clip")
"""An open_clip folder: ``monai-causal mcdrl pretrain-clip`` with its defaults made it."""


def contents_of(network: Mapping[str, Any]) -> dict[str, str]:
    """By setting of a network, the digest of the file or folder that it names, its own or one that comes along.

    A name of open_clip's, or of a hub with its revision, says by itself what it is; what is not there has no digest.
    """
    places: dict[str, Path] = {}
    if "confounders" in network:
        places["confounders"] = OWN if network["confounders"] is None else Path(network["confounders"])
    if "encoder" in network:
        places["encoder"] = DEMO_CLIP if network["encoder"] == "demo" else Path(network["encoder"])
    if network.get("pretrained") is not None:
        places["pretrained"] = Path(network["pretrained"])
    return {name: digest_of(place) for name, place in places.items() if place.exists()}


def digest_of(place: Path) -> str:
    """SHA-256 of a file's bytes; of a folder, of its files' names and digests."""
    if place.is_file():
        return _digest_of_file(str(place), place.stat().st_mtime_ns, place.stat().st_size)
    files = sorted((one.relative_to(place).as_posix(), one) for one in place.rglob("*") if one.is_file())
    lines = "".join(f"{name} {digest_of(one)}\n" for name, one in files)
    return hashlib.sha256(lines.encode()).hexdigest()


@lru_cache(maxsize=256)
def _digest_of_file(path: str, changed: int, size: int) -> str:
    # A configuration is digested many times; the weights of a large encoder are read once.
    with Path(path).open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
