"""A lab: its directory, what it remembers, and what can be told of its guest without touching it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.lab_files import GuestError
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.private import private_directory
from qemu.qmp import QMPClient, QMPError

from vexlab.config import installation, literals, user_directories
from vexlab.config.atomic_file import replace_file
from vexlab.config.settings import Options, Settings, check_lab_name
from vexlab.errors import GuestProblem, HostProblem, UsageProblem
from vexlab.guest import reaper

ANSWER_SECONDS = 30.0  # for a guest on a busy machine to run one command
OF_FILE = "settings file"  # what is remembered of one, beside the options
LEFTOVER_SECONDS = 60.0  # that the work of a command that was killed gets to end


class Pauses(NamedTuple):
    """How often a guest was stopped to be saved, and how often it went on."""

    begun: int
    ended: int


@dataclass(frozen=True)
class Lab:
    """The files of a lab on this machine. What role vexlab_guest writes is read here and never written.

    `theirs`: an inventory of a person that has the lab's one host too, and says of it what isn't kept here.
    """

    name: str
    directory: Path
    theirs: Path | None = None

    @property
    def inventory(self) -> Path:
        """The inventory directory; anybody may run ansible-playbook with it."""
        return self.directory / "inventory"

    @property
    def guest_entry(self) -> Path:
        """The guest's inventory entry, written by role vexlab_guest: THE way to reach the guest."""
        return self.inventory / "guest.yml"

    @property
    def module_file(self) -> Path:
        """The module that was built last, symbols included, as role vexfs_build keeps it for reading crashes."""
        return self.directory / "module.ko"

    @property
    def image_record(self) -> Path:
        """Where the key of the image is that the lab used last."""
        return self.directory / "image.json"

    def exists(self) -> bool:
        """Whether anything of the lab is there."""
        return self.directory.is_dir()

    def record(self) -> dict[str, Any]:
        """What role vexlab_guest wrote about the guest; empty when there is none."""
        return _read_json(self.directory / "guest.json")

    def pauses(self) -> Pauses:
        """How often the guest was stopped to be saved."""
        known = self.record().get("pauses", {})
        return Pauses(int(known.get("begun", 0)), int(known.get("ended", 0)))

    def remembered(self) -> Options:
        """The options that the lab was last brought up with."""
        known = _read_json(self.directory / "options.json")
        return Options(**{name: value for name, value in known.items() if name in Options.__dataclass_fields__})

    def of_settings_file(self) -> Options:
        """What a settings file gave when the lab was last brought up: it holds where there is no such file."""
        known = _read_json(self.directory / "options.json").get(OF_FILE, {})
        return Options(**{name: value for name, value in known.items() if name in Options.__dataclass_fields__})

    def remember(self, options: Options, of_file: Options | None = None) -> None:
        """Keep the options for the next `up`, and apart from them what a settings file gave."""
        known = asdict(options) | {OF_FILE: asdict(of_file or Options())}
        replace_file(self.directory / "options.json", json.dumps(known, indent=1) + "\n")

    def module(self) -> dict[str, Any]:
        """What the last build brought forth, as role vexfs_build told it; empty before the first build."""
        return _read_json(self.directory / "module.json")

    def remember_module(self, module: dict[str, Any]) -> None:
        """Keep the identity of the module that was built."""
        replace_file(self.directory / "module.json", json.dumps(module, indent=1) + "\n")

    def image(self) -> str:
        """Key of the image that the lab used last; empty before its first guest."""
        return str(_read_json(self.image_record).get("key", ""))

    def remember_image(self, key: str) -> None:
        """Keep the key of the image that the lab uses."""
        replace_file(self.image_record, json.dumps({"key": key}) + "\n")

    def write_inventory(self, settings: Settings, python: str) -> None:
        """Write the hypervisor's entry and the contract; the guest's entry is role vexlab_guest's."""
        variables = self.inventory / "group_vars"
        variables.mkdir(mode=0o700, parents=True, exist_ok=True)
        local = {"ansible_connection": "local", "ansible_python_interpreter": python}
        hosts = {"vexlab": {"children": {"hypervisors": {"hosts": {"localhost": local}}, "guests": {}}}}
        replace_file(self.inventory / "hypervisor.yml", literals.to_yaml(hosts))
        replace_file(variables / "vexlab.yml", literals.to_yaml(settings.contract))

    def contract(self) -> dict[str, Any]:
        """The contract that was written last; empty before the first time."""
        path = self.inventory / "group_vars" / "vexlab.yml"
        with contextlib.suppress(OSError, ValueError, yaml.YAMLError):
            document = installation.read_yaml(path)
            return document if isinstance(document, dict) else {}
        return {}

    def inventories(self) -> list[Path]:
        """The inventories that a playbook runs with; what the last one says counts."""
        return [self.inventory] if self.theirs is None else [self.theirs, self.inventory]

    def is_up(self) -> bool:
        """Whether the guest's process runs; told by its UUID on the command line, never by the pid alone."""
        return guest_pid(self.record()) is not None

    def ssh_command(self, arguments: tuple[str, ...] = ()) -> list[str]:
        """The command that reaches the guest, from its inventory entry; raises GuestProblem when no guest is up."""
        if not self.guest_entry.is_file() or not self.is_up():
            raise GuestProblem(f"no guest is up in lab {self.name}", f"vexlab up{name_option(self.name)}")
        entry = installation.read_yaml(self.guest_entry)["vexlab"]["children"]["guests"]["hosts"][self.name]
        options = shlex.split(entry["ansible_ssh_common_args"])
        where = f"{entry['ansible_user']}@{entry['ansible_host']}"
        key = ["-i", entry["ansible_ssh_private_key_file"], "-p", str(entry["ansible_port"])]
        return ["ssh", *options, *key, where, *arguments]

    def look_command(self, script: str) -> list[str]:
        """The command that has the guest run a script, over a connection that ends with it; raises GuestProblem.

        One that became the master of later connections would stay, and hold the pipes open.
        """
        ssh, *rest = self.ssh_command((script,))
        return [ssh, "-o", "ControlMaster=no", *rest]

    def last_look(self, directories: Sequence[str]) -> tuple[int, str]:
        """The kernel's taint flags, and which of these directories of the guest is full; empty for none.

        It is the first in which a MiB can't be written; those not there don't count.

        Raises GuestProblem when the guest can't be reached, TimeoutError when it doesn't answer.
        """
        script = f"""
            cat /proc/sys/kernel/tainted
            for directory in {shlex.join(directories)}; do
                if [ -d "$directory" ]; then
                    if file=$(mktemp -p "$directory") && head -c 1048576 /dev/zero >"$file"; then full=; else full=1; fi
                    rm -f "$file"
                    if [ "$full" ]; then echo "$directory"; fi
                fi
            done"""
        command = self.look_command(script)
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the guest did not answer within {ANSWER_SECONDS:.0f} s") from None
        if done.returncode:
            said = " ".join(done.stderr.split()) or f"ssh ended with {done.returncode}"
            raise GuestProblem(f"the guest did not answer: {said}", f"vexlab console{name_option(self.name)}")
        taint, *full = done.stdout.splitlines() or ["0"]
        return int(taint) if taint.isdecimal() else 0, next(iter(full), "")

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lab for the time of one command, and of all that it starts.

        What a command that was killed has started is ended first, which is waited for. Raises UsageProblem when
        another command holds the lab, HostProblem for a directory that somebody else could exchange.
        """
        lock = self._lock()
        try:
            os.ftruncate(lock, 0)
            os.write(lock, f"{os.getpid()} {started(os.getpid())}".encode())
            with reaper.guarded(locks=[lock]):
                yield
        finally:
            os.close(lock)

    def _make_private(self) -> None:
        """Make the lab's directory, looked at before anything is made in it; raises HostProblem."""
        try:
            private_directory(self.directory)
        except GuestError as problem:
            raise HostProblem(problem.message, problem.hint) from problem

    def _lock(self) -> int:
        """Lock the lab; the descriptor whose end frees it."""
        path = self.directory / "command.lock"
        deadline = time.monotonic() + LEFTOVER_SECONDS
        while True:
            self._make_private()
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.exists() and path.stat().st_ino == os.fstat(lock).st_ino:  # else `destroy` was quicker
                    return lock
                os.close(lock)
            except BlockingIOError:
                holder = os.pread(lock, 100, 0).decode().split()
                os.close(lock)
                if len(holder) == 2 and started(int(holder[0])) == holder[1]:
                    raise UsageProblem(
                        f"another vexlab command, process {holder[0]}, works on lab {self.name}",
                        "wait for it, or take another --name",
                    ) from None
                if time.monotonic() > deadline:
                    raise UsageProblem(
                        f"what a vexlab command that was killed had started in lab {self.name} doesn't end",
                        f"look at it: fuser -v {shlex.quote(str(path))}",
                    ) from None
                time.sleep(0.1)


