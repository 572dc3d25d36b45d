# SPDX-License-Identifier: Apache-2.0
"""The PdCR study: networks x images x RoIs x methods, then the paper's tables and figures with intervals and tests.

``config`` says what, ``run`` does it, item by item, into a ``journal``, and ``report`` makes tables and figures of
that. Nothing is imported here, so that the journal can be read without a deep learning library.
"""
