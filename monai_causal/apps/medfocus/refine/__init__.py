# SPDX-License-Identifier: Apache-2.0
"""What draws found concepts anew: SAM with a checkpoint, a classical method without one."""
