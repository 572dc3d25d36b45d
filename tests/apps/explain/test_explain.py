# SPDX-License-Identifier: Apache-2.0
"""End to end: a planted cause is found where it lies on the stored image, by whatever way that came to the network."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import matplotlib.image
import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from monai_causal import cli
from monai_causal.apps.explain import Request, explain, in_words
from monai_causal.data.banks import DonorBank
from monai_causal.networks.nets import UNet
from monai_causal.visualize.pdcr import PdCR
from monai_causal.visualize.pdcr_result import PdCRResult
from tests.apps.explain.bundles import change, picture_bundle, planted, state, volume_bundle

MODELS = "monai_causal.apps.explain.models"
# Stored as no reader expects it: the second axis runs to the right, the first one backwards.
AFFINE = np.array([[0, 1.5, 0, -20], [-2.0, 0, 0, 60], [0, 0, 3.0, 10], [0, 0, 0, 1]])
SHAPE = (40, 44, 20)
SHIFT = 24.0  # millimetres to the right, from cause to answer


def disc(shape: tuple[int, ...], centre: tuple[float, ...], radius: float, spacing: Any = 1.0) -> np.ndarray:
    grid = np.stack(np.indices(shape), -1)
    return np.linalg.norm((grid - centre) * spacing, axis=-1) <= radius


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Soft tissue with one bright ball at voxel (14, 12, 6)."""
    noise = np.random.default_rng(0).normal(0, 4, SHAPE)
    values = np.where(disc(SHAPE, (14, 12, 6), 8.0, (2.0, 1.5, 3.0)), 150, -40) + noise
    path = tmp_path / "name of a patient.nii.gz"
    nib.save(nib.Nifti1Image(values.astype(np.int16), AFFINE), path)
    return path


def colours(path: Path, shape: tuple[int, int], seed: int = 0) -> Path:
    """A dark RGB picture with one bright disc at row 14, column 24."""
    noise = np.random.default_rng(seed).normal(0, 0.02, (*shape, 3))
    values = np.where(disc(shape, (14, 24), 6.0)[..., None], 0.9, 0.1) + noise
    Image.fromarray((255 * values.clip(0, 1)).round().astype(np.uint8)).save(path)
    return path


def middle(volume: np.ndarray, affine: np.ndarray | None = None) -> np.ndarray:
    """Where the weight of ``|volume|`` lies, in voxels or in the world."""
    weight = np.abs(volume)
    place = (np.stack(np.indices(volume.shape), -1) * weight[..., None]).sum((0, 1, 2)) / weight.sum()
    return place if affine is None else affine[:3, :3] @ place + affine[:3, 3]


def test_a_volume_through_a_bundle(volume: Path, tmp_path: Path) -> None:
    # 24 mm to the right are 12 voxels of the bundle's 2 mm grid
    bundle = volume_bundle(tmp_path / "bundle", (12, 0, 0), (2.0, 2.0, 3.0), (24, 24, 16))
    before = state(bundle)
    # The answer lies SHIFT to the right: 16 voxels further along the second stored axis.
    roi = ((8, 20), (22, 34), (3, 9))
    request = Request(tmp_path / "out", volume, bundle=bundle, roi=roi, patch_size=(8,), device="cpu")
    summary = explain(request)
    assert state(bundle) == before
    written = nib.load(tmp_path / "out" / "map.nii.gz")
    heat = np.asarray(written.dataobj)
    assert heat.shape == SHAPE
    np.testing.assert_allclose(written.affine, AFFINE)
    cause = AFFINE[:3, :3] @ (14, 12, 6) + AFFINE[:3, 3]
    # within half a region of 8 voxels; the RoI itself lies 24 mm away
    assert np.all(np.abs(middle(heat, written.affine) - cause) <= (8, 8, 12))
    supporting = heat < 0
    assert supporting[14, 12, 6]
    assert summary["findings"]["strongest_support"]["value"] == pytest.approx(heat.min())
    assert summary["class"] == 1
    assert summary["findings"]["run"]["execution"] == "windows"
    # On the network's own grid, the result with all its numbers; its affine places it in the same world.
    result = PdCRResult.load(tmp_path / "out" / "pdcr")
    assert result.affine is not None
    own = middle(result.map[0, 0].numpy(), result.affine.numpy())
    np.testing.assert_allclose(own, middle(heat, written.affine), atol=2.0)
    roi_middle = AFFINE[:3, :3] @ (13.5, 27.5, 5.5) + AFFINE[:3, 3]
    np.testing.assert_allclose(middle(result.roi.numpy().astype(float), result.affine.numpy()), roi_middle, atol=1.0)
    assert summary["notes"] == []


