# SPDX-License-Identifier: Apache-2.0
"""What is installed, what works, what is missing and how to get it.

:func:`examine` returns a plain dictionary (``monai-causal doctor --json``), :func:`describe` turns it into text.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from monai_causal import __version__
from monai_causal.extras import OPTIONAL, install_command

__all__ = ["SCHEMA", "describe", "examine", "model_folders"]

SCHEMA = "monai_causal/doctor/1"
CORE = ("torch", "monai", "numpy", "scipy", "nibabel", "tqdm", "matplotlib", "typer", "packaging")
ENGINE = "monai_causal.intervene"
MODELS_VARIABLE = "MONAI_CAUSAL_MODELS"
REINSTALL = "pip install --upgrade monai-causal"
MODEL_FILES = {
    "configs/metadata.json": "MONAI bundle",
    "open_clip_config.json": "open_clip",
    "config.json": "transformers",
}


def examine() -> dict[str, Any]:
    """Look at this installation; takes as long as importing torch and MONAI.

    Returns:
        a JSON-ready dictionary; ``ok`` tells whether the core works, ``missing`` lists ``{"what", "how"}``.
    """
    with _stdout_kept_clean():
        core = [_library(name) for name in (*CORE, ENGINE)]
        report: dict[str, Any] = {
            "schema": SCHEMA,
            "version": __version__,
            "ok": all(library["problem"] is None for library in core),
            "python": {"version": platform.python_version(), "platform": platform.platform()},
            "core": core,
            "torchvision": _torchvision(),
            "device": _device(),
            "extras": _extras(),
            "models": model_folders(),
            "dicom_decoders": _dicom_decoders(),
            "resources": _resources(),
        }
    report["missing"] = _missing(report)
    return report


@contextlib.contextmanager
def _stdout_kept_clean() -> Iterator[None]:
    """Send to stderr what libraries print while they are imported, compiled ones too, so that stdout is ours alone."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def _reason(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _installed(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _specifiers() -> dict[str, SpecifierSet]:
    """The version each requirement of this package asks for; empty where it runs without having been installed."""
    try:
        lines = importlib.metadata.requires("monai-causal") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in requirements}


def _too_old(distribution: str) -> str | None:
    """What is asked for, where the installed version does not answer to it."""
    version = _installed(distribution)
    wanted = _specifiers().get(canonicalize_name(distribution))
    if version is None or wanted is None or wanted.contains(version, prereleases=True):
        return None
    return f"{distribution}{wanted} (installed: {version})"


def _library(name: str) -> dict[str, Any]:
    """Import one core library: what is listed as installed may still not load."""
    problem = None
    try:
        importlib.import_module(name)
    except Exception as error:  # a broken binary may raise anything; the doctor reports it and goes on
        problem = _reason(error)
    else:
        old = _too_old(name)
        problem = f"needs {old}" if old else None
    return {"name": name, "version": __version__ if name == ENGINE else _installed(name), "problem": problem}


def _torchvision() -> dict[str, Any]:
    """Whether torchvision fits torch: only a call of one of its compiled operators shows it."""
    version = _installed("torchvision")
    if version is None:
        return {"version": None, "matches_torch": None, "problem": None}
    try:
        import torch

        ops = importlib.import_module("torchvision.ops")
        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0]])
        kept = ops.nms(boxes, torch.tensor([0.5, 1.0]), 0.5).tolist()
        problem = None if kept == [1] else f"nms kept {kept} of two equal boxes, not [1]"
    except Exception as error:
        problem = _reason(error)
    return {"version": version, "matches_torch": problem is None, "problem": problem}


def _device() -> dict[str, Any]:
    device: dict[str, Any] = {"kind": "cpu", "accelerators": [], "cores": _cores(), "threads": None}
    try:
        import torch
    except Exception:  # reported among the core libraries
        return device
    device["threads"] = torch.get_num_threads()
    if torch.cuda.is_available():
        device["kind"] = "cuda"
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            device["accelerators"].append({"name": properties.name, "memory_bytes": properties.total_memory})
    elif torch.backends.mps.is_available():
        device["kind"] = "mps"
        device["accelerators"].append({"name": platform.processor(), "memory_bytes": _memory()["total_bytes"]})
    return device


