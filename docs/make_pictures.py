# SPDX-License-Identifier: Apache-2.0
"""Make the pictures of the pages again, by the commands that the pages show.

``python docs/make_pictures.py`` writes into ``docs/images``; it takes some minutes on one core, and chromium for the
picture of a report. Look at each before it is kept.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES = Path(__file__).parent / "images"
WIDTH = 900
QUALITY = 88


def run(*words: str, folder: Path) -> None:
    """One ``monai-causal`` command."""
    subprocess.run([sys.executable, "-m", "monai_causal", *words], cwd=folder, check=True)


def keep(picture: Image.Image, name: str, width: int = WIDTH) -> None:
    """Write a picture, no wider than a page."""
    picture = picture.convert("RGB")
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    picture.save(IMAGES / name, quality=QUALITY, optimize=True)


def main() -> None:
    """All pictures, in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run("demo", "--out", "demo_out", folder=folder)
        keep(_demo(folder / "demo_out"), "demo.jpg", width=1200)
        keep(_effects(folder / "effects.png"), "effects.jpg")
        run("explain", "--network", "demo", "--patch-size", "16", "--out", "explained", folder=folder)
        keep(Image.open(folder / "explained" / "explanation.png"), "explain-pdcr.jpg")
        run("explain", "--network", "demo", "--method", "dea", "--grid", "8", "--out", "dea", folder=folder)
        keep(Image.open(folder / "dea" / "explanation.png"), "explain-dea.jpg")

        phantom = ("--seed", "5", "--finding", "effusion_left", "--out", "studies")
        run("dicom", "phantom", "--size", "256", "256", *phantom, folder=folder)
        asked = ("--finding", "left pleural effusion")
        run("medfocus", "attribute", "studies", *asked, "--out", "why", folder=folder)
        keep(Image.open(folder / "why" / "1.png"), "medfocus.jpg")
        shutil.rmtree(folder / "studies")
        run("dicom", "phantom", "--size", "512", "512", *phantom, folder=folder)
        (folder / "run.yaml").write_text("findings: [left pleural effusion]\n", encoding="utf-8")
        run("medfocus", "run", "--from", "studies", "--to", "results", "--config", "run.yaml", folder=folder)
        keep(_secondary_capture(folder / "results"), "secondary-capture.jpg")

        run("explain", "--network", "demo", "--method", "ria", "--grid", "8", "--out", "cases/ria", folder=folder)
        shutil.move(folder / "dea", folder / "cases" / "dea")
        run("report", "cases", "--title", "A phantom, two methods", folder=folder)
        keep(_seen(folder / "cases" / "report.html", folder / "seen.png", 1200, 1500), "report-case.jpg")
        keep(_studio(folder / "studio.png"), "studio.jpg")


def _demo(folder: Path) -> Image.Image:
    """What the demo's three parts drew, side by side; of the radiographs the picture without the text below."""
    height = 600
    names = ("endoscopy/pdcr/explanation.png", "chest/1.png", "twin/demo-shortcut/1.png")
    drawn = [Image.open(folder / name).convert("RGB") for name in names]
    drawn[1:] = [one.crop((0, 0, one.width, one.width)) for one in drawn[1:]]  # the films are square
    drawn = [one.resize((round(one.width * height / one.height), height), Image.Resampling.LANCZOS) for one in drawn]
    together = Image.new("RGB", (sum(one.width for one in drawn) + 20 * (len(drawn) - 1), height), "white")
    left = 0
    for one in drawn:
        together.paste(one, (left, 0))
        left += one.width + 20
    return together


def _effects(picture: Path) -> Image.Image:
    """A phantom, the answer, and what each region of 16 x 16 does to it: the engine's own picture."""
    import torch

    from monai_causal.apps.explain.demo_network import SEED, load_demo_network
    from monai_causal.data.phantoms import shapes
    from monai_causal.intervene import Evaluator, MaskedMeanProbability, MeanFill, grid_regions
    from monai_causal.visualize.render import Outline, Panel, save_panels

    phantom, network = shapes(seed=SEED), load_demo_network()
    image, mask = torch.from_numpy(phantom.image)[None], torch.from_numpy(phantom.labels > 0)
    with torch.no_grad():
        answer = network(image).argmax(1)[0].numpy() == phantom.causes.resolved_class
    score = MaskedMeanProbability(mask, phantom.causes.resolved_class)
    effects = Evaluator(network)(image, grid_regions((128, 128), 16), MeanFill(), score)
    outline = Outline(answer, "white", "the network's answer")
    panels = [
        Panel(phantom.image[0], "a phantom"),
        Panel(phantom.image[0], "what the network answers", outlines=(outline,)),
        Panel(phantom.image[0], "the effect of each region", effects.to_map()[0, 0].numpy(), "probability"),
    ]
    save_panels(picture, panels, "Red: the region supports the answer. Blue: it suppresses it.")
    return Image.open(picture)


def _secondary_capture(results: Path) -> Image.Image:
    import pydicom

    capture = pydicom.dcmread(next(results.rglob("sc-*.dcm")))
    return Image.fromarray(np.asarray(capture.pixel_array, dtype=np.uint8))


def _seen(page: Path, picture: Path, width: int, height: int) -> Image.Image:
    """A page as chromium shows it."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise FileNotFoundError("no chromium on the PATH: install it to make the picture of a report.")
    options = ("--headless", "--no-sandbox", "--hide-scrollbars", "--virtual-time-budget=5000")
    subprocess.run(
        [browser, *options, f"--window-size={width},{height}", f"--screenshot={picture}", page.as_uri()], check=True
    )
    return Image.open(picture)


def _studio(picture: Path) -> Image.Image:
    """The studio after a question, worked as its tests work it."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.report.chromium import Chromium
    from tests.studio.driving import Studio, serving

    with Chromium() as browser, serving("--device", "cpu") as address:
        studio = Studio(browser, address)
        studio.wait("status", "Tap on the coloured part")
        browser.click(*studio.at(52 / 128, 48 / 128))
        studio.wait("status", "class 2")
        studio.choose("Patch size", "16")
        studio.push("explain")
        studio.wait("status", "Done", 300)
        browser.screenshot(picture, whole=True)
    return Image.open(picture)


if __name__ == "__main__":
    main()
