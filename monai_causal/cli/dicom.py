# SPDX-License-Identifier: Apache-2.0
"""``monai-causal dicom``: studies read, made, checked and de-identified."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["commands"]

commands = typer.Typer(
    help="DICOM studies as hospitals send them.",
    epilog="Example: monai-causal dicom inspect study",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@commands.command("inspect", epilog="Example: monai-causal dicom inspect study --json")
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


@commands.command("phantom", epilog="Example: monai-causal dicom phantom --seed 7 --finding cardiomegaly --out phantom")
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


@commands.command(
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


@commands.command("verify", epilog="Example: monai-causal dicom verify results --json")
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


@commands.command(
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
