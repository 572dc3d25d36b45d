# SPDX-License-Identifier: Apache-2.0
"""``monai-causal cohort``: many cases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["commands"]

commands = typer.Typer(
    help="Many cases: one job for thousands of items, on this machine or on Ray, with a journal that survives kills.",
    epilog="Example: monai-causal cohort run --config configs/cohort_phantoms.yaml --out cohort",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@commands.command("run", epilog="Example: monai-causal cohort run --config configs/cohort_phantoms.yaml --out cohort")
def cohort_run(
    config: Annotated[Path, typer.Option(help="The cohort, YAML or JSON; see configs/cohort_*.yaml.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; a cohort that was begun there goes on.")],
    engine: Annotated[str, typer.Option(help="local, or ray (extra 'ray').")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster that runs. By default Ray starts here, for this run alone.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="In place of the configuration's.")] = None,
) -> None:
    """Do a job with every item of a cohort, or with what is left of it.

    It may be killed at any point; the same command goes on, and every item is done once in effect. The exit status is
    0 when nothing failed, 1 when items did, and 2 when the run could not be made or had to stop.
    """
    from monai_causal.cohort.config import read_config, with_workers
    from monai_causal.cohort.run import run_cohort
    from monai_causal.cohort.status import in_words, status_of

    counts = run_cohort(with_workers(read_config(config), workers), out, engine, address)
    typer.echo(in_words(status_of(out)))
    raise typer.Exit(1 if counts["failed"] else 0)


@commands.command("status", epilog="Example: monai-causal cohort status cohort --json")
def cohort_status(
    folder: Annotated[Path, typer.Argument(help="Of a cohort; it may be running.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Show how far a cohort is, what failed and why, and how long the rest will take."""
    import json

    from monai_causal.cohort.status import in_words, status_of

    status = status_of(folder)
    typer.echo(json.dumps(status.as_dict(), indent=2) if as_json else in_words(status))


@commands.command("retry", epilog="Example: monai-causal cohort retry cohort --failed")
def cohort_retry(
    folder: Annotated[Path, typer.Argument(help="Of a cohort that nobody is working on.")],
    failed: Annotated[bool, typer.Option("--failed", help="Items that failed.")] = False,
    damaged: Annotated[bool, typer.Option("--damaged", help="Items whose outputs are gone or changed.")] = False,
    item: Annotated[list[int] | None, typer.Option(help="The item of this number; may be given again.")] = None,
) -> None:
    """Let items be done again by the next `cohort run`."""
    from monai_causal.cohort.run import retry_items

    count = retry_items(folder, failed=failed, damaged=damaged, items=item or ())
    typer.echo(f"{count} items are pending again; the same 'cohort run' does them")


@commands.command("gather", epilog="Example: monai-causal cohort gather cohort")
def cohort_gather(
    folder: Annotated[Path, typer.Argument(help="Of a cohort, finished or not.")],
    to: Annotated[Path | None, typer.Option(help="Folder for the tables. [FOLDER/tables]")] = None,
) -> None:
    """Write Parquet tables of all results, and what they say: shares, mean maps, comparisons, outliers first."""
    from monai_causal.cohort.answers import in_words, write_answers
    from monai_causal.cohort.gather import gather

    tables = folder / "tables" if to is None else to
    gather(folder, tables)
    typer.echo(in_words(write_answers(tables), tables))
