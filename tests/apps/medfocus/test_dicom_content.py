# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")

from monai_causal.apps.medfocus.attribute import MedFocus
from monai_causal.apps.medfocus.concepts import chest_vocabulary
from monai_causal.apps.medfocus.dicom_content import FINDINGS, content_of, finding_in
from monai_causal.apps.medfocus.picture import overlay
from monai_causal.dicom.objects import write_results
from monai_causal.dicom.objects.content import canonical
from monai_causal.dicom.projection import Projection, read_projection
from monai_causal.dicom.verify import verify
from tests.apps.medfocus import scene
from tests.apps.medfocus.golden import BoxReader
from tests.apps.medfocus.scene import BOXES, SIZE
from tests.dicom.encodings import radiograph, written

QUESTION = "Is there evidence of pleural effusion in the image?"


@pytest.fixture(scope="module")
def projection() -> Projection:
    """The scene's picture, mirrored in its file."""
    cells = np.rint(scene.picture().numpy()[:, ::-1] * 4095).astype(np.uint16)
    ds = radiograph(cells, PatientOrientation=["R", "F"], WindowCenter=2048, WindowWidth=4096)
    return read_projection(written(ds))


def explained(projection: Projection, *names: str, **options: Any) -> Any:
    vlm = BoxReader(SIZE, tuple(BOXES[name] for name in names), (1.0,) * len(names), ("Yes", " so")[: len(names)])
    concepts = scene.segmenter()(projection)
    return MedFocus(vlm, also=(), **options).attribute(projection, QUESTION, concepts=concepts), concepts


def test_everything_of_the_result_arrives(projection: Projection) -> None:
    result, concepts = explained(projection, "left lung", "right lung")
    content = content_of(result, concepts, projection)
    assert (content.question, content.answer, content.reading) == (QUESTION, "Yes so", result.reading)
    assert content.finding == FINDINGS["pleural effusion"]
    assert content.chosen == "both lungs"
    assert content.notes == result.notes
    by_name = {one.name: one for one in content.concepts}
    assert list(by_name) == list(concepts)
    effects = result.effects
    ranked = sorted(effects, key=lambda name: -effects[name])
    for name, one in by_name.items():
        np.testing.assert_array_equal(one.mask, concepts[name].mask)
        assert one.effect == (round(effects[name], 5) if name in effects else None)
        assert one.rank == (ranked.index(name) + 1 if name in effects else None)
        assert one.box == concepts[name].box
        assert one.members == concepts[name].members
    lung = by_name["left lung"]
    assert lung.code is not None
    assert (lung.code.value, lung.laterality) == ("39607008", "left")
    assert lung.box == BOXES["left lung"]
    angle = by_name["left costophrenic angle"]  # was not looked for
    assert (angle.box, angle.effect, angle.rank) == (None, None, None)
    assert angle.region is not None
    assert angle.flags
    assert by_name["both lungs"].code is None
    assert [one.rank for one in content.concepts if one.name == "both lungs"] == [1]


def test_settings_are_the_configuration_and_the_model_the_device(projection: Projection) -> None:
    result, concepts = explained(projection, "left lung")
    content = content_of(result, concepts, projection)
    assert canonical(content.configuration)
    assert content.configuration["tau"] == 0.75
    assert content.configuration["mode"] == "direct"
    other, _ = explained(projection, "left lung", tau=0.5)
    assert content_of(other, concepts, projection).configuration_digest != content.configuration_digest
    assert content.algorithm.model == "golden"
    assert len(content.algorithm.model_digest) == 64
    assert content_of(result, concepts, projection, model_digest="ef" * 32).algorithm.model_digest == "ef" * 32
    # what a run took is not what it says
    slower = replace(result, runtime=replace(result.runtime, seconds=1e3))
    assert content_of(slower, concepts, projection).digest == content.digest


def test_the_last_bits_of_an_effect_make_no_other_object(projection: Projection) -> None:
    result, concepts = explained(projection, "left lung")
    rows = tuple(one if one.drop is None else replace(one, drop=one.drop + 1e-9) for one in result.concepts)
    content = content_of(result, concepts, projection)
    assert content_of(replace(result, concepts=rows), concepts, projection).digest == content.digest
    rows = tuple(one if one.drop is None else replace(one, drop=one.drop + 1e-3) for one in result.concepts)
    assert content_of(replace(result, concepts=rows), concepts, projection).digest != content.digest


def test_the_last_bits_of_what_the_anatomy_was_measured_by_make_no_other_object(projection: Projection) -> None:
    result, concepts = explained(projection, "left lung")

    def measured(unsure: float, **settings: float) -> str:
        segmentation = {"steps": ["network"], "network": {"uncertainty": {"as given": np.float32(unsure)}}}
        changed = {**result.provenance["settings"], "segmentation": segmentation, **settings}
        provenance = {**result.provenance, "settings": changed}
        return content_of(replace(result, provenance=provenance), concepts, projection).digest

    assert measured(0.0213) == measured(0.0213 + 4e-6) != measured(0.0223)
    assert measured(0.0213, tau=0.75) != measured(0.0213, tau=0.75000001)


def test_its_objects_are_well(projection: Projection, tmp_path: Path) -> None:
    result, concepts = explained(projection, "cardiac silhouette")
    content = content_of(result, concepts, projection, picture=overlay(projection, result))
    made = write_results(projection, content, tmp_path)
    assert [one.kind for one in made] == ["seg", "sr", "sc", "gsps"]
    import pydicom

    seg = pydicom.dcmread(made[0].path)
    place = chest_vocabulary().names.index("cardiac silhouette")
    np.testing.assert_array_equal(
        seg.pixel_array[place], concepts["cardiac silhouette"].mask[:, ::-1]
    )  # as the file stores it
    report = verify(tmp_path)
    assert not [one["problems"] for one in report["files"] if one["problems"]]


def test_what_does_not_belong_together_is_refused(projection: Projection) -> None:
    result, concepts = explained(projection, "left lung")
    with pytest.raises(ValueError, match=r"the result is of a picture of \(64, 96\), the projection \(128, 128\)"):
        content_of(result, concepts, projection.resized((128, 128)))
    darker = replace(projection, pixels=projection.pixels * np.float32(0.5))
    with pytest.raises(ValueError, match="of another picture than this projection"):
        content_of(result, concepts, darker)
    few = replace(concepts, found={"left lung": concepts["left lung"]})
    with pytest.raises(ValueError, match="the concepts given are left lung"):
        content_of(result, few, projection)


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("Is there evidence of cardiomegaly in the image?", "287272002"),
        ("Is there evidence of nodules?", "27925004"),
        ("Any PLEURAL EFFUSION?", "60046008"),
        ("Is there lung opacity?", "112001"),
        ("Is there evidence of pneumothorax or pulmonary edema?", None),
        ("Is the heart large?", None),
        ("What does an effusioned text say?", None),
    ],
)
def test_a_question_that_names_one_finding_has_its_code(question: str, value: str | None) -> None:
    found = finding_in(question)
    assert (None if found is None else found.value) == value


def test_the_findings_codes_are_in_pydicoms_dictionary() -> None:
    from pydicom.sr._concepts_dict import concepts

    known = {(scheme, code) for scheme, terms in concepts.items() for codes in terms.values() for code in codes}
    assert {(one.scheme, one.value) for one in FINDINGS.values()} <= known
