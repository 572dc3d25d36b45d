# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_causal.dicom.errors import DicomError, quiet
from monai_causal.dicom.geometry import Orientation
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.projection import FOR_PROCESSING, Projection, read_projection
from tests.dicom import samples
from tests.dicom.encodings import (
    ENCODINGS,
    SYNTAXES,
    curve,
    every_value,
    lut,
    picture,
    radiograph,
    reference,
    written,
)
from tests.dicom.test_safety import planted

CANARY = "CANARY^PATIENT"


def codes(projection: Projection) -> list[str]:
    return [remark.code for remark in projection.remarks]


def shown_as(name: str, cells: np.ndarray) -> np.ndarray:
    """The reference, upright."""
    shown = reference(ENCODINGS[name][0](cells))
    return shown[:, ::-1] if name.startswith("flipped") else shown


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_encoding_is_shown_as_the_standard_says_to_the_last_bit(name: str) -> None:
    shown = read_projection(written(ENCODINGS[name][0](every_value()))).pixels
    assert shown.dtype == np.float32
    assert shown.flags.c_contiguous
    np.testing.assert_array_equal(shown, shown_as(name, every_value()))


def test_one_picture_in_seven_encodings_is_one_picture() -> None:
    assert len(ENCODINGS) >= 20
    same = [
        "MONOCHROME2, window",
        "signed",
        "overlay in bit 15",
        "flipped, R\\F",
        "RescaleSlope empty",
        "DX MONOCHROME1, IDENTITY",
        "signed 12 bits, 4 bits of something else",
    ]
    files = [written(ENCODINGS[name][0](picture())) for name in same]
    assert len(set(files)) == 7
    assert len({read_projection(file).pixels.tobytes() for file in files}) == 1
    assert len({shown_as(name, picture()).tobytes() for name in ENCODINGS}) == 14


@pytest.mark.parametrize("name", ENCODINGS)
def test_where_highdicom_is_right_we_agree_exactly(name: str) -> None:
    highdicom = pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")
    make, right = ENCODINGS[name]
    file = written(make(every_value()))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # highdicom divides by zero where a window has width 1
            theirs = highdicom.imread(io.BytesIO(file)).get_frame(1, apply_voi_transform=None, dtype=np.float64)
    except RuntimeError:
        theirs = None
    same = theirs is not None and np.array_equal(theirs.astype(np.float32), read_projection(file).pixels)
    assert same == right, "highdicom's version may have changed; judge it by the reference"


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_byte_order_of_the_file_does_not_matter(syntax: Any) -> None:
    plain = radiograph(WindowCenter=None, WindowWidth=None, VOILUTSequence=[lut(curve(4096, 16), 0, 16)])
    shown = reference(plain)
    if syntax == SYNTAXES[2]:
        item = plain.VOILUTSequence[0]
        item.LUTData = np.frombuffer(item.LUTData, "<u2").astype(">u2").tobytes()
    projection = read_projection(written(plain, syntax))
    np.testing.assert_array_equal(projection.pixels, shown)
    assert projection.provenance.stored_sha256 == read_projection(radiograph()).provenance.stored_sha256
    assert projection.provenance.transfer_syntax == syntax


def test_a_file_without_preamble_is_read_when_asked_for() -> None:
    file = written(radiograph(), preamble=False)
    with pytest.raises(DicomError, match="preamble"):
        read_projection(file)
    np.testing.assert_array_equal(read_projection(file, Limits(without_preamble=True)).pixels, reference(radiograph()))


def test_two_frames_are_refused() -> None:
    two = radiograph(np.stack([picture(), picture()]), NumberOfFrames=2)
    with pytest.raises(DicomError, match="2 frames"):
        read_projection(written(two))


@pytest.mark.parametrize("keyword", ["WindowCenter", "WindowWidth"])
def test_an_empty_window_gives_way_to_percentiles_and_says_so(keyword: str) -> None:
    ds = radiograph()
    ds[keyword].value = None
    projection = read_projection(written(ds))
    values = np.sort(picture().ravel())
    low, high = values[int(np.ceil(0.005 * values.size)) - 1], values[int(np.ceil(0.995 * values.size)) - 1]
    shown = np.clip((picture() - np.float64(low)) / (high - np.float64(low)), 0, 1).astype(np.float32)
    np.testing.assert_array_equal(projection.pixels, shown)
    assert {"window-unusable", "window-missing"} <= set(codes(projection))
    assert projection.provenance.voi == "percentile"
    assert projection.provenance.voi_parameters == {"percentiles": [0.5, 99.5], "values": [low, high]}


