# SPDX-License-Identifier: Apache-2.0
"""A folder of results as one HTML file that needs nothing else: no network, no other file, no server."""

from __future__ import annotations

from monai_causal.report.build import in_words, write_report

__all__ = ["in_words", "write_report"]
