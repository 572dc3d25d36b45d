# SPDX-License-Identifier: Apache-2.0
"""Who runs the workers: this machine, or Ray. Neither is a scheduler: tasks are handed to whoever has room."""

from __future__ import annotations
