# SPDX-License-Identifier: Apache-2.0
"""Ways to run the interventions: the same answer at different cost. The evaluator chooses; callers need not."""
