# SPDX-License-Identifier: Apache-2.0
"""What finds concepts on an image, each behind the same small interface."""
