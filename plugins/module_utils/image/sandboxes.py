"""User spaces in which modules are built for one kernel or another, without a guest: no disk is made, nothing boots.

They are kept in `sandboxes/` among the images: `<key>/` is one, with its files (`root/`) and `sandbox.json`. The first
is Debian's user space with what building takes, and with the headers of its own kernel. For another kernel it is that
again, as hard links, with the headers of the other one in their place. Where an image of the same packages is there,
its own user space for builds is taken in the place of the first.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ansible_collections.vexfs.vexlab.plugins.module_utils.sandbox import release_of_headers
from ansible_collections.vexfs.vexlab.plugins.module_utils.source_text import text_of

from . import kernel_image, kernel_tree, kernels, store
from .downloads import Download, downloading
from .kernels import Layer
from .store import ImageError
from .worker import BuildLog, build_log

if TYPE_CHECKING:
    from .cache import Wanted

FORMAT = 1
DIRECTORY = "sandboxes"
MANIFEST = "sandbox.json"
NEEDED_MB, NEEDED_FOR_KERNEL_MB = 3000, 100  # the packed user space lies beside the unpacked one for a moment
# Of what an image has, what a build may call.
PACKAGES = ("bc", "build-essential", "cpio", "kmod", "linux-headers-amd64", "python3", "rsync", "xz-utils", "zstd")
_MEMBERS = (
    "./usr", "./etc/alternatives", "./etc/ld.so.cache", "./etc/ld.so.conf", "./etc/ld.so.conf.d", "./etc/passwd",
    "./etc/group",
)  # fmt: skip
_EXCLUDED = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*")
# Fills a directory, which isn't there yet, with the help of one for what is needed meanwhile; returns the compiler.
Fill = Callable[[Path, Path, Download, BuildLog], str]


@dataclass(frozen=True)
class Sandbox:
    """A user space: its files, the kernel that modules are built for in it, and the compiler that the headers name.

    `identity` is another one whenever anything in it may be.
    """

    root: Path
    identity: str
    release: str
    compiler: str = ""


@dataclass(frozen=True)
class Part:
    """A directory of the cache, by which another machine needs to fetch nothing; `files` is what goes into it.

    `made` are files that are written for it, by their names. `is_exact`: its name says nothing of its content.
    """

    place: str
    files: Mapping[str, Path]
    made: Mapping[str, str] = field(default_factory=dict)
    is_exact: bool = False


def parts(wanted: Wanted, packages: Iterable[str], tell: Callable[[str], None]) -> list[Part]:
    """What the cache of another machine must have, so that `ensure` fetches nothing there; raises ImageError."""
    (wanted.cache / DIRECTORY).mkdir(parents=True, exist_ok=True)
    base = _base(wanted, packages, tell)
    manifest = {"format": FORMAT, "release": base.release, "compiler": base.compiler, "identity": base.identity}
    text = json.dumps(manifest, indent=2) + "\n"
    found = [Part(f"{DIRECTORY}/{_base_key(wanted, packages)}", {"root": base.root}, {MANIFEST: text})]
    if wanted.has_own_kernel:
        return found
    headers = kernels.Store(wanted.cache, wanted.spec, wanted.suites, base.root, headers_only=True)
    if kernels.is_of(base.release, wanted.kernel):
        headers.refuse(wanted.kernel)  # which has the lists there
        return [*found, part_of_lists(wanted.cache)]
    layer = headers.find(wanted.kernel) or _headers(wanted, base, tell)
    return [*found, *parts_of_kernel(wanted.cache, layer)]


def parts_of_kernel(cache: Path, layer: Layer) -> list[Part]:
    """A kernel, or its headers, and the package lists."""
    place = layer.directory.relative_to(cache)
    return [Part(str(place), {path.name: path for path in layer.directory.iterdir()}), part_of_lists(cache)]


def part_of_lists(cache: Path) -> Part:
    """The package lists, which tell what a release means, be it that of the kernel that is there anyway."""
    lists = f"{kernels.DIRECTORY}/lists"
    return Part(lists, {path.name: path for path in (cache / lists).glob("*.json")}, is_exact=True)


def ensure(wanted: Wanted, packages: Iterable[str] = (), tell: Callable[[str], None] = lambda _: None) -> Sandbox:
    """Have the user space there for the kernel that is wanted, and these packages in it; raises ImageError.

    `tell` is told what takes a while.
    """
    try:
        (wanted.cache / DIRECTORY).mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise ImageError(
            f"The image cache {wanted.cache} cannot be written: {problem.strerror}.",
            "Set XDG_CACHE_HOME to a directory that you can write.",
        ) from problem
    base = _base(wanted, packages, tell)
    if wanted.has_own_kernel or kernels.is_of(base.release, wanted.kernel):
        return base
    return _with_kernel(wanted.cache, base, _headers(wanted, base, tell), tell)


def _base(wanted: Wanted, packages: Iterable[str], tell: Callable[[str], None]) -> Sandbox:
    """The user space with its own kernel: one that was made before, that of an image, or one that is made now."""
    suite, installed = wanted.spec.suite, sorted({*PACKAGES, *packages})
    sources = sorted(set(wanted.spec.source_packages))
    key = _base_key(wanted, packages)
    if known := _read(wanted.cache, key):
        return known
    image = wanted.cache / wanted.key
    if store.damage(image, wanted.key, stamp=False) is None:
        manifest = json.loads((image / store.MANIFEST).read_text(encoding="utf-8"))
        identity = f"{wanted.key} {manifest['created']}"
        return Sandbox(image / "sandbox", identity, str(manifest["kernel_release"]))

    def fill(root: Path, work: Path, job: Download, log: BuildLog) -> str:
        tell(f"fetching a user space of Debian {suite} for builds")
        options = [f"--include={','.join(installed)}", *(f"--dpkgopt=path-exclude={pattern}" for pattern in _EXCLUDED)]
        packed = job.install(suite, options, downloading(sources) if sources else (), work, log)
        root.mkdir(mode=0o755)
        unpack = ["tar", "--extract", f"--file={packed}", f"--directory={root}", "--no-same-owner", *_MEMBERS]
        _run(job, unpack, work, log)
        for deb in sorted(work.glob("*.deb")):
            kernel_tree.extract(deb, root)
        return ""

    return _have(wanted.cache, key, NEEDED_MB, fill)


def _base_key(wanted: Wanted, packages: Iterable[str]) -> str:
    installed, sources = sorted({*PACKAGES, *packages}), sorted(set(wanted.spec.source_packages))
    return _key("base", wanted.spec.suite, installed, sources, _MEMBERS, _EXCLUDED, text_of(kernel_tree))


def _headers(wanted: Wanted, base: Sandbox, tell: Callable[[str], None]) -> Layer:
    """The kernel that is wanted, if all of it is there, else its headers."""
    whole = kernels.Store(wanted.cache, wanted.spec, wanted.suites, base.root)
    try:
        if there := whole.find(wanted.kernel):
            return there
    except ImageError:  # of .deb files without an image, and a build tree without modules, there are headers
        pass
    headers = kernels.Store(wanted.cache, wanted.spec, wanted.suites, base.root, headers_only=True)
    if (found := headers.find(wanted.kernel)) is None:
        tell(f"fetching the headers of kernel {wanted.kernel}")
        found = headers.ensure(wanted.kernel)
    return found


def _with_kernel(place: Path, base: Sandbox, layer: Layer, tell: Callable[[str], None]) -> Sandbox:
    """The user space with the headers of another kernel in the place of its own."""
    key = _key("kernel", base.identity, layer.key, text_of(kernel_image))

    def fill(root: Path, work: Path, job: Download, log: BuildLog) -> str:
        tell(f"putting the headers of kernel {layer.release} into the user space")
        kernel_image.make_sandbox(root, base.root, layer, lambda command: _run(job, command, work, log))
        kernel_image.check_tools(root, work, layer)
        return layer.compiler

    return _have(place, key, NEEDED_FOR_KERNEL_MB, fill, {"base": base.root.parent.name, "layer": layer.key})


def _run(job: Download, command: list[str], work: Path, log: BuildLog) -> None:
    """Run a command into the log; raises ImageError with its last words."""
    try:
        job.run(command, work, log)
    except ImageError as problem:
        said = "\n".join(f"  {text}" for text in list(log.last)[-3:])
        hint = "Free some space there." if "No space left" in said else "Run it again."
        raise ImageError(f"No user space for builds was made. {log.path} ends with:\n{said}\n", hint) from problem


def _key(*content: Any) -> str:
    return hashlib.sha256(json.dumps([FORMAT, *content]).encode()).hexdigest()[:16]


def _have(place: Path, key: str, needed: int, fill: Fill, parts: Mapping[str, str] | None = None) -> Sandbox:
    """Find the user space of a key, or have it made: it appears under its name when it is whole, or not at all.

    `parts` are the keys of what it is made of.
    """
    directory = place / DIRECTORY
    with store.locked(directory, key, lambda _: None) as lock:
        store.remove_leftovers(directory, held=key)
        if known := _read(place, key):
            return known
        kernels.check_room(place, needed, "a user space for builds")
        store.discard(directory / key)
        try:
            work = Path(tempfile.mkdtemp(prefix=f".{key}.", suffix=".tmp", dir=directory))
            try:
                with build_log(directory / f"{key}.log", fresh=True) as log:
                    job = Download(directory, key, store.Spec("", (), (), 0), {}, cast("int", lock))
                    _make(work, job, log, fill, parts or {})
                (work / "made").rename(directory / key)
            finally:
                store.remove_tree(work)
        except OSError as problem:
            raise ImageError(
                f"A user space for builds can't be kept in {directory}: {problem}.", "Free some space there."
            ) from problem
        made = _read(place, key)
        if made is None:
            raise ImageError(f"What was made in {directory / key} is gone.", "Is somebody removing the cache?")
        return made


def _make(work: Path, job: Download, log: BuildLog, fill: Fill, parts: Mapping[str, str]) -> None:
    """Fill `made` in a work directory, and describe it."""
    scratch, made = work / "scratch", work / "made"
    scratch.mkdir()
    scratch.chmod(0o777)  # root of the user namespace is somebody else
    made.mkdir()
    compiler = fill(made / "root", scratch, job, log)
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    manifest = {
        "format": FORMAT, "release": release_of_headers(made / "root"), "compiler": compiler, **parts,
        "created": created, "identity": f"{job.key} {created}",
    }  # fmt: skip
    store.write_whole(made / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    made.chmod(0o755)
    log.line("vexlab: done")


def manifest_of(directory: Path) -> dict[str, Any]:
    """What is written down of a user space; empty for what is none."""
    return store.written_down(directory / MANIFEST, FORMAT)


def _read(place: Path, key: str) -> Sandbox | None:
    """The user space of a key; None when it isn't there, or lost what it is for."""
    directory = place / DIRECTORY / key
    manifest = manifest_of(directory)
    root = directory / "root"
    if not manifest or release_of_headers(root) != manifest["release"] or not (root / "usr" / "bin" / "make").exists():
        return None
    return Sandbox(root, manifest["identity"], manifest["release"], manifest["compiler"])
