# SPDX-License-Identifier: Apache-2.0
"""Causal questions for medical imaging models, asked the MONAI way.

Everything here does one thing: **do(region := fill), ask the model again, compare the answers.** The engine is
:mod:`monai_causal.intervene`.
"""

from __future__ import annotations

__version__ = "0.1.0"
