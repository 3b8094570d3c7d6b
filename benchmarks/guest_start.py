"""From nothing to a guest that takes commands: vexlab's restore and boot, QEMU alone, virtme-ng."""

from __future__ import annotations

from benchmarks import virtme
from benchmarks.bare import BareGuest
from benchmarks.labs import Bench, mebibytes_of
from benchmarks.measure import Contestant, interleave
from benchmarks.table import Row, at_least, at_most, mebibytes, missing, ratio, seconds

RESTORE, BOOT, BARE, VIRTME = "restored guest", "booted guest", "bare qemu -incoming, ssh true", "virtme-ng, true"


def measure(bench: Bench, runs: int) -> list[Row]:
    """Restore against boot, bare QEMU and virtme-ng."""
    source = str(bench.source("still"))
    sizes: list[float] = []

    def start(name: str, *, warm: bool) -> float:
        with bench.running_guest(name, warm=warm, source=source) as (finished, _):
            if warm:
                sizes.append(mebibytes_of(bench.scratch / "guests" / name))
            return finished.seconds

    bare = BareGuest(bench, bench.scratch / "sources" / "still")
    contestants = [
        Contestant(RESTORE, lambda: start("restored", warm=True)),
        Contestant(BARE, bare.restore),
        Contestant(BOOT, lambda: start("booted", warm=False)),
    ]
    obstacle = virtme.obstacle(bench)
    if not obstacle:
        machine = virtme.Virtme(bench)
        contestants.append(Contestant(VIRTME, machine.run))
    times = interleave(contestants, runs)
    bare.remove()
    rows = [
        seconds("restore → guest ready for Ansible", times[RESTORE], at_most(4)),
        seconds("bare `qemu -incoming` + `ssh true`", times[BARE], remark="saved with its sshd running"),
        ratio("restore ÷ bare qemu + ssh", times[RESTORE], times[BARE], at_most(1.3)),
        seconds("cold boot → guest ready for Ansible", times[BOOT]),
        ratio("cold boot ÷ restore", times[BOOT], times[RESTORE]),
    ]
    if obstacle:
        rows += [missing("virtme-ng, boot to a command", obstacle)]
    else:
        rows += [
            seconds(f"virtme-ng, `{machine.shown}`", times[VIRTME]),
            ratio("virtme-ng ÷ restore", times[VIRTME], times[RESTORE], at_least(5)),
        ]
    return [*rows, mebibytes("disk of one more guest at its start", sizes, at_most(95), "95 MiB are 100 MB")]
