# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from copy import deepcopy
from importlib.resources import files
from typing import Any

import pytest
import yaml

from monai_causal.apps.medfocus.concepts import SCHEMA, chest_vocabulary, read_vocabulary
from monai_causal.apps.study.configuration import ConfigError
from monai_causal.data.phantoms.chest_causes import COMPOSITES, CONCEPTS


def test_chest_holds_what_phantoms_show_in_their_order() -> None:
    chest = chest_vocabulary()
    assert chest.names == CONCEPTS
    assert {one.name: one.members for one in chest.composites} == COMPOSITES


def test_sides_are_those_of_the_names_and_codes_are_known() -> None:
    codes = pytest.importorskip("pydicom.sr.codedict").codes
    known = {
        "cardiac silhouette": codes.SCT.Heart,
        "lung": codes.SCT.Lung,
        "mediastinum": codes.SCT.Mediastinum,
        "clavicle": codes.SCT.Clavicle,
        "hilar structures": codes.SCT.HilumOfLung,
    }
    for concept in chest_vocabulary().concepts:
        side, _, rest = concept.name.partition(" ")
        assert concept.laterality == (side if side in ("left", "right") else None)
        organ = rest if concept.laterality else concept.name
        if organ in known:
            assert (concept.code.scheme, concept.code.value) == ("SCT", known[organ].value)
            assert concept.region is None
        else:
            assert concept.code.scheme == "99MCAUSAL"
            assert concept.region is not None
            assert concept.region.value in (codes.SCT.Mediastinum.value, codes.SCT.Pleura.value)


def test_labels_of_others_are_understood() -> None:
    chest = chest_vocabulary()
    assert chest.find("Left_Lung") == "left lung"
    assert chest.find("hilum-right") == "right hilar structures"
    assert chest.find("spleen") is None


def test_another_modality_is_another_file(tmp_path: Any) -> None:
    path = tmp_path / "knee.yaml"
    content = {
        "schema": SCHEMA,
        "name": "knee",
        "concepts": [
            {"name": "femur", "code": {"scheme": "SCT", "value": "71341001", "meaning": "Femur"}},
            {"name": "tibia", "code": {"scheme": "SCT", "value": "12611008", "meaning": "Tibia"}, "area": [0.1, 0.4]},
        ],
        "composites": [{"name": "bones", "members": ["femur", "tibia"]}],
        "down": [["femur", "tibia"]],
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    knee = read_vocabulary(path)
    assert knee.names == ("femur", "tibia")
    assert knee.concept("tibia").area == (0.1, 0.4)
    assert knee.down == (("femur", "tibia"),)


def broken(path: list[Any], value: Any) -> dict[str, Any]:
    content: dict[str, Any] = deepcopy(
        yaml.safe_load((files("monai_causal.apps.medfocus") / "concepts.yaml").read_text(encoding="utf-8"))
    )
    place: Any = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["schema"], "else/1", "schema: 'else/1' is not read here"),
        (["concepts"], [], "concepts: (): name at least one"),
        (["concepts", 1, "laterality"], "both", "concepts[1].laterality: 'both'"),
        (["concepts", 0, "area"], [0.5, 0.2], "concepts[0].area: (0.5, 0.2)"),
        (["concepts", 0, "area"], [0.5], "concepts[0].area: [0.5]: give a list of 2"),
        (["concepts", 0, "code", "value"], "T-32000", "concepts[0].code.value: 'T-32000'"),
        (["concepts", 0, "code", "value"], 80891009, "concepts[0].code.value: 80891009: give text"),
        (["concepts", 0, "colour"], "red", "concepts[0].colour: 'red': no such key"),
        (["concepts", 0, "name"], "left lung", "concepts and composites: ['left lung', 'left lung']"),
        (["concepts", 0, "synonyms"], ["Left Lung"], "names and synonyms: ['left lung', 'left lung']"),
        (["concepts", 5, "moves_with"], "rib", "moves_with: 'rib': no such concept"),
        (["composites", 0, "members"], ["left lung"], "composites[0].members: ('left lung',)"),
        (["composites", 0, "members"], ["left lung", "spleen"], "composites: 'spleen': no such concept"),
        (["across", 0], ["right lung", "liver"], "across: 'liver': no such concept"),
        (["down", 0], ["left lung"], "down[0]: ['left lung']: give a list of 2"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(tmp_path: Any, path: list[Any], value: Any, said: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(yaml.safe_dump(broken(path, value)), encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        read_vocabulary(file)
    assert said.replace("['left lung', 'left lung']", "['left lung']") in str(raised.value)


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'spleen' is no concept of the chest radiograph, frontal; those are cardiac"):
        chest_vocabulary().concept("spleen")
    with pytest.raises(ValueError, match=r"'lungs' is no composite .* both lungs"):
        chest_vocabulary().composite("lungs")
