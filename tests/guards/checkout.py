# SPDX-License-Identifier: Apache-2.0
"""The files of this checkout, as the guards see them."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "monai_causal"
LEFT_BY_TOOLS = {".git", ".venv", "__pycache__", "build", "dist", "demo_out"}


def files(root: Path = ROOT) -> list[Path]:
    """What git tracks or would take in next; in a tree without git, all that no tool has left there."""
    # A new file is judged before it is committed, hence `--others`.
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if (root / ".git").exists():
        names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
        found = [root / name for name in names if name]
    else:
        found = [path for path in root.rglob("*") if not _left_by_tools(path.relative_to(root))]
    return sorted(path for path in found if path.is_file())


def _left_by_tools(path: Path) -> bool:
    return any(part in LEFT_BY_TOOLS or part.endswith(("_cache", ".egg-info", ".pyc")) for part in path.parts)


def text(path: Path) -> str | None:
    """A file's text, or None for a binary one."""
    content = path.read_bytes()
    return None if b"\0" in content else content.decode("utf-8", errors="replace")


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Module names of a package, ``__init__`` under the package's own name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found