def test_padding_and_shutter_and_collimator_do_not_count_in_percentiles() -> None:
    cells = np.clip(picture(), 1000, 2000)
    cells[0, 0] = 1000
    cells[0, 1] = 2000
    cells[-1, :] = 4000  # padding, a range
    cells[-1, 0] = 4095
    cells[:, -1] = 3000  # behind the shutter
    cells[-2, :-1] = 0  # behind the collimator
    ds = radiograph(cells, WindowCenter=None, WindowWidth=None, PhotometricInterpretation="MONOCHROME1")
    ds.PixelPaddingValue, ds.PixelPaddingRangeLimit = 4095, 4000
    for what, bottom, right in (("Shutter", 13, 10), ("Collimator", 11, 11)):
        setattr(ds, f"{what}Shape", "RECTANGULAR")
        edges = {"Upper": 1, "Lower": bottom}
        for side, edge in edges.items():
            setattr(ds, f"{what}{side}HorizontalEdge", edge)
        for side, edge in {"Left": 1, "Right": right}.items():
            setattr(ds, f"{what}{side}VerticalEdge", edge)
    ds.ShutterPresentationValue = 13107  # a fifth of 65535
    projection = read_projection(written(ds))
    assert projection.provenance.voi_parameters["values"] == [1000, 2000]
    assert projection.left_out is not None
    left_out = np.zeros(cells.shape, bool)
    left_out[-2:], left_out[:, -1] = True, True
    np.testing.assert_array_equal(projection.left_out, left_out)
    assert projection.provenance.left_out == left_out.sum()
    assert (projection.pixels[:, -1] == np.float32(0.2)).all()  # after the inversion, since it is what is to be seen
    np.testing.assert_array_equal(
        projection.pixels[:-2, :-1], (1 - (cells[:-2, :-1] - 1000.0) / 1000).astype(np.float32)
    )


def test_padding_is_black_and_worth_a_remark_where_it_would_be_bright() -> None:
    cells = picture()
    cells[:, :2] = 4095
    for photometric, bright in (("MONOCHROME1", False), ("MONOCHROME2", True)):
        projection = read_projection(radiograph(cells, PhotometricInterpretation=photometric, PixelPaddingValue=4095))
        assert not projection.pixels[cells == 4095].any()
        assert projection.left_out is not None
        np.testing.assert_array_equal(projection.left_out, cells == 4095)
        assert codes(projection) == (["padding-bright"] if bright else [])


def test_padding_that_would_leave_nothing_is_ignored() -> None:
    ds = radiograph(PixelPaddingValue=0, PixelPaddingRangeLimit=4095)
    projection = read_projection(ds)
    np.testing.assert_array_equal(projection.pixels, read_projection(radiograph()).pixels)
    assert (projection.left_out, projection.provenance.left_out) == (None, 0)
    assert codes(projection) == ["all-left-out"]


def test_a_constant_picture_without_window_is_black_with_a_remark() -> None:
    projection = read_projection(written(radiograph(np.full((3, 5), 7, np.uint16), WindowCenter=None)))
    assert not projection.pixels.any()
    assert "constant-picture" in codes(projection)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "no projection radiograph"),
        ({"SOPClassUID": FOR_PROCESSING}, "for_processing=True"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "Modality": "OT"}, "secondary capture"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
        ({"PhotometricInterpretation": "YBR_FULL"}, "colour"),
        ({"ModalityLUTSequence": [lut(np.arange(9), 0, 7)]}, "modality lookup table"),
    ],
)
def test_what_is_no_grey_radiograph_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(DicomError, match=words):
        read_projection(written(radiograph(**values)))


def test_colours_are_refused() -> None:
    ds = radiograph(np.zeros((4, 4), np.uint8), 8, SamplesPerPixel=3, PhotometricInterpretation="RGB")
    ds.PlanarConfiguration, ds.PixelData = 0, bytes(48)
    with pytest.raises(DicomError, match="colour"):
        read_projection(written(ds))


