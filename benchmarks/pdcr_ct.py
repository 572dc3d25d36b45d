# SPDX-License-Identifier: Apache-2.0
"""PdCR in 3-D: a small U-Net for the liver of one CT, asked which organs and which patches made its border.

The network is taught on windows of the very volume that is explained: it is to be explained, not to be believed of
another patient. The folder holds ``example_ct_sm.nii.gz``, ``example_seg.nii.gz`` (its organs) and
``ct_dicom_series``, another CT, from which donors are cut (TotalSegmentator's examples, Apache-2.0).

Example:
    python benchmarks/pdcr_ct.py --volumes /data/volumes --out docs/results/pdcr-ct
"""

from __future__ import annotations

import argparse
import datetime
import re
import sys
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from engine_bench.machine import describe_machine
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from monai.losses import DiceCELoss
from monai.transforms import LoadImage, ScaleIntensityRange
from scipy import ndimage
from torch import Tensor, nn

from monai_causal.files import write_json
from monai_causal.intervene import DonorPatchFill, Evaluator, Regions, RoIDice
from monai_causal.intervene.regions import coverage, label_regions
from monai_causal.networks.nets import UNet
from monai_causal.transforms import SafeSeriesReader
from monai_causal.visualize import PdCR
from monai_causal.visualize.pdcr_result import PdCRResult
from monai_causal.visualize.render import save_explanation
from monai_causal.visualize.rois import boundary_roi

CT, ORGANS, OTHER = "example_ct_sm.nii.gz", "example_seg.nii.gz", "ct_dicom_series"
LIVER = 5
WINDOW = (48, 48, 24)
WIDTHS = (8, 16, 32)
PATCH = 16
SMALLEST = 100  # voxels of an organ that is asked about
HU = (-150, 250)  # become 0 and 1
CHECKED = 3  # regions that are asked about a second time, by whole forwards


