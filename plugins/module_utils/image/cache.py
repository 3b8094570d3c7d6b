"""What is done with the cache of images: an image is found or built, removed, or all are that nobody uses."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from ansible_collections.vexfs.vexlab.plugins.module_utils.source_text import text_of

from . import store, worker
from .store import ImageError, Spec
from .worker import Job, build_log, check_host


@dataclasses.dataclass(frozen=True)
class Result:
    """What a run did, or with --check would do."""

    changed: bool
    built: bool
    directory: str
    key: str
    kernel_release: str
    reason: str
    waited: bool = False
    leftovers: tuple[str, ...] = ()


def directory_of(given: str) -> Path:
    """Return the directory that keeps the images, as it was named."""
    return Path(given).expanduser().absolute()


def key_of(spec: Spec, files: Mapping[str, str]) -> str:
    """Name an image after what it is made from, the files that make it, and the code that runs them."""
    return spec.key({**files, "worker.py": text_of(worker)})


def ensure(cache: Path, spec: Spec, files: Mapping[str, str], *, check: bool) -> Result:
    """Make sure that the image is in the cache and whole."""
    key = key_of(spec, files)
    directory = cache / key
    if check:
        reason = _defect(directory, key, stamp=False)
        release = "" if reason else store.kernel_release(directory)
        return Result(bool(reason), False, str(directory), key, release, reason or "in the cache")
    _make_cache(cache)
    waited: list[str] = []

    def wait(holder: str) -> None:
        _note_waiting(cache, key, holder)
        waited.append(holder)

    with store.locked(cache, key, wait) as lock:
        leftovers = tuple(store.remove_leftovers(cache, held=key))
        reason = _defect(directory, key, stamp=True)
        if reason:
            check_host(cache)
            store.discard(directory)
            Job(cache, key, spec, files, cast("int", lock)).build()
        release = store.kernel_release(directory)
    done = bool(reason)
    return Result(done, done, str(directory), key, release, reason or "in the cache", bool(waited), leftovers)


def remove(cache: Path, spec: Spec, files: Mapping[str, str], *, check: bool) -> Result:
    """Remove the image of this key, with its log and lock."""
    key = key_of(spec, files)
    directory = cache / key
    there = directory.exists()
    reason = "removed" if there else "was not there"
    if check or not cache.is_dir():
        return Result(there, False, str(directory), key, "", reason)
    with store.locked(cache, key, lambda holder: _note_waiting(cache, key, holder)):
        leftovers = tuple(store.remove_leftovers(cache, held=key))
        store.discard(directory)
        (cache / f"{key}.log").unlink(missing_ok=True)
        (cache / f"{key}.lock").unlink(missing_ok=True)
    return Result(there or bool(leftovers), False, str(directory), key, "", reason, False, leftovers)


def prune(cache: Path, keep: frozenset[str], *, check: bool) -> dict[str, object]:
    """Remove every image that isn't to be kept, that no guest runs on and that nobody works on.

    Each that was removed, or with `check` would be, is told with the MiB that it took; each other one with the reason.
    """
    removed: dict[str, int] = {}
    kept: dict[str, str] = {}
    for directory in sorted(cache.glob("[0-9a-f]*")) if cache.is_dir() else []:
        key = directory.name
        if not (directory.is_dir() and store.KEY.fullmatch(key)):
            continue
        with store.locked(cache, key) as lock:
            reason = (
                "a lab uses it" if key in keep else "somebody works on it" if lock is None else store.user(directory)
            )
            if reason:
                kept[key] = reason
                continue
            removed[key] = store.size_mib(directory)
            if not check:
                store.discard(directory)
                for ending in ("log", "lock"):
                    (cache / f"{key}.{ending}").unlink(missing_ok=True)
    return {"changed": bool(removed), "removed": removed, "kept": kept}


def _defect(directory: Path, key: str, *, stamp: bool) -> str | None:
    if not directory.exists():
        return "not in the cache"
    damage = store.damage(directory, key, stamp=stamp)
    return f"the image was damaged: {damage}" if damage else None


def _make_cache(cache: Path) -> None:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=cache).close()
    except OSError as error:
        raise ImageError(
            f"The image cache {cache} cannot be written: {error.strerror}.",
            "Set vexlab_image_cache to a directory that you can write.",
        ) from error


def _note_waiting(cache: Path, key: str, holder: str) -> None:
    """Tell whoever looks at the log of the build what is waited for."""
    with build_log(cache / f"{key}.log", fresh=False) as log:
        log.line(f"vexlab: waiting for process {holder}, which works on the same image")
