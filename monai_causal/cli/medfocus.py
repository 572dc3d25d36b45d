# SPDX-License-Identifier: Apache-2.0
"""``monai-causal medfocus``: why a model answers so about a chest radiograph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["commands"]

commands = typer.Typer(
    help="Which named anatomy a vision-language model's answer about a chest radiograph rests on.",
    epilog="Example: monai-causal medfocus attribute study --finding cardiomegaly --out why",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@commands.command("attribute", epilog="Example: monai-causal medfocus attribute study --finding cardiomegaly --out why")
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


@commands.command("train-demo-vlm", epilog="Example: monai-causal medfocus train-demo-vlm --out demo --work phantoms")
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


@commands.command("run", epilog="Example: monai-causal medfocus run --from studies --to results")
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


@commands.command("build-reference", epilog="Example: monai-causal medfocus build-reference --phantoms 16 --out atlas")
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


@commands.command("train-segmenter", epilog="Example: monai-causal medfocus train-segmenter --out net --cache phantoms")
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
