"""A guest that plays the part of test hardware: disks with serial numbers, and an inventory that names it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.harness import ROOT, Done, Vexlab

LAB = "bench"
# Has role vexlab_guest bring the guest up, as guest_create.yml does for anybody; no stage is run in it.
CREATE = """
import sys, json
from pathlib import Path
from vexlab.config import settings
from vexlab.guest import lab
from vexlab.run import plain_playbooks
found, disks = lab.find(sys.argv[1]), json.loads(sys.argv[2])
made = settings.make(found.name, settings.Options())
made.contract["vexlab_disks"] = disks
plain_playbooks.prepare(found, made)
log = found.directory / "create.log"
if not plain_playbooks.run_plain("guest_create", found, {}, log).ok:
    sys.exit(log.read_text()[-3000:])
"""


class Bench:
    """The machine, and `vexlab device` about its disks."""

    def __init__(self, vexlab: Vexlab, disks: dict[str, int]) -> None:
        self.vexlab = vexlab
        wanted = json.dumps([{"serial": serial, "size_mb": size} for serial, size in disks.items()])
        command = [vexlab.python, "-c", CREATE, LAB, wanted]
        subprocess.run(command, cwd=ROOT, env=vexlab.environment, check=True, timeout=900)
        entry = json.loads((vexlab.labs / LAB / "inventory" / "guest.yml").read_text().removeprefix("---\n"))
        self.entry: dict[str, Any] = entry["vexlab"]["children"]["guests"]["hosts"][LAB]
        self.inventory = self.write_inventory("hardware.yml", {"rack1": {}})

    def write_inventory(self, name: str, hosts: dict[str, dict[str, Any]], group: str = "hardware") -> Path:
        """An inventory in which each of these hosts is this machine, with some variables changed."""
        path = self.vexlab.home / name
        path.write_text(yaml.safe_dump({group: {"hosts": {host: self.entry | other for host, other in hosts.items()}}}))
        return path

    def ssh(self, script: str) -> str:
        done = self.vexlab("ssh", "--name", LAB, script)
        assert done.code == 0, done.stderr
        return done.stdout.strip()

    def words(self, verb: str, serial: str, *more: str, typed: str = "") -> list[str]:
        inventory = [] if "--inventory" in more else ["--inventory", str(self.inventory)]
        device = ["--device", f"/dev/disk/by-id/virtio-{serial}", "--serial", typed or serial]
        return ["device", verb, *inventory, *device, *more]

    def __call__(self, verb: str, serial: str, *more: str, typed: str = "") -> Done:
        return self.vexlab(*self.words(verb, serial, *more, typed=typed))

    def start(self, verb: str, serial: str, *more: str) -> subprocess.Popen[str]:
        return self.vexlab.start(*self.words(verb, serial, *more))
