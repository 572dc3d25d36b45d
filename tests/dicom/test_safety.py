# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import io
import logging
import os
import random
import struct
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_causal.dicom.decoding import decode_frames
from monai_causal.dicom.errors import quiet
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.safety import DicomError, open_dicom
from monai_causal.dicom.structure import walk_meta
from tests.dicom.samples import (
    BIG,
    Dataset,
    deflated_bomb,
    encoded,
    header,
    mutated,
    nested,
    picture,
    pydicom,
    uids,
    written,
)

CANARY = "CANARYDOE"
MIB = 2**20


def changed(**values: Any) -> bytes:
    """A plain file with some header values replaced; None takes one away."""
    dataset = header(picture())
    with quiet():
        for keyword, value in values.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
    return written(dataset)


def test_path_bytes_and_dataset_open_alike(tmp_path: Path) -> None:
    content = encoded(uids.ExplicitVRLittleEndian)
    path = tmp_path / "file.dcm"
    path.write_bytes(content)
    dataset = pydicom.dcmread(io.BytesIO(content))
    opened = [open_dicom(source) for source in (path, str(path), content, dataset)]
    assert {item.digest for item in opened} == {hashlib.sha256(content).hexdigest()}
    assert {item.size for item in opened} == {len(content)}
    for item in opened:
        assert item.transfer_syntax == uids.ExplicitVRLittleEndian
        assert item.pixels == (1, 40, 33, 1, 16, 12, False, False, "MONOCHROME2")
        assert "PixelData" not in item.dataset
        assert item.dataset.ViewCodeSequence[0].CodeValue == "R-10206"
        assert item.dataset.file_meta.MediaStorageSOPInstanceUID == "1.2.3.4"
        assert item.remarks == ()
    assert dataset.PixelData == pydicom.dcmread(path).PixelData


def test_a_dataset_without_file_meta_opens() -> None:
    dataset = header(picture())
    del dataset.file_meta
    dataset["PixelData"].VR = "OW"
    opened = open_dicom(dataset)
    np.testing.assert_array_equal(decode_frames(opened), picture())
    assert not hasattr(dataset, "file_meta")


def test_an_object_without_a_picture_opens_and_has_no_pixels() -> None:
    report = Dataset()
    report.file_meta = header(picture()).file_meta
    report.Modality = "SR"
    opened = open_dicom(written(report))
    assert opened.pixels is None
    with pytest.raises(DicomError, match=rf"^DICOM file {opened.digest[:12]}: it has no pixel data"):
        decode_frames(opened)


