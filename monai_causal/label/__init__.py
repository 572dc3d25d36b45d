# SPDX-License-Identifier: Apache-2.0
"""A MONAI Label server's app: segmentations of bundles, and beside each why the network answered so.

What is computed here needs no MONAI Label: tasks, scoring and strategy have the shape that its server calls, and are
no subclasses of its own. Only :mod:`monai_causal.label.app` and what writes NRRD ask for it, when a server runs.
"""

from __future__ import annotations

from monai_causal.label.folder import BUNDLES, in_words, write_app

__all__ = ["BUNDLES", "in_words", "write_app"]
