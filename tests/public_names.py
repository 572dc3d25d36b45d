# SPDX-License-Identifier: Apache-2.0
"""List the public names of the package: ``python -m tests.public_names > tests/public_names.txt``.

A public name is an entry of the ``__all__`` of a module whose path has no leading underscore in it. The recorded list
is compared in ``tests/guards/test_public_names.py``, so that a review sees what changes for users.
"""

from __future__ import annotations

import contextlib
import importlib
import sys

from monai_causal.extras import MissingExtraError
from tests.guards.checkout import modules

HEADER = "# Made by: python -m tests.public_names > tests/public_names.txt"


def public_names() -> tuple[list[str], list[str]]:
    """The public names, sorted, and the modules that could not be asked because an extra is not installed."""
    names, closed = [], []
    for module in modules():
        if any(part.startswith("_") for part in module.split(".")):
            continue
        try:
            loaded = importlib.import_module(module)
        except MissingExtraError:
            closed.append(module)
            continue
        for name in getattr(loaded, "__all__", ()):
            getattr(loaded, name)  # a name in __all__ that is not there
            names.append(f"{module}.{name}")
    return sorted(names), closed


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # libraries may greet when they are imported
        found, left_out = public_names()
    if left_out:
        sys.exit(f"not listed, for lack of an extra: {', '.join(left_out)}; nothing was written")
    sys.stdout.write("\n".join([HEADER, *found, ""]))
