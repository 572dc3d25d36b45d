# SPDX-License-Identifier: Apache-2.0
"""Who is trained on and who is tested on: nobody on both sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from monai_causal.apps.mcdrl import tasks as tasks_module
from monai_causal.apps.mcdrl.config import PhantomData, SitesData, as_config
from monai_causal.apps.mcdrl.tasks import Task, scenes_of, tasks_of
from monai_causal.data.datasets import DatasetError
from monai_causal.data.phantoms import endoscopy
from monai_causal.data.phantoms.endoscopy import CONFOUNDERS, LESION_CONFOUNDERS
from tests.apps.mcdrl.studies import hospitals


def sites(root: Path, **changes: Any) -> SitesData:
    one = {"name": "polypgen", "root": str(root), "options": {"centres": ["C1", "C2", "C3"]}}
    data = as_config({"data": {"kind": "sites", "sets": [one], "size": 16, "validation": 0.25, **changes}}).data
    assert isinstance(data, SitesData)
    return data


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hospitals(tmp_path_factory.mktemp("tree"), {"C1": 8, "C2": 6, "C3": 4})


def names(samples: Any) -> set[str]:
    return {one.name for one in samples}


def groups(samples: Any) -> set[str]:
    return {one.group for one in samples}


def test_each_site_is_held_out_once(tree: Path) -> None:
    tasks = tasks_of(sites(tree), ["polyp"])
    assert [task.name for task in tasks] == ["C1", "C2", "C3"]
    everything = names(tasks[0].samples)
    assert len(everything) == 18
    for task in tasks:
        inside, outside = task.tests
        assert (inside.kind, outside.kind, outside.name) == ("in", "out", task.name)
        assert {one.site for one in outside.samples} == {task.name}
        assert {one.site for one in (*task.train, *task.validation)}.isdisjoint({task.name})
        assert names(task.train) | names(task.validation) | names(outside.samples) == everything
        assert names(inside.samples) == names(task.validation)


def test_no_sequence_is_on_both_sides(tree: Path) -> None:
    for task in tasks_of(sites(tree, source_test=0.25), ["polyp"]):
        parts = [task.train, task.validation, task.tests[0].samples]
        assert all(parts)
        assert len(groups(task.train)) < len(task.train)  # sequences have two frames
        for first, second in ((0, 1), (0, 2), (1, 2)):
            assert groups(parts[first]).isdisjoint(groups(parts[second]))


def test_the_split_belongs_to_the_seed(tree: Path) -> None:
    first, again, other = (names(tasks_of(sites(tree, seed=seed), ["polyp"])[0].train) for seed in (0, 0, 1))
    assert first == again != other


def test_with_no_site_held_out_the_test_is_in_distribution(tree: Path) -> None:
    (task,) = tasks_of(sites(tree, held_out=[], source_test=0.25), ["polyp"])
    (test,) = task.tests
    assert (test.kind, {one.site for one in test.samples} <= {"C1", "C2", "C3"}) == ("in", True)
    assert groups(test.samples).isdisjoint(groups(task.train) | groups(task.validation))


def test_a_site_may_be_cut(tree: Path) -> None:
    task = tasks_of(sites(tree, count=4), ["polyp"])[0]
    assert len(task.tests[1].samples) == 4
    assert len(task.samples) == 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"held_out": ["C9"]}, r"'C9' is no site of this data; it has C1, C2, C3"),
        ({"sets": [{"name": "polypgen", "root": "ROOT", "site": "one"}]}, "there is one site, 'one'"),
    ],
)
def test_sites_that_cannot_be_held_out_are_an_error(tree: Path, changes: dict[str, Any], message: str) -> None:
    for one in changes.get("sets", ()):
        one |= {"root": str(tree), "options": {"centres": ["C1", "C2", "C3"]}}
    with pytest.raises(DatasetError, match=message):
        tasks_of(sites(tree, **changes), ["polyp"])


def test_a_site_with_one_image_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"site 'C2' has one image"):
        tasks_of(sites(hospitals(tmp_path / "tree", {"C1": 4, "C2": 1, "C3": 4})), ["polyp"])


def test_a_mask_of_another_size_names_the_image_by_number(tmp_path: Path) -> None:
    root = hospitals(tmp_path / "tree", {"C1": 4, "C2": 4, "C3": 4})
    (root / "C1/masks/0_endocv2021_positive_001_mask.png").write_bytes(
        (hospitals(tmp_path / "other", {"C1": 2}, (9, 9)) / "C1/masks/0_endocv2021_positive_001_mask.png").read_bytes()
    )
    (broken,) = [one for one in tasks_of(sites(root), ["polyp"])[0].samples if one.name == "polypgen-00001"]
    with pytest.raises(ValueError, match=r"polypgen-00001, item 1: the image is \(20, 24\) and its label \(9, 9\)"):
        broken.read()


def test_classes_may_come_from_what_an_item_says(monkeypatch: pytest.MonkeyPatch) -> None:
    lesions = [["Tumor"], ["Stenosis"], ["Tumor", "Stenosis"], ["Scar"], [], ["Tumor"], ["Stenosis"], ["Tumor"]]
    items = [
        {
            "image": torch.zeros(3, 4, 4), "label": torch.eye(4, dtype=torch.long), "id": str(number), "index": number,
            "dataset": "bm-broncholc", "patient": f"p{number}", "lesions": found, "site": "s",
        }
        for number, found in enumerate(lesions)
    ]  # fmt: skip
    monkeypatch.setattr(tasks_module, "load_dataset", lambda *_, **__: items)
    data = sites(
        Path("/nowhere"), held_out=[], source_test=0.4, class_key="lesions",
        class_values={"Tumor": "polyp", "Stenosis": "polyp"},
    )  # fmt: skip
    object.__setattr__(data, "class_values", {"Tumor": "tumour", "Stenosis": "stenosis"})
    (task,) = tasks_of(data, ["stenosis", "tumour"])
    values = {one.name: int(one.read()[1].max()) for one in task.samples}
    assert values == {
        "polypgen-00000": 2,
        "polypgen-00001": 1,
        "polypgen-00005": 2,
        "polypgen-00006": 1,
        "polypgen-00007": 2,
    }
    assert task.left_out == 3  # two types, a type without a class, none
    assert not any("p0" in one.group for one in task.samples)


def phantom(**changes: Any) -> PhantomData:
    content = {"kind": "phantom", "train": 40, "validation": 4, "test": 6, "size": 32, "do_scenes": 2, **changes}
    data = as_config({"data": content}).data
    assert isinstance(data, PhantomData)
    return data


def test_phantoms_are_tested_on_the_same_scenes_under_three_laws() -> None:
    (task,) = tasks_of(phantom(strength=1.0), ["polyp"])
    assert [(test.name, test.kind) for test in task.tests] == [
        ("training law", "in"), ("unconfounded", "out"), ("reversed", "out")
    ]  # fmt: skip
    same = [[one.group for one in test.samples] for test in task.tests]
    assert same[0] == same[1] == same[2]
    assert groups(task.train).isdisjoint(same[0])
    assert groups(task.validation).isdisjoint(groups(task.train))
    law, reverse = _lesions_with_their_confounders(task, 0), _lesions_with_their_confounders(task, 2)
    assert law == {True: {True}, False: {False}}  # at strength 1 the confounder tells the finding
    assert reverse == {True: {False}, False: {True}}


def _lesions_with_their_confounders(task: Task, test: int) -> dict[bool, set[bool]]:
    found: dict[bool, set[bool]] = {}
    for one in task.tests[test].samples:
        lesion = bool(one.read()[1].any())
        found.setdefault(lesion, set()).add(one.condition in LESION_CONFOUNDERS)
    return found


def test_a_condition_is_what_was_rendered() -> None:
    (task,) = tasks_of(phantom(strength=0.5, severity=1.0), ["polyp"])
    one = task.tests[1].samples[3]
    seed = int(one.name.rpartition("-")[2])
    whole = endoscopy(seed, size=(32, 32), strength=0.0, severity=1.0)
    assert whole.causes.confounder == one.condition
    assert torch.equal(one.read()[0], torch.from_numpy(whole.image))


def test_scenes_are_rendered_under_every_confounder() -> None:
    scenes = scenes_of(phantom(do_severity=[0.3, 0.9]))
    assert [(scene.name, scene.severity) for scene in scenes] == [
        ("scene-8000000", 0.3), ("scene-8000001", 0.3), ("scene-8000000", 0.9), ("scene-8000001", 0.9)
    ]  # fmt: skip
    assert list(scenes[0].views) == list(CONFOUNDERS)
    causes = endoscopy(8000001, size=(32, 32)).do(confounder="blood", severity=0.9)
    assert torch.equal(scenes[3].views["blood"].read()[0], torch.from_numpy(causes.image))
