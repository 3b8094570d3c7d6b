"""Mount options: what is shown of them, what can't be, and what is dropped before it is mounted."""

from __future__ import annotations

from vexlab.guest.inside import mount_options
from vexlab.guest.testing.promises import broken
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target


def test_shown_options_can_be_given_again(scratch: Scratch) -> None:
    """Whoever moves a mount gives the next one what /proc shows of it, and gets the same (filesystems/vfs.rst)."""
    seen = scratch.call(mount_options.given_again)
    wrong = broken(seen, {"shown": seen["shown"], "mount(2) with that": "done", "shown then": seen["shown"]})
    assert not wrong, f"/proc/self/mountinfo shows '{seen['shown']}': {wrong}"


def test_value_that_cannot_be_does_no_harm(target: Target, scratch: Scratch) -> None:
    """An option without its value, or with one too large or too long: refused, or mounted and usable (mount(2))."""
    wrong = scratch.call(mount_options.wrong_values, target.module_name)
    assert not wrong, "; ".join(f"{what}: {how}" for what, how in wrong.items())


def test_context_that_is_never_mounted_leaves_nothing(target: Target, scratch: Scratch) -> None:
    """mount(8) gives up in the middle when an option is wrong: nothing of it stays (fsopen(2), fsconfig(2))."""
    seen = scratch.call(mount_options.contexts, target.module_name)
    # A filesystem of the former interface gets its options when it is mounted, and refuses them then.
    wrong = broken(seen, {"an option that nobody knows": ("EINVAL", "done")})
    assert not wrong, f"contexts that were closed without a mount: {wrong}"
