"""Names of files."""

from __future__ import annotations

import shlex

import pytest
from guest import Guest
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

NAMES = [
    "a",
    "two words",
    "naïve-名前-🗂",
    "-rf",
    "new\nline",
    'it\'s "quoted"',
    "back\\slash",
    "...",
    "*",
    "trailing. ",
]


@pytest.fixture(scope="module")
def listing(guest: Guest, mounted: Scratch) -> list[tuple[str, str]]:
    """All of them, made in one directory, as it is listed after a remount: each name, and the content of its file."""
    words = shlex.join(NAMES)
    guest.ok(f'cd {mounted.point}; mkdir names; cd names; for name in {words}; do printf %s "$name" >"./$name"; done')
    mounted.remount()
    found = guest.ok(
        f"cd {mounted.point}/names; find . -type f -printf '%P\\0' -exec cat {{}} ';' -printf '\\0'"
    ).split("\0")
    return list(zip(found[::2], found[1::2], strict=False))


@pytest.mark.requires("directories")
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_name_is_kept(listing: list[tuple[str, str]], name: str) -> None:
    """A filesystem takes any bytes but slash and NUL; the name is listed once, and leads to its file."""
    assert [content for found, content in listing if found == name] == [name]


@pytest.mark.requires("directories")
def test_nothing_else_is_listed(listing: list[tuple[str, str]]) -> None:
    """No name that nobody made."""
    assert {found for found, _ in listing} == set(NAMES)


def test_longest_name_is_kept(guest: Guest, mounted: Scratch) -> None:
    """As long as statfs says that names may be."""
    longest = int(guest.ok(f"stat -f -c %l {mounted.point}"))
    assert longest >= 14, "statfs says that names are shorter than POSIX allows"
    guest.ok(f"echo long >{mounted.point}/{'n' * longest}")
    mounted.remount()
    assert guest.ok(f"cat {mounted.point}/{'n' * longest}; ls {mounted.point} | grep -c '^nnn'") == "long\n1"


def test_longer_name_is_refused(guest: Guest, mounted: Scratch) -> None:
    """With ENAMETOOLONG, and not by cutting it: two names must not become one."""
    longest = int(guest.ok(f"stat -f -c %l {mounted.point}"))
    name = "m" * (longest + 1)
    outcome = guest.attempts(mounted.point, {"create": f"os.open('{name}', os.O_CREAT)", "find": f"os.stat('{name}')"})
    assert outcome == {"create": "ENAMETOOLONG", "find": "ENAMETOOLONG"}
    assert guest.ok(f"ls {mounted.point} | grep -c '^mmm' || true") == "0"
