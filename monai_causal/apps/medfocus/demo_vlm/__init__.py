# SPDX-License-Identifier: Apache-2.0
"""A small vision-language model that is real, taught on chest phantoms alone; and its twin, which cheats."""
