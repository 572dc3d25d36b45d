# SPDX-License-Identifier: Apache-2.0
"""``python -m monai_causal`` is the command ``monai-causal``."""

from __future__ import annotations

from monai_causal.cli import main

if __name__ == "__main__":
    main()
