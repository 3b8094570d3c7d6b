"""Entry point: runs the command line, and is the one place that prints a problem and exits."""

from __future__ import annotations

import signal
import sys

from rich.console import Console

from vexlab.cli import cli
from vexlab.errors import Interrupted, VexlabError, of_system


def _terminate(*_: object) -> None:
    """Let SIGTERM clean up as Ctrl-C does."""
    raise KeyboardInterrupt


def main() -> None:
    """Run vexlab; exits with the code that the problem, if any, has."""
    signal.signal(signal.SIGTERM, _terminate)
    stderr = Console(stderr=True, highlight=False)
    try:
        cli()
    except (VexlabError, OSError) as raised:
        problem = of_system(raised) if isinstance(raised, OSError) else raised
        stderr.print("vexlab: ", style="bold red", end="")
        stderr.print(problem.message, markup=False, soft_wrap=True)
        if problem.hint:
            stderr.print(f"  → {problem.hint}", markup=False, soft_wrap=True)
        sys.exit(problem.exit_code)
    except KeyboardInterrupt:
        sys.exit(Interrupted.default_exit_code)


if __name__ == "__main__":
    main()
