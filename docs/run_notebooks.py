# SPDX-License-Identifier: Apache-2.0
"""Execute the notebooks and keep them with small outputs: ``python docs/run_notebooks.py``.

Pictures are made as small as they are shown, progress bars and warnings are dropped, and what differs from run to run
(times, execution counts) is not kept.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

NOTEBOOKS = Path(__file__).parent / "notebooks"
WIDTH = 760
QUALITY = 85


def executed(path: Path, folder: str, timeout: int = 900) -> nbformat.NotebookNode:
    """A notebook with the outputs of a run in ``folder``; an error in a cell is an error here."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=timeout, resources={"metadata": {"path": folder}}).execute()
    return notebook


def tidied(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The same with what is worth keeping."""
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type != "code":
            continue
        cell.execution_count = None
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.outputs:
            if "execution_count" in output:
                output["execution_count"] = None
            if "image/png" in output.get("data", {}):
                output["metadata"] = {}
                output["data"] = {"image/jpeg": _small(output["data"]["image/png"])}
    notebook.metadata = {"kernelspec": notebook.metadata.kernelspec, "language_info": {"name": "python"}}
    return notebook


def _small(encoded: str) -> str:
    picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    if picture.width > WIDTH:
        picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
    held = io.BytesIO()
    picture.save(held, format="JPEG", quality=QUALITY, optimize=True)
    return base64.b64encode(held.getvalue()).decode()


def main() -> None:
    """All notebooks, or those named."""
    for path in [Path(name) for name in sys.argv[1:]] or sorted(NOTEBOOKS.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(tidied(executed(path, folder)), path)


if __name__ == "__main__":
    main()
