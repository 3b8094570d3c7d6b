"""A task of a matrix, for the tests of what runs them: it does what its order says."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from vexlab.matrix import worker

if __name__ == "__main__":
    order = json.loads(sys.stdin.read())
    try:
        worker.tell("at work")
        if "wait" in order:
            time.sleep(60)
    except KeyboardInterrupt:
        Path(order["wait"]).write_text("interrupted")
    if "print" in order:
        sys.stdout.write(order["print"] + "\n")
    if "fail" in order:
        sys.exit(order["fail"])
    worker.answer({"number": order["number"]})
