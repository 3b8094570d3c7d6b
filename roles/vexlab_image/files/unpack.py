"""Unpack a package from standard input ({path: text} in JSON) and run a module of it: one task, nothing to clean up.

The first argument is the module's name; what follows are its own arguments.
"""

import json
import pathlib
import runpy
import signal
import sys
import tempfile

for number in (signal.SIGTERM, signal.SIGHUP):  # until the module has its own way to end: the directory must not stay
    signal.signal(number, lambda *_: sys.exit(130))
with tempfile.TemporaryDirectory(prefix="vexlab-") as directory:
    for name, text in json.load(sys.stdin).items():
        path = pathlib.Path(directory, "role", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    sys.path.insert(0, directory)
    sys.dont_write_bytecode = True
    runpy.run_module(f"role.{sys.argv.pop(1)}", run_name="__main__")
