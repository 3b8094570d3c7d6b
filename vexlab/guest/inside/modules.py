"""The module under test: idle, unloaded, loaded again, refused."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from vexlab.guest.inside.attempts import ended, outcome, shell
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.images import attach, detach
from vexlab.guest.inside.system import load, mount, mounts, references, registered, umount, unload


def take_down(point: str, kind: str) -> bool:
    """Unmount what is mounted there if it is one filesystem of that type; whether it was."""
    found = [mounted for _, mounted, _ in mounts(point)] == [kind]
    if found:
        umount(point)
    return found


def load_unless_there(path: str, parameters: str, kind: str) -> None:
    """Load a module unless its filesystem type is known."""
    if not registered(kind):
        load(path, parameters)


def mount_image(image: str, point: str, kind: str, options: str) -> None:
    """Mount an image on a loop device that goes with the mount."""
    device = attach(image)
    mount(device, point, kind, options)
    detach(device)  # when it is unmounted


def reload(path: str, module: str, parameters: str, kind: str) -> str:
    """Unload an idle module and load it again; what is wrong, in words."""
    uses = references(module)
    if uses:
        return f"the module is idle, and its use count is {uses}: it can't be unloaded"
    unload(module)
    left = ["the module"] * os.path.exists(f"/sys/module/{module}") + ["the filesystem type"] * registered(kind)
    load(path, parameters)
    return f"after it was unloaded there still is: {', '.join(left)}" if left else ""


def all_unload_and_load(modules: Sequence[Sequence[str]]) -> str:
    """Unload idle modules, the last of them first, and load them again; what is wrong, in words.

    Each is its name, its file and its parameters.
    """
    for name, *_ in reversed(modules):
        if uses := references(name):
            return f"what needs {name} is unloaded, and its use count is {uses}: it can't be unloaded"
        if (came := outcome(unload, name)) != "done":
            return f"{name} can't be unloaded: {came}"
        if os.path.exists(f"/sys/module/{name}"):
            return f"{name} was unloaded, and is still there"
    for name, file, parameters in modules:
        if (came := outcome(load, file, parameters)) != "done":
            return f"{name} can't be loaded again: {came}"
    return ""


def unload_under_a_mount(module: str) -> list[Any]:
    """Try to unload a module that is in use: how many uses the kernel counts, and what came of it.

    One without a use would go, and take every later check with it; so that isn't tried.
    """
    uses = references(module)
    return [uses, outcome(unload, module) if uses else "not tried"]


def command_under_a_mount(fs: Filesystem, command: str, module: str) -> list[Any]:
    """Run a command under a mount: how it ended; the module's use count before and after.

    Then whether the filesystem type is known, and what comes of a listing.
    """
    fs.mount()
    before = references(module)
    done = ended(command)
    found = [done, before, references(module), registered(fs.kind), outcome(os.listdir, ".")]
    fs.unmount()
    return found


def load_broken(make: str, path: str, module: str) -> list[Any]:
    """Run insmod on a file that a command makes: how that ended, and whether the module is loaded."""
    shell(f"{make} >{path}")
    done = ended(f"insmod {path}")
    there = os.path.exists(f"/sys/module/{module}")
    unload(module)
    os.unlink(path)
    return [done, there]


def load_with(path: str, module: str, parameters: Sequence[str]) -> dict[str, list[Any]]:
    """Run insmod with each of these parameters: its exit code, and whether the module was loaded then."""
    seen: dict[str, list[Any]] = {}
    for parameter in parameters:
        code, *_ = ended(f"insmod {path} {parameter}")
        there = os.path.exists(f"/sys/module/{module}")
        unload(module)
        seen[parameter] = [code, there]
    return seen
