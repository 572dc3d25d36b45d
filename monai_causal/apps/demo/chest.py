# SPDX-License-Identifier: Apache-2.0
"""The demo's second and third part: a chest study asked through MedFocus and written as DICOM, and a cheat exposed."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_causal.apps.medfocus.attribute_asking import ask, picture_of
from monai_causal.apps.medfocus.attribute_case import Case, attribute_case
from monai_causal.apps.medfocus.phantom_study import write_phantom_study
from monai_causal.apps.medfocus.result import MedFocusResult
from monai_causal.apps.medfocus.vlm.loading import load_vlm
from monai_causal.apps.medfocus.vlm.prompts import finding_question
from monai_causal.apps.medfocus.workflow.config import RunConfig
from monai_causal.apps.medfocus.workflow.run import run_medfocus
from monai_causal.data.phantoms.chest import chest
from monai_causal.data.phantoms.chest_causes import FINDING_PHRASES
from monai_causal.dicom.verify import verify
from monai_causal.files import write_json

__all__ = ["ask_chest", "chest_in_words", "expose_twin", "twin_in_words"]

SEED = 9_500_021  # no model was taught on phantoms from 9,000,000 on
FINDING = "cardiomegaly"
SIZE = (768, 768)
TWIN_SEED = 9_500_005  # a film with a side marker and without the finding
CHEATS = "consolidation"
TWIN_SIZE = (384, 384)


def ask_chest(out: Path, progress: bool = False) -> dict[str, Any]:
    """Write a phantom as a study into ``study``, its results as DICOM into ``dicom``, and MedFocus' record and picture;
    return what a line needs."""
    study = write_phantom_study(SEED, out / "study", SIZE, findings=[FINDING])
    results = attribute_case(Case(study=study, out=out, findings=[FINDING], progress=progress))
    result = results[0]
    assert isinstance(result, MedFocusResult)
    phrase = FINDING_PHRASES[FINDING]
    report = run_medfocus(str(study), str(out / "dicom"), RunConfig(findings=(phrase,)))
    objects, problems = _verified(out / "dicom")
    return {
        "seed": SEED,
        "question": result.question,
        "answer": result.reading,
        "concept": result.concept,
        "effect": None if result.concept is None else result.effects[result.concept],
        "truth": list(chest(SEED, size=(64, 64), findings=[FINDING]).findings[FINDING].concepts),
        "exit_code": report.exit_code,
        "objects": objects,
        "problems": problems,
    }


def chest_in_words(found: Mapping[str, Any]) -> str:
    """The part in a line."""
    rests = "no single anatomy" if found["concept"] is None else f"the {found['concept']} ({found['effect']:.1f} nats)"
    objects = ", ".join(f"{count} {kind}" for kind, count in found["objects"].items())
    verified = "all verified" if not found["problems"] else f"{found['problems']} problems found"
    return (
        f"Chest study: '{found['question']}' {found['answer']}; that rests on {rests}. Written as DICOM: {objects}; "
        f"{verified}."
    )


def expose_twin(out: Path, progress: bool = False) -> dict[str, Any]:
    """Ask the honest model and its twin about a film with a side marker and without the finding; say where each answer
    comes from, and what becomes of it when the marker is really taken away. Write a record and a picture each."""
    film = chest(TWIN_SEED, size=TWIN_SIZE, findings=[])
    bare = film.do(marker="none")
    question = finding_question(FINDING_PHRASES[CHEATS])
    marker = film.artefacts["marker"].mask
    found: dict[str, Any] = {"seed": TWIN_SEED, "question": question, "models": {}}
    with tempfile.TemporaryDirectory() as folder:
        study = write_phantom_study(TWIN_SEED, Path(folder), TWIN_SIZE, findings=[])
        for name in ("demo", "demo-shortcut"):
            case = Case(study=study, out=out / name, questions=[question], vlm=name, method="grid", progress=progress)
            result = attribute_case(case)[0]
            without = ask(load_vlm(name), picture_of(bare.image), [question])[0].reading
            assert result.heat is not None
            top = (result.heat == result.heat.max()).cpu().numpy()
            found["models"][name] = {
                "answer": result.reading,
                "without_the_marker": without,
                "top_cell_on_the_marker": bool((top & marker).any()),
            }
    write_json(out / "twin.json", {"schema": "monai_causal/demo-twin/1", **found})
    return found


def twin_in_words(found: Mapping[str, Any]) -> str:
    """The part in a line."""
    honest, twin = found["models"]["demo"], found["models"]["demo-shortcut"]
    place = "on the side marker" if twin["top_cell_on_the_marker"] else "NOT on the side marker"
    return (
        f"The cheat: no consolidation is on the film. The honest model says {honest['answer']}, its twin "
        f"{twin['answer']}: the cell with the largest effect lies {place}. Without the marker, rendered exactly, the "
        f"twin says {twin['without_the_marker']}."
    )


def _verified(folder: Path) -> tuple[dict[str, int], int]:
    """How many objects of each kind were written, and how many problems ``monai-causal dicom verify`` finds in them."""
    files = verify(folder)["files"]
    kinds = Counter(str(one["kind"]) for one in files)
    return dict(sorted(kinds.items())), sum(len(one["problems"]) for one in files)
