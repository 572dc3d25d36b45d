# SPDX-License-Identifier: Apache-2.0
"""Asking without a page: where a tap leads, which stages come, that each is what the command gives, what is saved."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from monai_causal.apps.explain import Request, explain
from monai_causal.report import write_report
from monai_causal.studio import segmentation
from monai_causal.studio.segmentation import NOTHING, SegmentationSession, Settings
from monai_causal.studio.watching import Cancelled
from tests.apps.explain.bundles import planted

# The network answers at p what the image shows at p - (0, 24): two bright squares are seen 24 columns farther right.
SHIFT = 24


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> SegmentationSession:
    folder = tmp_path_factory.mktemp("studio")
    picture = np.zeros((48, 80), dtype=np.uint8)
    picture[8:24, 8:24] = 255
    picture[34:40, 40:46] = 255
    Image.fromarray(picture).save(folder / "picture.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monai_causal.apps.explain.models.build_network", lambda *_: planted((0, SHIFT), classes=1))
        torch.save(planted((0, SHIFT), classes=1).state_dict(), folder / "weights.pt")
        request = Request(folder, folder / "picture.png", "unet", folder / "weights.pt", device="cpu")
        return SegmentationSession(request)


def test_the_segmentation_and_its_parts_lie_where_the_network_puts_them(session: SegmentationSession) -> None:
    expected = np.full((48, 80), NOTHING)
    expected[8:24, 32:48] = expected[34:40, 64:70] = 0
    assert np.array_equal(session.segmentation, expected)
    assert [(part.voxels, part.box) for part in session.parts] == [
        (256, ((8, 24), (32, 48))), (36, ((34, 40), (64, 70))),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("voxel", "size", "box"),
    [
        ((20, 40), 8, ((16, 24), (36, 44))),
        ((0, 79), 8, ((0, 8), (72, 80))),  # moved inside
        ((20, 40), 64, ((0, 48), (8, 72))),  # no larger than the image
    ],
)
def test_a_tap_leads_to_a_box_around_it(session: SegmentationSession, voxel, size, box) -> None:  # type: ignore[no-untyped-def]
    assert session.box_at(voxel, size) == box


def test_a_tap_leads_to_the_part_under_it_or_says_that_there_is_none(session: SegmentationSession) -> None:
    assert session.part_at((35, 65)) == session.parts[1]
    with pytest.raises(ValueError, match="nothing is segmented"):
        session.part_at((0, 0))
    with pytest.raises(ValueError, match="not in an image"):
        session.part_at((48, 0))


def test_maps_come_coarse_to_fine_and_the_cause_is_found(session: SegmentationSession) -> None:
    stages = list(session.explain(((8, 24), (32, 48)), Settings("pdcr", "zero", 4)))
    assert [(one.number, one.count, one.patch) for one in stages] == [
        (1, 3, "16 x 16 voxels"), (2, 3, "8 x 8 voxels"), (3, 3, "4 x 4 voxels"),
    ]  # fmt: skip
    cause = np.zeros((48, 80), dtype=bool)
    cause[8:24, 8:24] = True
    for stage in stages:
        assert stage.signed
        assert (stage.map[cause] < 0).all()
        assert (stage.map[24:] == 0).sum() >= 24 * 80 - 8 * 32  # a coarse patch may reach a row of the cause's
    assert np.array_equal(stages[-1].map < 0, cause)


def test_each_stage_is_what_the_command_writes(session: SegmentationSession, tmp_path: Path) -> None:
    roi, settings = ((8, 24), (32, 48)), Settings("pdcr", "inpaint", 16)
    *_, last = session.explain(roi, settings)
    saved = session.save(last, tmp_path / "kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monai_causal.apps.explain.models.build_network", lambda *_: planted((0, SHIFT), classes=1))
        explain(replace(session.request, out=tmp_path / "command", roi=roi, patch_size=(16,)))
    names = sorted(str(path.relative_to(saved)) for path in saved.rglob("*"))
    assert names == sorted(str(path.relative_to(tmp_path / "command")) for path in (tmp_path / "command").rglob("*"))
    for name in ("map.nii.gz", "image.png", "pdcr/effects.csv", "pdcr/ites.csv", "explanation.png"):
        assert (saved / name).read_bytes() == (tmp_path / "command" / name).read_bytes(), name
    mine, theirs = (json.loads((folder / "summary.json").read_text()) for folder in (saved, tmp_path / "command"))
    said = mine.pop("replaced_by")["kind"]
    assert theirs.pop("replaced_by")["kind"] == f"{said}, for want of donors"
    assert mine | {"seconds": 0} == theirs | {"seconds": 0}
    assert write_report(tmp_path / "kept").stat().st_size > 10_000


def test_regions_lie_on_the_stored_image_with_their_effects(session: SegmentationSession, tmp_path: Path) -> None:
    *_, last = session.explain(((8, 24), (32, 48)), Settings("pdcr", "zero", 16))
    folder = session.save(last, tmp_path)
    with (folder / "pdcr" / "effects.csv").open(newline="") as lines:
        rows = {row["name"]: row for row in csv.DictReader(lines)}
    assert {one.name for one in last.regions} == set(rows)
    for one in last.regions:
        row = rows[one.name]
        assert " ".join(f"{low}:{high}" for low, high in one.box) == row["box"]
        assert (one.effect, one.low, one.high, one.draws, int(one.relevant)) == (
            float(row["ate"]), float(row["low"]), float(row["high"]), int(row["draws"]), int(row["relevant"]),
        )  # fmt: skip


def test_results_are_never_written_over(session: SegmentationSession, tmp_path: Path) -> None:
    *_, last = session.explain(((8, 24), (32, 48)), Settings("gpa"))
    assert [session.save(last, tmp_path).name for _ in range(2)] == ["01-gpa", "02-gpa"]
    (tmp_path / "07-mine").mkdir()
    assert session.save(last, tmp_path).name == "08-gpa"


def test_a_stage_that_would_leave_nothing_to_ask_is_left_out(session: SegmentationSession) -> None:
    # 32 x 32 cells would all touch this RoI, and so would 64 x 64.
    stages = list(session.explain(((8, 36), (28, 66)), Settings("pdcr", "zero", 16)))
    assert [one.patch for one in stages] == ["16 x 16 voxels"]


def test_a_question_is_given_up_between_interventions(session: SegmentationSession) -> None:
    left = iter(range(9))

    def look() -> None:
        if next(left, None) is None:
            raise Cancelled

    stages = session.explain(((8, 24), (32, 48)), Settings("pdcr", "zero", 4), look)
    with pytest.raises(Cancelled):
        list(stages)
    assert next(left, None) is None


@pytest.mark.parametrize(
    ("roi", "settings", "message"),
    [
        (((0, 4), (0, 4)), Settings("pdcr", "zero", 4), "nothing is segmented inside this box"),
        (((0, 4), (0, 400)), Settings("pdcr", "zero", 4), "RoI"),
        (((8, 24), (32, 48)), Settings("pdcr", "donors", 4), "fill='donors': one of inpaint, mean"),
        (((8, 24), (32, 48)), Settings("pdcr", "zero", 0), "patch size 0"),
        (((8, 24), (32, 48)), Settings("magic", "zero", 4), "no method 'magic'"),
    ],
)
def test_what_cannot_be_asked_is_said(session: SegmentationSession, roi, settings, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        list(session.explain(roi, settings))


def test_other_methods_refine_their_grid_or_come_at_once(session: SegmentationSession) -> None:
    roi = ((8, 24), (32, 48))
    assert [one.patch for one in session.explain(roi, Settings("ria"))] == [
        "3 x 3 cells",
        "7 x 7 cells",
        "14 x 14 cells",
    ]
    (only,) = session.explain(roi, Settings("gpa"))
    assert (only.patch, only.signed, only.regions) == ("", False, ())


def test_a_network_of_several_classes_is_asked_about_the_one_in_the_box(tmp_path: Path) -> None:
    class Three(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ten = nn.Parameter(torch.tensor(10.0))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            seen, bright = image > 0.2, image > 0.7
            return torch.cat([self.ten * ~seen, self.ten * (seen & ~bright), self.ten * bright], 1)

    picture = np.zeros((16, 32), dtype=np.uint8)
    picture[4:12, 4:12], picture[4:12, 20:28] = 128, 255
    Image.fromarray(picture).save(tmp_path / "p.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monai_causal.apps.explain.models.build_network", lambda *_: Three())
        torch.save({"ten": torch.tensor(10.0)}, tmp_path / "w.pt")
        found = SegmentationSession(
            Request(tmp_path, tmp_path / "p.png", "unet", tmp_path / "w.pt", out_channels=3, device="cpu")
        )
    assert np.unique(found.segmentation).tolist() == [NOTHING, 1, 2]
    assert [found.class_in(part.box) for part in found.parts] == [1, 2]
    assert found.class_in(((0, 16), (10, 32))) == 2


def test_the_names_of_fills_are_those_of_the_page() -> None:
    from monai_causal.studio.segmentation_view import _FILL_NAMES

    assert set(_FILL_NAMES) == {segmentation.DONORS, *segmentation._OTHER_FILLS}