def main() -> int:
    """Train, explain, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=Path, required=True, help="folder of the CT")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=240, help="of the training")
    parser.add_argument("--samples", type=int, default=12, help="donors per region that passes the screening")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.process_time()
    options.out.mkdir(parents=True, exist_ok=True)
    image, organs, names = read(options.volumes)
    network = train(image, organs == LIVER, options.steps, options.seed)
    trained = time.process_time()
    inferer = SlidingWindowInferer(WINDOW, sw_batch_size=1, overlap=0.0)
    pdcr = PdCR(
        network,
        DonorPatchFill([other_patient(options.volumes)], resize=True),
        PATCH,
        "paper",
        n_samples=options.samples,
        seed=options.seed,
        inferer=inferer,
        execution="windows",
    )
    answer = pdcr.evaluator.answer(image)[0, 0].as_subclass(torch.Tensor) > 0
    roi = boundary_roi(answer, PATCH, PATCH)
    results = {
        "patches": pdcr.explain(image, roi),
        "organs": pdcr.explain(image, roi, regions=organ_regions(organs, names, coverage(roi, organs.shape))),
    }
    for name, result in results.items():
        result.save(options.out / name)
        save_explanation(
            options.out / f"{name}.png",
            result,
            image,
            answer=answer,
            reference=organs == LIVER,
            title=f"A liver network on a CT that it was trained on, by {name}",
            caption="CT and organs: TotalSegmentator's example, Apache-2.0; RoI: the box on the liver's border",
        )
    about = {
        "schema": "monai_causal/benchmark-pdcr-ct/1",
        "command": " ".join(["python", "benchmarks/pdcr_ct.py", *_without_paths(sys.argv[1:])]),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "seed": options.seed,
        "ct": {"shape": list(organs.shape), "millimetres": np.abs(np.diag(image.affine[:3, :3])).tolist()},
        "network": {"widths": WIDTHS, "window": WINDOW, "steps": options.steps, "trained_on": "the same volume"},
        "dice_on_the_same_volume": round(_dice(answer, organs == LIVER), 4),
        "roi": [list(span) for span in roi],
        "roi_share_of_liver": round(float((organs == LIVER)[_slices(roi)].double().mean()), 3),
        "windows_against_dense": against_dense(pdcr, image, results["patches"]),
        "summary": {name: _summary(result) for name, result in results.items()},
        "cpu_minutes": {
            "training": round((trained - started) / 60, 2),
            "explaining": round((time.process_time() - trained) / 60, 2),
        },
        "machine": describe_machine(),
        "rows": [row for name, result in results.items() for row in _rows(name, result)],
    }
    print(write_json(options.out / "ct.json", about))
    return 0


def read(folder: Path) -> tuple[MetaTensor, Tensor, dict[int, str]]:
    """The CT ``(1, 1, *spatial)`` in [0, 1], its organs ``(*spatial)``, and what they are called."""
    load = LoadImage(image_only=True, ensure_channel_first=True)
    image = ScaleIntensityRange(*HU, 0, 1, clip=True)(load(folder / CT))
    organs = load(folder / ORGANS)[0].as_tensor().long()
    header = b"".join(one.get_content() for one in nib.load(folder / ORGANS).header.extensions).decode()
    labels = re.findall(r'<Label Key="(\d+)"[^>]*><!\[CDATA\[([^\]]*)\]\]>', header)
    return image[None], organs, {int(number): name for number, name in labels}


def other_patient(folder: Path) -> Tensor:
    """The body of the other CT ``(1, *spatial)`` as the network would see it, its pixels brought to 3 mm."""
    load = LoadImage(reader=SafeSeriesReader(), image_only=True, ensure_channel_first=True)
    volume = load(folder / OTHER)
    spacing = np.linalg.norm(volume.affine[:3, :3].numpy(), axis=0)
    values = ndimage.zoom(volume[0].numpy(), (spacing[0] / 3, spacing[1] / 3, 1), order=1)
    body = ndimage.find_objects(_largest(values > -300))[0]
    return ScaleIntensityRange(*HU, 0, 1, clip=True)(torch.from_numpy(values[body])[None].float())


def train(image: MetaTensor, liver: Tensor, steps: int, seed: int) -> nn.Module:
    """A small U-Net, taught on windows around voxels of the liver and of everywhere."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = UNet(3, 1, 1, widths=WIDTHS)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.01, total_steps=steps)
    loss_function = DiceCELoss(sigmoid=True, batch=True)
    edges = torch.tensor(WINDOW)
    room = torch.tensor(liver.shape) - edges
    inside = liver.nonzero()
    pixels, truth = image.as_tensor()[0, 0], liver.float()
    for _ in range(steps):
        on_liver = inside[torch.randint(len(inside), (1,), generator=generator)] - edges // 2
        anywhere = (torch.rand(1, 3, generator=generator) * (room + 1)).long()
        places = torch.cat([on_liver, anywhere]).clamp(min=torch.zeros(3, dtype=torch.long), max=room)
        cuts = [tuple(slice(a, a + e) for a, e in zip(place, WINDOW, strict=True)) for place in places.tolist()]
        batch, target = (torch.stack([values[cut] for cut in cuts])[:, None] for values in (pixels, truth))
        loss = loss_function(network(batch), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


def organ_regions(organs: Tensor, names: dict[int, str], roi: Tensor) -> Regions:
    """The organs without what of them lies in the RoI, which is not intervened on."""
    beside = torch.where(roi, 0, organs)
    kept = [number for number, count in enumerate(torch.bincount(beside.flatten()).tolist()) if count >= SMALLEST]
    return label_regions(torch.where(torch.isin(beside, torch.tensor(kept)), beside, 0), names=names)


def against_dense(pdcr: PdCR, image: MetaTensor, result: PdCRResult) -> dict[str, Any]:
    """The strongest patches once more by whole forwards: window by window must give the same."""
    assert isinstance(result.regions, Regions)
    rows = result.ate.abs().argsort(descending=True)[:CHECKED].tolist()
    dense = Evaluator(
        pdcr.evaluator.network, execution="dense", seed=pdcr.evaluator.seed, inferer=pdcr.evaluator.inferer
    )
    draws = range(3)
    effects = dense(image, result.regions.subset(rows), pdcr.fill, RoIDice(result.roi), draws)
    difference = (effects.values - result.ites[rows][:, :3]).abs().max()
    return {"regions": len(rows), "draws": len(draws), "largest_difference": float(difference)}


def _summary(result: PdCRResult) -> dict[str, Any]:
    return {
        "regions": len(result.ate),
        "relevant": int(result.relevant.sum()),
        "baseline_dice": result.baseline,
        "execution": result.record.execution,
        "evaluations": result.evaluations,
        "untouched": result.record.untouched,
        "windows_run": result.record.forwards,
    }


def _rows(name: str, result: PdCRResult) -> list[dict[str, Any]]:
    """Every region with an effect, the strongest first."""
    spread = result.interval()
    order = result.ate.abs().argsort(descending=True, stable=True).tolist()
    return [
        {
            "by": name,
            "region": result.regions.names[row],
            "box": [list(span) for span in result.regions[row].box],
            "effect": float(result.ate[row]),
            "low": float(spread[row, 0]),
            "high": float(spread[row, 1]),
            "draws": int(result.draws[row]),
            "relevant": bool(result.relevant[row]),
        }
        for row in order
        if result.ate[row] != 0
    ]


def _largest(mask: np.ndarray) -> np.ndarray:
    labels, _ = ndimage.label(mask)
    return (labels == 1 + int(np.bincount(labels.reshape(-1))[1:].argmax())).astype(np.int64)


def _dice(first: Tensor, second: Tensor) -> float:
    return 2 * int((first & second).sum()) / (int(first.sum()) + int(second.sum()))


def _slices(box: Any) -> tuple[slice, ...]:
    return tuple(slice(*span) for span in box)


def _without_paths(arguments: list[str]) -> list[str]:
    """The arguments with folders by their last name: where they lie on a machine is nobody's business."""
    return [Path(one).name if "/" in one and one != "docs/results/pdcr-ct" else one for one in arguments]


if __name__ == "__main__":
    raise SystemExit(main())
