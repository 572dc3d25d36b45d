# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def built() -> dict[Any, Any]:
    """All objects of the sample result on the sample radiograph."""
    pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")
    from monai_causal.dicom.objects.writing import KINDS, build_objects
    from tests.dicom.objects.samples import content, projection

    return build_objects(projection(), content(), kinds=KINDS)
