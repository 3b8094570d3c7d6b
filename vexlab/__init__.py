"""A VM test lab for Linux filesystems that are out-of-tree kernel modules."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("vexlab")
except PackageNotFoundError:  # run from a tree that was never installed
    __version__ = "0+uninstalled"
