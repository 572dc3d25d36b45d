# SPDX-License-Identifier: Apache-2.0
"""The demo: the main job once, offline, on images whose causes are known."""

from __future__ import annotations

from monai_causal.apps.demo.run import in_words, run_demo

__all__ = ["in_words", "run_demo"]
