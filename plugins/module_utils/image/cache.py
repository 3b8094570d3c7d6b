"""What is done with the cache of images: an image is found or built, removed, or all are that nobody uses."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from ansible_collections.vexfs.vexlab.plugins.module_utils.source_text import text_of

from . import kernel_image, kernels, sandboxes, store, worker
from .kernel_image import Composition
from .kernels import Layer
from .sandboxes import Part
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


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The image that is wanted: what it is made from, the files that make it, its kernel if that is another.

    `kernel` is what a person wrote for it (module `kernel_word`), `suites` are those that a release is looked for in.
    """

    cache: Path
    spec: Spec
    files: Mapping[str, str]
    kernel: str = ""
    suites: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The key of the image with the kernel of its packages."""
        return key_of(self.spec, self.files)

    @property
    def has_own_kernel(self) -> bool:
        """Whether its kernel is the one of its packages, as far as what a person wrote tells."""
        return self.kernel in ("", self.spec.suite)

    def kernels(self) -> kernels.Store:
        """The kernels beside it."""
        base = self.cache / self.key / "sandbox"
        return kernels.Store(self.cache, self.spec, self.suites, base)

    def composition(self, layer: Layer) -> Composition:
        """The image of these packages and another kernel."""
        texts = [text_of(kernel_image), *(self.files.get(name, "") for name in kernel_image.INITRAMFS)]
        described = json.dumps([self.key, layer.key, *texts])
        key = hashlib.sha256(described.encode()).hexdigest()[:16]
        return Composition(self.cache, key, self.spec, self.files, self.key, layer)


def key_of(spec: Spec, files: Mapping[str, str]) -> str:
    """Name an image after what it is made from, the files that make it, and the code that runs them."""
    return spec.key({**files, "worker.py": text_of(worker)})


def ensure(wanted: Wanted, *, check: bool) -> Result:
    """Make sure that the image is in the cache and whole; raises ImageError."""
    if check:
        return _foreseen(wanted)
    _make_cache(wanted.cache)
    if not wanted.has_own_kernel:
        wanted.kernels().refuse(wanted.kernel)  # before minutes of work on what is below it
    base = _have(wanted.cache, wanted.key, lambda lock: _build(wanted, lock))
    if wanted.has_own_kernel or kernels.is_of(base.kernel_release, wanted.kernel):
        return base
    layer = wanted.kernels().ensure(wanted.kernel)
    composition = wanted.composition(layer)
    found = _have(wanted.cache, composition.key, composition.build)
    return dataclasses.replace(found, changed=found.changed or base.changed or layer.fresh)


def parts(wanted: Wanted, tell: Callable[[str], None]) -> list[Part]:
    """What the cache of another machine must have, so that `ensure` fetches nothing there; raises ImageError.

    The image is built here if it isn't there. That of another kernel is composed there.
    """
    _make_cache(wanted.cache)
    if _defect(wanted.cache / wanted.key, wanted.key, stamp=False):
        tell("building an image for the guests")
    base = _have(wanted.cache, wanted.key, lambda lock: _build(wanted, lock))
    names = (*store.IMAGE_FILES, store.MANIFEST, "sandbox")
    found = [Part(wanted.key, {name: Path(base.directory) / name for name in names})]
    if wanted.has_own_kernel:
        return found
    if kernels.is_of(base.kernel_release, wanted.kernel):
        wanted.kernels().refuse(wanted.kernel)  # which has the lists there
        return [*found, sandboxes.part_of_lists(wanted.cache)]
    return [*found, *sandboxes.parts_of_kernel(wanted.cache, wanted.kernels().ensure(wanted.kernel))]


def _build(wanted: Wanted, lock: int) -> None:
    check_host(wanted.cache)
    Job(wanted.cache, wanted.key, wanted.spec, wanted.files, lock).build()


def _have(cache: Path, key: str, build: Callable[[int], None]) -> Result:
    """Find the image of a key, or have it built."""
    directory = cache / key
    waited: list[str] = []

    def wait(holder: str) -> None:
        _note_waiting(cache, key, holder)
        waited.append(holder)

    with store.locked(cache, key, wait) as lock:
        leftovers = tuple(store.remove_leftovers(cache, held=key))
        reason = _defect(directory, key, stamp=True)
        if reason:
            store.discard(directory)
            build(cast("int", lock))
        release = store.kernel_release(directory)
    done = bool(reason)
    return Result(done, done, str(directory), key, release, reason or "in the cache", bool(waited), leftovers)


def _foreseen(wanted: Wanted) -> Result:
    """What `ensure` would do, as far as that can be told without fetching anything."""
    found = _seen(wanted.cache, wanted.key)
    if found.changed or wanted.has_own_kernel or kernels.is_of(found.kernel_release, wanted.kernel):
        return found
    layer = wanted.kernels().find(wanted.kernel)
    if layer is None:
        return dataclasses.replace(found, changed=True, reason=f"kernel {wanted.kernel} is not in the cache")
    return _seen(wanted.cache, wanted.composition(layer).key)


def _seen(cache: Path, key: str) -> Result:
    reason = _defect(cache / key, key, stamp=False)
    release = "" if reason else store.kernel_release(cache / key)
    return Result(bool(reason), False, str(cache / key), key, release, reason or "in the cache")


def remove(wanted: Wanted, *, check: bool) -> Result:
    """Remove the image, with its log and lock."""
    cache, key = wanted.cache, _foreseen(wanted).key
    directory = cache / key
    there = directory.exists()
    reason = "removed" if there else "was not there"
    if check or not cache.is_dir():
        return Result(there, False, str(directory), key, "", reason)
    with store.locked(cache, key, lambda holder: _note_waiting(cache, key, holder)):
        leftovers = tuple(store.remove_leftovers(cache, held=key))
        _forget(directory)
    return Result(there or bool(leftovers), False, str(directory), key, "", reason, False, leftovers)


def _forget(directory: Path) -> None:
    """Remove what has a key, with its log and lock; whoever calls holds that."""
    store.discard(directory)
    for ending in ("log", "lock"):
        (directory.parent / f"{directory.name}.{ending}").unlink(missing_ok=True)


def prune(cache: Path, keep: frozenset[str], *, check: bool) -> dict[str, object]:
    """Remove every image that isn't to be kept, that no guest runs on and that nobody works on; then kernels of none.

    The same goes for user spaces for builds, and for headers that none of them has.

    Each that was removed, or with `check` would be, is told with the MiB that it took; each other one with the reason.
    """
    removed: dict[str, int] = {}
    kept: dict[str, str] = {}

    def judge(directory: Path, name: str, used: str) -> None:
        with store.locked(directory.parent, directory.name) as lock:
            reason = used or ("somebody works on it" if lock is None else store.user(directory))
            if reason:
                kept[name] = reason
                return
            removed[name] = store.size_mib(directory)
            if not check:
                _forget(directory)

    for directory in _keyed(cache):
        judge(directory, directory.name, "a lab uses it" if directory.name in keep else "")
    of_images = {store.kernel_key(cache / key): key for key in kept}
    for directory in _keyed(cache / kernels.DIRECTORY):
        image = of_images.get(directory.name, "")
        judge(directory, f"{kernels.DIRECTORY}/{directory.name}", f"image {image} has it" if image else "")
    of_builds = cache / sandboxes.DIRECTORY
    parts = [sandboxes.manifest_of(of_builds / key) for key in keep]
    needed = keep | {str(part.get("base")) for part in parts}
    for directory in _keyed(of_builds):
        name = f"{sandboxes.DIRECTORY}/{directory.name}"
        judge(directory, name, "a cell of a matrix uses it" if directory.name in needed else "")
    layers = {str(part.get("layer")) for part in parts}
    for directory in _keyed(cache / kernels.HEADERS):
        used = "a user space for builds has them" if directory.name in layers else ""
        judge(directory, f"{kernels.HEADERS}/{directory.name}", used)
    return {"changed": bool(removed), "removed": removed, "kept": kept}


def _keyed(directory: Path) -> list[Path]:
    """The directories in one that are named after a key."""
    found = sorted(directory.glob("[0-9a-f]*")) if directory.is_dir() else []
    return [path for path in found if path.is_dir() and store.KEY.fullmatch(path.name)]


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
