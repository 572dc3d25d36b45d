# SPDX-License-Identifier: Apache-2.0
"""Which optional library belongs to which extra: the one place that knows.

Heavy libraries are imported where they are used, through :func:`require`, so that the package works without them and
says by name what to install when they are needed. The table mirrors the extras of ``setup.cfg``; a test compares them.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import NamedTuple

__all__ = ["OPTIONAL", "MissingExtraError", "OptionalLibrary", "install_command", "require"]


class OptionalLibrary(NamedTuple):
    """The distribution that holds an import name, and the extras that install it (the first is the one named)."""

    distribution: str
    extras: tuple[str, ...]


OPTIONAL: dict[str, OptionalLibrary] = {
    "pydicom": OptionalLibrary("pydicom", ("dicom",)),
    "highdicom": OptionalLibrary("highdicom", ("dicom",)),
    "pylibjpeg": OptionalLibrary("pylibjpeg", ("dicom",)),
    "openjpeg": OptionalLibrary("pylibjpeg-openjpeg", ("dicom",)),
    "dicomweb_client": OptionalLibrary("dicomweb-client", ("dicomweb",)),
    "ot": OptionalLibrary("pot", ("cxr",)),
    "segment_anything": OptionalLibrary("segment-anything", ("cxr",)),
    "transformers": OptionalLibrary("transformers", ("cxr", "networks")),
    "skimage": OptionalLibrary("scikit-image", ("superpixels", "cxr")),
    "open_clip": OptionalLibrary("open_clip_torch", ("clip",)),
    "peft": OptionalLibrary("peft", ("clip",)),
    "safetensors": OptionalLibrary("safetensors", ("clip", "cxr")),
    "huggingface_hub": OptionalLibrary("huggingface_hub", ("clip", "cxr")),
    "ignite": OptionalLibrary("pytorch-ignite", ("train",)),
    "tensorboard": OptionalLibrary("tensorboard", ("train",)),
    "fire": OptionalLibrary("fire", ("train",)),
    "timm": OptionalLibrary("timm", ("networks",)),
    "einops": OptionalLibrary("einops", ("networks",)),
    "segmentation_models_pytorch": OptionalLibrary("segmentation-models-pytorch", ("networks",)),
    "diffusers": OptionalLibrary("diffusers", ("edit",)),
    "itk": OptionalLibrary("itk", ("volumes",)),
    "torchvision": OptionalLibrary("torchvision", ("bench", "cxr")),
    "pandas": OptionalLibrary("pandas", ("bench",)),
    "pyarrow": OptionalLibrary("pyarrow", ("bench",)),
    "yaml": OptionalLibrary("pyyaml", ("bench", "clip", "cxr")),
    "sklearn": OptionalLibrary("scikit-learn", ("bench",)),
    "jinja2": OptionalLibrary("jinja2", ("report",)),
    "bokeh": OptionalLibrary("bokeh", ("studio",)),
    "ray": OptionalLibrary("ray", ("ray", "dev")),
    "monailabel": OptionalLibrary("monailabel", ("label",)),
    "dcmqi": OptionalLibrary("dcmqi", ("label",)),
    "sphinx": OptionalLibrary("sphinx", ("docs",)),
    "myst_parser": OptionalLibrary("myst-parser", ("docs",)),
    "pydata_sphinx_theme": OptionalLibrary("pydata-sphinx-theme", ("docs",)),
    "latex2mathml": OptionalLibrary("latex2mathml", ("docs",)),
    "nbclient": OptionalLibrary("nbclient", ("docs",)),
    "ipykernel": OptionalLibrary("ipykernel", ("docs",)),
    "libjpeg": OptionalLibrary("pylibjpeg-libjpeg", ("jpeg-gpl",)),
    "captum": OptionalLibrary("captum", ("dev",)),
    "hypothesis": OptionalLibrary("hypothesis", ("dev",)),
    "mypy": OptionalLibrary("mypy", ("dev",)),
    "pre_commit": OptionalLibrary("pre-commit", ("dev",)),
    "pytest": OptionalLibrary("pytest", ("dev",)),
    "xdist": OptionalLibrary("pytest-xdist", ("dev",)),
    "ruff": OptionalLibrary("ruff", ("dev",)),
}


class MissingExtraError(ImportError):
    """An optional library is not installed; ``extra`` names what to install."""

    def __init__(self, message: str, *, name: str, extra: str) -> None:
        super().__init__(message, name=name)
        self.extra = extra


def install_command(extra: str) -> str:
    """The command that installs an extra.

    Example:
        >>> install_command("dicom")
        "pip install 'monai-causal[dicom]'"
    """
    return f"pip install 'monai-causal[{extra}]'"


def require(name: str) -> ModuleType:
    """Import an optional library, or say which extra it belongs to.

    Args:
        name: import name, with or without submodules, e.g. ``"pydicom"`` or ``"pydicom.uid"``.

    Returns:
        the module named, not its top-level package.

    Raises:
        MissingExtraError: the library is not installed.
        ValueError: the library belongs to no extra, so it is either core or a slip in the caller.

    Example:
        >>> require("pydicom.uid").JPEG2000.name
        'JPEG 2000 Image Compression'
    """
    top = name.partition(".")[0]
    library = OPTIONAL.get(top)
    if library is None:
        raise ValueError(
            f"{top!r} belongs to no extra; monai_causal.extras.OPTIONAL knows {', '.join(sorted(OPTIONAL))}."
        )
    try:
        importlib.import_module(top)
    except ModuleNotFoundError as error:
        # Only the library's own absence is answered by an extra; what fails inside an installed library stays visible.
        if error.name != top:
            raise
        extra = library.extras[0]
        called = top if library.distribution.replace("-", "_") == top else f"{top} ({library.distribution} on PyPI)"
        message = f"{called} is not installed. It belongs to the extra {extra!r}: {install_command(extra)}"
        raise MissingExtraError(message, name=top, extra=extra) from error
    return importlib.import_module(name)
