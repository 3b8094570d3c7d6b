"""What a kernel must have to be a guest of the lab, by its configuration."""

from __future__ import annotations

import re

# In the kernel itself, since there is nobody yet who could load it.
BUILT_IN = (
    "MODULES", "MODULE_UNLOAD", "BLK_DEV_INITRD", "RD_ZSTD", "DEVTMPFS", "SERIAL_8250_CONSOLE", "PCI", "ACPI",
    "BINFMT_ELF", "BINFMT_SCRIPT", "UNIX", "INET", "PROC_FS", "SYSFS", "TMPFS", "CGROUPS", "INOTIFY_USER", "SIGNALFD",
    "TIMERFD", "EPOLL", "FHANDLE", "MAGIC_SYSRQ",
)  # fmt: skip
# There or as a module: disk, network and port of the guest, its root filesystem, the share, and what checks stand on.
LOADABLE = (
    "VIRTIO_PCI", "VIRTIO_BLK", "VIRTIO_NET", "VIRTIO_CONSOLE", "EXT4_FS", "NET_9P", "NET_9P_VIRTIO", "9P_FS",
    "BLK_DEV_LOOP", "BLK_DEV_DM",
)  # fmt: skip


def values(config: str) -> dict[str, str]:
    """The options that a configuration sets, without their CONFIG_."""
    return dict(re.findall(r"^CONFIG_(\w+)=(.+)$", config, re.MULTILINE))


def missing(config: str) -> list[str]:
    """The options that the lab needs and a configuration doesn't have, as a person would write them."""
    found = values(config)
    return [
        *(f"CONFIG_{name}=y" for name in BUILT_IN if found.get(name) != "y"),
        *(f"CONFIG_{name}" for name in LOADABLE if found.get(name) not in ("y", "m")),
    ]
