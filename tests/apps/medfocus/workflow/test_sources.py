# SPDX-License-Identifier: Apache-2.0
"""What a folder or a server has, and what has changed since."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")
pytest.importorskip("dicomweb_client", reason="extra 'dicomweb' is not installed")

from monai_causal.apps.medfocus.workflow import sources as workflow_sources
from monai_causal.apps.medfocus.workflow.commit import digest_of
from monai_causal.apps.medfocus.workflow.sources import FolderSource, WebSource
from monai_causal.dicom.web.client import DicomWeb
from monai_causal.dicom.web.patience import Patience
from monai_causal.dicom.web.problems import WebError
from tests.dicom.encodings import written
from tests.dicom.faulty_server import faulty_server
from tests.dicom.studies import ROOT, image, lay


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read."""
    names: list[str] = []
    original = workflow_sources.survey

    def survey(source, *arguments):  # type: ignore[no-untyped-def]
        names.extend(path.name for path in source)
        return original(source, *arguments)

    monkeypatch.setattr(workflow_sources, "survey", survey)
    return names


def test_a_folder_is_grouped_into_studies(tmp_path: Path) -> None:
    lay(tmp_path, {"b/1.dcm": image(1), "a/2.dcm": image(2), "c.dcm": image(1, study=2), "x.txt": b"x"})
    listing = FolderSource(tmp_path).listing()
    assert [found.uid for found in listing.studies] == [f"{ROOT}.2", f"{ROOT}.1"]  # of a folder its own files first
    (study,) = listing.studies[1].look().studies
    assert [one.number for one in study.instances] == [2, 1]
    assert [(gone.code, gone.place) for _, gone in listing.refused] == [("not-dicom", "")]


def test_only_what_changed_is_read_again(tmp_path: Path, read: list[str]) -> None:
    lay(tmp_path, {"1.dcm": image(1), "2.dcm": image(1, study=2), "x.txt": b"x"})
    source = FolderSource(tmp_path)
    first = source.listing()
    assert read == ["1.dcm", "2.dcm", "x.txt"]
    lay(tmp_path, {"2.dcm": image(2, study=2), "3.dcm": image(3)})
    read.clear()
    second = source.listing()
    assert read == ["2.dcm", "3.dcm"]
    assert [one.signature for one in first.studies] != [one.signature for one in second.studies]
    assert [one.number for one in second.studies[0].look().studies[0].instances] == [1, 3]
    assert second.refused == first.refused


def test_a_signature_is_of_the_content(tmp_path: Path) -> None:
    lay(tmp_path, {"1.dcm": image(1), "2.dcm": image(2)})
    source = FolderSource(tmp_path)
    before = source.listing().studies[0].signature
    os.utime(tmp_path / "1.dcm", (0, 0))
    assert source.listing().studies[0].signature == before
    (tmp_path / "2.dcm").unlink()
    assert source.listing().studies[0].signature != before
    (tmp_path / "1.dcm").unlink()
    assert source.listing().studies == ()


def test_links_that_lead_out_and_files_that_are_none(tmp_path: Path) -> None:
    lay(tmp_path / "out", {"1.dcm": image(1)})
    inside = lay(tmp_path / "in", {"broken.dcm": b"\0" * 128 + b"DICM"})
    (inside / "link.dcm").symlink_to(tmp_path / "out" / "1.dcm")
    (inside / "nothing.dcm").symlink_to(tmp_path / "nowhere")
    os.mkfifo(inside / "pipe")
    listing = FolderSource(inside).listing()
    assert listing.studies == ()
    assert [gone.code for _, gone in listing.refused] == ["refused", "leaves-folder", "not-regular"]
    assert listing.refused[0][1].item == f"file 1 ({digest_of(inside / 'broken.dcm')[:12]})"
    assert len({signature for signature, _ in listing.refused}) == 3


def test_one_file_is_a_source_too(tmp_path: Path) -> None:
    lay(tmp_path, {"1.dcm": image(1), "2.dcm": image(2)})
    (study,) = FolderSource(tmp_path / "2.dcm").listing().studies
    assert [one.number for one in study.look().studies[0].instances] == [2]
    with pytest.raises(ValueError, match="neither a folder"):
        FolderSource(tmp_path / "gone")


def web(address: str) -> WebSource:
    return WebSource(DicomWeb(address, patience=Patience(attempts=2, first=0.001)))


def test_a_server_lists_studies_and_tells_their_instances_when_asked() -> None:
    with faulty_server(written(image(1)), written(image(1, study=2))) as server:
        source = web(server.address)
        listing = source.listing()
        assert [found.uid for found in listing.studies] == [f"{ROOT}.1", f"{ROOT}.2"]
        assert set(server.asked) == {"qido"}
        server.add(written(image(2)))
        again = source.listing()
        same = [one.signature == other.signature for one, other in zip(listing.studies, again.studies, strict=True)]
        assert same == [False, True]
        assert len(again.studies[0].look().studies[0].instances) == 2


def test_instances_are_counted_where_the_server_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow_sources, "_COUNT", "00081190")  # an attribute that no search gives
    with faulty_server(written(image(1))) as server:
        source = web(server.address)
        before = source.listing().studies[0].signature
        server.add(written(image(2)))
        assert source.listing().studies[0].signature != before


def test_a_server_that_cannot_be_asked_is_told() -> None:
    with faulty_server() as server:
        server.faults["qido"] = [503, 503]
        with pytest.raises(WebError) as caught:
            web(server.address).listing()
        assert caught.value.code == "http-503"
