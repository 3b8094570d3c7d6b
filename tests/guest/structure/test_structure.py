"""The source is in the guest, whole, unwritable, and copied to where it is built."""

from __future__ import annotations

from typing import Any

import pytest
from guest import Guest, Lab

# Looks at the source, whose path may be the pattern of a source package, and at its copy.
LOOK = """
import shlex
source, copy, required, forbidden, exclude = arguments
if not os.path.isdir(source):
    [source] = map(str, Path("/").glob(source[1:]))
excluded = [f"--exclude={pattern}" for pattern in exclude]
compare = ["rsync", "-rlcn", "--delete", "--out-format=%o %n", *excluded, f"{source}/", f"{copy}/"]
place = os.path.realpath(copy)
while not os.path.ismount(place):
    place = os.path.dirname(place)

def is_forbidden(name):
    return any(libc.fnmatch(pattern.encode(), os.fsencode(name), 0) == 0 for pattern in forbidden)

answer({
    "missing": [path for path in required if not os.path.exists(f"{copy}/{path}")],
    "forbidden": [name for name in sorted(os.listdir(source)) if is_forbidden(name)],
    "differing": [line for line in shell(shlex.join(compare)).splitlines() if not line.endswith("/")],
    "files": sum(len(files) for _, _, files in os.walk(copy)),
    "on": mounts(place)[-1][1],
})
"""

# Tries to write to the share; before, and when it was remounted for writing, with all else as it is.
WRITE = """
share, = arguments
create = "os.close(os.open(f'{share}/vexlab-was-here', os.O_CREAT | os.O_WRONLY))"
mounted = mounts(share)
assert mounted, "nothing is mounted there"
before = attempt(create)
kept = ",".join(word for word in mounted[-1][2].split(",") if word in FLAGS and word != "ro")
try:
    attempt("mount('', share, '', f'remount,{kept}')")
    during = attempt(create)
finally:
    mount("", share, "", f"remount,ro,{kept}")
answer({"mounts": [[kind, options.split(",")[0]] for _, kind, options in mounted], "tries": [before, during]})
"""


@pytest.fixture(scope="module")
def seen(guest: Guest, lab: Lab) -> dict[str, Any]:
    """What LOOK found."""
    source = lab.source_directory
    arguments = [source, lab.source_copy, lab.required_paths, lab.forbidden_in_root, lab.exclude]
    found: dict[str, Any] = guest.python(LOOK, *arguments, seconds=120)
    return found


@pytest.fixture(scope="module")
def share(guest: Guest, lab: Lab) -> dict[str, Any]:
    """What is mounted as the share, and what came of the attempts to write there."""
    if not lab.source:
        pytest.skip("the source of this target is in the image; nothing is shared")
    if lab.hardware:
        pytest.skip("the source was copied to this machine; nothing is shared")
    found: dict[str, Any] = guest.python(WRITE, lab.share_directory)
    return found


def test_share_is_read_only(share: dict[str, Any]) -> None:
    """The user's tree must not be writable from a guest that runs untested kernel code, root or not."""
    assert ["9p", "ro"] in share["mounts"]
    assert share["tries"][0] == "EROFS"


def test_share_stays_read_only_when_remounted(share: dict[str, Any]) -> None:
    """A read-only mount is the guest's own promise; QEMU must keep it when the guest takes the promise back."""
    assert share["tries"][1] != "done", "the share was written to from the guest"


def test_required_paths_are_there(lab: Lab, seen: dict[str, Any]) -> None:
    """The build needs them; a missing one would show as a puzzling error of make."""
    if not lab.required_paths:
        pytest.skip("the target names no required paths")
    assert not seen["missing"], f"missing from the tree: {seen['missing']}"


def test_root_holds_nothing_forbidden(lab: Lab, seen: dict[str, Any]) -> None:
    """An untested mkfs in the root of a tree is what crashed a developer's machine."""
    if not lab.forbidden_in_root:
        pytest.skip("the target forbids nothing in its root")
    assert not seen["forbidden"], f"must not be in the root of the tree: {seen['forbidden']}"


def test_copy_equals_source(seen: dict[str, Any]) -> None:
    """What is built is what the developer edited: same files, same bytes, excluded ones aside."""
    assert not seen["differing"], f"the copy differs: {seen['differing']}"
    assert seen["files"], "the copy holds no file"


def test_copy_is_on_the_guests_own_disk(seen: dict[str, Any]) -> None:
    """A build in the share would write to the host, were it not read-only."""
    assert seen["on"] != "9p"
