# SPDX-License-Identifier: Apache-2.0
"""``monai-causal mcdrl``: segmentation across hospitals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["commands"]

commands = typer.Typer(
    help="Lesion segmentation that survives a change of hospital: train, leave one site out, compare.",
    epilog="Example: monai-causal mcdrl loso --config configs/mcdrl_phantom.yaml --out loso",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@commands.command(
    "pretrain-clip", epilog="Example: monai-causal mcdrl pretrain-clip --steps 20 --phantoms 200 --out clip"
)
def pretrain_clip(
    out: Annotated[Path, typer.Option(help="Folder to write to: an encoder that MCDRL takes by its path.")],
    steps: Annotated[int, typer.Option(help="Of the optimiser; the CLIP that comes along had the default.")] = 1500,
    phantoms: Annotated[int, typer.Option(help="How many to learn from.")] = 6000,
    size: Annotated[int, typer.Option(help="Side of an image in pixels.")] = 96,
    seed: Annotated[int, typer.Option(help="Of the weights and the order.")] = 0,
) -> None:
    """Teach a small CLIP on endoscopy phantoms and their captions, offline, so that its texts mean something."""
    from monai_causal.apps.mcdrl.pretrain import PretrainConfig, in_words, pretrain_clip

    config = PretrainConfig(steps=steps, phantoms=phantoms, size=size, seed=seed)
    typer.echo(in_words(pretrain_clip(out, config), out))


@commands.command("phantoms", epilog="Example: monai-causal mcdrl phantoms --count 60 --out phantoms")
def mcdrl_phantoms(
    out: Annotated[Path, typer.Option(help="Folder to write to; made if it is not there.")],
    count: Annotated[int, typer.Option(help="Of all images; a sixth each is for validation and test.")] = 480,
    size: Annotated[int, typer.Option(help="Side of an image in pixels.")] = 96,
    strength: Annotated[float, typer.Option(help="How far the condition tells the finding, -1 to 1; 0: not.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Phantoms of different seeds share nothing.")] = 0,
) -> None:
    """Write endoscopy phantoms of four sites as PNG with the list that MONAI reads: something to train a bundle on."""
    import json

    from monai_causal.apps.mcdrl.phantom_files import in_words, write_phantoms

    listed = write_phantoms(out, count, size=size, seed=seed, strength=strength)
    typer.echo(in_words(json.loads(listed.read_text(encoding="utf-8")), out))


@commands.command("loso", epilog="Example: monai-causal mcdrl loso --config configs/mcdrl_phantom.yaml --out loso")
def mcdrl_loso(
    config: Annotated[Path, typer.Option(help="The study, YAML or JSON; see configs/mcdrl_*.yaml.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; a study that was begun there goes on.")],
    shard: Annotated[str, typer.Option(help="i/n: only the i-th of n parts, for several processes.")] = "1/1",
) -> None:
    """Leave one site out: train every method on the other sites with every seed, and test it on the one left out.

    It may be killed at any point; the same command goes on, and the tables come out the same to the byte.
    """
    from monai_causal.apps.mcdrl.config import read_config
    from monai_causal.apps.study.configuration import parse_shard

    part, study = parse_shard(shard), read_config(config)
    from monai_causal.apps.mcdrl.run import run_loso

    run_loso(study, out, part)
    typer.echo(f"done; tables and pictures: monai-causal mcdrl report {out}")


@commands.command("report", epilog="Example: monai-causal mcdrl report loso")
def mcdrl_report(
    folder: Annotated[Path, typer.Argument(help="What `mcdrl loso` wrote; all shards in it are merged.")],
    against: Annotated[
        str, typer.Option(help="Comma-separated methods to compare all others with, beside MCDRL.")
    ] = "",
) -> None:
    """Write tables (CSV, Markdown) and pictures (PNG) of what is there into FOLDER/report."""
    from monai_causal.apps.mcdrl.report import report_loso

    typer.echo(f"wrote {report_loso(folder, [name for name in against.split(',') if name])}")