def find(name: str) -> Lab:
    """The lab of that name, whether it exists or not."""
    return Lab(check_lab_name(name), user_directories.labs_directory() / name)


def all_labs() -> list[Lab]:
    """Every lab that has a directory."""
    base = user_directories.labs_directory()
    return [Lab(path.name, path) for path in sorted(base.iterdir()) if path.is_dir()] if base.is_dir() else []


def image_used_last() -> str:
    """Key of the image that was used last by any lab; empty when none used one."""
    used = [(lab.image_record.stat().st_mtime, lab.image()) for lab in all_labs() if lab.image_record.is_file()]
    return max(used, default=(0.0, ""))[1]


def started(pid: int) -> str:
    """When a process was started, in ticks since the boot; empty when it has ended, be it reaped or not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]


def name_option(name: str) -> str:
    """` --name NAME`, or nothing for the default lab: for commands that are suggested to people."""
    return "" if name == installation.contract_defaults()["vexlab_lab"] else f" --name {name}"


def guest_pid(record: dict[str, Any]) -> int | None:
    """Pid of the guest that a record describes, if that very guest still runs."""
    pid, identity = record.get("pid"), record.get("uuid")
    if not isinstance(pid, int) or not identity:
        return None
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    return pid if str(identity).encode() in arguments else None


def process_facts(pid: int) -> dict[str, float]:
    """Seconds since a process started, and MiB of memory that it holds (resident set and its peak)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return {
        "uptime_seconds": round(time.clock_gettime(time.CLOCK_BOOTTIME) - started, 1),
        "memory_mib": round(int(status["VmRSS"].split()[0]) / 1024, 1),
        "peak_memory_mib": round(int(status["VmHWM"].split()[0]) / 1024, 1),
    }


def qmp(control: Path, command: str, arguments: dict[str, Any] | None = None, seconds: float = 5.0) -> Any:
    """What QEMU answers to a QMP command; raises OSError when it refuses, or doesn't answer within so many seconds."""

    async def ask() -> Any:
        client = QMPClient("vexlab")
        await client.connect(str(control))
        try:
            return await client.execute(command, arguments)
        finally:
            await client.disconnect()

    try:
        return asyncio.run(asyncio.wait_for(ask(), timeout=seconds))
    except TimeoutError as problem:
        raise OSError(f"QEMU did not answer {command} within {seconds:.0f} s") from problem
    except QMPError as problem:
        raise OSError(f"QEMU did not do {command}: {problem}") from problem


def guest_status(record: dict[str, Any]) -> str:
    """What QEMU says of the guest: running, paused, guest-panicked, …; empty if it is silent."""
    with contextlib.suppress(OSError, KeyError):
        return str(qmp(Path(record["qmp_control"]), "query-status")["status"])
    return ""


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
