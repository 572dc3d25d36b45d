# SPDX-License-Identifier: Apache-2.0
"""With what a result was made."""

from __future__ import annotations

import importlib.metadata
import platform

from monai_causal import __version__

__all__ = ["versions"]


def versions(*libraries: str) -> dict[str, str]:
    """Versions of this package, of installed libraries and of Python, ready for JSON; nothing is imported for it.

    Example:
        >>> list(versions("torch", "monai"))
        ['monai_causal', 'torch', 'monai', 'python']
    """
    installed = {name: importlib.metadata.version(name) for name in libraries}
    return {"monai_causal": __version__, **installed, "python": platform.python_version()}
