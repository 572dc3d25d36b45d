# SPDX-License-Identifier: Apache-2.0
"""Seeing what the engine found."""