@pytest.mark.parametrize("shape", [(48, 80), (64, 64)])
@pytest.mark.parametrize("method", ["pdcr", "ria"])
def test_a_picture_through_a_bundle(shape: tuple[int, int], method: str, tmp_path: Path) -> None:
    # Columns come first and are halved: 10 of the network's are 20 of the picture's.
    bundle = picture_bundle(tmp_path / "bundle", (10, 0), (shape[1] // 2, shape[0]))
    before = state(bundle)
    image = colours(tmp_path / "image.png", shape)
    request = Request(
        tmp_path / "out", image, bundle=bundle, method=method, roi=((4, 24), (34, 54)), patch_size=(4,), device="cpu"
    )
    summary = explain(request)
    assert state(bundle) == before
    written = nib.load(tmp_path / "out" / "map.nii.gz")
    heat = np.asarray(written.dataobj)
    assert heat.shape == (*shape, 1)
    np.testing.assert_array_equal(written.affine, np.eye(4))
    np.testing.assert_allclose(middle(heat)[:2], (14, 24), atol=3.0)
    assert (heat[14, 24, 0] < 0) if method == "pdcr" else (heat[14, 24, 0] > 0.8)
    np.testing.assert_allclose(summary["findings"]["strongest_support"]["voxel"], (14, 24), atol=8)
    assert [note for note in summary["notes"] if "Lambdad" not in note] == []
    assert "goes on with Lambdad" in summary["notes"][0]


def test_a_picture_and_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offset, classes = (0, 20), 1
    network = planted(offset, 3, classes)
    monkeypatch.setattr(f"{MODELS}.build_network", lambda name, i, o: planted(offset, i, o, gain=1.0))
    torch.save({"state_dict": network.state_dict()}, tmp_path / "weights.pt")
    image = colours(tmp_path / "image.png", (48, 80))
    donors = tmp_path / "donors"
    donors.mkdir()
    for seed in (1, 2):
        colours(donors / f"{seed}.png", (48, 80), seed)
    colours(donors / "0.png", (48, 80))  # the explained image itself
    request = Request(
        tmp_path / "out",
        image,
        network="unet",
        checkpoint=tmp_path / "weights.pt",
        donors=donors,
        roi=((8, 24), (40, 56)),
        rule="paper",
        n_samples=8,
        tau=0.1,
        device="cpu",
    )
    summary = explain(request)
    heat = np.asarray(nib.load(tmp_path / "out" / "map.nii.gz").dataobj)[..., 0]
    # PdCR itself, on the picture in array order with the donors of the other two
    pixels = torch.from_numpy(np.asarray(Image.open(image)).astype(np.float32) / 255).movedim(-1, 0)[None]
    bank = DonorBank.from_folder(donors, 8).without(image=pixels[0])
    assert len(bank.images) == 2
    expected = PdCR(network, _fill(bank), 8, "paper", n_samples=8, tau=0.1).explain(pixels, ((8, 24), (40, 56)))
    np.testing.assert_allclose(heat, expected.map[0, 0].numpy(), atol=1e-5)
    reads = np.zeros((48, 80), bool)
    reads[8:24, 20:36] = True
    assert heat.any()
    assert not heat[~np.kron(reads.reshape(6, 8, 10, 8).any((1, 3)), np.ones((8, 8), bool))].any()
    assert summary["replaced_by"]["kind"] == "patches of 2 other images"
    assert summary["findings"]["baseline"] == expected.baseline
    assert summary["roi"]["box"] == [[8, 24], [40, 56]]


def _fill(bank: DonorBank) -> Any:
    from monai_causal.intervene import DonorPatchFill

    return DonorPatchFill(bank)


def test_a_volume_and_a_checkpoint_through_windows(
    volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offset = (0, 16, 0)
    monkeypatch.setattr(f"{MODELS}.build_network", lambda name, i, o, spatial_dims: planted(offset, i, o))
    torch.save(planted(offset, 1, 1).state_dict(), tmp_path / "weights.pt")
    label = disc(SHAPE, (14, 28, 6), 8.0, (2.0, 1.5, 3.0))
    nib.save(nib.Nifti1Image(label.astype(np.uint8), AFFINE), tmp_path / "label.nii.gz")
    summary = explain(
        Request(
            tmp_path / "out",
            volume,
            network="unet",
            checkpoint=tmp_path / "weights.pt",
            label=tmp_path / "label.nii.gz",
            window=(40, 44, 12),
            intensities=(-57, 164),
            roi="component",
            patch_size=(8, 8, 5),
            device="cpu",
        )
    )
    written = nib.load(tmp_path / "out" / "map.nii.gz")
    heat = np.asarray(written.dataobj)
    assert heat.shape == SHAPE
    np.testing.assert_allclose(written.affine, AFFINE)
    assert np.all(np.abs(middle(heat) - (14, 12, 6)) <= (4, 4, 2.5))
    assert summary["findings"]["run"]["execution"] == "windows"
    assert summary["roi"]["voxels"] == int(label.sum())
    assert summary["findings"]["baseline"] == 100  # the network's answer is the shifted ball, which the label is


@pytest.mark.parametrize(
    "method", ["pdcr", "dea", "gpa", "ega", "ria", "seg-grad-cam", "misure", "rise", "kernel-shap"]
)
def test_each_method_from_the_command_line(method: str, tmp_path: Path) -> None:
    bundle = volume_bundle(tmp_path / "bundle", (2, 0, 0), (2.0, 2.0, 3.0), (24, 24, 16))
    # gradients need a layer to look into
    unet = {
        "_target_": "UNet",
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 2,
        "channels": [2, 4],
        "strides": [2],
    }
    change(bundle, "network_def", unet)
    torch.manual_seed(0)
    from monai.networks.nets import UNet as MonaiUNet

    torch.save(MonaiUNet(3, 1, 2, (2, 4), (2,)).state_dict(), bundle / "models" / "model.pt")
    values = np.random.default_rng(0).normal(50, 60, (16, 16, 12))
    nib.save(nib.Nifti1Image(values.astype(np.int16), np.diag([2.0, 2.0, 3.0, 1])), tmp_path / "image.nii.gz")
    arguments = ["explain", "--bundle", bundle, "--image", tmp_path / "image.nii.gz", "--out", tmp_path / "out"]
    arguments += ["--method", method, "--roi", "4:8,4:8,4:8", "--patch-size", "4", "--rule", "paper", "--samples", "2"]
    run = CliRunner().invoke(cli.app, [*map(str, arguments), "--device", "cpu"])
    assert run.exit_code == 0, run.exception
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert run.stdout == in_words(summary, tmp_path / "out") + "\n"
    heat = np.asarray(nib.load(tmp_path / "out" / "map.nii.gz").dataobj)
    assert heat.shape == (16, 16, 12)
    assert np.ptp(heat) > 0
    signed = method in ("pdcr", "kernel-shap")
    assert ("after - before" in summary["sign"]) == signed
    if not signed:
        assert heat.min() >= 0
    picture = matplotlib.image.imread(tmp_path / "out" / "explanation.png")[..., :3]
    assert len(np.unique((picture * 255).round().astype(np.uint8).reshape(-1, 3), axis=0)) > 100


def test_the_example_of_the_help_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = " ".join(CliRunner().invoke(cli.app, ["explain", "--help"]).output.split())
    words = shlex.split(re.search(r"Example: monai-causal ([^.]+)", shown).group(1))  # type: ignore[union-attr]
    run = CliRunner().invoke(cli.app, words)
    assert run.exit_code == 0, run.exception
    assert "trust" in shown
    names = sorted(path.name for path in (tmp_path / "explained").iterdir())
    assert names == ["explanation.png", "image.png", "map.nii.gz", "pdcr", "summary.json"]


def test_no_file_holds_a_path_and_the_same_request_gives_the_same_map(volume: Path, tmp_path: Path) -> None:
    bundle = volume_bundle(tmp_path / "a bundle of somebody", (12, 0, 0), (2.0, 2.0, 3.0), (24, 24, 16))
    maps = []
    for name in ("first", "second"):
        request = Request(
            tmp_path / name,
            volume,
            bundle=bundle,
            method="ria",
            grid=(4,),
            roi=((8, 20), (22, 34), (3, 9)),
            device="cpu",
        )
        explain(request)
        maps.append((tmp_path / name / "map.nii.gz").read_bytes())
        text = (tmp_path / name / "summary.json").read_text()
        assert "patient.nii" not in text
        assert "somebody" not in text
        assert str(tmp_path) not in text
    assert maps[0] == maps[1]


def test_a_transform_that_hides_what_it_moves_is_noticed(tmp_path: Path) -> None:
    bundle = picture_bundle(tmp_path / "bundle", (10, 0), (40, 48))
    config = json.loads((bundle / "configs" / "inference.json").read_text())
    turned = {"_target_": "Lambdad", "keys": "image", "func": "$lambda x: x.flip(1)", "track_meta": True}
    steps = [*config["preprocessing"]["transforms"], turned]
    change(bundle, "preprocessing", {"_target_": "Compose", "transforms": steps})
    image = colours(tmp_path / "image.png", (48, 80))
    summary = explain(Request(tmp_path / "out", image, bundle=bundle, method="ria", roi="component", device="cpu"))
    assert "hardly resembles" in summary["notes"][1]
    assert summary["notes"][1] in in_words(summary, tmp_path / "out")


def test_a_torchscript_bundle_is_explained_too(tmp_path: Path) -> None:
    bundle = picture_bundle(tmp_path / "bundle", (10, 0), (40, 48))
    (bundle / "models" / "model.pt").unlink()
    torch.jit.script(planted((10, 0), 3)).save(str(bundle / "models" / "model.ts"))
    change(bundle, "network_def", None)
    change(bundle, "network", None)
    image = colours(tmp_path / "image.png", (48, 80))
    summary = explain(
        Request(tmp_path / "out", image, bundle=bundle, method="ria", roi=((4, 24), (34, 54)), device="cpu")
    )
    np.testing.assert_allclose(summary["findings"]["strongest_support"]["voxel"], (14, 24), atol=8)


# What a user can get wrong, and the words that say so. Each is a change of a request that works.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no model": ({"network": None, "checkpoint": None}, "give one model"),
    "two models": ({"bundle": "bundle"}, "give one model"),
    "no such network": ({"network": "lenet"}, "there is no network 'lenet'; known are: .*unet"),
    "no checkpoint": ({"checkpoint": None}, "needs its weights"),
    "no such checkpoint": ({"checkpoint": "nothing.pt"}, "the checkpoint: there is no such file"),
    "checkpoint of another network": ({"checkpoint": "other.pt"}, r"another network.*missing: .*unexpected: foreign"),
    "checkpoint of other channels": (
        {"checkpoint": "rgb.pt"},
        r"of another shape: .*\(2, 3, 3, 3\) and not \(2, 1, 3, 3\)",
    ),
    "checkpoint with code": ({"checkpoint": "code.pt"}, "cannot be read .*weights_only"),
    "checkpoint that is none": ({"checkpoint": "image.png"}, "the checkpoint cannot be read"),
    "checkpoint without weights": ({"checkpoint": "numbers.pt"}, "a state dict is needed"),
    "no such method": ({"method": "lime"}, "there is no method 'lime'; known are: pdcr"),
    "no image": ({"image": None}, "there is no image"),
    "no such image": ({"image": "nothing.png"}, "the image: there is no such file"),
    "image unreadable": ({"image": "broken.png"}, "the image cannot be read"),
    "image of another kind": ({"image": "weights.pt"}, "the image is a '.pt'"),
    "size that the network cannot take": ({"image": "odd.png"}, "cannot take an image of shape|multiple"),
    "roi off the image": ({"roi": ((8, 24), (30, 90))}, "the RoI .*90"),
    "roi of other axes": ({"roi": ((8, 24),)}, "the RoI has 1 axes"),
    "roi by no rule": ({"roi": "middle"}, "roi='middle'"),
    "label of another size": ({"label": "odd.png"}, r"the label is \(33, 47\), the image \(32, 48\)"),
    "label without foreground": ({"label": "black.png"}, "the label holds no foreground"),
    "class that is not there": ({"class_idx": 7}, "class 7: the network gives 1 channels"),
    "bank and donors": ({"bank": "bank.npz", "donors": "."}, "give one of them"),
    "donors for another method": ({"donors": ".", "method": "dea"}, "donors serve the method 'pdcr'"),
    "no such bank": ({"bank": "nothing.npz"}, "there is no such donor bank"),
    "no such donors": ({"donors": "nothing"}, "the donors' folder is not there"),
    "exhaustive without donors": ({"rule": "exhaustive"}, "asks about every donor"),
    "patch of other axes": ({"patch_size": (8, 8, 8)}, "patch-size="),
    "overlap": ({"window": (32,), "overlap": 1.0}, "overlap=1.0"),
    "device": ({"device": "gpu"}, "there is no such device"),
    "window of a bundle": (
        {"bundle": "bundle", "network": None, "checkpoint": None, "window": (8,)},
        "window: a bundle",
    ),
    "no such bundle": (
        {"bundle": "nothing", "network": None, "checkpoint": None},
        "the bundle: there is no such folder",
    ),
    "bundle without configuration": (
        {"bundle": ".", "network": None, "checkpoint": None},
        "has no configs/inference.json",
    ),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wrong")
    torch.manual_seed(0)
    weights = UNet(2, 1, 1, (2, 4)).state_dict()
    torch.save(weights, folder / "weights.pt")
    torch.save({"model": {"foreign.weight": torch.ones(3)}}, folder / "other.pt")
    torch.save(UNet(2, 3, 1, (2, 4)).state_dict(), folder / "rgb.pt")
    torch.save(UNet(2, 1, 1, (2, 4)), folder / "code.pt")
    torch.save({"epoch": 3}, folder / "numbers.pt")
    noise = np.random.default_rng(0).integers(0, 255, (33, 48), dtype=np.uint8)
    Image.fromarray(noise[:32]).save(folder / "image.png")
    Image.fromarray(noise[:, :47]).save(folder / "odd.png")
    Image.fromarray(0 * noise[:32]).save(folder / "black.png")
    (folder / "broken.png").write_bytes((folder / "image.png").read_bytes()[:200])
    return folder


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_before_anything_is_written(
    what: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = __import__("monai_causal.networks.nets", fromlist=["build_network"]).build_network
    monkeypatch.setattr(
        f"{MODELS}.build_network", lambda name, i, o: UNet(2, i, o, (2, 4)) if name == "unet" else real(name, i, o)
    )
    good = {"image": "image.png", "network": "unet", "checkpoint": "weights.pt", "roi": ((8, 24), (16, 32))}
    changed, words = WRONG[what]
    fields = good | {"device": "cpu"} | changed
    paths = ("image", "checkpoint", "bundle", "label", "bank", "donors")
    fields = {key: prepared / value if key in paths and value is not None else value for key, value in fields.items()}
    with pytest.raises((ValueError, OSError), match=words) as error:
        explain(Request(tmp_path / "out", **fields))
    assert str(prepared) not in str(error.value)
    assert not (tmp_path / "out").exists()


BROKEN: dict[str, tuple[str, Any, str]] = {
    "no pre-processing": ("preprocessing", None, "has no 'preprocessing'"),
    "pre-processing without a loader": ("preprocessing", {"_target_": "Compose", "transforms": []}, "no LoadImaged"),
    "network that does not exist": ("network_def", {"_target_": "NoSuchNet"}, "'network_def' cannot be built"),
    "network of other weights": (
        "network_def",
        {"_target_": "torch.nn.Conv2d", "in_channels": 3, "out_channels": 2, "kernel_size": 3},
        "models/model.pt belongs to another network",
    ),
    "expression that fails": ("inferer", "$1 / 0", "'inferer' cannot be built"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_wrong_with_a_bundle_is_said(what: str, tmp_path: Path) -> None:
    bundle = picture_bundle(tmp_path / "bundle", (10, 0), (40, 48))
    name, value, words = BROKEN[what]
    change(bundle, name, value)
    with pytest.raises(ValueError, match=words):
        explain(Request(tmp_path / "out", colours(tmp_path / "image.png", (48, 80)), bundle=bundle, device="cpu"))


def test_a_bundle_and_an_image_that_do_not_fit(tmp_path: Path, volume: Path) -> None:
    bundle = picture_bundle(tmp_path / "bundle", (10, 0), (40, 48))
    grey = tmp_path / "grey.png"
    Image.fromarray(np.zeros((48, 80), np.uint8)).save(grey)
    with pytest.raises(ValueError, match=r"the bundle's pre-processing does not fit|the network takes 3 channels"):
        explain(Request(tmp_path / "out", grey, bundle=bundle, device="cpu"))
    (bundle / "models" / "model.pt").unlink()
    with pytest.raises(ValueError, match="its weights are missing"):
        explain(Request(tmp_path / "out", grey, bundle=bundle, device="cpu"))


def test_an_error_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(cli.DEBUG_VARIABLE, raising=False)
    monkeypatch.setattr(
        "sys.argv", ["monai-causal", "explain", "--network", "demo", "--roi", "8:x", "--out", str(tmp_path)]
    )
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert re.fullmatch(r"monai-causal: roi='8:x': spans start:stop.*\n", capsys.readouterr().err)
