"""Entry point: runs the command line, and is the one place that prints a problem and exits."""

from __future__ import annotations

import os
import sys

from vexlab.run import interrupt

ANSWER = "answer it at a terminal; an option of the command answers it beforehand, see --help"


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

    from vexlab.cli.common import stderr  # noqa: PLC0415
    from vexlab.cli.main import cli  # noqa: PLC0415
    from vexlab.cli.options import as_typed  # noqa: PLC0415
    from vexlab.errors import Interrupted, UsageProblem, VexlabError, of_system  # noqa: PLC0415

    try:
        # Alone, click would make of an interruption an exit code of its own.
        code = cli(standalone_mode=False)
    except click.ClickException as usage:
        usage.show()
        return usage.exit_code
    except (click.Abort, KeyboardInterrupt):
        if not interrupt.asked():  # click makes the same of an input that is over
            problem: VexlabError = UsageProblem("the question was not answered: the input is at its end", ANSWER)
        else:
            problem = Interrupted("interrupted")
        stderr.problem(problem.message, problem.hint, problem.exit_code)
        return problem.exit_code
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (VexlabError, OSError) as raised:
        problem = of_system(raised) if isinstance(raised, OSError) else raised
        message, hint = problem.message, problem.hint
        if not isinstance(problem, UsageProblem):  # a target file is told by its own fields
            message, hint = as_typed(message), as_typed(hint)
        stderr.problem(message, hint, problem.exit_code)
        return problem.exit_code
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    main()
