"""One step of `git bisect run`: asks vexlab, which started git, for the verdict on the commit that is checked out.

Its standard input and output are git's, and so vexlab's. It ends as git wants it: 0 is good, 1 is bad, 125 is skip, and
from 128 on the search ends. Run as a program; standard library only, so that it starts at once.
"""

from __future__ import annotations

import sys

ASKS = "vexlab: which verdict has this commit?"
GIVE_UP = 128


def main() -> None:
    """Ask, and end with the answer; an answer that doesn't come ends the search."""
    sys.stdout.write(f"{ASKS}\n")
    sys.stdout.flush()
    answer = sys.stdin.readline().strip()
    sys.exit(int(answer) if answer.isdecimal() else GIVE_UP)


if __name__ == "__main__":
    main()
