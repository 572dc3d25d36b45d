# SPDX-License-Identifier: Apache-2.0
"""What holds for every folder under ``bundles/``; ``make bundles`` runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ignite", reason="the extra 'train' is not installed")
pytest.importorskip("open_clip", reason="the extra 'clip' is not installed")

from monai.bundle import ConfigWorkflow, verify_net_in_out
from monai.utils import BundleProperty, BundlePropertyConfig

BUNDLES = sorted(path.parent.parent for path in Path(__file__).parents[2].glob("bundles/*/configs/metadata.json"))
FILES = ("LICENSE", "configs/metadata.json", "configs/inference.json", "docs/README.md", "models/model.pt")
# The specification's; the schema itself is only on the network.
MANDATORY = (
    *("version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version", "task"),
    *("description", "authors", "copyright", "network_data_format"),
)
OF_A_TENSOR = (
    *("type", "format", "modality", "num_channels", "spatial_shape", "dtype", "value_range"),
    *("is_patch_data", "channel_def"),
)

pytestmark = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)


def metadata_of(bundle: Path) -> dict[str, Any]:
    return json.loads((bundle / "configs" / "metadata.json").read_text())


def test_it_is_complete(bundle: Path) -> None:
    assert [name for name in FILES if not (bundle / name).is_file()] == []
    assert (bundle / "models" / "model.pt").stat().st_size < 10_000_000


def test_its_metadata_says_all(bundle: Path) -> None:
    metadata = metadata_of(bundle)
    assert [key for key in MANDATORY if key not in metadata] == []
    assert metadata["version"] in metadata["changelog"]
    assert "monai_causal" in metadata["required_packages_version"]
    formats = metadata["network_data_format"]
    for tensor in (*formats["inputs"].values(), *formats["outputs"].values()):
        assert [key for key in OF_A_TENSOR if key not in tensor] == []
        assert len(tensor["channel_def"]) == tensor["num_channels"]


@pytest.mark.parametrize("kind", ["train", "inference"])
def test_its_properties_are_where_monai_looks(bundle: Path, kind: str) -> None:
    config = bundle / "configs" / f"{kind}.json"
    if not config.is_file():
        pytest.skip(f"no {config.name}")
    flow = ConfigWorkflow(str(config), logging_file=False, workflow_type=kind)
    needed = [p[BundlePropertyConfig.ID] for p in flow.properties.values() if p[BundleProperty.REQUIRED]]
    assert [name for name in needed if name not in flow.parser] == []


def test_its_network_gives_what_the_metadata_says(bundle: Path) -> None:
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
        device="cpu",
    )


def test_it_holds_no_code(bundle: Path) -> None:
    assert not list(bundle.rglob("*.py"))
