# SPDX-License-Identifier: Apache-2.0
"""A benchmark of segmentation attribution: data x networks x seeds x methods, after DEA's sections 3 and 4.

``config`` says what, ``run`` does it, item by item, into a ``journal``, and ``report`` makes tables and figures of it.
Nothing is imported here, so that plan and journal can be read without a deep learning library.
"""