def _cores() -> int | None:
    """Cores this process may use, which in a container are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _extras() -> dict[str, dict[str, Any]]:
    extras: dict[str, dict[str, Any]] = {}
    for module, library in OPTIONAL.items():
        for extra in library.extras:
            entry = extras.setdefault(
                extra, {"complete": True, "missing": [], "too_old": [], "install": install_command(extra)}
            )
            if importlib.util.find_spec(module) is None:  # an import of itk or transformers alone takes seconds
                entry["missing"].append(library.distribution)
            elif old := _too_old(library.distribution):
                entry["too_old"].append(old)
            entry["complete"] = not entry["missing"] and not entry["too_old"]
    return extras


def model_folders() -> list[dict[str, Any]]:
    """Folders where models are looked for, with the models found there.

    ``$MONAI_CAUSAL_MODELS`` (several folders are separated as in ``$PATH``), then the user's cache folder, then the
    ``bundles`` folder of a checkout.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    named = [Path(name) for name in os.environ.get(MODELS_VARIABLE, "").split(os.pathsep) if name]
    places = [(f"${MODELS_VARIABLE}", folder) for folder in named]
    places.append(("cache", cache / "monai_causal" / "models"))
    bundles = Path(__file__).resolve().parents[1] / "bundles"
    if bundles.is_dir():
        places.append(("bundled", bundles))
    return [
        {"source": source, "path": str(folder), "exists": folder.is_dir(), "models": _models_in(folder)}
        for source, folder in places
    ]


def _models_in(folder: Path) -> list[dict[str, str]]:
    """Models one or two levels down (``name`` or ``owner/name``), each with the kind that its files tell."""
    models: list[dict[str, str]] = []
    for child in sorted(path for path in folder.glob("*") if path.is_dir()):
        kind = _kind_of_model(child)
        if kind:
            models.append({"name": child.name, "kind": kind})
            continue
        for grandchild in sorted(path for path in child.glob("*") if path.is_dir()):
            if kind := _kind_of_model(grandchild):
                models.append({"name": f"{child.name}/{grandchild.name}", "kind": kind})
    return models


def _kind_of_model(folder: Path) -> str | None:
    for file, kind in MODEL_FILES.items():
        if (folder / file).is_file():
            return kind
    return "safetensors" if any(folder.glob("*.safetensors")) else None


def _dicom_decoders() -> dict[str, Any]:
    """What :func:`monai_causal.dicom.decoders.report` says; it may not even import where a core library is broken."""
    try:
        found: dict[str, Any] = importlib.import_module("monai_causal.dicom.decoders").report()
    except Exception as error:  # whatever a broken binary raises
        return {"pydicom": _installed("pydicom"), "problem": _reason(error), "transfer_syntaxes": []}
    return found


def _resources() -> dict[str, Any]:
    return {"disk_free_bytes": shutil.disk_usage(Path.cwd()).free, "memory": _memory()}


def _memory() -> dict[str, int | None]:
    """Memory in bytes: all there is, what is free now, and a container's limit; None where the system does not say."""
    total = available = limit = None
    with contextlib.suppress(ValueError, OSError, AttributeError):  # Windows has no sysconf, macOS not all names
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
    with contextlib.suppress(OSError, ValueError):  # "max" where there is no limit
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
    return {"total_bytes": total, "available_bytes": available, "limit_bytes": limit}