def test_what_is_refused_can_be_asked_for() -> None:
    ds = radiograph(SOPClassUID=FOR_PROCESSING)
    np.testing.assert_array_equal(read_projection(written(ds), for_processing=True).pixels, reference(ds))
    secondary = read_projection(written(radiograph(SOPClassUID="1.2.840.10008.5.1.4.1.1.7")))
    assert codes(secondary) == ["secondary-capture"]


def test_upright_false_leaves_the_picture_as_stored() -> None:
    ds = radiograph(PatientOrientation=["F", "R"])
    stored = read_projection(ds, upright=False)
    np.testing.assert_array_equal(stored.pixels, reference(ds))
    assert stored.orientation is Orientation.IDENTITY
    turned = read_projection(ds)
    assert turned.orientation is Orientation.ROTATE_270
    np.testing.assert_array_equal(turned.to_source(turned.pixels), stored.pixels)
    assert "turned" in codes(turned)
    assert "turned" not in codes(stored)


def test_a_resized_projection_leads_back_to_stored_pixels() -> None:
    ds = radiograph(PatientOrientation=["F", "L"], ImagerPixelSpacing=[0.2, 0.1])
    projection = read_projection(ds)
    assert projection.pixels.shape == (11, 13)
    assert projection.spacing == (0.1, 0.2)
    assert projection.detector_spacing == (0.1, 0.2)
    assert projection.provenance.orientation == "TRANSPOSE"
    view = projection.resized((44, 60))
    assert view.pixels.shape == (44, 60)
    assert view.placement.resized == (44, 52)
    assert view.placement.padding == ((0, 0), (4, 4))
    assert view.spacing == view.detector_spacing == pytest.approx((0.025, 0.05))
    assert not view.pixels[:, :4].any()
    assert view.to_source(((0, 4), (4, 12))) == ((0, 2), (0, 1))
    mask = np.arange(143).reshape(13, 11) % 5 == 0
    np.testing.assert_array_equal(view.to_source(view.to_view(mask)), mask)
    with pytest.raises(ValueError, match="resized already"):
        view.resized(8)


def test_provenance_names_file_values_and_rules() -> None:
    import hashlib
    import json

    file = written(
        radiograph(RescaleSlope=2, RescaleIntercept=3, FieldOfViewRotation=90, FieldOfViewHorizontalFlip="NO")
    )
    provenance = read_projection(file).provenance
    assert provenance.file_sha256 == hashlib.sha256(file).hexdigest()
    assert provenance.stored_sha256 == hashlib.sha256(picture().astype("<i4").tobytes()).hexdigest()
    assert (provenance.modality, provenance.voi, provenance.inverted) == ("rescale", "window", False)
    assert provenance.voi_parameters == {"center": 2000, "width": 3001, "function": "LINEAR"}
    assert provenance.field_of_view == {"rotation": 90, "flip": "NO"}
    assert json.loads(json.dumps(provenance.as_dict()))["decoder"] == "pydicom"


def test_nothing_but_the_header_tells_of_the_patient() -> None:
    ds = radiograph(PatientName=CANARY, StudyDescription=CANARY, SeriesDescription=CANARY, ImageComments=CANARY)
    ds.PatientID = ds.StationName = "CANARY-ID"
    projection = read_projection(ds)
    told = repr(projection) + str(projection.remarks) + str(projection.provenance.as_dict())
    assert "CANARY" not in told
    assert projection.header.PatientName == CANARY


