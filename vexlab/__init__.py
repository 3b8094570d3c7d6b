"""A VM test lab for Linux filesystems that are out-of-tree kernel modules."""


def __getattr__(name: str) -> str:
    """`__version__`. It takes a while to find, and what judges the stages does without it."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("vexlab")
    except PackageNotFoundError:  # run from a tree that was never installed
        return "0+uninstalled"