def test_another_type_is_the_callers_mistake() -> None:
    with pytest.raises(TypeError, match="not int"):
        open_dicom(3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"%PDF-1.7", "no DICOM file"),
        (bytes(128) + b"DICM", "names no transfer syntax"),
        (bytes(128) + b"DICN" + bytes(1000), "no DICOM file"),
        (bytes(100_000), "no DICOM file"),
        (changed(Rows=0), "its Rows is 0"),
        (changed(Columns=0), "its Columns is 0"),
        (changed(Rows=None), "it has pixel data, but no Rows"),
        (changed(Columns=[3, 4]), "its Columns is not one whole number"),
        (changed(NumberOfFrames=0), "its NumberOfFrames is 0"),
        (changed(NumberOfFrames=-1), "its NumberOfFrames is -1"),
        (changed(NumberOfFrames=2), "declares 5280 bytes of pixel data, 2640 are there"),
        (changed(NumberOfFrames=2**31 - 1), "declares 2147483647 frames; at most 16"),
        (changed(Rows=41), "declares 2706 bytes of pixel data, 2640 are there"),
        (changed(Rows=39), "declares 2574 bytes of pixel data, 2640 are there"),
        (changed(SamplesPerPixel=2), "2 samples per pixel"),
        (changed(BitsAllocated=12), "12 bits stored of 12 allocated"),
        (changed(BitsStored=17), "17 bits stored of 16 allocated"),
        (changed(Rows=65535, Columns=65535), r"1 x 65535 x 65535 x 1 pixel values; at most \d+ are read"),
        (changed(SOPInstanceUID="../../etc/x"), "its SOPInstanceUID is no UID"),
        (changed(StudyInstanceUID="1." * 33), "its StudyInstanceUID is no UID"),
        (changed(PixelData=b""), "declares 2640 bytes of pixel data, 0 are there"),
        (encoded(uids.ExplicitVRLittleEndian)[:-1], "cut off: 2640 bytes are announced, 2639 are there"),
        (encoded(uids.RLELossless)[:-9], "encapsulated pixel data are cut off"),
        (nested(300), "nested more than 16 deep"),
        (nested(300, defined=True), "nested more than 16 deep"),
        (nested(300, implicit=True), "nested more than 16 deep"),
        (nested(300, defined=True, implicit=True), "nested more than 16 deep"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(DicomError, match=reason):
        open_dicom(content)


def test_a_lying_transfer_syntax_is_refused() -> None:
    dataset = header(picture())
    for syntax, reason in (
        (uids.RLELossless, "its pixel data are not encapsulated"),
        ("1.2.3", "its transfer syntax is unknown: 1.2.3"),
        (CANARY, "its transfer syntax is no UID"),
    ):
        with pydicom.config.disable_value_validation():
            dataset.file_meta.TransferSyntaxUID = uids.ExplicitVRLittleEndian
            content = written(dataset)
        # the name of the syntax is replaced in the bytes, the data set stays what it is
        old = struct.pack("<HH2sH", 2, 0x10, b"UI", 20) + b"1.2.840.10008.1.2.1\0"
        value = syntax.encode() + b"\0" * (len(syntax) % 2)
        assert old in content
        with pytest.raises(DicomError, match=reason):
            open_dicom(content.replace(old, struct.pack("<HH2sH", 2, 0x10, b"UI", len(value)) + value))
    rle = encoded(uids.RLELossless)
    old = struct.pack("<HH2sH", 2, 0x10, b"UI", 20) + b"1.2.840.10008.1.2.5\0"
    assert old in rle
    with pytest.raises(DicomError, match="its pixel data are encapsulated, though"):
        open_dicom(rle.replace(old, old[:-2] + b"1\0"))


def test_more_frames_than_fragments_are_refused() -> None:
    dataset = pydicom.dcmread(io.BytesIO(encoded(uids.RLELossless)))
    dataset.NumberOfFrames = 3
    with pytest.raises(DicomError, match="declares 3 frames, but holds 1 fragments"):
        open_dicom(written(dataset))


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent", Path("/dev/zero"), "a\0b"):
        with pytest.raises(DicomError, match=r"^the file cannot be read: (EISDIR|ENOENT|it is no regular|ValueError)"):
            open_dicom(path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(DicomError, match="no regular file"):
            open_dicom(tmp_path / "pipe")


def test_file_size_is_limited_to_the_byte(tmp_path: Path) -> None:
    content = encoded(uids.ExplicitVRLittleEndian)
    path = tmp_path / "file.dcm"
    path.write_bytes(content)
    for source in (path, content):
        open_dicom(source, Limits(file_bytes=len(content)))
        with pytest.raises(DicomError, match=rf"larger than {len(content) - 1} bytes"):
            open_dicom(source, Limits(file_bytes=len(content) - 1))


def test_pixels_and_frames_are_limited() -> None:
    content = encoded(uids.ExplicitVRLittleEndian, picture(3))
    opened = open_dicom(content, Limits(frames=3, pixels=3 * 40 * 33))
    for limits in (Limits(frames=2), Limits(pixels=3 * 40 * 33 - 1)):
        with pytest.raises(DicomError, match="at most"):
            open_dicom(content, limits)
        with pytest.raises(DicomError, match="at most"):
            decode_frames(opened, limits, [0])


def test_deflated_files_are_read_when_asked_for_and_within_bounds() -> None:
    content = encoded(uids.DeflatedExplicitVRLittleEndian)
    with pytest.raises(DicomError, match=r"Deflated Explicit .*Limits\(deflated=True\)"):
        open_dicom(content)
    np.testing.assert_array_equal(decode_frames(open_dicom(content, Limits(deflated=True))), picture())
    with pytest.raises(DicomError, match="deflated data are cut off"):
        open_dicom(content[:-40], Limits(deflated=True))
    with pytest.raises(DicomError, match="inflates to more than 1000 bytes"):
        open_dicom(content, Limits(deflated=True, inflated_bytes=1000))


def test_the_inflating_bomb_is_refused() -> None:
    bomb = deflated_bomb()
    assert len(bomb) < 0.6 * MIB
    with pytest.raises(DicomError, match="refused because a small file may inflate"):
        open_dicom(bomb)
    with pytest.raises(DicomError, match=rf"inflates to more than {8 * MIB} bytes"):
        open_dicom(bomb, Limits(deflated=True, inflated_bytes=8 * MIB))
    # that it is one: within its bounds it would be read up to what the header does not declare
    with pytest.raises(DicomError, match="no Rows"):
        open_dicom(deflated_bomb(4 * MIB), Limits(deflated=True))


@pytest.mark.parametrize("syntax", [uids.ExplicitVRLittleEndian, uids.ImplicitVRLittleEndian, BIG])
def test_a_bare_data_set_is_read_when_asked_for(syntax: str) -> None:
    content = encoded(syntax)
    start = walk_meta(content, 132)
    for bare in (content[start:], content[132:]):
        with pytest.raises(DicomError, match="no preamble"):
            open_dicom(bare)
        opened = open_dicom(bare, Limits(without_preamble=True))
        assert opened.transfer_syntax == syntax
        np.testing.assert_array_equal(decode_frames(opened), picture())
    with pytest.raises(DicomError, match=r"structure is broken|not end|names no"):
        open_dicom(b"\x08\x00" + bytes(range(256)) * 10, Limits(without_preamble=True))


def test_values_that_cannot_be_read_are_left_out_and_named() -> None:
    dataset = header(picture())
    dataset.add(pydicom.DataElement(0x00281050, "LO", CANARY))  # WindowCenter, a number as text
    content = written(dataset).replace(b"\x28\x00\x50\x10LO", b"\x28\x00\x50\x10DS")
    opened = open_dicom(content)
    assert opened.remarks == ("(0028,1050) could not be read and is left out",)
    assert "WindowCenter" not in opened.dataset
    assert opened.dataset.WindowWidth == 3000
    assert opened.pixels is not None


def planted() -> Dataset:
    """A canary in every element of text that the dictionary knows in the usual groups, fitting or not."""
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    dataset = header(picture())
    text = {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"}
    keep = {"NumberOfFrames", "PhotometricInterpretation", "SpecificCharacterSet"}
    for number, entry in pydicom.datadict.DicomDictionary.items():
        if entry[0] in text and number >> 16 in (0x08, 0x10, 0x18, 0x20, 0x28, 0x32, 0x40) and entry[4] not in keep:
            tag, value = Tag(number), f"{CANARY}{number:08X} ".encode()
            dataset[tag] = RawDataElement(tag, entry[0], len(value), value, 0, False, True)
    assert len(dataset) > 1000
    return dataset


def test_canaries_of_patient_data_appear_nowhere(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    pydicom.config.debug(True, default_handler=False)
    said = []
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            for number, content in enumerate(_contents_with_canaries()):
                path = tmp_path / f"{CANARY}-{number}.dcm"
                path.write_bytes(content)
                for source in (path, content):
                    said += _everything_said(source)
            said += _everything_said(tmp_path / CANARY)
            said += _everything_said(planted())
    finally:
        pydicom.config.debug(False)
    captured = capfd.readouterr()
    everything = "\n".join([*said, captured.out, captured.err, caplog.text, *(str(item.message) for item in warned)])
    assert CANARY not in everything
    # one of each pair opened and had something to remark; the others were refused
    assert everything.count("OpenedFile(") >= 3
    assert sum("DicomError" in text for text in said) >= 13


def _contents_with_canaries() -> list[bytes]:
    plain = written(planted())
    shorter, wrong, unknown, broken, no_decoder = (planted() for _ in range(5))
    shorter.Rows = 41
    unknown.file_meta.TransferSyntaxUID = uids.RLELossless
    canary = CANARY.encode()
    wrong["SOPInstanceUID"] = pydicom.DataElement(0x00080018, "LO", CANARY)
    broken.file_meta.TransferSyntaxUID = uids.JPEG2000Lossless
    no_decoder.file_meta.TransferSyntaxUID = uids.MPEG2MPML
    for dataset in (broken, no_decoder):
        dataset.PixelData = pydicom.encaps.encapsulate([canary * 20])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    return [plain, plain[:2000], plain[:-1], *(written(item) for item in (shorter, wrong, broken, no_decoder)), canary]


def _everything_said(source: Any) -> list[str]:
    """What a careless caller would print: the object, or the error with its traceback."""
    try:
        opened = open_dicom(source)
        array = decode_frames(opened)
    except DicomError as error:
        return [repr(error) + "".join(line for line in traceback.format_exception(error) if "source" not in line)]
    return [repr(opened), str(opened), *opened.remarks, str(array.shape)]


def test_mutated_headers_end_in_a_file_or_our_error() -> None:
    generator = random.Random(7)
    bases = [encoded(syntax) for syntax in (uids.ExplicitVRLittleEndian, uids.ImplicitVRLittleEndian, BIG)]
    bases += [nested(8), nested(8, defined=True), nested(8, implicit=True)]
    outcomes = {"opened": 0, "refused": 0}
    for index in range(600):
        try:
            open_dicom(mutated(bases[index % len(bases)], generator))
            outcomes["opened"] += 1
        except DicomError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 50
