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


segbench = typer.Typer(
    help="Benchmark attribution maps of segmentation networks.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(segbench, name="segbench", epilog="Example: monai-causal segbench run --config bench.yaml --out bench")


@segbench.command(
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


@segbench.command(name="report", epilog="Example: monai-causal segbench report phantom-bench")
def segbench_report(
    folder: Annotated[Path, typer.Argument(help="What `segbench run` wrote; all shards in it are merged.")],
) -> None:
    """Write tables (CSV, Markdown) and figures (PNG) of what is there into FOLDER/report."""
    from monai_causal.apps.segbench.report import in_words, write_report

    page = write_report(folder)
    typer.echo(f"{in_words(folder)}\nwrote {page}")


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


pdcr_study = typer.Typer(
    help="PdCR beside other methods: networks x images x RoIs, with tables, figures, intervals and tests.",
    epilog="Example: monai-causal pdcr-study run --config configs/pdcr_study_phantom.yaml --out study",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(pdcr_study, name="pdcr-study")


@pdcr_study.command(
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


@pdcr_study.command(
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


@pdcr_study.command("report", epilog="Example: monai-causal pdcr-study report study")
def report_pdcr_study(folder: Annotated[Path, typer.Argument(help="Of a study, finished or not.")]) -> None:
    """Write the tables and figures of a study again from its journal; nothing is asked anew."""
    from monai_causal.apps.pdcr_study.report import in_words, write_report

    typer.echo(in_words(write_report(folder), folder))


mcdrl = typer.Typer(
    help="Lesion segmentation that survives a change of hospital: train, leave one site out, compare.",
    epilog="Example: monai-causal mcdrl loso --config configs/mcdrl_phantom.yaml --out loso",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(mcdrl, name="mcdrl")


@mcdrl.command("pretrain-clip", epilog="Example: monai-causal mcdrl pretrain-clip --steps 20 --phantoms 200 --out clip")
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


@mcdrl.command("phantoms", epilog="Example: monai-causal mcdrl phantoms --count 60 --out phantoms")
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


@mcdrl.command("loso", epilog="Example: monai-causal mcdrl loso --config configs/mcdrl_phantom.yaml --out loso")
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


@mcdrl.command("report", epilog="Example: monai-causal mcdrl report loso")
def mcdrl_report(
    folder: Annotated[Path, typer.Argument(help="What `mcdrl loso` wrote; all shards in it are merged.")],
    against: Annotated[
        str, typer.Option(help="Comma-separated methods to compare all others with, beside MCDRL.")
    ] = "",
) -> None:
    """Write tables (CSV, Markdown) and pictures (PNG) of what is there into FOLDER/report."""
    from monai_causal.apps.mcdrl.report import report_loso

    typer.echo(f"wrote {report_loso(folder, [name for name in against.split(',') if name])}")


medfocus = typer.Typer(
    help="Which named anatomy a vision-language model's answer about a chest radiograph rests on.",
    epilog="Example: monai-causal medfocus attribute study --finding cardiomegaly --out why",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(medfocus, name="medfocus")


@medfocus.command("attribute", epilog="Example: monai-causal medfocus attribute study --finding cardiomegaly --out why")
def medfocus_attribute(
    study: Annotated[Path, typer.Argument(help="A DICOM study (folder, DICOMDIR), a DICOM file, or a picture.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; made if it is not there.")],
    question: Annotated[list[str] | None, typer.Option(help="What to ask; may be given again.")] = None,
    finding: Annotated[
        list[str] | None, typer.Option(help="Ask whether there is evidence of it; may be given again.")
    ] = None,
    reasoning: Annotated[bool, typer.Option(help="Let the model think aloud before it answers.")] = False,
    vlm: Annotated[
        str,
        typer.Option(help="demo or demo-shortcut (they know phantoms only), a folder, or owner/name@revision."),
    ] = "demo",
    method: Annotated[str, typer.Option(help="medfocus, attention, gradcam, occlusion, rise ...")] = "medfocus",
    masking: Annotated[str, typer.Option(help="Replaces a concept: zero, mean, blur or inpaint.")] = "zero",
    by: Annotated[str, typer.Option(help="Replace the box or the mask of a concept.")] = "box",
    tau: Annotated[float, typer.Option(help="No concept is named where the answer stays this probable.")] = 0.75,
    device: Annotated[str | None, typer.Option(help="cuda, cuda:1, auto ... By default the CPU.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Counterfactuals per forward.")] = None,
    download: Annotated[bool, typer.Option(help="Fetch a model of the hub that is not there.")] = False,
    progress: Annotated[bool, typer.Option(help="Show a bar where there is a terminal.")] = True,
) -> None:
    """Ask a vision-language model about a radiograph, and say which anatomy its answer rests on.

    Writes a record (JSON) and a picture (PNG) per question. Several questions share the segmentation and the
    counterfactual images. It explains a model, right or wrong, and is no diagnosis.
    """
    from monai_causal.apps.medfocus.attribute_case import Case, attribute_case, in_words

    case = Case(
        study=study,
        out=out,
        questions=question or (),
        findings=finding or (),
        mode="reasoning" if reasoning else "direct",
        vlm=vlm,
        method=method,
        masking=masking,
        by=by,
        tau=tau,
        device=device,
        batch_size=batch_size,
        download=download,
        progress=progress,
    )
    typer.echo(in_words(attribute_case(case), out))


@medfocus.command("train-demo-vlm", epilog="Example: monai-causal medfocus train-demo-vlm --out demo --work phantoms")
def medfocus_train_demo_vlm(
    out: Annotated[Path, typer.Option(help="A folder for the model, as transformers saves it.")],
    work: Annotated[Path, typer.Option(help="A folder for phantoms and for what a training goes on from.")],
    shortcut: Annotated[
        str | None, typer.Option(help="Teach the cheating twin: this finding is answered by the side marker.")
    ] = None,
    tower: Annotated[Path | None, typer.Option(help="Take the vision tower of the training in this --work.")] = None,
    films: Annotated[int, typer.Option(help="Phantoms to learn from.")] = 8000,
    tower_epochs: Annotated[int, typer.Option(help="Passes over them in which the tower learns to see.")] = 14,
    answer_epochs: Annotated[int, typer.Option(help="Passes in which the decoder learns to answer.")] = 2,
    seed: Annotated[int, typer.Option(help="Of weights and draws.")] = 0,
) -> None:
    """Teach a small LLaVA to answer questions about chest phantoms: the model of the demo, or its cheating twin.

    It knows phantoms and eight findings, and nothing clinical.
    """
    from monai_causal.apps.medfocus.demo_vlm.training import DemoVlmConfig, train_demo_vlm

    config = DemoVlmConfig(
        films=films, tower_epochs=tower_epochs, answer_epochs=answer_epochs, seed=seed, shortcut=shortcut
    )
    found = train_demo_vlm(out, work, config, tower)
    for finding, accuracy in found["held_out"]["balanced_accuracy"].items():
        told = "not measured" if accuracy is None else f"{accuracy:.3f}"
        typer.echo(f"{finding}: balanced accuracy {told} on phantoms that it has not seen")


@medfocus.command("run", epilog="Example: monai-causal medfocus run --from studies --to results")
def medfocus_run(
    source: Annotated[
        str,
        typer.Option(
            "--from",
            help="A folder, DICOMDIR or file; or a DICOMweb server, with filters: https://HOST/PATH?ModalitiesInStudy=DX",
        ),
    ],
    target: Annotated[str, typer.Option("--to", help="A folder, or a DICOMweb server.")],
    config: Annotated[
        Path | None, typer.Option(help="YAML or JSON: model, questions, objects. By default the demo model.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on looking for studies until stopped.")] = False,
    work: Annotated[Path | None, typer.Option(help="For results on their way to a server. [medfocus_work]")] = None,
) -> None:
    """Explain the radiograph of every study, and keep or send the results as DICOM objects of that study.

    Killed anywhere, the same command goes on; nothing is lost and nothing arrives twice. Credentials come from
    MONAI_CAUSAL_FROM_TOKEN, or MONAI_CAUSAL_FROM_USER and MONAI_CAUSAL_FROM_PASSWORD, for --from, and from
    MONAI_CAUSAL_TO_... for --to. The exit status is 0 when nothing failed, 1 when something did (workflow/report.json
    in the folder says what), and 2 when the run could not be made.
    """
    from monai_causal.apps.medfocus.workflow.config import read_run_config

    settings = read_run_config(config)
    from monai_causal.apps.medfocus.workflow.outcome import in_words
    from monai_causal.apps.medfocus.workflow.run import run_medfocus

    report = run_medfocus(source, target, settings, work=work, watching=watch)
    typer.echo(in_words(report))
    raise typer.Exit(report.exit_code)


@medfocus.command("build-reference", epilog="Example: monai-causal medfocus build-reference --phantoms 16 --out atlas")
def medfocus_build_reference(
    out: Annotated[Path, typer.Option(help="A new folder for the pool.")],
    phantoms: Annotated[int | None, typer.Option(help="Make it of so many chest phantoms.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Make it of images/NAME.png and masks/CONCEPT/NAME.png.")] = None,
    imagenome: Annotated[Path | None, typer.Option(help="Make it of Chest ImaGenome: holds silver_dataset.")] = None,
    images: Annotated[Path | None, typer.Option(help="With --imagenome: MIMIC-CXR-JPG, holds files.")] = None,
    image_id: Annotated[list[str] | None, typer.Option(help="With --imagenome: an image; may be given again.")] = None,
    size: Annotated[int, typer.Option(help="Pixels of the longer side.")] = 256,
    seed: Annotated[int, typer.Option(help="Of the first phantom.")] = 0,
) -> None:
    """Make a pool of references, images with named masks, from which anatomy is carried over to other images."""
    from monai_causal.apps.medfocus.pool_building import build_reference

    pool = build_reference(phantoms, folder, imagenome, images, image_id or (), size=size, seed=seed)
    pool.save(out)
    typer.echo(f"{len(pool)} references with {len(pool.concepts)} concepts in {out}")


@medfocus.command("train-segmenter", epilog="Example: monai-causal medfocus train-segmenter --out net --cache phantoms")
def medfocus_train_segmenter(
    out: Annotated[Path, typer.Option(help="A folder for the network; an interrupted training in it goes on.")],
    cache: Annotated[Path, typer.Option(help="A folder for the rendered phantoms.")],
    phantoms: Annotated[int, typer.Option(help="To learn from.")] = 4000,
    epochs: Annotated[int, typer.Option(help="Passes over them.")] = 30,
    seed: Annotated[int, typer.Option(help="Of phantoms, weights and their variations.")] = 0,
) -> None:
    """Teach a small network the eleven concepts of a chest radiograph, on phantoms alone."""
    from monai_causal.apps.medfocus.segmenter_training import SegmenterConfig, train_segmenter

    found = train_segmenter(out, cache, SegmenterConfig(phantoms=phantoms, epochs=epochs, seed=seed))
    for concept, iou in found["held_out_iou"].items():
        typer.echo(f"{concept}: IoU {iou:.3f} on phantoms that it has not seen")


medground = typer.Typer(
    help="Is the region you were told really the reason? Attribution, judged on samples that a causal filter kept.",
    epilog="Example: monai-causal medground build --source phantom --count 40 --out bench",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(medground, name="medground")


@medground.command("build", epilog="Example: monai-causal medground build --source phantom --count 40 --out bench")
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


@medground.command("evaluate", epilog="Example: monai-causal medground evaluate bench --methods medfocus,occlusion")
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


@medground.command("report", epilog="Example: monai-causal medground report bench")
def medground_report(
    folders: Annotated[list[Path], typer.Argument(help="Evaluated benchmarks; of several models Table 1 averages.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write to. [the first FOLDER/report]")] = None,
) -> None:
    """Write Table 1, Figure 3 and what stands behind them: CSV, Markdown and PNG."""
    from monai_causal.apps.medground.report import write_report

    typer.echo(f"wrote {write_report(folders, out)}")


@medground.command("plan", epilog="Example: monai-causal medground plan --config configs/medground_paper.yaml")
def medground_plan(
    config: Annotated[Path, typer.Option(help="YAML or JSON file, such as configs/medground_paper.yaml.")],
    out: Annotated[str, typer.Option(help="Folder that the commands write to.")] = "medground",
) -> None:
    """Print what the paper's runs need and cost, and the commands that do them; nothing is run."""
    from monai_causal.apps.medground.paper import in_words, read_paper

    typer.echo(in_words(read_paper(config), out))


cohort = typer.Typer(
    help="Many cases: one job for thousands of items, on this machine or on Ray, with a journal that survives kills.",
    epilog="Example: monai-causal cohort run --config configs/cohort_phantoms.yaml --out cohort",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(cohort, name="cohort")


@cohort.command("run", epilog="Example: monai-causal cohort run --config configs/cohort_phantoms.yaml --out cohort")
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


@cohort.command("status", epilog="Example: monai-causal cohort status cohort --json")
def cohort_status(
    folder: Annotated[Path, typer.Argument(help="Of a cohort; it may be running.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Show how far a cohort is, what failed and why, and how long the rest will take."""
    import json

    from monai_causal.cohort.status import in_words, status_of

    status = status_of(folder)
    typer.echo(json.dumps(status.as_dict(), indent=2) if as_json else in_words(status))


@cohort.command("retry", epilog="Example: monai-causal cohort retry cohort --failed")
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


@cohort.command("gather", epilog="Example: monai-causal cohort gather cohort")
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


dicom = typer.Typer(
    help="DICOM studies as hospitals send them.",
    epilog="Example: monai-causal dicom inspect study",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(dicom, name="dicom")


@dicom.command("inspect", epilog="Example: monai-causal dicom inspect study --json")
def dicom_inspect(
    path: Annotated[Path, typer.Argument(help="A folder, a DICOMDIR or a file.")],
    rules: Annotated[
        Path | None,
        typer.Option(help="JSON that says which image is wanted. By default a frontal chest radiograph, PA before AP."),
    ] = None,
    for_processing: Annotated[bool, typer.Option(help="Take also a DX for processing.")] = False,
    names: Annotated[bool, typer.Option(help="Show names of files and UIDs; they may tell of a patient.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Show what is in a study, what would be read of it and why, and what is doubtful about it.

    Shows no patient data unless asked for names. The exit status is 0 when every study has something that would be
    read, 1 when one has nothing or several equally good images, and 2 when PATH cannot be read.
    """
    import json

    from monai_causal.dicom.inspection import in_words, inspect
    from monai_causal.dicom.selection_rules import SelectionRules

    wanted = None if rules is None else SelectionRules.from_json(rules)
    report = inspect(path, rules=wanted, names=names, for_processing=for_processing)
    typer.echo(json.dumps(report, indent=2) if as_json else in_words(report))
    raise typer.Exit(0 if report["readable"] else 1)


@dicom.command("phantom", epilog="Example: monai-causal dicom phantom --seed 7 --finding cardiomegaly --out phantom")
def dicom_phantom(
    out: Annotated[Path, typer.Option(help="A folder; the study becomes a folder in it.")],
    seed: Annotated[int, typer.Option(help="Of the phantom.")] = 0,
    finding: Annotated[
        list[str] | None, typer.Option(help="What the patient has; may be given again. By default it is drawn.")
    ] = None,
    size: Annotated[tuple[int, int], typer.Option(help="Rows and columns.")] = (1024, 1024),
    kind: Annotated[str, typer.Option(help="dx, or cr with black and white exchanged as on film.")] = "dx",
) -> None:
    """Write a chest phantom as a DICOM study, and what is true of it as JSON beside it."""
    from monai_causal.apps.medfocus.phantom_study import write_phantom_study

    typer.echo(write_phantom_study(seed, out, size, kind, findings=finding or None))  # type: ignore[arg-type]


@dicom.command(
    "from-explanation", epilog="Example: monai-causal dicom from-explanation explained --series ct --out objects"
)
def dicom_from_explanation(
    explained: Annotated[Path, typer.Argument(help="A folder that monai-causal explain wrote about a volume.")],
    series: Annotated[Path, typer.Option(help="The CT or MR series that the volume came from: a folder or DICOMDIR.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; made if it is not there.")],
    uid: Annotated[
        str | None, typer.Option(help="Where there are several series: the UID of one, or its digest.")
    ] = None,
) -> None:
    """Write a map and the regions that matter as DICOM objects that lie on the slices of their series.

    The map has to have the series' own voxels, in whatever order: as NIfTI converters and MONAI's readers leave them.
    """
    from monai_causal.apps.explain.dicom_content import written_content
    from monai_causal.dicom.objects.volumes import write_volume_objects

    content = written_content(explained)
    out.mkdir(parents=True, exist_ok=True)
    for one in write_volume_objects(series, content, out, series=uid):
        typer.echo(f"{one.kind}: {one.path.name}")


@dicom.command("verify", epilog="Example: monai-causal dicom verify results --json")
def dicom_verify(
    path: Annotated[Path, typer.Argument(help="A folder (with all below it) or a file of results.")],
    allow: Annotated[
        Path | None,
        typer.Option(help="Texts that dciodvfy may say, one a line and after # its reason; other errors are problems."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Check DICOM results that were written here: read back, references, UIDs, and dciodvfy where it is installed.

    Shows no patient data. The exit status is 0 when all are well, 1 when one has a problem or there is none, and 2 when
    PATH cannot be read.
    """
    import json

    from monai_causal.dicom.verify import in_words, verify

    report = verify(path, allow=allow)
    typer.echo(json.dumps(report, indent=2) if as_json else in_words(report))
    raise typer.Exit(0 if report["ok"] else 1)


@dicom.command(
    "deidentify", epilog="Example: monai-causal dicom deidentify study --out shareable --option retain-modified-dates"
)
def dicom_deidentify(
    path: Annotated[Path, typer.Argument(help="A folder (with all below it) or a file.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; made if it is not there.")],
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="Of PS3.15 E.3; may be given again: retain-uids, retain-full-dates, retain-modified-dates, "
            "retain-patient-characteristics, retain-device-identity, retain-institution-identity, retain-safe-private."
        ),
    ] = None,
    burned_in: Annotated[
        bool, typer.Option("--burned-in", help="Take also images that say that text is burned in; it stays.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """De-identify by the Basic Profile of PS3.15. Text that is burned into pictures is not cleaned: look at them.

    Other UIDs, pseudonyms and shifted dates come from the secret in MONAI_CAUSAL_DEIDENTIFY_KEY: the same secret gives
    the same again. Without it one is drawn and forgotten. The exit status is 0 when all files were taken, 1 when one
    was refused, and 2 when PATH cannot be read.
    """
    import json

    from monai_causal.dicom.deidentify import deidentify, in_words

    key = os.environ.get("MONAI_CAUSAL_DEIDENTIFY_KEY", "").encode() or None
    report = deidentify(path, out, options=option or (), key=key, burned_in=burned_in)
    typer.echo(json.dumps(report, indent=2) if as_json else in_words(report))
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
