# SPDX-License-Identifier: Apache-2.0
"""The client and a real Orthanc: searched, read, written, and not taken at its word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")
pytest.importorskip("dicomweb_client", reason="extra 'dicomweb' is not installed")

from monai_causal.dicom.safety import open_dicom
from monai_causal.dicom.selection import select_projection
from monai_causal.dicom.study_web import WebStudy
from monai_causal.dicom.web.access import Credentials
from monai_causal.dicom.web.client import DicomWeb, value_of
from monai_causal.dicom.web.delivery import Delivery, deliver
from monai_causal.dicom.web.patience import Patience
from monai_causal.dicom.web.problems import WebError
from tests.dicom.encodings import lut, written
from tests.dicom.orthanc import PASSWORD, USER, Orthanc, running_orthanc
from tests.dicom.studies import ROOT, image, report

pytestmark = pytest.mark.orthanc
SIGN_IN = Credentials(user=USER, password=PASSWORD)
PATIENCE = Patience(attempts=3, first=0.05)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


def test_a_study_goes_in_and_comes_out_as_it_is(orthanc: Orthanc) -> None:
    web = DicomWeb(orthanc.address, SIGN_IN, patience=PATIENCE, page=2)
    files = [written(ds) for ds in (image(1, ViewPosition="LL"), image(2), report(3), image(1, study=2), report(1, 3))]
    for content in files:
        header = open_dicom(content).dataset
        uids = (header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID)
        assert deliver(web, content, *map(str, uids)) == Delivery("file", 1)
        assert web.retrieve_instance(*map(str, uids)) == content
    assert sorted(value_of(one, "0020000D") for one in web.studies()) == [f"{ROOT}.{number}" for number in (1, 2, 3)]
    assert len(web.instances(f"{ROOT}.1")) == 3
    narrowed = DicomWeb(f"{orthanc.address}?ModalitiesInStudy=CR", SIGN_IN)
    assert sorted(value_of(one, "0020000D") for one in narrowed.studies()) == [f"{ROOT}.1", f"{ROOT}.2"]
    selection = select_projection(WebStudy(web, f"{ROOT}.1"))
    assert selection.open().digest == open_dicom(files[1]).digest


def test_a_second_push_changes_nothing_and_a_changed_object_is_noticed(orthanc: Orthanc) -> None:
    web = DicomWeb(orthanc.address, SIGN_IN, patience=PATIENCE)
    uids = (f"{ROOT}.4", f"{ROOT}.4.1", f"{ROOT}.4.1.1")
    ours = written(image(1, study=4))
    assert deliver(web, ours, *uids) == Delivery("file", 1)
    before = orthanc.rest("/statistics"), orthanc.rest("/changes?limit=1000")["Last"]
    assert deliver(web, ours, *uids, perhaps_there=True) == Delivery("file", 0)
    assert deliver(web, ours, *uids).how == "file"
    assert (orthanc.rest("/statistics"), orthanc.rest("/changes?limit=1000")["Last"]) == before
    with pytest.raises(WebError) as caught:
        deliver(web, written(image(1, study=4, ViewPosition="AP")), *uids)
    assert caught.value.code == "kept-another"
    assert web.retrieve_instance(*uids) == ours


def test_bulk_data_are_found_by_their_links(orthanc: Orthanc) -> None:
    web = DicomWeb(orthanc.address, SIGN_IN, patience=PATIENCE)
    entries = list(range(256))
    content = written(image(1, study=5, VOILUTSequence=[lut(entries, 0, 8)]))
    deliver(web, content, f"{ROOT}.5", f"{ROOT}.5.1", f"{ROOT}.5.1.1")
    (metadata,) = web.retrieve_study_metadata(f"{ROOT}.5")
    uri = metadata["7FE00010"]["BulkDataURI"]
    assert web.retrieve_bulk_data(uri) == image(1).PixelData


def test_who_does_not_sign_in_is_told(orthanc: Orthanc) -> None:
    for credentials in (Credentials(), Credentials(user=USER, password="wrong"), Credentials("token")):
        with pytest.raises(WebError) as caught:
            DicomWeb(orthanc.address, credentials, patience=PATIENCE).studies()
        assert caught.value.code == "unauthorized"


def test_what_it_does_not_have_is_not_found(orthanc: Orthanc, tmp_path: Path) -> None:
    web = DicomWeb(orthanc.address, SIGN_IN, patience=PATIENCE)
    with pytest.raises(WebError) as caught:
        web.retrieve_instance(f"{ROOT}.99", f"{ROOT}.99.1", f"{ROOT}.99.1.1")
    assert caught.value.code == "not-found"
