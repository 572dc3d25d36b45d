# SPDX-License-Identifier: Apache-2.0
"""The doctor sees what is there, what is broken, and says how to mend it."""

from __future__ import annotations

import configparser
import copy
import importlib.metadata
import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from packaging.specifiers import SpecifierSet

from monai_causal import doctor
from monai_causal.dicom import decoders
from tests.guards.checkout import ROOT
from tests.test_extras import distribution


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return doctor.examine()


def test_the_core_is_that_of_setup_cfg() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    assert set(doctor.CORE) == set(map(distribution, parser["options"]["install_requires"].split()))


def test_a_sound_core_is_called_sound(report: dict[str, Any]) -> None:
    assert report["schema"] == "monai_causal/doctor/1"
    assert {library["name"]: library["version"] for library in report["core"][:-1]} == {
        name: importlib.metadata.version(name) for name in doctor.CORE
    }
    assert [library["problem"] for library in report["core"]] == [None] * (len(doctor.CORE) + 1)
    assert report["ok"] is True


def test_json_is_all_that_is_printed() -> None:
    command = [sys.executable, "-m", "monai_causal", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    printed = json.loads(done.stdout)
    assert (done.returncode, printed["schema"], printed["ok"]) == (0, "monai_causal/doctor/1", True)


def test_a_library_that_prints_on_import_does_not_reach_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "noisy_library.py").write_text("import os\nprint('from Python')\nos.write(1, b'from C')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(doctor, "CORE", ("noisy_library",))
    doctor.examine()
    out, err = capfd.readouterr()
    assert out == ""
    assert "from Python" in err
    assert "from C" in err


def test_a_core_library_that_does_not_import_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nibabel", None)
    broken = doctor.examine()
    assert broken["ok"] is False
    (problem,) = [library["problem"] for library in broken["core"] if library["problem"]]
    assert problem.startswith("ModuleNotFoundError: import of nibabel halted")
    assert broken["missing"][0] == {"what": f"nibabel: {problem}", "how": doctor.REINSTALL}
    assert doctor.describe(broken).startswith(f"monai_causal {broken['version']}: the core does NOT work\n")


def test_a_core_library_that_is_too_old_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_specifiers", lambda: {"tqdm": SpecifierSet(">=999")})
    broken = doctor.examine()
    version = importlib.metadata.version("tqdm")
    assert [library["problem"] for library in broken["core"] if library["problem"]] == [
        f"needs tqdm>=999 (installed: {version})"
    ]
    assert broken["ok"] is False


def test_the_versions_asked_for_are_those_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        importlib.metadata, "requires", lambda name: ["Monai>=1.6.1", 'open_clip_torch>=3; extra == "clip"']
    )
    assert doctor._specifiers() == {"monai": SpecifierSet(">=1.6.1"), "open-clip-torch": SpecifierSet(">=3")}


def broken_nms(*arguments: object) -> None:
    raise RuntimeError("operator torchvision::nms does not exist")


