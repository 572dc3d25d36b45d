# SPDX-License-Identifier: Apache-2.0
"""From studies to results that a hospital can keep, one study after another, through kills and faults."""

from __future__ import annotations

from monai_causal.apps.medfocus.workflow.workflow import Answer, Verify, Workflow, Written

__all__ = ["Answer", "Verify", "Workflow", "Written"]
