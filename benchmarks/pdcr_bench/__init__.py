# SPDX-License-Identifier: Apache-2.0
"""The parts of PdCR's benchmark, one module each."""