@pytest.mark.parametrize(
    ("nms", "problem"),
    [
        (broken_nms, "RuntimeError: operator torchvision::nms does not exist"),
        (lambda *arguments: torch.tensor([0, 1]), "nms kept [0, 1] of two equal boxes, not [1]"),
    ],
)
def test_a_torchvision_that_does_not_fit_is_seen_but_is_not_the_core(
    nms: object, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.ops", types.SimpleNamespace(nms=nms))
    broken = doctor.examine()
    assert broken["torchvision"]["matches_torch"] is False
    assert broken["torchvision"]["problem"] == problem
    assert broken["missing"][0]["what"] == f"torchvision does not fit torch: {problem}"
    assert "constraints.txt" in broken["missing"][0]["how"]
    assert broken["ok"] is True


def test_the_installed_torchvision_fits(report: dict[str, Any]) -> None:
    pytest.importorskip("torchvision", reason="the extra 'bench' is not installed")
    assert report["torchvision"]["matches_torch"] is True


def test_an_incomplete_extra_says_what_is_missing(report: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ot", None)
    monkeypatch.setattr(doctor, "_specifiers", lambda: {"timm": SpecifierSet(">=999")})
    extras = doctor._extras()
    assert extras["cxr"]["complete"] is False
    assert extras["cxr"]["missing"][0] == "pot"
    assert extras["cxr"]["install"] == "pip install 'monai-causal[cxr]'"
    assert extras["networks"]["too_old"] == [f"timm>=999 (installed: {importlib.metadata.version('timm')})"]
    untouched = set(extras) - {"cxr", "networks"}
    assert {name: extras[name] for name in untouched} == {name: report["extras"][name] for name in untouched}


def test_what_is_missing_is_listed_with_how_to_get_it(report: dict[str, Any]) -> None:
    sick = copy.deepcopy(report)
    sick["extras"]["cxr"].update(complete=False, missing=["pot"], too_old=["transformers>=5.0 (installed: 4.0)"])
    sick["dicom_decoders"]["transfer_syntaxes"] = [
        {"keyword": keyword, "uid": "1", "plugins": plugins, "needs": [], "advice": advice}
        for keyword, plugins, advice in (
            ("JPEGExtended12Bit", ["pillow"], "ask"),
            ("JPEGLossless", [], "convert"),
            ("JPEGLosslessSV1", [], "convert"),
            ("RLELossless", ["pydicom"], None),
        )
    ]
    sick["models"] = []
    listed = doctor._missing(sick)
    assert {
        "what": "extra cxr: pot, transformers>=5.0 (installed: 4.0)",
        "how": "pip install 'monai-causal[cxr]'",
    } in listed
    assert [item for item in listed if item["what"].startswith("DICOM decoder")] == [
        {"what": "DICOM decoder for JPEGExtended12Bit", "how": "ask"},
        {"what": "DICOM decoder for JPEGLossless, JPEGLosslessSV1", "how": "convert"},
    ]
    assert any("$MONAI_CAUSAL_MODELS" in item["how"] for item in listed)
    sick["missing"] = listed
    text = doctor.describe(sick)
    assert "  cxr          missing: pot; too old: transformers>=5.0 (installed: 4.0)\n" in text
    assert "  JPEGExtended12Bit: pillow, not for all files\n  JPEGLossless: none\n" in text
    for item in listed:
        assert f"  {item['what']}\n    -> {item['how']}" in text


def test_models_are_found_by_what_lies_in_their_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "first/bundle/configs/metadata.json",
        "first/clip/open_clip_config.json",
        "first/clip/config.json",
        "first/owner/vlm/config.json",
        "first/weights/model.safetensors",
        "first/notes/readme.txt",
        "first/config.json",
        "second/other/config.json",
        "cache/monai_causal/models/cached/config.json",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setenv(
        "MONAI_CAUSAL_MODELS", os.pathsep.join(str(tmp_path / name) for name in ("first", "second", "x"))
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first, second, absent, cache, bundled = doctor.model_folders()
    assert first["models"] == [
        {"name": "bundle", "kind": "MONAI bundle"},
        {"name": "clip", "kind": "open_clip"},
        {"name": "owner/vlm", "kind": "transformers"},
        {"name": "weights", "kind": "safetensors"},
    ]
    assert second["models"] == [{"name": "other", "kind": "transformers"}]
    assert (absent["exists"], absent["models"]) == (False, [])
    assert (cache["source"], cache["models"]) == ("cache", [{"name": "cached", "kind": "transformers"}])
    assert (bundled["source"], bundled["path"]) == ("bundled", str(ROOT / "bundles"))


def test_decoders_are_those_of_pydicom(report: dict[str, Any]) -> None:
    pydicom = pytest.importorskip("pydicom", minversion="3", reason="the extra 'dicom' is not installed")
    found = report["dicom_decoders"]
    assert found["pydicom"] == pydicom.__version__
    plugins = {syntax["keyword"]: syntax["plugins"] for syntax in found["transfer_syntaxes"]}
    assert "pydicom" in plugins["RLELossless"]  # its own decoder, always there
    assert ("pylibjpeg" in plugins["HTJ2K"]) == (importlib.util.find_spec("openjpeg") is not None)


def test_the_decoders_are_reported_as_the_reader_uses_them(report: dict[str, Any]) -> None:
    assert report["dicom_decoders"] == decoders.report()


def test_without_pydicom_the_decoders_name_the_extra(report: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    monkeypatch.setitem(sys.modules, "pydicom.pixels", None)
    without = {**report, "dicom_decoders": decoders.report()}
    assert "DICOM decoders\n  MissingExtraError: pydicom is not installed" in doctor.describe(without)
    assert "monai-causal[dicom]" in doctor.describe(without)
    assert not any(item["what"].startswith("DICOM decoder") for item in doctor._missing(without))


def test_where_the_reader_does_not_import_the_doctor_still_speaks(
    report: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "monai_causal.dicom.decoders", None)
    found = doctor._dicom_decoders()
    assert found["problem"].startswith("ModuleNotFoundError: import of monai_causal.dicom.decoders halted")
    assert doctor.describe({**report, "dicom_decoders": found}).count(found["problem"]) == 1


def test_memory_is_what_the_system_says(report: dict[str, Any]) -> None:
    table = Path("/proc/meminfo")
    if not table.exists():
        pytest.skip("this system has no /proc/meminfo to compare with")
    total = next(int(line.split()[1]) for line in table.read_text().splitlines() if line.startswith("MemTotal:"))
    assert report["resources"]["memory"]["total_bytes"] == total * 1024
