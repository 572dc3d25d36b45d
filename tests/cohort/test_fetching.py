# SPDX-License-Identifier: Apache-2.0
"""A study on a server becomes a file here, checked, and known by its bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")
pytest.importorskip("dicomweb_client", reason="extra 'dicomweb' is not installed")

import pydicom

import monai_causal.dicom.web as web
from monai_causal.apps.medfocus.phantom_study import write_phantom_study
from monai_causal.cohort.fetching import fetched
from monai_causal.cohort.inputs import input_of
from monai_causal.cohort.items import Item


class Server:
    """Has one study; ``other`` makes it send another instance than the one asked for."""

    def __init__(self, study: Path, other: Path | None = None) -> None:
        self.files = [path for path in sorted(study.rglob("*")) if path.suffix == ".dcm"]
        self.other = other

    def __call__(self, address: str, credentials: Any) -> Server:
        self.address = address
        return self

    def retrieve_study_metadata(self, uid: str) -> list[Any]:
        return [pydicom.dcmread(path, stop_before_pixels=True).to_json_dict() for path in self.files]

    def retrieve_instance(self, study: str, series: str, instance: str) -> bytes:
        if self.other is not None:
            return self.other.read_bytes()
        return next(path for path in self.files if pydicom.dcmread(path).SOPInstanceUID == instance).read_bytes()


def item_of(server: Server) -> Item:
    uid = str(pydicom.dcmread(server.files[0]).StudyInstanceUID)
    return Item(3, {"address": "http://localhost/dicom-web", "uid": uid, "site": "north"})


def test_the_radiograph_comes_as_a_file_and_its_bytes_are_the_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(write_phantom_study(5, tmp_path / "study", (64, 64), "dx"))
    monkeypatch.setattr(web, "DicomWeb", server)
    here = fetched(item_of(server), tmp_path)
    assert server.address == "http://localhost/dicom-web"
    assert set(here.content) == {"site", "study"}
    assert Path(here.content["study"]).read_bytes() in [path.read_bytes() for path in server.files]
    assert input_of(here).digest == input_of(Item(9, {"site": "north", "study": here.content["study"]})).digest


def test_another_instance_than_the_one_that_was_chosen_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Server(write_phantom_study(6, tmp_path / "other", (64, 64), "dx"))
    server = Server(write_phantom_study(5, tmp_path / "study", (64, 64), "dx"), other.files[0])
    monkeypatch.setattr(web, "DicomWeb", server)
    with pytest.raises(ValueError, match="another file than the one whose header was read"):
        fetched(item_of(server), tmp_path)
    assert not list(tmp_path.glob("*.dcm"))


def test_what_is_here_already_stays_as_it_is(tmp_path: Path) -> None:
    item = Item(0, {"image": "a.png"})
    assert fetched(item, tmp_path) is item
