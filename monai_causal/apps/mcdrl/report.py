# SPDX-License-Identifier: Apache-2.0
"""A study's folder into a report: tables as CSV, JSON and Markdown, pictures as PNG.

Wall-clock times stand in a folder of their own, ``timing``: all else is the same to the byte, however often the run was
interrupted and however it was sharded.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from monai_causal.apps.mcdrl.judgement import REFERENCE, RULE_CONTROLS, verdict
from monai_causal.apps.mcdrl.method_names import METHODS
from monai_causal.apps.mcdrl.pictures import save_feature_maps, save_galleries
from monai_causal.apps.mcdrl.results import Results, read_results
from monai_causal.apps.mcdrl.rows import as_csv, write_csv
from monai_causal.apps.mcdrl.tables import TABLES, comparison_table, labelled, runtime_table
from monai_causal.extras import MissingExtraError
from monai_causal.files import draft_of, write_json

__all__ = ["report_loso"]

SCHEMA = "monai_causal/mcdrl-results/1"
ORACLE = (
    "**Oracle selection: the epochs were chosen on the very images that are tested on out of distribution. These "
    "numbers are an upper bound, no estimate of what happens at a new hospital.**"
)
AGAINST = "comparisons-"
Row = dict[str, Any]
Columns = Mapping[str, str | Callable[[Row], str]]
logger = logging.getLogger(__name__)


def report_loso(folder: Path, against: Sequence[str] = ()) -> Path:
    """Read all shards of a study and write ``report/`` beside them; returns ``report/report.md``.

    Args:
        folder: of the study.
        against: methods, besides MCDRL, that all others are compared with too.
    """
    results = read_results(folder)
    if not results.entries:
        raise ValueError(f"nothing to report yet: of {len(results.runs)} trainings none is finished.")
    for label in against:
        if label not in results.methods:
            raise ValueError(f"against: {label!r} is no method of this study; it has {', '.join(results.methods)}.")
    out = folder / "report"
    (out / "timing").mkdir(parents=True, exist_ok=True)
    rows = {name: table(results) for name, table in TABLES.items()}
    rows |= {f"{AGAINST}{label}": comparison_table(results, label) for label in against}
    for name, table in rows.items():
        write_csv(out / f"{name}.csv", table)
    said = verdict_of(results, rows["comparisons"])
    selection = results.config.selection
    write_json(
        out / "results.json",
        {
            "schema": SCHEMA, "study": results.study["digest"], "rule": results.study["rule"], "verdict": said,
            "selection": selection, "oracle": selection == "oracle", "versions": results.study["versions"],
            "not_run": len(results.missing), "rows": rows["methods"], "comparisons": rows["comparisons"],
            "invariance": rows["invariance"],
        },
    )  # fmt: skip
    pictures, notes = _pictures(results, out)
    _write(out / "report.md", page(results, rows, said, pictures, notes))
    times = runtime_table(results)
    _write(out / "timing" / "runtime.csv", as_csv(times))
    return out / "report.md"


def verdict_of(results: Results, comparisons: Sequence[Row]) -> str:
    """One sentence on the rule."""
    wanted = (REFERENCE, *RULE_CONTROLS)
    missing = [name for name in wanted if labelled(results, name) is None]
    return verdict(comparisons, missing, len(results.config.seeds))


def page(
    results: Results, rows: Mapping[str, list[Row]], said: str, pictures: Mapping[str, str], notes: Sequence[str] = ()
) -> str:
    """The report in words.

    Args:
        results: of the study.
        rows: its tables by name.
        said: the verdict.
        pictures: headings by file.
        notes: on what could not be drawn.
    """
    config, study = results.config, results.study
    oracle = f"{ORACLE}\n\n" if config.selection == "oracle" else ""
    flag = " (oracle selection)" if oracle else ""
    versions = ", ".join(f"{name} {version}" for name, version in study["versions"].items())
    done = len(results.runs) - len(results.missing)
    sections = {
        "What was tested on what": _tasks(results),
        f"Dice{flag}": _methods(rows["methods"], results),
        f"MCDRL against each other method{flag}": (
            _comparisons(rows["comparisons"]) + _before_the_switch(rows["runs"], results)
        ),
        **{
            f"{name.removeprefix(AGAINST)} against each other method, outside the rule{flag}": _compared(
                table, name.removeprefix(AGAINST)
            )
            for name, table in rows.items()
            if name.startswith(AGAINST)
        },
        f"Under a change of the confounder alone{flag}": _invariance(rows["invariance"]),
        f"All measures{flag}": _measures(rows["measures"]),
        "What was not run": _missing(results),
        **{heading: f"![{heading}]({name})\n" for name, heading in pictures.items()},
    }
    return (
        f"# {config.name}\n\n**Rule, written down before the first training:** {study['rule']}\n\n**{said}**\n\n"
        f"{oracle}"
        f"{done} of {len(results.runs)} trainings are finished: {len(results.tasks)} tasks x {len(results.methods)} "
        f"methods x {len(config.seeds)} seeds. {_selection(results)}\n\n"
        f"Study {study['digest']}; {versions}. {_contents(study)} Every digit stands in the CSV files; times in "
        f"timing/runtime.csv.\n\n"
        + "".join(f"{note}\n\n" for note in (*_remarks(results), *notes))
        + "\n".join(f"## {heading}\n\n{text}" for heading, text in sections.items() if text)
    )


def _pictures(results: Results, out: Path) -> tuple[dict[str, str], list[str]]:
    drawn = save_galleries(results, out)
    try:
        drawn |= save_feature_maps(results, out)
    except MissingExtraError as error:
        logger.warning("no map of features: %s", error)
        return drawn, [f"The map of features was not drawn: {error}."]
    return drawn, []


def _selection(results: Results) -> str:
    return {
        "last": "The last epoch's weights were taken; nothing was chosen.",
        "validation": "The epoch was chosen by Dice on images of the training's own distribution.",
        "oracle": "The epoch was chosen by Dice on the images that are tested on.",
    }[results.config.selection]


def _contents(study: Mapping[str, Any]) -> str:
    """What lay where the configuration points to. Older studies did not write it down."""
    known = study["config"].get("contents")
    if known is None:
        return "SHA-256 of dictionary and encoder: not recorded."
    of_each = ", ".join(f"{name} {digest[:16]}" for name, digest in known.items())
    return f"SHA-256 begins: {of_each}." if known else "No dictionary and no encoder were files."


def _remarks(results: Results) -> list[str]:
    """What follows from the configuration and is easily overlooked."""
    config, remarks = results.config, []
    of_mcdrl = [one for one in config.methods if METHODS[one.name].family == "mcdrl"]
    frozen = [one.label for one in of_mcdrl if config.network_of(one).tune == "frozen"]
    inert = [label for label in frozen if _has_contrast(results, label)]
    if inert:
        remarks.append(
            "The encoder is frozen, so that image embedding and class texts are constants: Eq. 12 is in the loss and "
            f"trains nothing in {', '.join(inert)}."
        )
    paper = [label for label in frozen if config.train_of(config.method(label)).settings == "paper"]
    if paper:
        remarks.append(
            f"The paper's settings with a frozen encoder ({', '.join(paper)}): its epochs, rates and losses for what "
            "is new; the encoder that it trains at 0.005 stays as it was."
        )
    return remarks


def _has_contrast(results: Results, label: str) -> bool:
    method = results.config.method(label)
    settings = {**asdict(results.config.train_of(method).resolved()), **METHODS[method.name].train}
    return bool(settings["lambda_contrast"] > 0)


def _tasks(results: Results) -> str:
    rows = [
        {**{key: task[key] for key in ("task", "train", "validation")}, **test}
        for task in results.study["tasks"]
        for test in task["tests"]
    ]
    left_out = sum(task["left_out"] for task in results.study["tasks"][:1])
    also = f" {left_out} images of no class, or of several, were left out." if left_out else ""
    columns: Columns = {
        "task": "task", "trained on": "train", "validation": "validation", "test set": "set", "distribution": "kind",
        "images": "images", "scenes or sequences": "groups",
    }  # fmt: skip
    return f"{_table(rows, columns)}\nNumbers of images.{also}\n"


def _methods(rows: Sequence[Row], results: Results) -> str:
    columns: dict[str, str | Callable[[Row], str]] = {
        "method": "method", "": "title", "seeds": "seeds", "in distribution": _with_interval("in"),
        "out, macro": _with_interval("out"), "sd over seeds": _number("out_seed_sd"),
        "worst": lambda row: "-" if row["worst"] is None else f"{row['worst']:.3f} ({row['worst_set']})",
    }  # fmt: skip
    columns |= {name: _number(f"out: {name}") for _, name in results.sets("out")}
    level = f"{100 * results.config.statistics.level:g} %"
    same = ""
    data = results.config.data
    if data.kind == "sites" and results.sets("in") and data.source_test == 0:
        same = " In distribution is the source validation part" + (
            ", by which the epochs were chosen." if results.config.selection == "validation" else "."
        )
    return (
        f"{_table(rows, columns)}\nMean Dice at the masks' own resolution, threshold 0.5, nothing stretched; both "
        f"masks empty: 1, one empty: 0. Brackets: {level} interval{_of_seeds(results)}; the test sets are taken as "
        f"they are. Macro: each test set counts alike.{same}\n"
    )


def _of_seeds(results: Results) -> str:
    if len(results.config.seeds) == 1:
        return " over scenes or sequences, and the images in them; of other seeds a single one says nothing"
    return (
        ": scenes or sequences, and the images in them, weighed anew, and for the seeds Student's t with one degree of "
        "freedom less than seeds, since a bootstrap of so few is too narrow. A method with one finished seed has an "
        "interval of scenes alone"
    )


def _comparisons(rows: Sequence[Row]) -> str:
    if not rows:
        return "MCDRL with the study's own settings is not among the methods, or nothing is held out.\n"
    return (
        f"{_compared(rows, 'MCDRL')}\nPaired: both methods on the same images under the same seeds. Holm's correction "
        "is over the rule's controls, and over the other comparisons apart from them.\n"
    )


def _compared(rows: Sequence[Row], reference: str) -> str:
    columns: Columns = {
        f"{reference} minus": "method", "": "title", "in the rule": lambda row: "yes" if row["rule"] else "",
        "seeds": "seeds", "macro Dice out": lambda row: _signed_interval(row),
        "p": _p("p"), "p after Holm": _p("p_holm"),
        "test sets ahead": lambda row: f"{row['sets_ahead']} of {row['sets']}",
        "seeds ahead": lambda row: f"{row['seeds_ahead']} of {row['seeds']}",
    }  # fmt: skip
    return _table(rows, columns)


def _before_the_switch(rows: Sequence[Row], results: Results) -> str:
    """Which trainings ended with an intervention that is still off: they are not what their method says."""
    has_one = {
        label: METHODS[results.config.method(label).name].network.get("intervene", True) for label in results.methods
    }
    off = Counter(row["method"] for row in rows if row["intervening"] is False and has_one[row["method"]])
    some = ", ".join(f"{count} of {method}" for method, count in off.items())
    return (
        f"\nIn these trainings the epoch chosen lies before the intervention is switched on: {some}.\n" if off else ""
    )


def _invariance(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    columns: Columns = {
        "method": "method", "severity": "severity", "scenes": "scenes", "seeds": "seeds",
        "Dice spread ↓": _with_interval("spread"), "sd ↓": _with_interval("sd"),
        "agreement ↑": _with_interval("agreement"), "feature distance ↓": _with_interval("feature"),
    }  # fmt: skip
    return (
        f"{_table(rows, columns)}\nEach scene is rendered under all twelve confounders. Spread: its largest minus its "
        "smallest Dice, each with the image's own mask. Agreement: Dice of the answer with that under white light; "
        "feature distance: between confounders in units of that between scenes; both without the close-up and the "
        "distant view, which move the scene. A constant answer has no spread: read it beside the Dice.\n"
    )


def _measures(rows: Sequence[Row]) -> str:
    columns: Columns = {
        "method": "method", "test set": "set", "distribution": "kind", "runs": "runs", "images": "images",
        "Dice": _number("dice"), "IoU": _number("iou"), "accuracy": _number("accuracy"), "ASSD": _number("assd"),
        "no ASSD": lambda row: f"{row['without_distance']:.1f}", "any lesion": _number("any_dice"),
        "MTRS recall": _number("recall"),
    }  # fmt: skip
    return (
        f"{_table(rows, columns)}\nASSD in pixels, over images where both masks hold something; *no ASSD* counts the "
        "others. MTRS recall: of the cells with a part of the lesion, the share that was selected.\n"
    )


def _missing(results: Results) -> str:
    if not results.missing:
        return "Everything that was planned is finished.\n"
    counted: dict[tuple[str, str], list[int]] = {}
    for run in results.missing:
        counted.setdefault((run.task, run.method), []).append(run.seed)
    lines = [f"- {task}, {method}: seeds {', '.join(map(str, seeds))}" for (task, method), seeds in counted.items()]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Row], columns: Columns) -> str:
    lines = [list(columns), ["---"] * len(columns)]
    lines += [[get(row) if callable(get) else _text(row[get]) for get in columns.values()] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _text(value: Any) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _number(key: str) -> Callable[[Row], str]:
    return lambda row: "-" if row[key] is None else f"{row[key]:.3f}"


def _p(key: str) -> Callable[[Row], str]:
    return lambda row: "-" if row[key] is None else f"{row[key]:.2g}"


def _with_interval(key: str) -> Callable[[Row], str]:
    def shown(row: Row) -> str:
        return "-" if row[key] is None else f"{row[key]:.3f} [{row[f'{key}_low']:.3f}, {row[f'{key}_high']:.3f}]"

    return shown


def _signed_interval(row: Row) -> str:
    return "-" if row["difference"] is None else f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"


def _write(path: Path, text: str) -> None:
    with draft_of(path) as draft:
        draft.write_text(text, encoding="utf-8")
