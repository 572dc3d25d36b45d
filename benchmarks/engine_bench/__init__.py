# SPDX-License-Identifier: Apache-2.0
"""The engine's benchmark: one module per part, and what they share. ``benchmarks/engine.py`` is the command."""
