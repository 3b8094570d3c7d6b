"""Run the checks on the kernel's own filesystems, on which none may fail, and print checks by filesystems.

Usage: python .ci/controls.py [FILESYSTEM]...

Each is a target in examples/targets/controls/ and gets a lab of its own, `control-FILESYSTEM`. The exit code is 0 when
each passed. A check that no control passes is named: nothing is known of what it says of a filesystem that is right.
What is known of a control and does not pass is in its target file, with where the kernel's own documentation has it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CONTROLS = ROOT / "examples" / "targets" / "controls"
SIGNS = {"passed": "ok", "skipped": "-", "not_run": ".", "xfailed": "known"}  # any other verdict is shown by its name


def run(control: str) -> dict[str, Any]:
    """Test one filesystem; returns its results, or what there is when the run came to none."""
    command = [str(Path(sys.executable).with_name("vexlab")), "test", "--json", "--name", f"control-{control}"]
    print(f"== {control}", flush=True)
    done = subprocess.run(
        [*command, "--target", str(CONTROLS / f"{control}.yml")], stdout=subprocess.PIPE, text=True, check=False
    )
    results: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"verdict": "not_run", "stages": []}
    return results


def verdicts(results: dict[str, Any]) -> dict[str, str]:
    """The verdict of each check, as stage/check."""
    every = ((stage["name"], check) for stage in results["stages"] for check in stage["checks"])
    return {f"{stage}/{check['name']}": check["verdict"] for stage, check in every}


def table(found: dict[str, dict[str, str]]) -> str:
    """A line for each check, with its verdict on each filesystem."""
    names = list(dict.fromkeys(name for of_one in found.values() for name in of_one))
    width = max(map(len, names), default=0)
    lines = [f"{'':{width}}  {'  '.join(f'{control:>8}' for control in found)}"]
    for name in names:
        seen = [of_one.get(name, "skipped") for of_one in found.values()]
        lines.append(f"{name:{width}}  {'  '.join(f'{SIGNS.get(verdict, verdict):>8}' for verdict in seen)}")
    return "\n".join(lines)


def main(controls: list[str]) -> int:
    """Run these, or all of them; 0 when each passed."""
    known = sorted(path.stem for path in CONTROLS.glob("*.yml"))
    if unknown := [name for name in controls if name not in known]:
        print(f"unknown control {unknown[0]}; known: {', '.join(known)}", file=sys.stderr)
        return 2
    results = {control: run(control) for control in controls or known}
    found = {control: verdicts(seen) for control, seen in results.items()}
    print(table(found))
    passed_by_none = {name for of_one in found.values() for name in of_one} - {
        name for of_one in found.values() for name, verdict in of_one.items() if verdict == "passed"
    }
    print(f"\npassed by no control: {', '.join(sorted(passed_by_none)) or 'none'}")
    for control, seen in results.items():
        wrong = [name for name, verdict in found[control].items() if verdict not in ("passed", "skipped", "xfailed")]
        print(f"{control}: {seen['verdict']}{': ' if wrong else ''}{', '.join(wrong)}")
    return 0 if all(seen["verdict"] == "passed" for seen in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