def test_canaries_in_every_text_attribute_appear_nowhere(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    plain, coloured, other, enhanced = (planted() for _ in range(4))
    with quiet():  # pydicom warns whoever sets this
        coloured.PhotometricInterpretation = CANARY
    other.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    enhanced.SOPClassUID = "1.2.840.10008.5.1.4.1.1.12.2.1"
    said = []
    for ds in (plain, coloured, other, enhanced):
        try:
            projection = read_projection(ds)
        except DicomError as error:
            said.append(repr(error))
        else:
            said += [repr(projection), str(projection.remarks), str(projection.provenance.as_dict())]
            said += [str((projection.view, projection.laterality, projection.spacing, projection.spacing_kind))]
    assert [text.startswith("DicomError") for text in said] == [False] * 4 + [True] * 3
    assert "CANARY" not in "".join([*said, *capfd.readouterr(), caplog.text])


def test_damaged_attributes_count_as_missing() -> None:
    file = written(radiograph()).replace(b"2000.0", b"A^BCDE")
    projection = read_projection(file)
    assert "unreadable-attribute" in codes(projection)
    assert projection.provenance.voi == "percentile"
    assert "A^BCDE" not in str(projection.remarks)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"BurnedInAnnotation": "YES"}, "burned-in-text"),
        ({"BurnedInAnnotation": None}, "burned-in-unknown"),
        ({"RecognizableVisualFeatures": "YES"}, "recognizable-features"),
        ({"LossyImageCompression": "01"}, "lossy"),
        ({"LossyImageCompression": "00", "LossyImageCompressionRatio": 1}, None),
        ({"HighBit": None}, "high-bit-assumed"),
        ({"PhotometricInterpretation": None}, "photometric-assumed"),
        ({"ViewPosition": None}, "view-missing"),
        ({"PatientOrientation": None}, "orientation-missing"),
        ({"ImagerPixelSpacing": None}, "no-spacing"),
    ],
)
def test_quality_remarks(values: dict[str, Any], code: str | None) -> None:
    assert codes(read_projection(written(radiograph()))) == []
    assert codes(read_projection(written(radiograph(**values)))) == ([code] if code else [])


REAL = {
    "1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm": ("PA", (1024, 1024), "percentile", False),
    "Fake_MONOHR1.dcm": ("PA", (1024, 1024), "percentile", True),
    "RG1_J2KI.dcm": ("PA", (1955, 1841), "window", True),
    "dx_image.dcm": (None, (169, 211), "window", True),
}


@pytest.fixture(scope="module")
def real_projections() -> dict[str, Projection]:
    from tests.conftest import find_real_data

    folder: Path = find_real_data() / "cxr_dicom"
    if not folder.is_dir():
        pytest.skip("real data is absent: no cxr_dicom")
    return {name: read_projection(folder / name) for name in REAL}


@pytest.mark.real
def test_the_real_files_are_read(real_projections: dict[str, Projection]) -> None:
    for name, (view, shape, voi, inverted) in REAL.items():
        projection = real_projections[name]
        assert (projection.view, projection.pixels.shape) == (view, shape)
        assert (projection.provenance.voi, projection.provenance.inverted) == (voi, inverted)


@pytest.mark.real
def test_real_chests_have_white_bone_on_dark_lungs(real_projections: dict[str, Projection]) -> None:
    # Seen by eye: the spine down the middle is lighter than the lungs on both sides; the fake one, whose pixels were
    # left as they were when its label became MONOCHROME1, is the negative, as its label demands.
    names = list(REAL)
    for name, sign in zip(names[:3], (1, -1, 1), strict=True):
        small = real_projections[name].resized(64, keep_aspect=False).pixels[22:38]
        spine, lungs = small[:, 30:34].mean(), np.r_[small[:, 14:20].ravel(), small[:, 46:50].ravel()].mean()
        assert sign * (spine - lungs) > 0.1
    np.testing.assert_allclose(
        real_projections[names[1]].pixels, 1 - real_projections[names[0]].pixels, rtol=0, atol=1e-7
    )


@pytest.mark.real
def test_the_real_radiograph_of_highdicom_looks_as_highdicom_shows_it(real_data: Path) -> None:
    highdicom = pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")
    file = real_data / "cxr_dicom" / "dx_image.dcm"
    if not file.is_file():
        pytest.skip("real data is absent: no cxr_dicom")
    theirs = highdicom.imread(file).get_frame(1, apply_voi_transform=None, dtype=np.float64).astype(np.float32)
    np.testing.assert_array_equal(read_projection(file).pixels, theirs)


@pytest.mark.parametrize("syntax", ["JPEG2000Lossless", "JPEGLSLossless"])
@pytest.mark.parametrize(("declared", "expected"), [(16, False), (12, True)])
def test_a_stream_of_more_bits_than_the_header_declares_is_remarked(syntax: str, declared: int, expected: bool) -> None:
    pydicom = pytest.importorskip("pydicom")
    file = samples.encoded(getattr(pydicom.uid, syntax), samples.picture(bits=16), 16)
    dataset = pydicom.dcmread(io.BytesIO(file))
    dataset.BitsStored, dataset.HighBit = declared, declared - 1
    assert ("more-bits-than-declared" in codes(read_projection(samples.written(dataset)))) == expected
