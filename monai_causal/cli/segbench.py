# SPDX-License-Identifier: Apache-2.0
"""``monai-causal segbench``: attribution maps of segmentation networks, compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["commands"]

commands = typer.Typer(
    help="Benchmark attribution maps of segmentation networks.", no_args_is_help=True, rich_markup_mode=None
)


@commands.command(
    name="run", epilog="Example: monai-causal segbench run --config configs/segbench_phantom.yaml --out phantom-bench"
)
def segbench_run(
    config: Annotated[Path, typer.Option(help="YAML or JSON file; configs/ holds some.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; a benchmark that was begun there goes on.")],
    shard: Annotated[str, typer.Option(help="i/n: only the i-th of n parts, for several processes.")] = "1/1",
) -> None:
    """Run a benchmark, or what is left of it: data x networks x seeds x methods."""
    from monai_causal.apps.segbench.config import read_config
    from monai_causal.apps.study.configuration import parse_shard

    part, bench = parse_shard(shard), read_config(config)
    from monai_causal.apps.segbench.run import run_bench

    run_bench(bench, out, part)
    typer.echo(f"done; tables and figures: monai-causal segbench report {out}")


@commands.command(name="report", epilog="Example: monai-causal segbench report phantom-bench")
def segbench_report(
    folder: Annotated[Path, typer.Argument(help="What `segbench run` wrote; all shards in it are merged.")],
) -> None:
    """Write tables (CSV, Markdown) and figures (PNG) of what is there into FOLDER/report."""
    from monai_causal.apps.segbench.report import in_words, write_report

    page = write_report(folder)
    typer.echo(f"{in_words(folder)}\nwrote {page}")
