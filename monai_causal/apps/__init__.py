# SPDX-License-Identifier: Apache-2.0
"""Workflows, one folder each, built from the parts below them."""
