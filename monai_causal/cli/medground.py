# SPDX-License-Identifier: Apache-2.0
"""``monai-causal medground``: is the region that a method shows really the reason?."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["commands"]

commands = typer.Typer(
    help="Is the region you were told really the reason? Attribution, judged on samples that a causal filter kept.",
    epilog="Example: monai-causal medground build --source phantom --count 40 --out bench",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@commands.command("build", epilog="Example: monai-causal medground build --source phantom --count 40 --out bench")
def medground_build(
    out: Annotated[Path, typer.Option(help="Folder to write to; a build that was begun there goes on.")],
    vlm: Annotated[
        str, typer.Option(help="demo or demo-shortcut (they know phantoms only), a folder, or owner/name@revision.")
    ] = "demo",
    source: Annotated[
        str, typer.Option(help="phantom, imagenome, vindr_cxr, padchest_gr, or a box file: coco or csv.")
    ] = "phantom",
    data: Annotated[Path | None, typer.Option(help="The data set's folder, or the box file.")] = None,
    images: Annotated[Path | None, typer.Option(help="Its images, where they lie elsewhere.")] = None,
    count: Annotated[int | None, typer.Option(help="Candidates, before the filter. [phantom: 400]")] = None,
    seed: Annotated[int, typer.Option(help="Of the phantoms.")] = 0,
    mode: Annotated[str, typer.Option(help="direct, reasoning or both.")] = "both",
    size: Annotated[int, typer.Option(help="Side of a phantom in pixels.")] = 224,
    negatives: Annotated[float, typer.Option(help="Share of questions about what is not there.")] = 0.25,
    editor: Annotated[
        str | None, typer.Option(help="do (phantoms: exact), inpainting or radedit. [phantom: do; else inpainting]")
    ] = None,
    editor_folder: Annotated[Path | None, typer.Option(help="For radedit: holds unet, vae and text_encoder.")] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Longer side at which all images of a sample are shown and edited.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Edits per step.")] = 1,
    agreement: Annotated[float, typer.Option(help="Share of them that must answer as a step wants.")] = 1.0,
    sham: Annotated[bool, typer.Option(help="Ask about edits that change nothing, too.")] = False,
    device: Annotated[str | None, typer.Option(help="cuda, cuda:1, auto ... By default the CPU.")] = None,
    shard: Annotated[str, typer.Option(help="i/n: only the i-th of n parts, for several processes.")] = "1/1",
) -> None:
    """Put questions about findings through the causal filter, for one model.

    Kept is what the model answers right, answers otherwise once the finding is edited away, and still answers so when
    something else is edited. The fate of every candidate is kept. It may be killed at any point; the same command goes
    on.
    """
    from monai_causal.apps.medground.commands import BuildRequest, build
    from monai_causal.apps.study.configuration import parse_shard

    request = BuildRequest(
        out=out,
        vlm=vlm,
        source=source,
        count=count,
        seed=seed,
        mode=mode,
        size=size,
        negatives=negatives,
        data=data,
        images=images,
        editor=editor,
        editor_folder=editor_folder,
        resolution=resolution,
        seeds=seeds,
        agreement=agreement,
        sham=sham,
        device=device,
        shard=parse_shard(shard),
    )
    typer.echo(build(request))


@commands.command("evaluate", epilog="Example: monai-causal medground evaluate bench --methods medfocus,occlusion")
def medground_evaluate(
    folder: Annotated[Path, typer.Argument(help="What `medground build` wrote.")],
    methods: Annotated[
        str, typer.Option(help="Comma-separated: medfocus, occlusion ... By default all that need no other model.")
    ] = "",
    mode: Annotated[str, typer.Option(help="direct, reasoning or both.")] = "both",
    vlm: Annotated[str | None, typer.Option(help="The model of the benchmark, if it was moved.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many samples of each mode.")] = None,
    device: Annotated[str | None, typer.Option(help="cuda, cuda:1, auto ... By default the CPU.")] = None,
    batch_size: Annotated[int, typer.Option(help="Pictures per forward.")] = 16,
    detector: Annotated[
        Path | None, typer.Option(help="For prompt-phrases: an open-vocabulary detector's folder.")
    ] = None,
    shard: Annotated[str, typer.Option(help="i/n: only the i-th of n parts, for several processes.")] = "1/1",
) -> None:
    """Explain every sample with every method and write FOLDER/results.json.

    It may be killed at any point, and further methods may join later; the same command goes on.
    """
    from monai_causal.apps.medground.commands import EvaluateRequest, evaluate
    from monai_causal.apps.study.configuration import parse_shard

    request = EvaluateRequest(
        folder=folder,
        methods=[name for name in methods.split(",") if name],
        mode=mode,
        vlm=vlm,
        limit=limit,
        device=device,
        batch_size=batch_size,
        detector=detector,
        shard=parse_shard(shard),
    )
    typer.echo(evaluate(request))


@commands.command("report", epilog="Example: monai-causal medground report bench")
def medground_report(
    folders: Annotated[list[Path], typer.Argument(help="Evaluated benchmarks; of several models Table 1 averages.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write to. [the first FOLDER/report]")] = None,
) -> None:
    """Write Table 1, Figure 3 and what stands behind them: CSV, Markdown and PNG."""
    from monai_causal.apps.medground.report import write_report

    typer.echo(f"wrote {write_report(folders, out)}")


@commands.command("plan", epilog="Example: monai-causal medground plan --config configs/medground_paper.yaml")
def medground_plan(
    config: Annotated[Path, typer.Option(help="YAML or JSON file, such as configs/medground_paper.yaml.")],
    out: Annotated[str, typer.Option(help="Folder that the commands write to.")] = "medground",
) -> None:
    """Print what the paper's runs need and cost, and the commands that do them; nothing is run."""
    from monai_causal.apps.medground.paper import in_words, read_paper

    typer.echo(in_words(read_paper(config), out))
