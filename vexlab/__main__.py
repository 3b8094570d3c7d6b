"""Entry point: runs the command line, and is the one place that prints a problem and exits."""

from __future__ import annotations

import os
import sys

from vexlab.run import interrupt


def main() -> None:
    """Run vexlab; exits with the code that the problem, if any, has."""
    try:
        interrupt.listen()
        sys.exit(_run())
    except KeyboardInterrupt:  # before or after a command, or while its modules are loaded
        sys.exit(130)


def _run() -> int:
    """Run the command line and print what went wrong; returns the exit code."""
    import click  # noqa: PLC0415  what takes time is loaded where an interruption is noticed
    from rich.console import Console  # noqa: PLC0415

    from vexlab.cli.main import cli  # noqa: PLC0415
    from vexlab.errors import Interrupted, VexlabError, of_system  # noqa: PLC0415

    stderr = Console(stderr=True, highlight=False)
    try:
        # Alone, click would make of an interruption an exit code of its own.
        code = cli(standalone_mode=False)
    except click.ClickException as usage:
        usage.show()
        return usage.exit_code
    except (click.Abort, KeyboardInterrupt):
        stderr.print("vexlab: interrupted")
        return Interrupted.default_exit_code
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (VexlabError, OSError) as raised:
        problem = of_system(raised) if isinstance(raised, OSError) else raised
        stderr.print("vexlab: ", style="bold red", end="")
        stderr.print(problem.message, markup=False, soft_wrap=True)
        if problem.hint:
            stderr.print(f"  → {problem.hint}", markup=False, soft_wrap=True)
        return problem.exit_code
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    main()
