"""Run of `ansible-test sanity` on the plugins all that needs nothing from the network.

It works in a directory named as a collection's is, so the files that git knows are copied to one. Its other tests
install pip from a server of Ansible's first: validate-modules, import, ansible-doc, pep8, pylint.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = (
    "action-plugin-docs", "changelog", "compile", "empty-init", "ignores", "line-endings", "no-assert",
    "no-get-exception", "no-illegal-filenames", "no-smart-quotes", "replace-urlopen", "runtime-metadata", "shebang",
    "symlinks", "use-argspec-type-path", "use-compat-six",
)  # fmt: skip
PLACES = ("galaxy.yml", "meta", "plugins")


def main() -> int:
    """Copy the collection and test it; returns the exit code of ansible-test."""
    names = subprocess.run(["git", "ls-files", *PLACES], capture_output=True, text=True, check=True).stdout.split()
    with tempfile.TemporaryDirectory() as scratch:
        collection = Path(scratch) / "ansible_collections" / "vexfs" / "vexlab"
        for name in names:
            (collection / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, collection / name)
        subprocess.run(["git", "init", "--quiet"], cwd=collection, check=True)
        subprocess.run(["git", "add", "."], cwd=collection, check=True)
        version = "{}.{}".format(*sys.version_info)
        tests = [word for name in TESTS for word in ("--test", name)]
        command = ["ansible-test", "sanity", "--python", version, *tests, "plugins/"]
        return subprocess.run(command, cwd=collection, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
