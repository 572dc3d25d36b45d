# SPDX-License-Identifier: Apache-2.0
"""What studies share: checked configurations, files of lines that survive a kill, training on the spot.

Nothing is imported here, so that configurations and lines can be read without a deep learning library.
"""
