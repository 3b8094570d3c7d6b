"""The agent without what only a guest has, its kernel's log: what test_agent.py starts.

Usage: agent_process.py AGENT; the sources are the first line of standard input, orders come after it.
"""

from __future__ import annotations

import importlib.util
import json
import sys


def main() -> None:
    """Serve until standard input ends."""
    spec = importlib.util.spec_from_file_location("agent", sys.argv[1])
    assert spec is not None
    assert spec.loader is not None
    agent = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(agent)
    sys.meta_path.insert(0, agent.Sources(json.loads(sys.stdin.readline())))
    runner, answers = agent.Runner(), sys.stdout
    for line in sys.stdin:
        print(json.dumps(runner.run(json.loads(line))), file=answers, flush=True)


main()
