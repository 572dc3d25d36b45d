# SPDX-License-Identifier: Apache-2.0
"""The command ``monai-causal``: one function per command, no logic.

Nothing heavy is imported before a command needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from monai_causal import __version__
from monai_causal.extras import MissingExtraError

__all__ = ["app", "main"]

DEBUG_VARIABLE = "MONAI_CAUSAL_DEBUG"
# What a user can mend: a wrong value, a file that is not there or cannot be written, an extra not installed.
EXPECTED_ERRORS = (ValueError, OSError, MissingExtraError)

app = typer.Typer(
    help="Causal questions for medical imaging models, asked the MONAI way.",
    epilog=f"Example: monai-causal demo --out demo_out. {DEBUG_VARIABLE}=1 shows where an error came from.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"monai-causal {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Causal questions for medical imaging models, asked the MONAI way."""


@app.command(epilog="Example: monai-causal demo --out demo_out")
def demo(
    out: Annotated[Path, typer.Option(help="Folder to write to; made if it is not there.")] = Path("demo_out"),
) -> None:
    """Explain a small network on a phantom.

    Runs offline with a bundled network, and writes the explanation and a summary into a folder.
    """
    from monai_causal.apps.demo import in_words, run_demo

    typer.echo(in_words(run_demo(out), out))


@app.command(epilog="Example: monai-causal doctor --json")
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Show what is installed and what is missing.

    Versions, device, extras, model folders, DICOM decoders, free disk and memory, and how to get what is missing. The
    exit status is 0 when the core works and 1 when it does not.
    """
    import json

    from monai_causal.doctor import describe, examine

    report = examine()
    typer.echo(json.dumps(report, indent=2) if as_json else describe(report))
    raise typer.Exit(0 if report["ok"] else 1)


def main() -> None:
    """Entry of the console script: run a command, and say an expected error in one line, with exit status 2."""
    try:
        app(prog_name="monai-causal")
    except EXPECTED_ERRORS as error:
        if os.environ.get(DEBUG_VARIABLE) == "1":
            raise
        typer.echo(f"monai-causal: {' '.join(str(error).split()) or type(error).__name__}", err=True)
        sys.exit(2)
