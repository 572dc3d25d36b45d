# SPDX-License-Identifier: Apache-2.0
"""Chest ImaGenome's silver scene graphs, and where MIMIC-CXR-JPG keeps their images.

Neither may be passed on. Their identifiers stay out of messages, which name a scene graph as the caller does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

__all__ = ["FILES", "SCENE_GRAPHS", "SUFFIX", "SceneGraph", "read_scene_graph"]

SCENE_GRAPHS = "silver_dataset/scene_graph"
"""Folder of the scene graphs in Chest ImaGenome; a file is the image's identifier with :data:`SUFFIX`."""
SUFFIX = "_SceneGraph.json"
FILES = "files"
"""Folder of the images in MIMIC-CXR-JPG."""

_NEEDED = ("image_id", "patient_id", "study_id", "objects")
_CORNERS = ("x1", "y1", "x2", "y2")
_KINDS = ("anatomicalfinding", "disease")


@dataclass(frozen=True, eq=False)
class SceneGraph:
    """What is known of one image.

    Attributes:
        item: how messages name it.
        identifier: of the image.
        picture: its JPEG, below :data:`FILES`.
        regions: by name the box ``x0, y0, x1, y1`` in the image's pixels, of those that have one.
    """

    item: str
    identifier: str
    picture: PurePath
    regions: dict[str, tuple[float, float, float, float]]
    _attributes: Any

    def statements(self) -> Iterator[tuple[str, str, str]]:
        """Region, ``"yes"`` or ``"no"``, and finding, of everything that the report says of a finding or a disease.

        Raises:
            ValueError: the scene graph has no attributes.
        """
        if self._attributes is None:
            raise ValueError(f"{self.item}: its scene graph has no attributes: it is not Chest ImaGenome's.")
        for one in self._attributes:
            for sentence in one["attributes"]:
                for text in sentence:
                    kind, _, rest = text.partition("|")
                    said, _, finding = rest.partition("|")
                    if kind in _KINDS and said in ("yes", "no"):
                        yield one["bbox_name"], said, finding


def read_scene_graph(path: Path, item: str) -> SceneGraph:
    """Read one scene graph.

    Args:
        path: of the file.
        item: how messages name it.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is of another form.
    """
    try:
        graph = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{item}: no scene graph in {SCENE_GRAPHS}.") from None
    lacking = [key for key in _NEEDED if key not in graph]
    if lacking:
        raise ValueError(f"{item}: its scene graph has no {', '.join(lacking)}: it is not Chest ImaGenome's.")
    regions = {}
    for one in graph["objects"]:
        x0, y0, x1, y1 = (float(one[f"original_{corner}"]) for corner in _CORNERS)
        if x0 < x1 and y0 < y1:
            regions[str(one["bbox_name"])] = (x0, y0, x1, y1)
    # Numbers, which some files hold as texts that end in ".0".
    subject, study = (str(graph[key]).removesuffix(".0") for key in ("patient_id", "study_id"))
    identifier = str(graph["image_id"])
    picture = PurePath(f"p{subject[:2]}", f"p{subject}", f"s{study}", f"{identifier}.jpg")
    return SceneGraph(item, identifier, picture, regions, graph.get("attributes"))
