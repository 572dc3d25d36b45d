# SPDX-License-Identifier: Apache-2.0
"""With what a result was made is said without importing it."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys

import pytest

import monai_causal
from monai_causal.versions import versions
from tests.guards.checkout import ROOT


def test_the_versions_are_those_of_this_environment() -> None:
    assert list(versions("torch", "numpy").items()) == [
        ("monai_causal", monai_causal.__version__),
        ("torch", importlib.metadata.version("torch")),
        ("numpy", importlib.metadata.version("numpy")),
        ("python", platform.python_version()),
    ]


def test_a_library_that_is_not_installed_is_an_error() -> None:
    with pytest.raises(importlib.metadata.PackageNotFoundError, match="no-such-library"):
        versions("no-such-library")


def test_no_library_is_imported() -> None:
    code = (
        "import sys; from monai_causal.versions import versions; versions('torch', 'monai', 'numpy'); "
        "print({'torch', 'monai', 'numpy'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