def _missing(report: dict[str, Any]) -> list[dict[str, str]]:
    missing = [
        {"what": f"{library['name']}: {library['problem']}", "how": REINSTALL}
        for library in report["core"]
        if library["problem"]
    ]
    if report["torchvision"]["problem"]:
        missing.append(
            {
                "what": f"torchvision does not fit torch: {report['torchvision']['problem']}",
                "how": "install torch and torchvision together, from one index, as the pair in constraints.txt",
            }
        )
    for name, extra in report["extras"].items():
        if not extra["complete"]:
            what = ", ".join(extra["missing"] + extra["too_old"])
            missing.append({"what": f"extra {name}: {what}", "how": extra["install"]})
    advised: dict[str, list[str]] = {}
    for syntax in report["dicom_decoders"]["transfer_syntaxes"]:
        if syntax["advice"]:
            advised.setdefault(syntax["advice"], []).append(syntax["keyword"])
    for how, keywords in advised.items():
        missing.append({"what": f"DICOM decoder for {', '.join(keywords)}", "how": how})
    if not any(folder["models"] for folder in report["models"] if folder["source"] != "bundled"):
        how = f"put each model's folder into one folder and name it in ${MODELS_VARIABLE}"
        missing.append({"what": "model folders: none found (only what loads models needs them)", "how": how})
    return missing


def describe(report: dict[str, Any]) -> str:
    """The same report as text, for people."""
    lines = [
        f"monai_causal {report['version']}: the core {'works' if report['ok'] else 'does NOT work'}",
        "",
        f"python                  {report['python']['version']} on {report['python']['platform']}",
        *(f"{library['name']:<23} {library['problem'] or library['version']}" for library in report["core"]),
        f"torchvision             {_torchvision_line(report['torchvision'])}",
        f"device                  {_device_line(report['device'])}",
        f"disk, free              {_gibibytes(report['resources']['disk_free_bytes'])}",
        f"memory                  {_memory_line(report['resources']['memory'])}",
        "",
        "Extras",
        *(f"  {name:<12} {_extra_line(extra)}" for name, extra in report["extras"].items()),
        "",
        "Model folders",
        *(f"  {folder['source']}: {folder['path']}: {_folder_line(folder)}" for folder in report["models"]),
        "",
        "DICOM decoders",
        *_decoder_lines(report["dicom_decoders"]),
    ]
    if report["missing"]:
        lines += ["", "Missing, and how to get it"]
        for item in report["missing"]:
            lines += [f"  {item['what']}", f"    -> {item['how']}"]
    return "\n".join(lines)


def _torchvision_line(torchvision: dict[str, Any]) -> str:
    if torchvision["version"] is None:
        return "not installed"
    fits = "fits torch" if torchvision["matches_torch"] else f"does not fit torch: {torchvision['problem']}"
    return f"{torchvision['version']}, {fits}"


def _device_line(device: dict[str, Any]) -> str:
    names = [f"{item['name']} ({_gibibytes(item['memory_bytes'])})" for item in device["accelerators"]]
    return f"{', '.join([device['kind'], *names])}; {device['cores']} cores, {device['threads']} threads in torch"


def _memory_line(memory: dict[str, int | None]) -> str:
    limit = f", container limit {_gibibytes(memory['limit_bytes'])}" if memory["limit_bytes"] is not None else ""
    return f"{_gibibytes(memory['available_bytes'])} free of {_gibibytes(memory['total_bytes'])}{limit}"


def _gibibytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**30:.1f} GiB"


def _extra_line(extra: dict[str, Any]) -> str:
    if extra["complete"]:
        return "complete"
    parts = [
        f"{label}: {', '.join(extra[key])}"
        for key, label in (("missing", "missing"), ("too_old", "too old"))
        if extra[key]
    ]
    return "; ".join(parts)


def _folder_line(folder: dict[str, Any]) -> str:
    if not folder["exists"]:
        return "not there"
    return ", ".join(f"{model['name']} ({model['kind']})" for model in folder["models"]) or "no models"


def _decoder_lines(found: dict[str, Any]) -> list[str]:
    if found["problem"]:
        return [f"  {found['problem']}"]
    return [f"  {syntax['keyword']}: {_decoder_line(syntax)}" for syntax in found["transfer_syntaxes"]]


def _decoder_line(syntax: dict[str, Any]) -> str:
    plugins = ", ".join(syntax["plugins"])
    # Plug-ins for extended JPEG may all be such as give 8 of the 12 bits.
    return f"{plugins}, not for all files" if plugins and syntax["advice"] else plugins or "none"
