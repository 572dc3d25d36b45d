# SPDX-License-Identifier: Apache-2.0
"""The command ``monai-causal``: one function per command, no logic; a group of commands is a module beside this one.

Nothing heavy is imported before a command needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from monai_causal import __version__
from monai_causal.cli import cohort, dicom, mcdrl, medfocus, medground, pdcr_study, segbench
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
app.add_typer(
    segbench.commands, name="segbench", epilog="Example: monai-causal segbench run --config bench.yaml --out bench"
)
app.add_typer(pdcr_study.commands, name="pdcr-study")
app.add_typer(mcdrl.commands, name="mcdrl")
app.add_typer(medfocus.commands, name="medfocus")
app.add_typer(medground.commands, name="medground")
app.add_typer(cohort.commands, name="cohort")
app.add_typer(dicom.commands, name="dicom")


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
    """Explain a segmentation, question a chest study, expose a model that cheats; a report of all of it.

    Runs offline with the bundled models on phantoms, and writes pictures, maps, DICOM and report.html into a folder.
    """
    from monai_causal.apps.demo import in_words, run_demo
    from monai_causal.report import write_report

    typer.echo(in_words(run_demo(out)))
    typer.echo(f"Look at {write_report(out, title='monai_causal: the demo')}")


@app.command(epilog="Example: monai-causal explain --network demo --patch-size 16 --out explained")
def explain(
    image: Annotated[
        Path | None, typer.Option(help="PNG, JPEG, BMP, TIFF or NIfTI. The network 'demo' has a phantom of its own.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to; made if it is not there.")] = Path("explained"),
    network: Annotated[str | None, typer.Option(help="A network by name: unet, ..., or demo.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Its weights: .pt (tensors only) or .safetensors.")] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="A MONAI bundle in place of network and checkpoint; none of its files is changed. MONAI's parser "
            "evaluates the bundle's own expressions: only open bundles that you trust."
        ),
    ] = None,
    method: Annotated[
        str, typer.Option(help="pdcr, dea, gpa, ega, ria, seg-grad-cam, misure, rise or kernel-shap.")
    ] = "pdcr",
    roi: Annotated[
        str | None,
        typer.Option(
            help="What is asked about: spans in the image's array order (72:104,88:120: rows, then columns), boundary "
            "(a box on the object's border) or component (the object's largest part). By default boundary, or "
            "component for dea, gpa, ega and ria."
        ),
    ] = None,
    roi_size: Annotated[str | None, typer.Option(help="Edges of the box for boundary, in voxels. [32]")] = None,
    label: Annotated[
        Path | None, typer.Option(help="Label map of the image's size. By default the network's own answer.")
    ] = None,
    class_idx: Annotated[
        int | None, typer.Option("--class", help="The class. By default the one that most voxels hold.")
    ] = None,
    out_channels: Annotated[int, typer.Option(help="Channels that the named network gives.")] = 1,
    intensities: Annotated[
        str | None, typer.Option(help="LOW:HIGH of a NIfTI become 0 and 1. By default its extremes.")
    ] = None,
    window: Annotated[
        str | None, typer.Option(help="Edges of a sliding window in voxels, for a named network: 96 or 96,96,32.")
    ] = None,
    overlap: Annotated[float, typer.Option(help="Of neighbouring windows, a fraction.")] = 0.25,
    bank: Annotated[Path | None, typer.Option(help="A donor bank that DonorBank.save wrote, for pdcr.")] = None,
    donors: Annotated[
        Path | None,
        typer.Option(
            help="A folder of other images to cut donors from, for pdcr. Without donors, regions are replaced by the "
            "smooth continuation of their surroundings with texture of the same image."
        ),
    ] = None,
    patch_size: Annotated[
        str | None,
        typer.Option(help="Edges of pdcr's regions, in voxels of the network's image. [8 in 2-D, 16 in 3-D]"),
    ] = None,
    grid: Annotated[
        str | None, typer.Option(help="Cells per axis, for dea, ria and kernel-shap. [14; kernel-shap: 8, in 3-D 4]")
    ] = None,
    rule: Annotated[str, typer.Option(help="Of pdcr: sequential, paper or exhaustive.")] = "sequential",
    samples: Annotated[int, typer.Option(help="Draws of the rule paper.")] = 50,
    tau: Annotated[float, typer.Option(help="The largest effect that counts as none, in Dice points.")] = 0.02,
    target_layer: Annotated[
        str | None, typer.Option(help="Name of the layer for gradients. By default the deepest one.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Interventions that run at once. By default chosen.")] = None,
    execution: Annotated[
        str, typer.Option(help="auto, dense, windows or incremental: same answer, other cost.")
    ] = "auto",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ... By default a GPU if there is one.")] = None,
    seed: Annotated[int, typer.Option(help="Of every draw.")] = 0,
    progress: Annotated[bool, typer.Option(help="Show a bar where there is a terminal.")] = True,
) -> None:
    """Explain a segmentation: which parts of the image made it?

    Writes a picture, a map as NIfTI that lies on the image, a summary, and for pdcr the effect of every region.
    """
    from monai_causal.apps.explain import Request, in_words, parse_range, parse_roi, parse_sizes
    from monai_causal.apps.explain import explain as run

    request = Request(
        out=out,
        image=image,
        network=network,
        checkpoint=checkpoint,
        bundle=bundle,
        out_channels=out_channels,
        intensities=parse_range(intensities, "intensities"),
        window=parse_sizes(window, "window"),
        overlap=overlap,
        method=method,
        roi=parse_roi(roi),
        roi_size=parse_sizes(roi_size, "roi-size"),
        label=label,
        class_idx=class_idx,
        bank=bank,
        donors=donors,
        patch_size=parse_sizes(patch_size, "patch-size"),
        grid=parse_sizes(grid, "grid"),
        rule=rule,
        n_samples=samples,
        tau=tau,
        target_layer=target_layer,
        batch_size="auto" if batch_size is None else batch_size,
        execution=execution,
        device=device,
        seed=seed,
        progress=progress,
    )
    typer.echo(in_words(run(request), out))


@app.command(epilog="Example: monai-causal networks")
def networks() -> None:
    """List the networks that can be built by name, with their parameters and what a forward at 256x256 costs."""
    from monai_causal.networks.catalogue import in_words

    typer.echo(in_words())


@app.command(epilog="Example: monai-causal report explained --image photo.png")
def report(
    folder: Annotated[Path, typer.Argument(help="What a command wrote: cases, a benchmark, or both, at any depth.")],
    out: Annotated[Path | None, typer.Option(help="The file to write. [FOLDER/report.html]")] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(
            help="A picture, volume or study that results were made of; may be given again. Results know their image "
            "by a digest only: it is shown where its digest says that it belongs."
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of the page. [the folder's name]")] = None,
) -> None:
    """Turn a folder of results into one HTML file that needs no other file and no network.

    The file holds the images: it is as confidential as they are.
    """
    from monai_causal.report import in_words, write_report

    typer.echo(in_words(write_report(folder, out, images=image or (), title=title)))


@app.command(epilog="Example: monai-causal studio --port 5006")
def studio(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="PNG, JPEG, BMP, TIFF or NIfTI; a DICOM study of a chest radiograph; or a MONAI bundle, whose first "
            "sample is opened. By default the phantom of the demo."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Segments an image: a bundle's folder, a network by name, or demo. MONAI's parser evaluates a "
            "bundle's own expressions: only open bundles that you trust."
        ),
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="The weights of a network by name.")] = None,
    out_channels: Annotated[int, typer.Option(help="Channels that the named network gives.")] = 1,
    chest: Annotated[bool, typer.Option("--chest", help="A picture is a chest radiograph, to ask about.")] = False,
    vlm: Annotated[
        str, typer.Option(help="Answers about radiographs: demo, demo-shortcut (they know phantoms only), or a folder.")
    ] = "demo",
    donors: Annotated[Path | None, typer.Option(help="A folder of other images to cut pdcr's donors from.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ... By default chosen.")] = None,
    out: Annotated[Path, typer.Option(help="Folder that results are saved below, when asked to.")] = Path("studio_out"),
    port: Annotated[int, typer.Option(help="Where to listen on this machine; 0: a free port.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Open an image in the browser, ask about a part of it, and watch the map arrive, coarse to fine.

    The page is served to this machine only, below an address that cannot be guessed, until the command is stopped.
    """
    from monai_causal.studio import Start, serve

    start = Start(
        source=source,
        model=model,
        checkpoint=checkpoint,
        out_channels=out_channels,
        chest=chest,
        vlm=vlm,
        donors=donors,
        device=device,
        out=out,
    )
    serve(start, port, browser=browser, announce=typer.echo)


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


@app.command(name="label-app", epilog="Example: monai-causal label-app causal-app")
def label_app(
    folder: Annotated[Path, typer.Argument(help="A new folder, for monailabel start_server --app.")],
    bundle: Annotated[
        list[Path] | None,
        typer.Option(help="A segmentation bundle to serve; may be given again. By default those of this checkout."),
    ] = None,
) -> None:
    """Write a MONAI Label app: segmentations of bundles, and beside each why the network answered so.

    The bundles are copied into the folder, since a training from the server changes their weights.
    """
    from monai_causal.label import in_words, write_app

    typer.echo(in_words(write_app(folder, bundle or ()), folder))


def main() -> None:
    """Entry of the console script: run a command, and say an expected error in one line, with exit status 2."""
    try:
        app(prog_name="monai-causal")
    except EXPECTED_ERRORS as error:
        if os.environ.get(DEBUG_VARIABLE) == "1":
            raise
        typer.echo(f"monai-causal: {' '.join(str(error).split()) or type(error).__name__}", err=True)
        sys.exit(2)
