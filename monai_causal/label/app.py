# SPDX-License-Identifier: Apache-2.0
"""The app that ``monailabel start_server`` runs: an app folder's ``main.py`` asks for it and holds nothing else."""

from __future__ import annotations

import argparse
import ipaddress
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from monai_causal import __version__
from monai_causal.extras import require
from monai_causal.label.devices import device_of
from monai_causal.label.infers import IMAGE_ID, ExplanationTask, SegmentationTask
from monai_causal.label.scoring import CausalEvidence, WrongReasonFirst
from monai_causal.label.served import ServedBundle
from monai_causal.label.training import BundleTraining, can_train

__all__ = ["EachModality", "application", "guard_host", "last_label"]

OPEN_TO_NETWORK = "open_to_network"
TRUE = ("1", "true", "yes")
EVERYWHERE = "0.0.0.0"
SERVER = ("monailabel", "main.py")
"""The file that is run where a server is; its background tasks run another one."""


def application() -> Any:
    """The class of the app, a direct subclass of MONAI Label's own: it looks for one in ``main.py``."""
    require("monailabel")
    base = require("monailabel.interfaces.app").MONAILabelApp
    settings = require("monailabel.config").settings

    class CausalApp(base):  # type: ignore[misc, valid-type]
        """Bundles' segmentations, and why the networks answered so.

        ``--conf``: ``models`` (names with commas between them; all by default), ``scored_model`` (whose evidence is
        asked for by default), ``modality`` (of DICOMweb series, such as ``CR,DX``; MONAI Label's own default is CT),
        ``open_to_network true``.
        """

        def __init__(self, app_dir: str, studies: str, conf: Mapping[str, str]) -> None:
            guard_host(sys.argv, bool(settings.MONAI_LABEL_AUTH_ENABLE), conf)
            if modality := conf.get("modality"):
                settings.MONAI_LABEL_DICOMWEB_SEARCH_FILTER = {"Modality": modality}
            self.bundles = _bundles(Path(app_dir) / "model", conf.get("models", ""))
            self.scored = _scored(self.bundles, conf.get("scored_model", ""))
            super().__init__(
                app_dir=app_dir,
                studies=studies,
                conf=dict(conf),
                name=f"monai_causal {__version__}",
                description="Segmentations, and which parts of the image made the network answer so",
                version=__version__,
            )

        def init_remote_datastore(self) -> Any:
            store = super().init_remote_datastore()
            if hasattr(store, "_client"):  # DICOMweb; other remote stores have none
                store._client = EachModality(store._client)
            return store

        def init_infers(self) -> dict[str, Any]:
            tasks: dict[str, Any] = {}
            for name, served in self.bundles.items():
                tasks[name] = SegmentationTask(served)
                for kind in ("bands", "map"):
                    tasks[f"{name}_{kind}"] = ExplanationTask(
                        served,
                        kind,
                        self._images,
                        partial(last_label, self._datastore),
                    )
            return tasks

        def init_trainers(self) -> dict[str, Any]:
            return {name: BundleTraining(served) for name, served in self.bundles.items() if can_train(served)}

        def init_strategies(self) -> dict[str, Any]:
            return {**super().init_strategies(), "wrong_reason_first": WrongReasonFirst(self.bundles, self.scored)}

        def init_scoring_methods(self) -> dict[str, Any]:
            return {"causal_evidence": CausalEvidence(self.bundles, self.scored, device_of(None))}

        def infer(self, request: dict[str, Any], datastore: Any = None) -> Any:
            # The server puts the file in the place of the id; donors and labels are found by the id.
            return super().infer({**request, IMAGE_ID: request.get("image")}, datastore)

        def _images(self) -> dict[str, Callable[[], str]]:
            store = self._datastore
            return {name: partial(store.get_image_uri, name) for name in store.list_images()}

    return CausalApp


class EachModality:
    """A DICOMweb client that asks for one modality after the other where a filter names several, with commas.

    A query for a list of them, ``CR\\DX``, is answered by Orthanc with nothing.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def search_for_series(self, *arguments: Any, **named: Any) -> list[Any]:
        """As the client's own."""
        asked = dict(named.pop("search_filters", None) or {})
        names = str(asked.pop("Modality", "")).split(",")
        found: list[Any] = []
        for name in names:
            wanted = asked | ({"Modality": name.strip()} if name.strip() else {})
            found += self._client.search_for_series(*arguments, **named, search_filters=wanted)
        return found


def last_label(datastore: Any, image_id: str) -> str | None:
    """The file of the label of an image that was saved last, ``None`` where there is none; of equals the final one."""
    found = []
    for tag, label_id in datastore.get_labels_by_image_id(image_id).items():
        info = datastore.get_label_info(label_id, tag)
        found.append((info.get("ts", 0), tag == "final", tag, label_id))
    if not found:
        return None
    _, _, tag, label_id = max(found)
    return str(datastore.get_label_uri(label_id, tag)) or None


def guard_host(argv: list[str], authenticated: bool, conf: Mapping[str, str]) -> None:
    """Refuse to serve the images to a whole network by an oversight.

    ``monailabel start_server`` listens on all addresses where no host is named, and asks nobody who they are.

    Args:
        argv: of the process; a server's background tasks listen nowhere and are let through.
        authenticated: whether the server asks for a token.
        conf: of the app.
    """
    server = tuple(Path(argv[0]).parts[-2:]) == SERVER
    if not server or authenticated or conf.get(OPEN_TO_NETWORK, "").lower() in TRUE:
        return
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-i", "--host", default=EVERYWHERE)  # as the server itself has them
    host = parser.parse_known_args(argv[1:])[0].host
    if host == "localhost":
        return
    try:
        if ipaddress.ip_address(host).is_loopback:
            return
    except ValueError:
        pass  # a name: where it points to is not known
    raise ValueError(
        f"the server would listen on {host}, where anybody who can reach this machine can read its images: start it "
        f"with --host 127.0.0.1, and put a proxy that asks for a password in front of it where others are to use it; "
        f"--conf {OPEN_TO_NETWORK} true does without."
    )


def _bundles(folder: Path, names: str) -> dict[str, ServedBundle]:
    """The bundles of an app folder, those named or all."""
    there = sorted(path.parents[1].name for path in folder.glob("*/configs/metadata.json"))
    chosen = [name.strip() for name in names.split(",") if name.strip()] or there
    if unknown := [name for name in chosen if name not in there]:
        raise ValueError(f"--conf models {names}: there is no bundle {unknown[0]!r}; here are {', '.join(there)}.")
    if not chosen:
        raise ValueError("the app's folder model/ holds no bundle: write it again with `monai-causal label-app`.")
    return {name: ServedBundle(folder / name) for name in chosen}


def _scored(bundles: Mapping[str, ServedBundle], named: str) -> str:
    """Whose evidence scoring asks for where a request does not say: the first that can be trained, or the first."""
    if named and named not in bundles:
        raise ValueError(f"--conf scored_model {named}: choose one of {', '.join(bundles)}.")
    return named or next((name for name, served in bundles.items() if can_train(served)), next(iter(bundles)))
