# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_causal.dicom import decoders
from monai_causal.dicom.decoders import Decoder, available, decoder_for, report
from monai_causal.dicom.errors import DicomError
from monai_causal.extras import OPTIONAL

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from pydicom import uid as uids


def with_plugins(monkeypatch: pytest.MonkeyPatch, **plugins: tuple[str, ...]) -> None:
    known = {getattr(uids, keyword): names for keyword, names in plugins.items()}
    monkeypatch.setattr(decoders, "_plugins", lambda uid: known.get(uid, ()))


def test_uncompressed_ones_need_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with_plugins(monkeypatch)
    assert available() == {
        uid: Decoder("pydicom", None)
        for uid in (
            uids.ImplicitVRLittleEndian,
            uids.ExplicitVRLittleEndian,
            uids.ExplicitVRBigEndian,
            uids.DeflatedExplicitVRLittleEndian,
        )
    }
    assert decoder_for(uids.ImplicitVRLittleEndian) == Decoder("pydicom", None)


def test_the_decoder_that_gives_all_bits_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with_plugins(
        monkeypatch,
        JPEG2000=("gdcm", "pillow", "pylibjpeg"),
        JPEGLossless=("gdcm", "pylibjpeg"),
        JPEGLosslessSV1=("gdcm",),
        JPEGLSLossless=("pylibjpeg", "pyjpegls"),
        JPEGBaseline8Bit=("gdcm", "pillow"),
        RLELossless=("pylibjpeg", "pydicom"),
    )
    found = available()
    assert found[uids.JPEG2000] == ("pylibjpeg", "pylibjpeg-openjpeg")
    assert found[uids.JPEGLossless] == ("pylibjpeg", "pylibjpeg-libjpeg")
    assert found[uids.JPEGLosslessSV1] == ("gdcm", "python-gdcm")
    assert found[uids.JPEGLSLossless] == ("pyjpegls", "pyjpegls")
    assert found[uids.JPEGBaseline8Bit] == ("pillow", "pillow")
    assert found[uids.RLELossless] == ("pydicom", None)


def test_pillow_reads_extended_jpeg_of_eight_bits_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with_plugins(monkeypatch, JPEGExtended12Bit=("pillow",))
    assert uids.JPEGExtended12Bit not in available()
    assert decoder_for(uids.JPEGExtended12Bit, 8) == ("pillow", "pillow")
    with pytest.raises(DicomError, match=r"JPEG Extended .*4\.51\) with 12 bits: .*jpeg-gpl"):
        decoder_for(uids.JPEGExtended12Bit, 12)


@pytest.mark.parametrize("keyword", decoders.COMPRESSED)
def test_a_missing_decoder_names_syntax_and_remedy(monkeypatch: pytest.MonkeyPatch, keyword: str) -> None:
    with_plugins(monkeypatch)
    uid = getattr(uids, keyword)
    with pytest.raises(DicomError) as caught:
        decoder_for(uid)
    message = str(caught.value)
    assert f"{uid.name} ({uid})" in message
    extras = [extra for extra in ("dicom", "jpeg-gpl") if f"pip install 'monai-causal[{extra}]'" in message]
    lossless_or_extended = keyword.startswith(("JPEGLossless", "JPEGExtended"))
    assert extras == (["jpeg-gpl"] if lossless_or_extended else ["dicom"])
    assert set(extras) <= {extra for library in OPTIONAL.values() for extra in library.extras}
    if lossless_or_extended:  # the way without the GPL stands before it
        assert message.index("dcmdjpeg") < message.index("GPL")


def test_films_are_not_read() -> None:
    with pytest.raises(DicomError, match=r"MPEG2 .*no still picture"):
        decoder_for(uids.MPEG2MPML)


def test_the_doctor_gets_every_compressed_syntax(monkeypatch: pytest.MonkeyPatch) -> None:
    full = report()
    assert full["problem"] is None
    assert full["pydicom"]
    assert [entry["keyword"] for entry in full["transfer_syntaxes"]] == list(decoders.COMPRESSED)
    for entry in full["transfer_syntaxes"]:
        assert (entry["advice"] is None) == (entry["uid"] in available())
    rle = next(entry for entry in full["transfer_syntaxes"] if entry["keyword"] == "RLELossless")
    assert "pydicom" in rle["plugins"]

    def absent(name: str) -> None:
        raise ModuleNotFoundError("No module named 'pydicom'")

    monkeypatch.setattr(decoders, "require", absent)
    empty = report()
    assert empty["transfer_syntaxes"] == []
    assert empty["problem"] == "ModuleNotFoundError: No module named 'pydicom'"
