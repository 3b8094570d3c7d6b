"""Unpack the builder from standard input ({path: text} in JSON) and run it: one task, and nothing to clean up."""

import json
import pathlib
import runpy
import sys
import tempfile

with tempfile.TemporaryDirectory(prefix="vexlab-image-") as directory:
    for name, text in json.load(sys.stdin).items():
        path = pathlib.Path(directory, "builder", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    sys.path.insert(0, directory)
    sys.dont_write_bytecode = True
    runpy.run_module("builder.build_image", run_name="__main__")
