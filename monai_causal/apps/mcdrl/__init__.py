# SPDX-License-Identifier: Apache-2.0
"""MCDRL as a study: a CLIP taught on phantoms, training, leave-one-site-out evaluation, tables and pictures.

Nothing is imported here, so that configurations and journals can be read without a deep learning library.
"""
