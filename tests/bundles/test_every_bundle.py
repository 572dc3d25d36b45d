# SPDX-License-Identifier: Apache-2.0
"""What holds for every folder under ``bundles/``, as the model zoo verifies it; ``make bundles`` runs it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("ignite", reason="the extra 'train' is not installed")
pytest.importorskip("open_clip", reason="the extra 'clip' is not installed")

from monai.bundle import ConfigParser, ckpt_export, verify_metadata, verify_net_in_out
from monai.utils import BundlePropertyConfig

from tests.bundles.bundle import BUNDLES, DEA, MCDRL, NETWORKS, PDCR, metadata_of, moment, run, workflow

FILES = (
    *("LICENSE", "configs/metadata.json", "configs/inference.json", "configs/logging.conf", "docs/README.md"),
    "docs/data_license.txt",
)
# The specification's keys, and those that the zoo's bundles have beside them; the schema itself is on the network.
MANDATORY = (
    *("version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version", "task"),
    *("description", "authors", "copyright", "network_data_format"),
)
CONVENTIONAL = (
    *("schema", "changelog", "name", "intended_use", "data_source", "data_type", "references", "image_classes"),
    *("label_classes", "pred_classes", "eval_metrics", "supported_apps"),
)
OF_A_TENSOR = (
    *("type", "format", "modality", "num_channels", "spatial_shape", "dtype", "value_range"),
    *("is_patch_data", "channel_def"),
)
SCHEMA = "MONAI_CAUSAL_BUNDLE_SCHEMA"
TRACED = {MCDRL: (1, 3, 96, 96), PDCR: (1, 1, 96, 96), DEA: (1, 3, 96, 96)}

every = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
networks = pytest.mark.parametrize("bundle", NETWORKS, ids=lambda path: path.name)


@every
def test_it_is_complete_and_holds_no_code(bundle: Path) -> None:
    assert [name for name in FILES if not (bundle / name).is_file()] == []
    assert not list(bundle.rglob("*.py"))


@networks
def test_its_weights_are_small(bundle: Path) -> None:
    assert (bundle / "models" / "model.pt").stat().st_size < 10_000_000


@every
def test_its_metadata_says_all(bundle: Path) -> None:
    metadata = metadata_of(bundle)
    assert [key for key in (*MANDATORY, *CONVENTIONAL) if key not in metadata] == []
    assert metadata["version"] in metadata["changelog"]
    assert "monai_causal" in metadata["required_packages_version"]
    assert metadata["references"]
    assert all(metadata["references"])
    formats = metadata["network_data_format"]
    for part in ("inputs", "outputs", "post_processed_outputs"):
        for tensor in formats[part].values():
            assert [key for key in OF_A_TENSOR if key not in tensor] == []
            assert len(tensor["channel_def"]) == tensor["num_channels"]


@every
def test_its_metadata_fits_the_schema(bundle: Path, tmp_path: Path) -> None:
    given = os.environ.get(SCHEMA)
    if given is None:
        pytest.skip(f"the schema is on the network; ${SCHEMA} may name a copy")
    verify_metadata(meta_file=str(bundle / "configs" / "metadata.json"), filepath=given)


@networks
def test_its_network_gives_what_the_metadata_says(bundle: Path) -> None:
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
        device="cpu",
    )


@networks
def test_what_it_ships_can_be_exported_and_loaded(bundle: Path, tmp_path: Path) -> None:
    config = bundle / "configs" / "inference.json"
    shape = TRACED[bundle]
    ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(bundle / "models" / "model.pt"),
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(config),
        use_trace=True,
        input_shape=shape,
    )
    parser = ConfigParser()
    parser.read_config(str(config))
    network = parser.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(bundle / "models" / "model.pt", map_location="cpu", weights_only=True))
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.load(str(tmp_path / "model.ts"))(image), network(image))


@networks
@pytest.mark.parametrize("names", ["train", "train evaluate", "train multi_gpu_train"])
def test_its_properties_are_where_monai_looks(bundle: Path, names: str, tmp_path: Path) -> None:
    flow = workflow(bundle, names, "train", tmp_path)
    needed = [p[BundlePropertyConfig.ID] for p in flow.properties.values() if BundlePropertyConfig.ID in p]
    assert [name for name in needed if name not in flow.parser] == []


@networks
def test_it_trains_for_two_epochs_and_what_it_learnt_is_evaluated(bundle: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = moment(bundle, tmp_path)
    flow = workflow(bundle, "train", "train", tmp_path / "train", **options, max_epochs=2)
    run(flow)
    trainer = flow.parser.get_parsed_content("train#trainer")
    assert trainer.state.epoch == 2
    network = flow.parser.get_parsed_content("network_def")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    saved = torch.load(Path(options["ckpt_dir"]) / "model.pt", weights_only=True)
    network.load_state_dict(saved, strict=True)
    assert before.keys() == saved.keys()
    judge = workflow(bundle, "train evaluate", "train", tmp_path / "evaluate", **options)
    run(judge)
    metrics = judge.parser.get_parsed_content("validate#evaluator").state.metrics
    lines = (tmp_path / "evaluate" / "metrics.csv").read_text(encoding="utf-8").splitlines()
    written = dict(line.split("\t") if "\t" in line else line.split(",") for line in lines)
    assert {name: float(value) for name, value in written.items()} == pytest.approx(metrics, nan_ok=True)
