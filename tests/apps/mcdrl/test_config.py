# SPDX-License-Identifier: Apache-2.0
"""Slips of the pen are errors that say where; what is given arrives."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from monai_causal.apps.mcdrl import contents
from monai_causal.apps.mcdrl.config import PhantomData, SitesData, as_config, read_config
from monai_causal.apps.mcdrl.method_names import METHODS
from monai_causal.apps.study.configuration import ConfigError
from tests.apps.mcdrl.studies import PHANTOM, content, study
from tests.guards.checkout import ROOT

SITES = {"kind": "sites", "sets": [{"name": "polypgen", "root": "there"}]}


def test_defaults_are_all_methods_five_seeds_and_selection_on_sources() -> None:
    config = as_config({"data": PHANTOM})
    assert [method.label for method in config.methods] == list(METHODS)
    assert (config.seeds, config.selection, config.classes) == ((0, 1, 2, 3, 4), "validation", ("polyp",))
    assert isinstance(config.data, PhantomData)
    of_sites = as_config({"data": SITES})
    assert isinstance(of_sites.data, SitesData)
    # prototypes are made of phantoms
    assert set(METHODS) - {one.label for one in of_sites.methods} == {"prototypes", "erased-prototypes"}


def test_seeds_just_beside_those_that_are_taken_are_free() -> None:
    for seed in (6_000, 3_000_900, 5_999_998):
        assert study(data={**PHANTOM, "seed": seed}).data.seed == seed


def test_a_method_has_settings_of_its_own() -> None:
    method = {"name": "mcdrl", "as": "deep", "network": {"depth": 5}, "train": {"rate": 0.5}}
    config = study(methods=["mcdrl", method])
    plain, deep = config.methods
    assert (plain.label, plain.plain, deep.label, deep.plain) == ("mcdrl", True, "deep", False)
    assert (config.network_of(plain).depth, config.network_of(deep).depth, config.network_of(deep).hidden) == (1, 5, 16)
    assert (config.train_of(deep).rate, config.train_of(deep).epochs) == (0.5, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {**PHANTOM, "kind": "ct"}}, r"data\.kind: 'ct': choose phantom or sites"),
        ({"data": {**PHANTOM, "siz": 3}}, r"data\.siz: 3: no such key"),
        ({"data": {**PHANTOM, "strength": 0}}, r"data\.strength: 0"),
        ({"data": {**PHANTOM, "do_scenes": 1}}, r"data\.do_scenes: 1: give at least 2"),
        ({"data": {**SITES, "sets": []}}, r"data\.sets: \(\): give at least one"),
        ({"data": {**SITES, "validation": 0.5, "source_test": 0.5}}, r"data\.source_test: 0\.5: with validation it"),
        ({"data": {**SITES, "held_out": []}}, r"data\.source_test: 0\.0: with no site held out"),
        ({"methods": ["mcdlr"]}, r"methods\[0\]\.name: 'mcdlr': choose one of"),
        ({"methods": [{"name": "mcdrl", "network": {"dept": 2}}]}, r"methods\[0\]\.network\.dept: 2: no such"),
        ({"methods": ["mcdrl", {"name": "mcdrl", "train": {"rate": 0}}]}, r"methods: \['mcdrl'\]: give each a name"),
        ({"methods": [{"name": "mcdrl", "train": {"rate": 0}}]}, r"methods\[0\]\.train\.rate: 0\.0: give a number"),
        ({"classes": ["polyp", "tumour"]}, r"classes: .*phantoms have one class"),
        ({"data": {**PHANTOM, "validation": 0}, "selection": "validation"}, r"data\.validation: 0: there is nothing"),
        ({"selection": "test"}, r"selection: 'test': choose 'last' or 'validation' or 'oracle'"),
        ({"seeds": []}, r"seeds: \(\): give at least one"),
        ({"data": {**PHANTOM, "seed": 40}}, r"data\.seed: 40: its scenes meet the phantoms 0 to 5999 that"),
        ({"data": {**PHANTOM, "seed": 3_000_899}}, r"4000000 to 4000899 that prototypes .*give for instance 5000000"),
        ({"data": {**PHANTOM, "seed": 6_000_000}}, r"9000000 to 9999999 that the small CLIP is tested on"),
        ({"data": {**PHANTOM, "seed": 10**8}}, r"from 100000000 on that are written as files"),
        ({"data": {**PHANTOM, "train": 1_000_001}}, r"data\.train: 1000001: give at most 1000000"),
        ({"data": SITES, "methods": ["mcdrl", "prototypes"]}, r"methods\[1\]: 'prototypes': .*say data\.kind: phantom"),
        ({"data": SITES, "methods": ["erased-prototypes"]}, r"methods\[0\]: 'erased-prototypes': prototypes are"),
    ],
)  # fmt: skip
def test_a_slip_is_an_error_that_says_where(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        as_config(content(**changes))


def test_relative_paths_start_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clip").mkdir()
    monkeypatch.setenv("ROOT_OF_IT", "/elsewhere")
    (tmp_path / "study.yaml").write_text(
        "data: {kind: sites, sets: [{name: polypgen, root: here}, {name: kvasir-seg, root: $ROOT_OF_IT/k}]}\n"
        "network: {encoder: clip, confounders: words.yaml}\n"
        "methods: [mcdrl, {name: mcdrl, as: large, network: {encoder: ViT-B-16}}]\n"
    )
    config = read_config(tmp_path / "study.yaml")
    assert isinstance(config.data, SitesData)
    assert [one.root for one in config.data.sets] == [str(tmp_path / "here"), "/elsewhere/k"]
    assert config.network.encoder == str(tmp_path / "clip")
    assert config.network.confounders == str(tmp_path / "words.yaml")
    assert config.network_of(config.methods[1]).encoder == "ViT-B-16"
    monkeypatch.delenv("ROOT_OF_IT")
    with pytest.raises(ConfigError, match="names a variable that is not set"):
        read_config(tmp_path / "study.yaml")


def test_a_record_makes_the_same_study_and_names_no_place() -> None:
    data = {**SITES, "sets": [{"name": "polypgen", "root": "/srv/someone/data"}]}
    config = study(data=data, network={"encoder": "/srv/someone/clip"}, device="cpu")
    assert "someone" not in str(config.record())
    assert as_config(config.record()).record() == config.record()
    assert config.digest() == study(data=data, network={"encoder": "/other/clip"}, device=None).digest()
    assert config.digest() != study(data={**data, "size": 32}, network={"encoder": "/srv/someone/clip"}).digest()


def test_the_digest_sees_what_lies_where_a_path_points_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "weights.bin").write_bytes(b"one")
    (tmp_path / "words.yaml").write_text("a: 1\n")
    network = {"encoder": str(tmp_path / "clip"), "confounders": str(tmp_path / "words.yaml")}
    methods = ["mcdrl", {"name": "mcdrl", "as": "own", "network": {"confounders": str(tmp_path / "words.yaml")}}]

    def now() -> Any:
        return study(network=network, methods=methods)

    first = now()
    record = first.record()
    yaml = hashlib.sha256(b"a: 1\n").hexdigest()
    folder = hashlib.sha256(f"weights.bin {hashlib.sha256(b'one').hexdigest()}\n".encode()).hexdigest()
    assert record["contents"] == {"confounders": yaml, "encoder": folder, "own: confounders": yaml}
    assert as_config(record).record() == record  # which is read where the files are not
    seen = {first.digest()}
    for change in (
        lambda: (tmp_path / "words.yaml").write_text("a: 22\n"),
        lambda: (tmp_path / "clip" / "weights.bin").write_bytes(b"three"),
        lambda: (tmp_path / "clip" / "weights.bin").rename(tmp_path / "clip" / "other.bin"),
    ):
        change()
        assert now().digest() not in seen
        seen.add(now().digest())
    # what comes along may change from version to version
    plain = study().digest()
    (tmp_path / "own.yaml").write_text("b: 1\n")
    monkeypatch.setattr(contents, "OWN", tmp_path / "own.yaml")
    assert study().digest() != plain


def test_digests_are_not_given(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("data: {kind: phantom, train: 4, test: 4}\ncontents: {encoder: abc}\n")
    with pytest.raises(ConfigError, match="contents: digests are written"):
        read_config(tmp_path / "study.yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("mcdrl_*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_that_comes_along_is_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POLYPGEN", "BRONCHOLC", "CLINICDB", "ETIS", "KVASIR"):
        monkeypatch.setenv(f"MONAI_CAUSAL_{name}", "/data")
    config = read_config(path)
    # The rule can be judged in every one of them but those that ask another question: there texts mean nothing, or are
    # compared with images.
    plain = {one.label for one in config.methods if one.plain}
    another = config.network.pretrained == "untrained" or "erased-prototypes" in plain
    assert ({"mcdrl", "random", "shuffled", "learned"} <= plain) != another
    assert len(config.seeds) == 5


def test_reading_one_imports_nothing_heavy() -> None:
    script = (
        "import sys; from monai_causal.apps.mcdrl.plan import plan; "
        "from monai_causal.apps.mcdrl.config import as_config; "
        "sys.exit(', '.join({'torch', 'monai', 'numpy'} & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
