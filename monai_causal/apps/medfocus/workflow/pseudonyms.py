# SPDX-License-Identifier: Apache-2.0
"""Names for studies and patients that mean something only to who has the key."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

__all__ = ["VARIABLE", "Pseudonyms"]

VARIABLE = "MONAI_CAUSAL_PSEUDONYM_KEY"
_SHORTEST = 16
_DIGITS = 32


class Pseudonyms:
    """Pseudonyms by HMAC-SHA-256: the same for the same text and key, and of no use without the key.

    Args:
        key: secret; at least 16 bytes.

    Example:
        >>> names = Pseudonyms(b"0123456789abcdef")
        >>> names.of("study", "1.2.3") == names.of("study", "1.2.3") != names.of("patient", "1.2.3")
        True
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < _SHORTEST:
            raise ValueError(f"the key of pseudonyms has {len(key)} bytes: give at least {_SHORTEST}.")
        self._key = key

    @classmethod
    def kept_in(cls, path: Path) -> Pseudonyms:
        """With the key of the environment variable :data:`VARIABLE`, or else of a file, made at the first time."""
        given = os.environ.get(VARIABLE)
        if given:
            return cls(given.encode())
        if not path.exists():
            draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_hex(32).encode())
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        return cls(path.read_bytes())

    def of(self, kind: str, text: str) -> str:
        """The pseudonym of a text that is, for instance, a study's UID or a patient's number."""
        return hmac.new(self._key, f"{kind}\0{text}".encode(), hashlib.sha256).hexdigest()[:_DIGITS]
