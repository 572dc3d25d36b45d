# SPDX-License-Identifier: Apache-2.0
"""Many cases: thousands of independent, unequal jobs on one machine or on Ray, with a journal that survives a kill.

Nothing heavy is imported here, nor by the driver, the journal and the local engine: a deep learning library is the
workers' matter.
"""

from __future__ import annotations

from monai_causal.cohort.config import CohortConfig, read_config
from monai_causal.cohort.items import Item
from monai_causal.cohort.run import retry_items, run_cohort
from monai_causal.cohort.status import status_of

__all__ = ["CohortConfig", "Item", "read_config", "retry_items", "run_cohort", "status_of"]
