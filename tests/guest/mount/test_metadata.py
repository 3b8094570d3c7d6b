"""Owners, permissions and times."""

from __future__ import annotations

import pytest
from guest import Lab
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

# What is set, on a file of that name; how; how it is shown: permissions, owner, and time to the second.
MODES = ("0", "644", "4755", "2711", "1777")
OWNERS = ("1000:100", "70000:4000000000")
TIMES = (1, 1_234_567_890, 2_000_000_000)
SET = {
    **{f"mode {mode}": (f"os.chmod(name, 0o{mode})", "f'{now.st_mode & 0o7777:o}'", "permissions") for mode in MODES},
    **{
        f"owner {who}": (f"os.chown(name, {who.replace(':', ', ')})", "f'{now.st_uid}:{now.st_gid}'", "permissions")
        for who in OWNERS
    },
    **{
        f"time {when}": (f"os.utime(name, ({when}, {when}))", "str(now.st_mtime_ns // 10**9)", "timestamps")
        for when in TIMES
    },
}
SET_ALL = """
for name, setter, _ in arguments[0]:
    write(name, "x")
    exec(setter)
fs.remount()
found = {}
for name, _, shown in arguments[0]:
    now = os.stat(name)
    found[name] = eval(shown)
answer(found)
"""

# Gives up root for good before it tries.
AS_NOBODY = "os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)"


@pytest.fixture(scope="module")
def kept(lab: Lab, mounted: Scratch) -> dict[str, str]:
    """The claimed ones of all that was set, as it is after a remount."""
    claimed = [
        (name, setter, shown) for name, (setter, shown, capability) in SET.items() if capability in lab.capabilities
    ]
    found: dict[str, str] = mounted.run(SET_ALL, claimed)
    return found


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.requires(capability)) for name, (_, _, capability) in SET.items()]
)
def test_it_is_kept(kept: dict[str, str], name: str) -> None:
    """A bit that is lost locks people out, one that appears lets them in; make and rsync go by times."""
    assert kept[name] == name.partition(" ")[2]


@pytest.mark.requires("permissions", "directories")
def test_permissions_are_enforced(mounted: Scratch) -> None:
    """For somebody who isn't root."""
    code = """
    for name, mode in ("closed", 0o755), ("open", 0o777):
        os.mkdir(name)
        os.chmod(name, mode)
    write("closed/secret", "x")
    os.chmod("closed/secret", 0o600)
    os.chmod(".", 0o755)
    outcome = {name: attempt(statement) for name, statement in arguments[0].items()}
    outcome["owner"] = os.stat("open/new").st_uid if os.path.exists("open/new") else None
    answer(outcome)
    """
    statements = {
        "become nobody": AS_NOBODY,
        "read": "os.open('closed/secret', os.O_RDONLY)",
        "create": "os.open('closed/new', os.O_CREAT | os.O_WRONLY)",
        "unlink": "os.unlink('closed/secret')",
        "chmod": "os.chmod('closed/secret', 0o777)",
        "create where it is allowed": "os.open('open/new', os.O_CREAT | os.O_WRONLY)",
    }
    assert mounted.run(code, statements) == {
        "become nobody": "done", "read": "EACCES", "create": "EACCES", "unlink": "EACCES", "chmod": "EPERM",
        "create where it is allowed": "done", "owner": 65534,
    }  # fmt: skip


@pytest.mark.requires("permissions", "directories")
def test_umask_and_setgid_directory_apply(mounted: Scratch) -> None:
    """New files take the umask, and in a directory with setgid the directory's group."""
    code = """
    os.mkdir("group")
    os.chown("group", -1, 1234)
    os.chmod("group", 0o2775)
    os.umask(0o027)
    write("group/file", "x")
    os.mkdir("group/sub")
    fs.remount()
    seen = {name: os.stat(f"group/{name}") for name in ("file", "sub")}
    answer({name: [f"{now.st_mode & 0o7777:o}", now.st_gid] for name, now in seen.items()})
    """
    assert mounted.run(code) == {"file": ["640", 1234], "sub": ["2750", 1234]}


@pytest.mark.requires("timestamps")
def test_write_moves_the_time(mounted: Scratch) -> None:
    """A changed file that looks old is not built, and not backed up."""
    code = """
    import time
    write("moved", "x")
    os.utime("moved", (1000, 1000))
    write("moved", "y", "a")
    now = os.stat("moved")
    answer([int(now.st_mtime), int(now.st_ctime), int(time.time())])
    """
    modified, changed, clock = mounted.run(code)
    assert clock - 30 <= modified <= clock + 1
    assert clock - 30 <= changed <= clock + 1


@pytest.mark.requires("timestamps", "directories")
def test_new_entry_moves_the_time_of_its_directory(mounted: Scratch) -> None:
    """Whoever watches a directory by its time sees what is made and removed in it."""
    code = """
    os.mkdir("watched")
    seen = {}
    for step in arguments:
        os.utime("watched", (1000, 1000))
        exec(step)
        seen[step] = os.stat("watched").st_mtime > 1000
    answer(seen)
    """
    steps = ["write('watched/new', 'x')", "os.unlink('watched/new')"]
    assert mounted.run(code, *steps) == dict.fromkeys(steps, True)
