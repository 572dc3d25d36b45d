# SPDX-License-Identifier: Apache-2.0
"""``monai-causal pdcr-study``: the PdCR study."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["commands"]

commands = typer.Typer(
    help="PdCR beside other methods: networks x images x RoIs, with tables, figures, intervals and tests.",
    epilog="Example: monai-causal pdcr-study run --config configs/pdcr_study_phantom.yaml --out study",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@commands.command(
    "run", epilog="Example: monai-causal pdcr-study run --config configs/pdcr_study_phantom.yaml --out study"
)
def run_pdcr_study(
    config: Annotated[Path, typer.Option(help="The study, YAML or JSON; see configs/pdcr_study_*.yaml.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; a study that was begun there goes on.")],
    shard: Annotated[str, typer.Option(help="i/n: only the i-th of n parts, for several processes.")] = "1/1",
) -> None:
    """Run a study, or what is left of it, and write its report.

    It may be killed at any point; the same command goes on, and the tables come out the same to the byte.
    """
    from monai_causal.apps.pdcr_study.config import read_config
    from monai_causal.apps.pdcr_study.report import in_words, write_report
    from monai_causal.apps.pdcr_study.run import run_study
    from monai_causal.apps.study.configuration import parse_shard

    run_study(read_config(config), out, parse_shard(shard))
    typer.echo(in_words(write_report(out), out))


@commands.command(
    "train", epilog="Example: monai-causal pdcr-study train --config configs/pdcr_train_phantom.yaml --out trained"
)
def train_pdcr_network(
    config: Annotated[Path, typer.Option(help="The training, YAML or JSON; see configs/pdcr_train_*.yaml.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; a training that was begun there goes on.")],
) -> None:
    """Train one of the twelve networks (`monai-causal networks` lists them) for a study.

    It may be killed at any point; the same command goes on. Started by torchrun, the processes share every batch.
    """
    from monai_causal.apps.pdcr_study.training_config import read_training

    training = read_training(config)
    from monai_causal.apps.pdcr_study.training import in_words, train_network

    train_network(training, out)
    if os.environ.get("RANK", "0") == "0":
        typer.echo(in_words(out))


@commands.command("report", epilog="Example: monai-causal pdcr-study report study")
def report_pdcr_study(folder: Annotated[Path, typer.Argument(help="Of a study, finished or not.")]) -> None:
    """Write the tables and figures of a study again from its journal; nothing is asked anew."""
    from monai_causal.apps.pdcr_study.report import in_words, write_report

    typer.echo(in_words(write_report(folder), folder))
