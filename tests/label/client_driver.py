# SPDX-License-Identifier: Apache-2.0
"""MONAI Label's own Python client, run by its own Python: a call as JSON on each line in, an answer on each line out.

No test: ``tests/label/server.py`` runs it in ``.venv-label``.
"""

from __future__ import annotations

import json
import sys

from monailabel.client import MONAILabelClient


def main() -> None:
    """Serve calls ``[method, arguments, named arguments]`` until the input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever libraries print is no answer
    client = MONAILabelClient(sys.argv[1], tmpdir=sys.argv[2])
    for line in sys.stdin:
        method, arguments, named = json.loads(line)
        try:
            answer = {"result": getattr(client, method)(*arguments, **named)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {getattr(error, 'msg', error)}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
