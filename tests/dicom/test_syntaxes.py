# SPDX-License-Identifier: Apache-2.0
"""A radiograph in every transfer syntax: lossless ones to the bit, lossy ones within their loss, or a package named."""

from __future__ import annotations

import numpy as np
import pytest

from monai_causal.dicom.decoders import COMPRESSED, decoder_for
from monai_causal.dicom.decoding import decode_frames
from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.projection import read_projection
from monai_causal.dicom.safety import NATIVE, open_dicom
from tests.dicom.syntaxes import FILES, FOLDER, Encoded, chest, plain, uids

DEFLATED = Limits(deflated=True)
# What the extra 'dicom' decodes on every machine; the others need a package that it does not bring.
ELSEWHERE = {"JPEG extended, 12 bits", "JPEG lossless", "JPEG lossless, first order"}


def has_decoder(file: Encoded) -> bool:
    try:
        decoder_for(file.syntax, file.bits)
    except DicomError:
        return False
    return True


def test_every_transfer_syntax_is_there() -> None:
    assert {file.syntax for file in FILES.values()} == {*NATIVE, *(getattr(uids, name) for name in COMPRESSED)}


@pytest.mark.parametrize("name", FILES)
def test_a_radiograph_is_decoded_or_the_error_names_the_package(name: str) -> None:
    file = FILES[name]
    opened = open_dicom(file.content(), DEFLATED)
    assert opened.transfer_syntax == file.syntax
    if not has_decoder(file):
        assert name in ELSEWHERE
        with pytest.raises(DicomError, match=rf"{opened.item}: no decoder .*{file.syntax}.*monai-causal\[jpeg-gpl\]"):
            read_projection(opened)
        return
    stored = decode_frames(opened)[0]
    difference = np.abs(stored.astype(np.int64) - chest(file.bits))
    assert difference.max() <= file.loss * (2**file.bits - 1)
    projection, exact = read_projection(opened), read_projection(plain(file.bits))
    assert np.abs(projection.pixels - exact.pixels).max() <= file.loss + 1e-6
    if file.loss == 0:
        np.testing.assert_array_equal(projection.pixels, exact.pixels)
        assert projection.provenance.stored_sha256 == exact.provenance.stored_sha256
    else:
        assert difference.any()
    remarks = {remark.code for remark in projection.remarks}
    assert remarks == (set() if file.loss == 0 else {"lossy-unknown"} if name == "JPEG 2000" else {"lossy"})


def test_loss_that_only_the_transfer_syntax_tells_of_is_remarked() -> None:
    from pydicom import dcmread

    from tests.dicom.samples import io, written

    for name, code in (("JPEG baseline", "lossy"), ("JPEG-LS near-lossless", "lossy-unknown")):
        ds = dcmread(io.BytesIO(FILES[name].content()))
        del ds.LossyImageCompression
        assert [remark.code for remark in read_projection(written(ds)).remarks] == [code]


def test_the_kept_files_are_small_and_all_used() -> None:
    kept = {path.name: path.stat().st_size for path in FOLDER.glob("*.dcm")}
    assert len(kept) == 9
    assert max(kept.values()) < 8192
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in kept)
