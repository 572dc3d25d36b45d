# SPDX-License-Identifier: Apache-2.0
"""Data: datasets by name, donor banks, and phantoms (images with a known cause)."""
